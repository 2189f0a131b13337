import GatewayBytes
import GatewayHTTP
import GatewayTelemetry
import PluginKit

/// Probes and metrics: the core's own routes.
struct OperationsRoutes {
    let readiness: ReadinessSwitch
    let metrics: Metrics
    let checks: [HealthCheck]

    /// Adds the routes to every entry point that has none of its own at the path.
    func add(to registrations: inout Registrations) {
        let entries = [EntryPoint.main, .operations] + registrations.entryPoints
        for entry in entries {
            add(&registrations, "/health", entry, alive)
            add(&registrations, "/livez", entry, alive)
            add(&registrations, "/readyz", entry, entry == .operations ? readyInDetail : ready)
        }
        add(&registrations, "/metrics", .operations, exposition)
        add(&registrations, "/metrics", .main, exposition, access: .operators)
    }

    private func add(
        _ registrations: inout Registrations, _ path: String, _ entry: EntryPoint, _ handler: @escaping Handler,
        access: Access = .anyone
    ) {
        guard let pattern = RoutePattern(path),
            !registrations.routes.contains(where: { $0.pattern == pattern && $0.entryPoint == entry })
        else { return }
        registrations.routes.append(
            Route(
                method: .get, pattern: pattern, access: access, entryPoint: entry, plugin: "core", isWebSocket: false,
                handler: handler))
    }

    /// Liveness says only that the process answers: a full or draining gateway must not be killed for it.
    private var alive: Handler { { _ in .json(Array("{\"status\":\"ok\"}\n".utf8)) } }

    private var ready: Handler {
        let isReady = isReady
        return { _ in
            isReady()
                ? .json(Array("{\"status\":\"ready\"}\n".utf8))
                : .json(Array("{\"status\":\"not ready\"}\n".utf8), status: .serviceUnavailable)
        }
    }

    private var isReady: @Sendable () -> Bool {
        let (readiness, checks) = (readiness, checks)
        return {
            readiness.isReady
                && checks.allSatisfy { check in
                    if case .unhealthy = check.check() { return false }
                    return true
                }
        }
    }

    private var readyInDetail: Handler {
        let (isReady, readiness, checks) = (isReady, readiness, checks)
        return { _ in
            let passes = isReady()
            var json = JSONWriter()
            json.object { json in
                json.member("status", passes ? "ready" : "not ready")
                json.member("accepting", readiness.isReady)
                json.key("checks")
                json.array { list in
                    for check in checks {
                        list.object { entry in
                            entry.member("name", check.name)
                            entry.member("plugin", check.plugin.text)
                            Self.describe(check.check(), in: &entry)
                        }
                    }
                }
            }
            return .json(json.bytes + [0x0A], status: passes ? .ok : .serviceUnavailable)
        }
    }

    private static func describe(_ health: Health, in entry: inout JSONWriter) {
        switch health {
        case .healthy: entry.member("status", "healthy")
        case .degraded(let reason):
            entry.member("status", "degraded")
            entry.member("reason", reason)
        case .unhealthy(let reason):
            entry.member("status", "unhealthy")
            entry.member("reason", reason)
        }
    }

    private var exposition: Handler {
        let metrics = metrics
        return { _ in
            var buffer = OutputBuffer(capacity: 32 << 10)
            metrics.write(to: &buffer)
            var fields = HeaderFields()
            fields.append(.contentType, prometheusContentType)
            return Response(fields: fields, body: .bytes(unsafe buffer.withUnsafeBytes { unsafe Array($0) }))
        }
    }
}
