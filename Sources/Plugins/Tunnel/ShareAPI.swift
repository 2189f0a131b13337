import PluginKit

/// `/api/tunnel/shares`: what users let others ask of their agents.
struct ShareAPI: Sendable {
    let host: AgentHost

    /// Of a user's name.
    private static let userLength = 255

    func register(with gateway: inout Registrar) {
        let api = TunnelAPI(host: host)
        gateway.post("/api/tunnel/shares", access: .signedIn, api.handler { try await create($0, $1) })
        gateway.get("/api/tunnel/shares", access: .signedIn, api.handler { try await list($1) })
        gateway.route(.delete, "/api/tunnel/shares/{id}", access: .signedIn, api.handler { try await end($0, $1) })
    }

    private func create(_ request: Request, _ principal: Principal) async throws -> Response {
        let share = try Self.share(of: principal, try await TunnelAPI.object(in: request))
        let limit = host.settings.store.sharesPerUser
        switch try await host.store.add(share, atMost: limit) {
        case .added: break
        case .exists(let id):
            throw GatewayFault(
                .conflict, "share_exists", "This agent is shared with this user already, as \(id). End that first.")
        case .tooMany:
            throw GatewayFault(
                .conflict, "too_many_shares", "You have given \(limit) shares, as many as allowed here. End one first.")
        }
        host.grants.storeChanged()
        note("share created", share, by: principal, request)
        return TunnelAPI.answer(.created) { Self.write(share, to: &$0) }
    }

    private static func share(of principal: Principal, _ body: JSONObject) throws(GatewayFault) -> AgentShare {
        let agent = try TunnelAPI.agentName("agent", in: body)
        guard let user = body["user"]?.string, (1...userLength).contains(user.utf8.count),
            user.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else { throw .badBody("\"user\" must name who may use the agent, by the subject of their tokens.") }
        guard !user.isExactly(principal.subject) else {
            throw .badBody("\"user\" is yourself: your own agents need no share.")
        }
        guard let methods = body["methods"]?.strings, let paths = body["paths"]?.strings else {
            throw .badBody("\"methods\" and \"paths\" must be arrays of text.")
        }
        return AgentShare(
            id: RandomID.make(), parties: ShareParties(owner: principal.subject, agent: agent, consumer: user),
            rule: try ShareRule(checking: methods, paths), createdAt: WallClock.read().seconds)
    }

    private func list(_ principal: Principal) async throws -> Response {
        let given = try await host.store.shares(givenBy: principal.subject)
        let received = try await host.store.shares(givenTo: principal.subject)
        return TunnelAPI.answer { json in
            for (name, shares) in [("given", given), ("received", received)] {
                json.key(name)
                json.array { json in
                    for share in shares { json.object { Self.write(share, to: &$0) } }
                }
            }
            json.member("limit", host.settings.store.sharesPerUser)
        }
    }

    /// What runs through it ends too: who ends a share does not mean "after this answer".
    private func end(_ request: Request, _ principal: Principal) async throws -> Response {
        guard let share = try await host.store.removeShare(request.capture("id") ?? "", of: principal.subject) else {
            throw GatewayFault.gone("no_such_share", "You have given no such share.")
        }
        host.grants.revoke(.init(share.parties))
        note("share ended", share, by: principal, request)
        return TunnelAPI.nothing
    }

    private func note(_ what: StaticString, _ share: AgentShare, by principal: Principal, _ request: Request) {
        host.audit.note(
            what, by: principal.subject, request, .string("share", share.id), .string("agent", share.parties.agent),
            .string("consumer", share.parties.consumer),
            .string("methods", share.rule.methods.joined(separator: " ")),
            .string("paths", share.rule.paths.joined(separator: " ")))
    }

    private static func write(_ share: AgentShare, to json: inout JSONWriter) {
        json.member("id", share.id)
        json.member("owner", share.parties.owner)
        json.member("agent", share.parties.agent)
        json.member("user", share.parties.consumer)
        json.texts("methods", share.rule.methods)
        json.texts("paths", share.rule.paths)
        json.time("createdAt", share.createdAt)
    }
}
