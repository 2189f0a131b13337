import GatewayHTTP
import GatewayRuntime
import GatewayTLS
import GatewayTelemetry
import GatewayTransport

/// Which connections will do for a request.
enum ConnectionChoice {
    /// Never an idle one: the last turned out to be dead.
    case fresh
    /// An idle one of which the kernel says that it is alive: what is lost with it cannot be sent again.
    case alive
    /// An idle one of which the loop has heard nothing: should it have died since, the request is sent again.
    case quiet
}

/// What connections may be shared between: the same server, reached the same way, under the same rule.
struct UpstreamOrigin: Hashable {
    /// `scheme://host[:port]`, canonical.
    let bytes: ArraySlice<UInt8>
    /// A connection made for an operator's URL may lead where a foreign one must not.
    let destination: DestinationKind
}

/// Everything about one origin: its idle connections, newest last, and those who wait for one.
///
/// While anybody waits, nothing is idle and no connection may be added: whatever becomes free is handed to the first in
/// the queue at once, so nobody overtakes.
final class PooledOrigin {
    let key: UpstreamOrigin
    let scheme: HTTPURL.Scheme
    let host: String
    let port: UInt16
    let address: IPAddress?
    var idle: [(connection: UpstreamConnection, since: MonotonicTime)] = []
    /// Connections open or being opened.
    var open = 0
    var queue: [Turn] = []

    init(_ url: HTTPURL, _ destination: DestinationKind) {
        // A copy of its own: the URL's bytes are a request's.
        key = UpstreamOrigin(bytes: ArraySlice(Array(url.originBytes)), destination: destination)
        scheme = url.scheme
        host = url.hostName
        port = url.port
        address = url.address
    }

    var isUnused: Bool { open == 0 && queue.isEmpty }

    /// Somebody's place in the queue. Called with a connection, or with leave to open one.
    final class Turn {
        let wait = LoopWait()
        var connection: UpstreamConnection?
    }

    /// Takes the first out of the queue who still waits.
    func nextTurn() -> Turn? {
        while !queue.isEmpty {
            let turn = queue.removeFirst()
            if !turn.wait.isOver { return turn }
        }
        return nil
    }
}

/// One loop's connections to upstreams.
final class UpstreamPool: TimerTarget {
    let loop: EventLoop
    private var rules: UpstreamRules
    /// Counts changes of who may be connected to, and who is believed to be whom: no connection outlives one idle.
    private(set) var trustEpoch = 0
    private let metrics: UpstreamMetrics
    private let resolver: Resolver
    /// What the WebSockets that this loop has opened share.
    private(set) lazy var codecs = sockets.makeCodecs()
    private var origins: [UpstreamOrigin: PooledOrigin] = [:]
    private var lastOrigin: PooledOrigin?
    /// Idle connections of all origins.
    private var idleCount = 0
    /// All loops together leave half of the connections to those who need one now: no loop can close another's.
    private let loopCount: Int
    private let capacity: UpstreamCapacity
    private var sweep = TimerToken.none

    init(
        loop: EventLoop, rules: UpstreamRules, metrics: UpstreamMetrics, capacity: UpstreamCapacity, loopCount: Int,
        names: @escaping Resolver.Source
    ) {
        self.loop = loop
        self.capacity = capacity
        self.loopCount = loopCount
        self.rules = rules
        self.metrics = metrics
        resolver = Resolver(loop: loop, settings: rules.settings, source: names)
    }

    var settings: UpstreamSettings { rules.settings }
    var sockets: UpstreamSocketSettings { rules.sockets }
    private var idleLimit: Int { max(1, settings.maxConnections / (2 * loopCount)) }

    /// Works by other settings from here on. What is under way keeps its connection; those that wait go by the new ones.
    func adopt(_ next: UpstreamRules) {
        let last = rules
        rules = next
        resolver.settings = next.settings
        if next.sockets.deflate != last.sockets.deflate { codecs = next.sockets.makeCodecs() }
        if next.tls !== last.tls
            || next.settings.allowedPrivateNetworks != last.settings.allowedPrivateNetworks
        {
            trustEpoch += 1
            for connection in origins.values.flatMap({ $0.idle.map(\.connection) }) { connection.close() }
        }
        for origin in origins.values { admit(origin) }
        guard idleCount > 0 else { return }
        loop.cancelTimer(sweep)
        sweep = loop.setTimer(at: loop.now + min(.seconds(1), settings.keepAlive), for: self)
    }

