import GatewayTunnel
import PluginKit

/// Who may be an agent: decided before the upgrade, and told in a sentence.
struct AgentAdmission: Sendable {
    let host: AgentHost

    /// By a token that has the right.
    func byToken(_ request: Request) throws -> AgentSocket {
        let permission = host.settings.agentPermission
        guard let principal = request.principal, principal.has(permission) else {
            host.audit.refusal(
                "agent refused", of: request.principal?.subject, request, .string("reason", "permission_required"))
            throw GatewayFault(
                .forbidden, "permission_required",
                "Being an agent needs the permission \(permission), or an enrolment; this is a consumer's token.")
        }
        host.audit.note("agent let in", by: principal.subject, request, .string("credential", "token"))
        return AgentSocket(
            host: host, user: principal.subject, credential: .token, boundName: nil, grant: nil,
            address: request.clientAddress, loop: request.loop)
    }

    /// By an enrolment.
    func byEnrolment(_ request: Request) async throws -> AgentSocket {
        let credential = try credential(of: request)
        // Before the look-up: see ``Grant``.
        let grant = host.grants.grant(for: .enrolment(credential.id))
        guard let enrolment = try await enrolment(credential.id), credential.proves(enrolment) else {
            throw refusal(
                of: nil, request, "enrolment_unknown", "This enrolment is not known here. Enrol this machine again.")
        }
        guard enrolment.revokedAt == nil else {
            throw refusal(
                of: enrolment, request, "enrolment_revoked", "This enrolment was revoked. Enrol this machine again.")
        }
        host.uses.note(enrolment.id, at: WallClock.read().seconds)
        host.audit.note(
            "agent let in", by: enrolment.user, request, .string("credential", "enrolment"),
            .string("enrolment", enrolment.id), .string("agent", enrolment.name))
        return AgentSocket(
            host: host, user: enrolment.user, credential: .enrolment(id: enrolment.id), boundName: enrolment.name,
            grant: grant, address: request.clientAddress, loop: request.loop)
    }

    private func enrolment(_ id: String) async throws(GatewayFault) -> Enrolment? {
        do throws(TunnelStoreError) { return try await host.store.enrolment(id) } catch { throw error.fault }
    }

    private func credential(of request: Request) throws(GatewayFault) -> EnrolmentCredential {
        guard request.query("token") == nil else {
            throw GatewayFault(
                .badRequest, "enrolment_in_query",
                "An enrolment is shown in the field Authorization: Bearer, never in a query, which others log.")
        }
        guard let sent = request.header(.authorization) else {
            throw refusal(
                of: nil, request, "enrolment_missing", "Show the enrolment in the field Authorization: Bearer gwe_….")
        }
        let parts = sent.split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer",
            let credential = EnrolmentCredential(String(parts[1]))
        else {
            throw refusal(
                of: nil, request, "enrolment_malformed",
                "This is no enrolment. Those begin with gwe_; agents with a token connect to /api/tunnel/agent.")
        }
        return credential
    }

    /// Every credential that is not good comes by here, once.
    private func refusal(
        of enrolment: Enrolment?, _ request: Request, _ code: String, _ message: String
    ) -> GatewayFault {
        host.audit.refusal(
            "agent refused", of: enrolment?.user, request, .string("reason", code),
            enrolment.map { .string("enrolment", $0.id) } ?? .none)
        var fields = HeaderFields()
        fields.append(.wwwAuthenticate, "Bearer realm=\"tunnel\"")
        return GatewayFault(.unauthorized, code, message, fields: fields)
    }
}
