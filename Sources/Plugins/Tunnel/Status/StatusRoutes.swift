import PluginKit

/// `/api/tunnel/health`, `/api/tunnel/metrics` and their like: what operators ask.
///
/// An admin or METRICS_TOKEN may read; strangers are told by `/api/tunnel/health` that it works, and nothing more.
enum StatusRoutes {
    static func add(_ status: TunnelStatus, to gateway: inout Registrar) {
        gateway.service("history") { try await status.run($0) }
        gateway.health("tunnel") { status.health }
        // Degraded is 200 too: a probe must not end a process for one open circuit.
        gateway.get("/api/tunnel/health", access: .anyoneRecognised) { request in
            fresh(status.healthDocument(inDetail: request.isOperator))
        }
        gateway.get("/api/tunnel/diagnostics", access: .operators) { _ in fresh(status.diagnosticsDocument()) }
        gateway.get("/api/tunnel/circuit-breakers", access: .operators) { _ in fresh(status.breakersDocument()) }
        addMetrics(status, to: &gateway)
    }

    private static func addMetrics(_ status: TunnelStatus, to gateway: inout Registrar) {
        gateway.get("/api/tunnel/metrics", access: .operators) { _ in
            var fields = HeaderFields()
            fields.append(.contentType, prometheusContentType)
            fields.append(.cacheControl, "no-store")
            return Response(fields: fields, body: .bytes(StatusExposition.text(of: status)))
        }
        gateway.get("/api/tunnel/metrics/json", access: .operators) { request in
            fresh(status.metricsDocument(within: try window(of: request).duration))
        }
        gateway.get("/api/tunnel/metrics/user/{userId}", access: .operators) { request in
            // A path may hold what separates the parameters of a query.
            let sent = (request.capture("userId") ?? "").split(separator: "&", omittingEmptySubsequences: false)
            guard let user = QueryParameters.first("user", in: "user=\(sent.joined(separator: "%26"))") else {
                throw GatewayFault(.badRequest, "invalid_user", "The user's id is not UTF-8, percent-encoded.")
            }
            return fresh(status.userDocument(user))
        }
        gateway.get("/api/tunnel/metrics/history", access: .operators) { request in
            let (window, name) = try window(of: request)
            let wanted = request.query("aggregation") ?? TunnelHistory.Aggregation.raw.rawValue
            guard let kind = TunnelHistory.Aggregation(rawValue: wanted) else {
                throw GatewayFault(
                    .badRequest, "invalid_aggregation", "The aggregation is one of raw, hourly and daily.")
            }
            return fresh(status.historyDocument(kind, within: window, called: name))
        }
    }

    /// An hour unless the request says otherwise.
    private static func window(of request: Request) throws -> (duration: Duration, name: String) {
        let name = request.query("window") ?? "1h"
        guard let window = TunnelHistory.window(name) else {
            throw GatewayFault(
                .badRequest, "invalid_window", "The window is 1h, 24h, 7d or milliseconds, up to seven days.")
        }
        return (window, name)
    }

    /// JSON that nobody may keep.
    static func fresh(_ json: [UInt8], status: Status = .ok) -> Response {
        var response = Response.json(json, status: status)
        response.fields.append(.cacheControl, "no-store")
        return response
    }
}
