import GatewayAuth
import GatewayBytes
import GatewayConfig
import GatewayHTTP
import GatewayRuntime
package import GatewayTLS
package import GatewayTelemetry
import GatewayUpstream
import PluginKit

/// Builds everything a server consists of, out of its configuration. Opens files, but no port.
package struct ServerAssembly {
    let settings: CoreSettings
    let loops: [LoopHandle]
    let generation: Generation
    let registrations: Registrations
    let metrics: ServerMetrics
    let shared: SharedState
    let logs: LogSystem
    let readiness = ReadinessSwitch()
    let certificates: ServerCertificates

    /// - Parameter certificate: Takes the place of TLS_CERTIFICATE, for development.
    /// - Throws: The first thing that stops the start, in one line.
    package init(
        _ configuration: Configuration, logs: LogSystem, certificate: SelfSignedCertificate? = nil
    ) throws(StartError) {
        settings = configuration.core
        self.logs = logs
        let log = logs.logger("server")
        try Self.checkDescriptors(settings)

        let loopCount = settings.listen.loops > 0 ? settings.listen.loops : Resources.processorCount()
        let registry = Metrics(loops: loopCount)
        do throws(MetricError) {
            metrics = try ServerMetrics(registry: registry)
        } catch {
            throw StartError("\(error)", exitCode: 70)
        }
        let report = Self.reporter(log, metrics)
        shared = SharedState(settings: settings, report: report)
        loops = try Self.makeLoops(loopCount, settings, report)
        let tls: TLSServerContext?
        (certificates, tls) = try Self.makeCertificates(settings.tls, certificate, log, metrics)
        let upstream = try Self.makeUpstream(settings, shared, loopCount, registry)

        let tokens = try TokenService(settings: settings, upstream: upstream, log: logs.logger("auth"))
        let access = AccessControl(
            settings: settings.auth, authenticator: tokens.authenticator, store: tokens.store,
            failures: FailureLimiter(limit: settings.failuresPerMinute), results: metrics.authentications)

        var registrations = Registrations()
        var problems: [String] = []
        let socketPaths = Array(Set(["/", settings.webSocket.path])).sorted()
        for plugin in configuration.enabled {
            let context = GatewayContext(
                mainSocketPaths: socketPaths.filter { !registrations.hasSocket(at: $0) }, loopCount: loopCount,
                origins: settings.origins)
            Self.register(plugin, &registrations, &problems, registry, upstream, logs, context)
        }
        if let service = tokens.service { registrations.services.append(service) }
        OperationsRoutes(
            readiness: readiness, metrics: registry, metricsToken: settings.operations.metricsToken, access: access,
            checks: registrations.healthChecks
        ).add(to: &registrations)
        let routers = Generation.routers(registrations, access: access, metrics: metrics, problems: &problems)
        problems += registrations.problems
        guard problems.isEmpty else { throw StartError(problems.joined(separator: "; ")) }
        self.registrations = registrations
        generation = Generation(number: 1, settings: settings, routers: routers, access: access, tls: tls)
        registry.collect { [shared, certificates] in shared.samples + certificates.samples }
    }

    private static func register<P: Plugin>(
        _ plugin: P, _ registrations: inout Registrations, _ problems: inout [String], _ registry: Metrics,
        _ upstream: UpstreamClient, _ logs: LogSystem, _ context: GatewayContext
    ) {
        let metrics = PluginMetrics(plugin: P.name, registry: registry)
        var registrar = Registrar(
            plugin: P.name, metrics: metrics, upstream: upstream, log: logs.logger(P.name.literal), context: context,
            continuing: registrations)
        plugin.register(with: &registrar)
        registrations = registrar.registrations
        problems += metrics.problems
    }

    /// Connections of clients and to upstreams must fit into the descriptors the system grants, files beside them.
    private static func checkDescriptors(_ settings: CoreSettings) throws(StartError) {
        let allowed = Resources.raiseDescriptorLimit()
        let (clients, upstreams) = (settings.listen.maxConnections, settings.upstream.maxConnections)
        let needed = clients + upstreams + 256
        guard allowed >= needed else {
            throw StartError(
                "MAX_CONNECTIONS=\(clients) and UPSTREAM_MAX_CONNECTIONS=\(upstreams) need \(needed) file descriptors, but the system allows \(allowed); lower them or raise the limit (ulimit -n)"
            )
        }
    }

    private static func makeLoops(
        _ count: Int, _ settings: CoreSettings, _ report: @escaping @Sendable (RuntimeReport) -> Void
    ) throws(StartError) -> [LoopHandle] {
        let workers = WorkerPool(threads: settings.listen.workerThreads)
        var loops: [LoopHandle] = []
        do throws(SystemError) {
            for index in 0..<count {
                loops.append(LoopHandle(loop: try EventLoop(index: index, workers: workers, report: report)))
            }
        } catch {
            throw StartError("cannot start an event loop: \(error)", exitCode: 71)
        }
        return loops
    }

    private static func makeCertificates(
        _ settings: TLSSettings, _ development: SelfSignedCertificate?, _ log: Logger, _ metrics: ServerMetrics
    ) throws(StartError) -> (ServerCertificates, TLSServerContext?) {
        let certificates: ServerCertificates
        do throws(TLSContextError) {
            certificates = try ServerCertificates(development: development, log: log, metrics: metrics)
        } catch {
            throw StartError("TLS: \(error)", exitCode: 70)
        }
        let loaded = try certificates.load(settings)
        certificates.adopt(loaded)
        return (certificates, loaded.context)
    }

    private static func makeUpstream(
        _ settings: CoreSettings, _ shared: SharedState, _ loopCount: Int, _ registry: Metrics
    ) throws(StartError) -> UpstreamClient {
        do {
            let verification: TLSVerification =
                settings.upstream.certificateAuthorities.map { .file($0) } ?? .systemStore
            return UpstreamClient(
                loopCount: loopCount, settings: settings.upstream, sockets: shared.upstreamSockets(settings),
                tls: try TLSClientContext.make(verification: verification),
                metrics: try UpstreamMetrics(registry: registry))
        } catch {
            throw StartError("UPSTREAM_CA_FILE: \(error)")
        }
    }

    private static func reporter(_ log: Logger, _ metrics: ServerMetrics) -> @Sendable (RuntimeReport) -> Void {
        { report in
            switch report {
            case .slowTurn(let loop, let milliseconds):
                metrics.slowTurns.increment()
                log.warn("event loop turn took long", .int("loop", loop), .int("milliseconds", milliseconds))
            case .cannotStart(let loop, let error):
                log.error("event loop cannot start", .int("loop", loop), .error(error))
            case .acceptPaused(let loop, let error):
                metrics.acceptPauses.increment()
                log.warn("accepting rests: no descriptor is free", .int("loop", loop), .error(error))
            }
        }
    }
}

extension Registrations {
    /// Whether an earlier plugin has claimed a path of the main port for its WebSocket.
    fileprivate func hasSocket(at path: String) -> Bool {
        routes.contains { $0.isWebSocket && $0.entryPoint == .main && $0.pattern.description == path }
    }
}
