import GatewayAuth
import GatewayConfig
import GatewayRuntime
import GatewayTLS
import GatewayTelemetry
import GatewayUpstream
import PluginKit

/// Whom https upstreams are verified against, and what file says so.
struct UpstreamTrust: Sendable {
    let file: SettingDigest?
    let context: TLSClientContext
}

/// Makes generations out of configurations, with the parts that all generations of the process share.
struct GenerationBuilder: Sendable {
    let loopCount: Int
    let metrics: ServerMetrics
    let shared: SharedState
    let logs: LogSystem
    let readiness: ReadinessSwitch
    let audit: AuditLog
    let failures: FailureGuard
    let limits: RateLimitService
    /// One for the life of the process: its settings change under it, its pools stay.
    let upstream: UpstreamClient
    /// What is known of services outlives the settings too.
    let breakers: CircuitBreakers
    private let stateDirectory: String
    private let firstTrust: UpstreamTrust

    init(
        _ settings: CoreSettings, loopCount: Int, metrics: ServerMetrics, shared: SharedState, logs: LogSystem,
        readiness: ReadinessSwitch
    ) throws(StartError) {
        self.loopCount = loopCount
        self.metrics = metrics
        self.shared = shared
        self.logs = logs
        self.readiness = readiness
        breakers = CircuitBreakers(settings.breakers.rule, log: logs.logger("breakers"))
        stateDirectory = settings.operations.stateDirectory
        limits = RateLimitService(backplane: shared.backplane, settings: settings.limits.rates)
        audit = AuditLog(logs.logger("audit"), limits: settings.limits.audit, lost: metrics.auditSuppressed)
        failures = FailureGuard(
            settings.limits.failures, backplane: shared.backplane, blocks: metrics.authBlocks, audit: audit)
        firstTrust = try Self.trust(settings.upstream, after: nil)
        do throws(MetricError) {
            upstream = UpstreamClient(
                loopCount: loopCount, settings: settings.upstream, sockets: shared.upstreamSockets(settings),
                tls: firstTrust.context, metrics: try UpstreamMetrics(registry: metrics.registry))
        } catch {
            throw StartError("\(error)", exitCode: 70)
        }
    }

    /// Makes the generation that follows `previous`, or the first. Reads files, and changes nothing that runs.
    ///
    /// - Parameters:
    ///   - certificates: As they were read for `configuration`.
    ///   - isTrial: Only to see what it would be: no metric appears.
    /// - Throws: Everything that is wrong, in one line.
    func build(
        _ configuration: Configuration, _ certificates: ServerCertificates.Loaded, after previous: Generation?,
        isTrial: Bool = false
    ) throws(StartError) -> Generation {
        let settings = configuration.core
        try Self.checkDescriptors(settings)
        let metrics = isTrial ? scratchMetrics() : metrics
        let trust = try Self.trust(settings.upstream, after: previous?.upstreamTrust ?? firstTrust)
        let access = try access(configuration, after: previous, metrics)

        var problems: [String] = []
        let plugins = instances(
            configuration, after: previous, metrics, isTrial ? CircuitBreakers() : breakers, &problems)
        var registrations = Registrations()
        for plugin in plugins { registrations.append(plugin.registrations) }
        OperationsRoutes(
            readiness: readiness, metrics: self.metrics.registry, checks: registrations.healthChecks
        ).add(to: &registrations)
        let routers = Generation.routers(
            registrations, of: plugins, access: access, metricsToken: settings.operations.metricsToken,
            metrics: metrics, problems: &problems)
        problems += registrations.problems
        guard problems.isEmpty else { throw StartError(problems.joined(separator: "; ")) }
        return Generation(
            number: (previous?.number ?? 0) + 1, configuration: configuration,
            parts: Generation.Parts(
                routers: routers, access: access, certificates: certificates, upstreamTrust: trust, plugins: plugins))
    }

    /// Makes what all loops share work by a generation. The loops themselves adopt it one by one.
    func install(_ generation: Generation) {
        let settings = generation.settings
        shared.adopt(settings)
        limits.adopt(settings.limits.rates)
        failures.adopt(settings.limits.failures)
        audit.adopt(settings.limits.audit)
        logs.level = settings.log.level
        breakers.rule = settings.breakers.rule
        upstream.replaceSettings(
            settings.upstream, sockets: shared.upstreamSockets(settings), tls: generation.upstreamTrust.context)
    }

