import PluginKit

/// What desktop and web clients of CloudToLocalLLM ask beside the tunnel itself.
///
/// Here an agent's connection is the tunnel: there is nothing to register beside it, and nothing is kept of these.
struct CompanionAPI: Sendable {
    let host: AgentHost

    func register(with gateway: inout Registrar) {
        let api = TunnelAPI(host: host)
        gateway.post("/api/tunnel/register", access: .signedIn, api.handler { try await enter($0, $1) })
        gateway.post("/api/tunnel/unregister", access: .signedIn, api.handler { try await leave($0, $1) })
        gateway.get("/api/tunnel/health/{userId}", access: .signedIn, api.handler { try health($0, $1) })
        gateway.get("/api/ollama/bridge/status", access: .signedIn, api.handler { bridge($1) })
    }

    /// Says whether requests would arrive, in the shape of a registration.
    ///
    /// - Throws: 503 without an agent: registering what does not exist must not look like success.
    private func enter(_ request: Request, _ principal: Principal) async throws -> Response {
        let body = try await TunnelAPI.object(in: request)
        let tunnel = try Self.tunnelID(in: body)
        guard let local = try Self.port("localPort", in: body) else {
            throw GatewayFault.badBody("\"localPort\" must be a port, 1 to 65535.")
        }
        let remote = try Self.port("serverPort", in: body)
        guard !host.directory.agents(of: principal.subject).isEmpty else { throw TunnelFailure.noAgent.fault }
        return TunnelAPI.answer { json in
            json.member("success", true)
            json.member("userId", principal.subject)
            json.member("tunnelId", tunnel)
            json.member("localPort", local)
            json.member("serverPort", remote.map { .number(JSONNumber(Int64($0))) } ?? .null)
            json.member("message", "The agent is connected; requests reach it without a port of this server.")
        }
    }

    private func leave(_ request: Request, _ principal: Principal) async throws -> Response {
        let tunnel = try Self.tunnelID(in: try await TunnelAPI.object(in: request))
        return TunnelAPI.answer { json in
            json.member("success", true)
            json.member("userId", principal.subject)
            json.member("tunnelId", tunnel)
            json.member("message", "Nothing was kept. The tunnel ends when its agent disconnects.")
        }
    }

    private static func tunnelID(in body: JSONObject) throws(GatewayFault) -> String {
        guard let id = body["tunnelId"]?.string, (1...128).contains(id.utf8.count) else {
            throw .badBody("\"tunnelId\" must be 1 to 128 bytes of text.")
        }
        return id
    }

    private static func port(_ name: String, in body: JSONObject) throws(GatewayFault) -> Int? {
        guard let member = body[name], !member.isNull else { return nil }
        guard let port = member.number?.int, (1...65535).contains(port) else {
            throw .badBody("\"\(name)\" must be a port, 1 to 65535.")
        }
        return port
    }

    /// One's own; an admin anybody's.
    private func health(_ request: Request, _ principal: Principal) throws -> Response {
        guard let user = TunnelAPI.decoded(request.capture("userId")),
            principal.isAdmin || principal.subject.isExactly(user)
        else { throw GatewayFault(.forbidden, "ACCESS_DENIED", "This is another user's tunnel.") }
        let agents = host.directory.agents(of: user)
        return TunnelAPI.answer { json in
            json.member("status", agents.isEmpty ? "disconnected" : "connected")
            json.member("userId", user)
            json.member("connected", !agents.isEmpty)
            json.member("agents", agents.count)
            json.time("timestamp", WallClock.read().seconds)
        }
    }

    private func bridge(_ principal: Principal) -> Response {
        let agents = host.directory.agents(of: principal.subject)
        let isBack = agents.contains { $0.traffic.isAttached }
        return TunnelAPI.answer { json in
            json.member("status", isBack ? "connected" : "disconnected")
            json.member(
                "message",
                isBack
                    ? "Desktop client connected"
                    : agents.isEmpty ? "Desktop client not connected" : "The desktop client is reconnecting")
        }
    }
}
