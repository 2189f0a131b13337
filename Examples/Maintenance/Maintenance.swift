package import PluginKit
import Synchronization

/// What `MAINTENANCE_*` can say.
package struct MaintenanceSettings: Settings {
    let startsClosed: Bool
    let retryAfter: Duration

    package init(from env: inout SettingsReader) {
        startsClosed = env.optional("CLOSED", default: false, "Whether the gateway starts closed for maintenance.")
        retryAfter = env.optional(
            "RETRY_AFTER", default: .seconds(120), in: .seconds(1) ... .seconds(86400), bare: .seconds,
            "When clients are told to come back.")
    }
}

/// Closes this gateway for maintenance: all requests but probes are answered 503 until an admin opens it again.
///
/// | request, by an admin | effect |
/// |---|---|
/// | `PUT /maintenance` | closes |
/// | `DELETE /maintenance` | opens |
package struct Maintenance: Plugin {
    package static let name: PluginName = "maintenance"
    package static let summary = "Lets admins close the gateway for maintenance by PUT /maintenance."

    private let settings: MaintenanceSettings

    package init(settings: MaintenanceSettings) { self.settings = settings }

    // docs: register
    package func register(with gateway: inout Registrar) {
        let door = Door(isClosed: settings.startsClosed)
        let refused = gateway.metrics.counter("refused_total", "Requests refused because of maintenance.")
        gateway.use(
            Doorkeeper(door: door, retryAfter: Int(settings.retryAfter.components.seconds), refused: refused),
            on: .everyRequest)
        gateway.route(.put, "/maintenance", access: .admin) { _ in
            door.isClosed = true
            return Response(status: .noContent)
        }
        gateway.route(.delete, "/maintenance", access: .admin) { _ in
            door.isClosed = false
            return Response(status: .noContent)
        }
        gateway.health("door") { door.isClosed ? .degraded("closed for maintenance") : .healthy }
    }
    // docs: end
}

// docs: middleware
/// Whether the gateway is closed. Every loop reads it for every request, so it is one atomic and no lock.
private final class Door: Sendable {
    private let closed: Atomic<Bool>

    init(isClosed: Bool) { closed = Atomic(isClosed) }

    var isClosed: Bool {
        get { closed.load(ordering: .relaxed) }
        set { closed.store(newValue, ordering: .relaxed) }
    }
}

/// Refuses requests while the door is closed.
private struct Doorkeeper: Middleware {
    let door: Door
    let retryAfter: Int
    let refused: Counter

    func handle(_ request: Request, next: Next) async throws -> Response {
        guard door.isClosed, !isAllowed(request) else { return try await next(request) }
        refused.increment()
        var fields = HeaderFields()
        fields.append(.retryAfter, decimal: retryAfter)
        throw GatewayFault(
            .serviceUnavailable, "maintenance", "Closed for maintenance. Try again later.", source: .gateway,
            fields: fields)
    }

    /// The core's own routes, which are probes and metrics, and the switch itself.
    private func isAllowed(_ request: Request) -> Bool {
        request.plugin == "core" || request.plugin == Maintenance.name
    }
}
// docs: end
