import PluginKit

/// `/api/tunnel/enrolments`: a user's machines that may be agents.
struct EnrolmentAPI: Sendable {
    let host: AgentHost

    func register(with gateway: inout Registrar) {
        let api = TunnelAPI(host: host)
        gateway.post("/api/tunnel/enrolments", access: .signedIn, api.handler { try await create($0, $1) })
        gateway.get("/api/tunnel/enrolments", access: .signedIn, api.handler { try await list($1) })
        gateway.route(
            .delete, "/api/tunnel/enrolments/{id}", access: .signedIn, api.handler { try await revoke($0, $1) })
    }

    // MARK: Creating

    private func create(_ request: Request, _ principal: Principal) async throws -> Response {
        let body = try await TunnelAPI.object(in: request)
        let name = try TunnelAPI.agentName("name", in: body)
        let replaces = try Self.flag("replace", in: body)
        let credential = EnrolmentCredential()
        let enrolment = Enrolment(
            id: credential.id, user: principal.subject, name: name, digest: credential.digest,
            createdAt: WallClock.read().seconds)
        let limit = host.settings.store.enrolmentsPerUser
        switch try await host.store.add(enrolment, replacing: replaces, atMost: limit) {
        case .added(let older):
            if let older { ended(older, by: principal, request, "enrolment replaced") }
            host.audit.note(
                "enrolment created", by: principal.subject, request, .string("enrolment", enrolment.id),
                .string("agent", name))
            return Self.shownOnce(enrolment, credential)
        case .nameTaken(let id):
            throw GatewayFault(
                .conflict, "name_enrolled",
                "\(name) is enrolled already, as \(id). Revoke that, or ask with \"replace\": true, which ends it.")
        case .tooMany:
            throw GatewayFault(
                .conflict, "too_many_enrolments",
                "You have \(limit) enrolments, as many as allowed here. Revoke one first.")
        }
    }

    private static func flag(_ name: String, in body: JSONObject) throws(GatewayFault) -> Bool {
        guard let member = body[name] else { return false }
        guard let flag = member.bool else { throw .badBody("\"\(name)\" must be true or false.") }
        return flag
    }

    private static func shownOnce(_ enrolment: Enrolment, _ credential: EnrolmentCredential) -> Response {
        TunnelAPI.answer(.created) { json in
            json.member("id", enrolment.id)
            json.member("name", enrolment.name)
            json.member("credential", credential.text)
            json.time("createdAt", enrolment.createdAt)
        }
    }

    // MARK: Listing

    private func list(_ principal: Principal) async throws -> Response {
        let enrolments = try await host.store.enrolments(of: principal.subject)
        let connected = host.directory.agents(of: principal.subject)
        return TunnelAPI.answer { json in
            json.key("enrolments")
            json.array { json in
                for enrolment in enrolments {
                    json.object { json in
                        json.member("id", enrolment.id)
                        json.member("name", enrolment.name)
                        json.time("createdAt", enrolment.createdAt)
                        json.time("lastUsedAt", host.uses.latest(of: enrolment))
                        json.member(
                            "connected", connected.contains { $0.credential == .enrolment(id: enrolment.id) })
                    }
                }
            }
            json.member("limit", host.settings.store.enrolmentsPerUser)
        }
    }

    // MARK: Revoking

    /// One's own; an admin anybody's.
    private func revoke(_ request: Request, _ principal: Principal) async throws -> Response {
        let id = request.capture("id") ?? ""
        let owner = principal.isAdmin ? nil : principal.subject
        guard let revoked = try await host.store.revokeEnrolment(id, of: owner, at: WallClock.read().seconds) else {
            throw GatewayFault.gone("no_such_enrolment", "There is no such enrolment, or it was revoked already.")
        }
        ended(revoked, by: principal, request, "enrolment revoked")
        return TunnelAPI.nothing
    }

    /// Its session ends now, with every stream.
    private func ended(_ enrolment: Enrolment, by principal: Principal, _ request: Request, _ what: StaticString) {
        host.grants.revoke(.enrolment(enrolment.id))
        host.audit.note(
            what, by: principal.subject, request, .string("enrolment", enrolment.id), .string("agent", enrolment.name),
            .string("owner", enrolment.user))
    }
}