    /// What a plan registers its metrics with.
    private func scratchMetrics() -> ServerMetrics {
        (try? ServerMetrics(registry: Metrics(loops: loopCount))) ?? metrics
    }

    // MARK: Parts

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

    private static func trust(
        _ settings: UpstreamSettings, after previous: UpstreamTrust?
    ) throws(StartError) -> UpstreamTrust {
        do {
            let file = try settings.certificateAuthorities.map { path in
                SettingDigest(of: try SmallFile.bytes(of: path, limit: TLSLimits().trustFile.bytes))
            }
            // As long as the file says the same, connections made under it can be used again.
            if let previous, previous.file == file { return previous }
            let verification: TLSVerification = settings.certificateAuthorities.map { .file($0) } ?? .systemStore
            return UpstreamTrust(file: file, context: try TLSClientContext.make(verification: verification))
        } catch {
            throw StartError("UPSTREAM_CA_FILE: \(error)")
        }
    }

    private func access(
        _ configuration: Configuration, after previous: Generation?, _ metrics: ServerMetrics
    ) throws(StartError) -> AccessControl {
        if let previous, configuration.tokenDigests == previous.configuration.tokenDigests { return previous.access }
        let tokens = try TokenService(
            settings: configuration.core.auth, stateDirectory: stateDirectory, upstream: upstream,
            after: previous?.access.store, log: logs.logger("auth"))
        return AccessControl(
            settings: configuration.core.auth, tokens: tokens, failures: failures, results: metrics.authentications,
            audit: audit)
    }

    // MARK: Plugins

    private func instances(
        _ configuration: Configuration, after previous: Generation?, _ metrics: ServerMetrics,
        _ breakers: CircuitBreakers,
        _ problems: inout [String]
    ) -> [PluginInstance] {
        let socketPaths = Array(Set(["/", configuration.core.webSocket.path])).sorted()
        var instances: [PluginInstance] = []
        for state in configuration.plugins {
            guard case .enabled(let plugin) = state.verdict else { continue }
            let context = GatewayContext(
                mainSocketPaths: socketPaths.filter { path in
                    !instances.contains { $0.registrations.hasSocket(at: path) }
                }, loopCount: loopCount, origins: configuration.core.origins)
            let settings = configuration.digests(of: state.settings)
            if let known = previous?.plugins.first(where: { $0.name == state.name }), known.isWhat(settings, context) {
                instances.append(known)
            } else {
                instances.append(register(plugin, settings, context, metrics, breakers, &problems))
            }
        }
        return instances
    }

    private func register<P: Plugin>(
        _ plugin: P, _ settings: [String: SettingDigest], _ context: GatewayContext,
        _ serverMetrics: ServerMetrics, _ breakers: CircuitBreakers, _ problems: inout [String]
    ) -> PluginInstance {
        let metrics = PluginMetrics(plugin: P.name, registry: serverMetrics.registry)
        var registrar = Registrar(
            plugin: P.name, metrics: metrics, upstream: upstream, breakers: breakers,
            log: logs.logger(P.name.literal), stateDirectory: stateDirectory,
            limiting: RateLimiting(service: limits, violations: serverMetrics.rateViolations),
            audit: audit,
            credentials: CredentialChecks(
                failures: failures, audit: audit, results: serverMetrics.authentications), context: context)
        plugin.register(with: &registrar)
        problems += metrics.problems
        return PluginInstance(
            name: P.name, settings: settings, told: registrar.toldContext, registrations: registrar.registrations)
    }
}

extension Registrations {
    /// Whether a plugin has claimed a path of the main port for its WebSocket.
    fileprivate func hasSocket(at path: String) -> Bool {
        routes.contains { $0.isWebSocket && $0.entryPoint == .main && $0.pattern.description == path }
    }
}

extension Configuration {
    /// What stands for everything that tokens are checked by.
    fileprivate var tokenDigests: [String: SettingDigest] {
        digests(of: values.filter { $0.section == CoreSettings.tokenSection }.map(\.name))
    }
}