    /// Lets as many of those who wait open a connection as a limit that was raised has room for.
    private func admit(_ origin: PooledOrigin) {
        while origin.open < settings.originConnections, let turn = origin.nextTurn() {
            origin.open += 1
            turn.wait.wake()
        }
    }

    /// A connection to the server of `url`: the most recently used idle one, or a new one.
    ///
    func connection(
        to url: HTTPURL, _ destination: DestinationKind, _ choice: ConnectionChoice, timeouts: UpstreamTimeouts
    ) async throws -> UpstreamConnection {
        let deadline = loop.now + timeouts.connect
        let origin = origin(of: url, destination)
        if choice != .fresh, let connection = takeIdle(origin, choice) { return connection }
        if choice == .fresh, origin.open >= settings.originConnections { origin.idle.first?.connection.close() }
        if origin.open < settings.originConnections {
            count(origin)
        } else if let connection = try await queue(for: origin, until: deadline) {
            return connection
        }
        return try await open(origin, until: deadline)
    }

    private func origin(of url: HTTPURL, _ destination: DestinationKind) -> PooledOrigin {
        // Most requests go where the last one went, and a comparison is cheaper than a look-up.
        if let last = lastOrigin, last.key.destination == destination, url.hasOrigin(last.key.bytes) { return last }
        let key = UpstreamOrigin(bytes: url.originBytes, destination: destination)
        let origin = origins[key] ?? PooledOrigin(url, destination)
        origins[origin.key] = origin
        lastOrigin = origin
        return origin
    }

    private func takeIdle(_ origin: PooledOrigin, _ choice: ConnectionChoice) -> UpstreamConnection? {
        while let (connection, isQuiet) = popIdle(origin, choice) {
            idleCount -= 1
            connection.isIdle = false
            // Its end, or bytes that would be taken for the next answer, may have arrived in this very turn. Asking the
            // kernel costs a system call; one user's answer given to another costs more (docs/decisions/0006).
            guard connection.isUsable, isQuiet || connection.stream.isQuiet else {
                connection.close()
                continue
            }
            metrics.reused.increment()
            return connection
        }
        return nil
    }

    /// Takes the most recently used idle connection out of the list; where that will do, the newest that was idle before
    /// this turn began: the loop would have been told of its end, or of bytes.
    ///
    /// - Returns: Also whether it was quiet then, so that the kernel need not be asked.
    private func popIdle(
        _ origin: PooledOrigin, _ choice: ConnectionChoice
    ) -> (connection: UpstreamConnection, isQuiet: Bool)? {
        if choice == .quiet, let place = origin.idle.lastIndex(where: { $0.since < loop.now }) {
            let connection = origin.idle.remove(at: place).connection
            return (connection, connection.stream.wasQuiet)
        }
        return origin.idle.popLast().map { ($0.connection, false) }
    }

    /// Waits for a connection, or for leave to open one, which is `nil`.
    private func queue(
        for origin: PooledOrigin, until deadline: MonotonicTime
    ) async throws -> UpstreamConnection? {
        while true {
            guard origin.queue.count < settings.maxWaiting else { throw UpstreamError.tooManyWaiting }
            let turn = PooledOrigin.Turn()
            origin.queue.append(turn)
            let outcome = await turn.wait.run(on: loop, until: deadline)
            origin.queue.removeAll { $0 === turn }
            guard outcome == .woken, !Task.isCancelled else {
                if outcome == .woken { passOn(turn, origin) }
                throw Task.isCancelled ? CancellationError() : UpstreamError.tooManyWaiting
            }
            guard let connection = turn.connection else { return nil }
            // As in `takeIdle(_:)`: since its last answer was read, more may have come.
            if connection.isUsable, connection.stream.isQuiet {
                metrics.reused.increment()
                return connection
            }
            // It died on the way here, or must not be used. Its place is free, unless somebody else was given it.
            connection.close()
            if origin.open < settings.originConnections {
                count(origin)
                return nil
            }
        }
    }

