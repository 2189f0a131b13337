import GatewayConfig
import GatewayHTTP
package import GatewayRuntime
import GatewayTelemetry
package import PluginKit
import Synchronization

/// Why the gateway did not start. One line for a person, and the exit code of `gateway serve`.
package struct StartError: Error, Sendable, CustomStringConvertible {
    package let description: String
    /// sysexits(3): 64 usage, 69 port unavailable, 77 not permitted, 78 configuration.
    package let exitCode: Int32

    package init(_ description: String, exitCode: Int32 = 78) {
        self.description = description
        self.exitCode = exitCode
    }
}

/// The running gateway: loops, listeners, services, and the way they end.
package final class GatewayServer: Sendable {
    private let settings: CoreSettings
    let loops: [LoopHandle]
    private let generation: Generation
    private let registrations: Registrations
    private let metrics: ServerMetrics
    private let shared: SharedState
    private let logs: LogSystem
    private let log: Logger
    private let readiness: ReadinessSwitch
    let certificates: ServerCertificates
    private let listeners = Mutex<[BoundListener]>([])

    private struct BoundListener {
        let entry: EntryPoint
        let descriptors: [CInt]
        let address: SocketAddress
    }

    package init(assembly: ServerAssembly) throws(StartError) {
        settings = assembly.settings
        loops = assembly.loops
        generation = assembly.generation
        registrations = assembly.registrations
        metrics = assembly.metrics
        shared = assembly.shared
        logs = assembly.logs
        log = logs.logger("server")
        readiness = assembly.readiness
        certificates = assembly.certificates
    }

    // MARK: Start

    /// Binds every port, starts the loops and accepts.
    ///
    /// - Returns: What the main port is bound to.
    /// - Throws: A line that names the port and what to do about it.
    @discardableResult
    package func start() throws(StartError) -> SocketAddress {
        let main = try bind(.main, ListenAddress(host: settings.listen.address, port: settings.listen.port))
        if let operations = settings.listen.operations { _ = try bind(.operations, operations) }
        for entry in registrations.entryPoints {
            if let listen = entry.listen { _ = try bind(entry, listen) }
        }
        for (place, handle) in loops.enumerated() { start(handle, place: place) }
        startServices()
        readiness.isReady = true
        return main
    }

    private func start(_ handle: LoopHandle, place: Int) {
        let mine = listeners.withLock { listeners in
            listeners.compactMap { bound in
                place < bound.descriptors.count ? (bound.entry, bound.descriptors[place]) : nil
            }
        }
        Threads.start("loop-\(place)") { handle.loop.run() }
        handle.loop.submit { [self] in
            MetricShard.enter(place)
            let accessLog =
                settings.operations.accessLog ? AccessLogBuffer(format: logs.format, sink: logs.sink) : nil
            let server = LoopServer(
                loop: handle.loop, generation: generation, shared: shared, metrics: metrics, log: log,
                accessLog: accessLog)
            handle.server = server
            for (entry, descriptor) in mine {
                do throws(SystemError) {
                    try server.listen(descriptor, entry: entry)
                } catch {
                    log.error("port cannot be watched", .string("entry", entry.name), .error(error))
                }
            }
        }
    }

    private func bind(_ entry: EntryPoint, _ listen: ListenAddress) throws(StartError) -> SocketAddress {
        let address = try resolve(listen)
        do throws(SystemError) {
            try Socket.probe(address)
            // Operations are rare: one loop is enough for them.
            let count = entry == .operations ? 1 : loops.count
            var descriptors: [CInt] = []
            var bound = address
            for _ in 0..<count {
                let descriptor = try Socket.listen(on: bound, backlog: settings.listen.backlog)
                bound = Socket.localAddress(of: descriptor) ?? bound
                descriptors.append(descriptor)
            }
            let listener = BoundListener(entry: entry, descriptors: descriptors, address: bound)
            listeners.withLock { $0.append(listener) }
            log.info(
                "listening", .string("entry", entry.name), .string("address", bound.description),
                .bool("tls", generation.tls != nil && entry.isEncrypted))
            return bound
        } catch {
            throw Self.explain(error, entry, address)
        }
    }

    private func resolve(_ listen: ListenAddress) throws(StartError) -> SocketAddress {
        let host = listen.isEveryAddress ? "::" : listen.host
        let every = listen.isEveryAddress
        if let address = SocketAddress(literal: host, port: listen.port.number) {
            // A kernel without IPv6 still has every IPv4 address.
            if every, !Socket.supportsIPv6 { return .everyIPv4(port: listen.port.number) }
            return address
        }
        do throws(NameLookup.Failure) {
            return try NameLookup.addresses(of: host, port: listen.port.number)[0]
        } catch {
            throw StartError("cannot listen on \(host): \(error.description)")
        }
    }

    private static func explain(_ error: SystemError, _ entry: EntryPoint, _ address: SocketAddress) -> StartError {
        let setting = entry == .main ? "WEBSOCKET_PORT" : entry == .operations ? "OPS_LISTEN" : "its port setting"
        if error.isAddressInUse {
            return StartError(
                "port \(address.port) (\(setting)) is in use by another program; stop it or choose another port",
                exitCode: 69)
        }
        if error.isPermissionDenied {
            return StartError(
                "no permission to listen on \(address) (\(setting)); use a port above 1023 or grant CAP_NET_BIND_SERVICE",
                exitCode: 77)
        }
        if error.isAddressUnavailable {
            return StartError("this machine has no address \(address.host) (\(setting))", exitCode: 69)
        }
        return StartError("cannot listen on \(address) (\(setting)): \(error.reason)", exitCode: 69)
    }

    /// What each entry point is bound to.
    package var addresses: [(entry: EntryPoint, address: SocketAddress)] {
        listeners.withLock { $0.map { ($0.entry, $0.address) } }
    }

    // MARK: Services

    private func startServices() {
        let watch = BackgroundService(name: "certificates", plugin: "core", run: watchCertificates)
        for (place, service) in (registrations.services + [watch]).enumerated() {
            let handle = loops[place % loops.count]
            handle.loop.submit { [logs] in
                let context = ServiceContext(loop: handle.loop, log: logs.logger(service.plugin.literal))
                let task = handle.loop.launch { await Self.supervise(service, context) }
                handle.services.append(task)
            }
        }
    }

    /// Runs a service until it returns or is cancelled; starts it again when it throws, with growing pauses.
    private static func supervise(_ service: BackgroundService, _ context: ServiceContext) async {
        var pause = Duration.milliseconds(500)
        while !Task.isCancelled {
            do {
                return try await service.run(context)
            } catch is CancellationError {
                return
            } catch {
                context.log.error(
                    "service failed and will restart", .string("service", service.name), .error(error),
                    .milliseconds("after", pause))
            }
            do { try await context.sleep(pause) } catch { return }
            pause = min(pause * 2, .seconds(60))
        }
    }

    // MARK: Drain

    /// Ends in order: readiness goes first, then the listeners, then what is open, by DRAIN_TIMEOUT at the latest.
    ///
    /// Blocks the calling thread, which must not be a loop's.
    ///
    /// - Returns: Whether everything finished by itself.
    package func drain() -> Bool {
        readiness.isReady = false
        log.info("draining", .int("connections", shared.connections.count))
        Threads.sleep(settings.operations.drainDelay)
        let remaining = Countdown(loops.count)
        for handle in loops {
            handle.loop.submit {
                for task in handle.services { task.cancel() }
                handle.server?.drain { remaining.finishOne() }
            }
        }
        let operations = settings.operations
        let finished = remaining.wait(atMost: max(.zero, operations.drainTimeout - operations.drainDelay))
        let cut = shared.connections.count
        let stopped = Countdown(loops.count)
        for handle in loops {
            handle.loop.submit {
                handle.server?.cutOff()
                handle.server?.flushLogs()
                handle.loop.stop()
                stopped.finishOne()
            }
        }
        _ = stopped.wait(atMost: .seconds(2))
        log.info("stopped", .int("cut", finished ? 0 : cut))
        return finished
    }
}

/// One loop and what lives on it.
///
/// Safe: `server` and `services` are touched on the loop only.
package final class LoopHandle: @unchecked Sendable {
    package let loop: EventLoop
    var server: LoopServer?
    var services: [Task<Void, Never>] = []

    package init(loop: EventLoop) { self.loop = loop }
}

/// Whether new work is welcome.
package final class ReadinessSwitch: Sendable {
    private let ready = Atomic<Bool>(false)

    package init() {}

    package var isReady: Bool {
        get { ready.load(ordering: .relaxed) }
        set { ready.store(newValue, ordering: .relaxed) }
    }
}
