import GatewayHTTP
import GatewayRuntime
import GatewayTLS
import GatewayTelemetry
import GatewayTransport

/// What connections may be shared between: the same server, reached the same way, under the same rule.
struct UpstreamOrigin: Hashable {
    let scheme: HTTPURL.Scheme
    let host: String
    let port: UInt16
    /// A connection made for an operator's URL may lead where a foreign one must not.
    let destination: DestinationKind
}

/// One loop's connections to upstreams.
final class UpstreamPool: TimerTarget {
    let loop: EventLoop
    private let settings: UpstreamSettings
    private let tls: TLSClientContext
    private let metrics: UpstreamMetrics
    private let resolver: Resolver
    private var origins: [UpstreamOrigin: Origin] = [:]
    private var sweep = TimerToken.none

    /// The idle connections, newest last, and everything else about one origin.
    private final class Origin {
        var idle: [(connection: UpstreamConnection, since: MonotonicTime)] = []
        var open = 0
        var waiters: [Waiter] = []

        var isUnused: Bool { open == 0 && waiters.isEmpty }
    }

    init(loop: EventLoop, settings: UpstreamSettings, tls: TLSClientContext, metrics: UpstreamMetrics) {
        self.loop = loop
        self.settings = settings
        self.tls = tls
        self.metrics = metrics
        resolver = Resolver(loop: loop, settings: settings)
    }

    /// A connection to `origin`: the most recently used idle one, or a new one.
    ///
    /// - Parameter fresh: Never an idle one: the last turned out to be dead.
    func connection(
        to origin: UpstreamOrigin, address: IPAddress?, fresh: Bool, timeouts: UpstreamTimeouts
    ) async throws -> UpstreamConnection {
        let deadline = loop.now + timeouts.connect
        let entry = entry(of: origin)
        while true {
            if !fresh, let connection = takeIdle(entry) {
                metrics.reused.increment()
                return connection
            }
            if entry.open < settings.maxConnections { break }
            try await waitForRoom(entry, until: deadline)
        }
        entry.open += 1
        do {
            let connection = try await dial(origin, address, until: deadline)
            metrics.opened.increment()
            return connection
        } catch {
            release(entry, origin)
            metrics.failed.increment()
            throw error
        }
    }

    private func entry(of origin: UpstreamOrigin) -> Origin {
        if let known = origins[origin] { return known }
        let fresh = Origin()
        origins[origin] = fresh
        return fresh
    }

    private func takeIdle(_ entry: Origin) -> UpstreamConnection? {
        while let (connection, _) = entry.idle.popLast() {
            if connection.isUsable { return connection }
        }
        return nil
    }

    private func waitForRoom(_ entry: Origin, until deadline: MonotonicTime) async throws {
        guard entry.waiters.count < settings.maxWaiting, loop.now < deadline else { throw UpstreamError.tooManyWaiting }
        await suspend { entry.waiters.append($0) }
        try Task.checkCancellation()
    }

    private func dial(
        _ origin: UpstreamOrigin, _ literal: IPAddress?, until deadline: MonotonicTime
    ) async throws -> UpstreamConnection {
        let addresses: [SocketAddress]
        if let literal, let address = SocketAddress(bytes: literal.networkBytes, port: origin.port) {
            addresses = [address]
        } else {
            addresses = try await resolver.addresses(of: origin.host, port: origin.port)
        }
        let allowed = try permitted(addresses, for: origin.destination)
        let dialer = Dialer(
            loop: loop, addresses: allowed, host: origin.host, tls: origin.scheme == .https ? tls : nil)
        let stream = try await dialer.open(until: deadline)
        return UpstreamConnection(stream: stream, origin: origin, pool: self, limits: HeadLimits())
    }

    /// The addresses that may be connected to: exactly these are dialled, so a second look-up cannot change them.
    private func permitted(_ addresses: [SocketAddress], for kind: DestinationKind) throws -> [SocketAddress] {
        let rule: DestinationClass =
            kind == .operator ? .operator : .foreign(allowing: settings.allowedPrivateNetworks)
        var refusal: DestinationRefusal?
        let allowed = addresses.filter { address in
            guard let parsed = IPAddress(networkBytes: address.bytes.span) else { return false }
            do throws(DestinationRefusal) {
                try rule.check(parsed)
                return true
            } catch {
                refusal = error
                return false
            }
        }
        guard !allowed.isEmpty else {
            if let refusal { throw UpstreamError.destinationRefused(refusal) }
            throw UpstreamError.nameLookupFailed("no usable address")
        }
        return allowed
    }

    // MARK: Returning

    func isIdle(_ connection: UpstreamConnection) -> Bool {
        origins[connection.origin]?.idle.contains { $0.connection === connection } ?? false
    }

    /// Keeps a connection whose exchange is over.
    func takeBack(_ connection: UpstreamConnection) {
        guard let entry = origins[connection.origin], settings.keepAlive > .zero,
            entry.idle.count < settings.idleConnections
        else { return connection.close() }
        entry.idle.append((connection, loop.now))
        connection.stream.resumeInput()
        if !sweep.isSet { sweep = loop.setTimer(at: loop.now + settings.keepAlive, for: self) }
        wakeOne(entry)
    }

    /// A connection has closed.
    func forget(_ connection: UpstreamConnection) {
        guard let entry = origins[connection.origin] else { return }
        entry.idle.removeAll { $0.connection === connection }
        release(entry, connection.origin)
    }

    private func release(_ entry: Origin, _ origin: UpstreamOrigin) {
        entry.open -= 1
        wakeOne(entry)
        if entry.isUnused { origins[origin] = nil }
    }

    private func wakeOne(_ entry: Origin) {
        guard !entry.waiters.isEmpty else { return }
        entry.waiters.removeFirst().resume()
    }

    /// Closes what has been idle for too long.
    func timerFired(tag: UInt32) {
        sweep = .none
        var expired: [UpstreamConnection] = []
        var anyIdle = false
        for entry in origins.values {
            for (connection, since) in entry.idle {
                if since + settings.keepAlive <= loop.now { expired.append(connection) } else { anyIdle = true }
            }
        }
        for connection in expired { connection.close() }
        if anyIdle { sweep = loop.setTimer(at: loop.now + .seconds(1), for: self) }
    }
}
