import GatewayHTTP
import GatewayLocks
package import GatewayRuntime
import GatewayTelemetry
package import PluginKit
import Synchronization

/// Why the gateway did not start. One line for a person, and the exit code of `gateway serve`.
package struct StartError: Error, Sendable, CustomStringConvertible {
    package let description: String
    /// sysexits(3): 64 usage, 69 port unavailable, 73 no place for state, 77 not permitted, 78 configuration.
    package let exitCode: Int32

    package init(_ description: String, exitCode: Int32 = 78) {
        self.description = description
        self.exitCode = exitCode
    }
}

/// The running gateway: loops, ports, services, the generation they work under, and the way they end.
package final class GatewayServer: Sendable {
    let loops: [LoopHandle]
    let builder: GenerationBuilder
    let metrics: ServerMetrics
    let shared: SharedState
    let logs: LogSystem
    let log: Logger
    private let readiness: ReadinessSwitch
    let certificates: ServerCertificates
    let state: Guarded<State>
    /// Held while the generation changes, is planned to, or the drain begins: one at a time.
    let changing = Guarded<Void>(())

    struct State: Sendable {
        var generation: Generation
        var ports: [BoundPort] = []
        var isDraining = false
        /// What the plugins of the generation need is open.
        var hasResources = false
        var nextPort = 0
        /// Services are dealt out over the loops.
        var nextService = 0

        mutating func takePortNumber() -> Int {
            nextPort += 1
            return nextPort
        }
    }

    /// What the process started with, and cannot change.
    let started: Configuration

    package init(assembly: ServerAssembly) throws(StartError) {
        loops = assembly.loops
        builder = assembly.builder
        metrics = assembly.metrics
        shared = assembly.shared
        logs = assembly.logs
        log = logs.logger("server")
        readiness = assembly.readiness
        certificates = assembly.certificates
        started = assembly.generation.configuration
        state = Guarded(State(generation: assembly.generation))
    }

    var generation: Generation { state.withLock { $0.generation } }

    // MARK: Start

    /// Opens what plugins need, binds every port, starts the loops and accepts.
    ///
    /// - Returns: What the main port is bound to.
    /// - Throws: A line that names the port and what to do about it.
    @discardableResult
    package func start() throws(StartError) -> SocketAddress {
        let generation = generation
        try generation.openResources(after: nil)
        state.withLock { $0.hasResources = true }
        var ports: [BoundPort] = []
        for wanted in generation.wantedPorts {
            ports.append(try bind(wanted.entry, wanted.listen, for: generation))
        }
        let bound = ports
        state.withLock { $0.ports = bound }
        for (place, handle) in loops.enumerated() { start(handle, place: place, generation) }
        let watch = BackgroundService(name: "certificates", plugin: "core", run: watchCertificates)
        startServices(generation.services + [(certificates, watch)])
        readiness.isReady = true
        return bound[0].address
    }

    private func start(_ handle: LoopHandle, place: Int, _ generation: Generation) {
        let mine = opened(state.withLock { $0.ports }, place)
        Threads.start("loop-\(place)") { handle.loop.run() }
        handle.loop.submit { [self] in
            MetricShard.enter(place)
            let server = LoopServer(
                loop: handle.loop, generation: generation, shared: shared, metrics: metrics, logs: logs)
            handle.server = server
            for port in mine {
                do throws(SystemError) {
                    try server.listen(port.descriptor, entry: port.entry, number: port.number)
                } catch {
                    log.error("port cannot be watched", .string("entry", port.entry.name), .error(error))
                }
            }
        }
    }

    /// A loop's share of `ports`.
    func opened(_ ports: [BoundPort], _ place: Int) -> [OpenedPort] {
        ports.compactMap { port -> OpenedPort? in
            guard place < port.descriptors.count else { return nil }
            return OpenedPort(descriptor: port.descriptors[place], entry: port.entry, number: port.number)
        }
    }

    /// - Parameter isOwn: See ``BoundPort``.
    func bind(
        _ entry: EntryPoint, _ listen: ListenAddress, for generation: Generation, isOwn: Bool = false
    ) throws(StartError) -> BoundPort {
        let port = try BoundPort(
            number: state.withLock { $0.takePortNumber() }, entry: entry, listen: listen, loops: loops.count,
            backlog: started.core.listen.backlog, isOwn: isOwn)
        log.info(
            "listening", .string("entry", entry.name), .string("address", port.address.description),
            .bool("tls", generation.tls != nil && entry.isEncrypted))
        return port
    }

    /// What each entry point is bound to.
    package var addresses: [(entry: EntryPoint, address: SocketAddress)] {
        state.withLock { $0.ports.map { ($0.entry, $0.address) } }
    }

    // MARK: Services

    func startServices(_ services: [(owner: any AnyObject & Sendable, service: BackgroundService)]) {
        for (owner, service) in services {
            let place = state.withLock { state in
                defer { state.nextService += 1 }
                return state.nextService % loops.count
            }
            let handle = loops[place]
            handle.loop.submit { [logs] in
                let context = ServiceContext(loop: handle.loop, log: logs.logger(service.plugin.literal))
                let task = handle.loop.launch { await Self.supervise(service, context) }
                handle.services.append((owner, task))
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
    /// Blocks the calling thread, which must not be a loop's. A change of generations that is under way is finished first.
    ///
    /// - Returns: Whether everything finished by itself.
    package func drain() -> Bool {
        readiness.isReady = false
        let generation = changing.withLock { _ in
            state.withLock { state in
                state.isDraining = true
                return state.generation
            }
        }
        log.info("draining", .int("connections", shared.connections.count))
        let operations = generation.settings.operations
        Threads.sleep(operations.drainDelay)
        let remaining = Countdown(loops.count)
        for handle in loops {
            handle.loop.submit {
                handle.endServices { _ in true }
                handle.server?.drain { remaining.finishOne() }
            }
        }
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
        if state.withLock({ $0.hasResources }) { generation.closeResources() }
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
    /// Background work, and whose it is. Holding the owner keeps its identity its own.
    var services: [(owner: any AnyObject & Sendable, task: Task<Void, Never>)] = []

    package init(loop: EventLoop) { self.loop = loop }

    func endServices(of isOver: (any AnyObject) -> Bool) {
        for entry in services where isOver(entry.owner) { entry.task.cancel() }
        services.removeAll { isOver($0.owner) }
    }
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