    private func passOn(_ turn: PooledOrigin.Turn, _ origin: PooledOrigin) {
        if let connection = turn.connection { takeBack(connection) } else { release(origin) }
    }

    private func count(_ origin: PooledOrigin) {
        origin.open += 1
        // Its last connection may just have closed, and then it was forgotten.
        if origins[origin.key] == nil { origins[origin.key] = origin }
    }

    /// Opens a connection that is counted already.
    private func open(
        _ origin: PooledOrigin, until deadline: MonotonicTime
    ) async throws -> UpstreamConnection {
        do {
            guard let permit = capacity.take() ?? evictForPermit() else { throw UpstreamError.tooManyConnections }
            let trustEpoch = trustEpoch
            let stream = try await dial(origin, until: deadline)
            let connection = UpstreamConnection(
                stream: stream, permit: permit, origin: origin, pool: self, trustEpoch: trustEpoch,
                limits: HeadLimits())
            guard let connection else { throw UpstreamError.connectFailed("the connection closed at once") }
            metrics.opened.increment()
            return connection
        } catch {
            release(origin)
            if Task.isCancelled { throw CancellationError() }
            metrics.failed.increment()
            throw error
        }
    }

    /// Closes the connection of this loop that has been idle for longest, so that another may be opened.
    private func evictForPermit() -> UpstreamPermit? {
        let oldest = origins.values.compactMap(\.idle.first).min { $0.since < $1.since }
        guard let oldest else { return nil }
        oldest.connection.close()
        return capacity.take()
    }

    private func dial(_ origin: PooledOrigin, until deadline: MonotonicTime) async throws -> ByteStream {
        let addresses: [SocketAddress]
        if let literal = origin.address, let address = SocketAddress(bytes: literal.networkBytes, port: origin.port) {
            addresses = [address]
        } else {
            addresses = try await resolver.addresses(of: origin.host, port: origin.port, until: deadline)
        }
        let allowed = try permitted(addresses, for: origin.key.destination)
        let dialer = Dialer(
            loop: loop, addresses: allowed, host: origin.host, tls: origin.scheme == .https ? rules.tls : nil)
        return try await dialer.open(until: deadline)
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

    /// Hands a connection whose exchange is over to the first who waits, or keeps it.
    func takeBack(_ connection: UpstreamConnection) {
        let origin = connection.origin
        guard connection.isUsable, settings.keepAlive > .zero, connection.trustEpoch == trustEpoch,
            origin.open <= settings.originConnections
        else { return connection.close() }
        if let turn = origin.nextTurn() {
            turn.connection = connection
            return turn.wait.wake()
        }
        guard origin.idle.count < settings.idleConnections, idleCount < idleLimit else {
            return connection.close()
        }
        origin.idle.append((connection, loop.now))
        idleCount += 1
        connection.isIdle = true
        connection.stream.resumeInput()
        if !sweep.isSet { sweep = loop.setTimer(at: loop.now + settings.keepAlive, for: self) }
    }

    /// A connection has closed.
    func forget(_ connection: UpstreamConnection) {
        let origin = connection.origin
        if connection.isIdle {
            connection.isIdle = false
            origin.idle.removeAll { $0.connection === connection }
            idleCount -= 1
        }
        release(origin)
    }

    /// One connection less: the first who waits may open another, unless there are too many since the limit was lowered.
    private func release(_ origin: PooledOrigin) {
        if origin.open <= settings.originConnections, let turn = origin.nextTurn() { return turn.wait.wake() }
        origin.open -= 1
        if origin.isUnused, origins[origin.key] === origin { origins[origin.key] = nil }
    }

    /// Closes what has been idle for too long.
    func timerFired(tag: UInt32) {
        sweep = .none
        var expired: [UpstreamConnection] = []
        for origin in origins.values {
            for (connection, since) in origin.idle where since + settings.keepAlive <= loop.now {
                expired.append(connection)
            }
        }
        for connection in expired { connection.close() }
        if idleCount > 0 { sweep = loop.setTimer(at: loop.now + .seconds(1), for: self) }
    }
}
