import GatewayTunnel
import PluginKit

/// Who may be an agent: decided before the upgrade, and told in a sentence.
struct AgentAdmission: Sendable {
    let host: AgentHost

    /// By a token that has the right.
    func byToken(_ request: Request) throws -> AgentSocket {
        let permission = host.settings.agentPermission
        guard let principal = request.principal, principal.has(permission) else {
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
        let sent = try sentCredential(of: request)
        let (enrolment, grant) = try await host.credentials.check(Array(sent.utf8), of: request) {
            try await verdict(sent)
        }
        host.uses.note(enrolment.id, at: WallClock.read().seconds)
        host.audit.note(
            "agent let in", by: enrolment.user, request, .string("credential", "enrolment"),
            .string("enrolment", enrolment.id), .string("agent", enrolment.name))
        return AgentSocket(
            host: host, user: enrolment.user, credential: .enrolment(id: enrolment.id), boundName: enrolment.name,
            grant: grant, address: request.clientAddress, loop: request.loop)
    }

    /// Why one that was revoked is no guess: docs/decisions/0028.
    private func verdict(_ sent: String) async throws(GatewayFault) -> CredentialVerdict<(Enrolment, Grant)> {
        guard let credential = EnrolmentCredential(sent) else {
            return .malformed(
                Self.refusal(
                    "enrolment_malformed",
                    "This is no enrolment. Those begin with gwe_; agents with a token connect to /api/tunnel/agent."))
        }
        // Before the look-up: see ``Grant``.
        let grant = host.grants.grant(for: .enrolment(credential.id))
        guard let enrolment = try await enrolment(credential.id), credential.proves(enrolment) else {
            return .unknown(
                Self.refusal("enrolment_unknown", "This enrolment is not known here. Enrol this machine again."))
        }
        guard enrolment.revokedAt == nil else {
            return .refused(
                Self.refusal("enrolment_revoked", "This enrolment was revoked. Enrol this machine again."),
                of: enrolment.user, details: [.string("enrolment", enrolment.id), .string("agent", enrolment.name)])
        }
        return .good((enrolment, grant))
    }

    private func enrolment(_ id: String) async throws(GatewayFault) -> Enrolment? {
        do throws(TunnelStoreError) { return try await host.store.enrolment(id) } catch { throw error.fault }
    }

    /// What stands in the place of an enrolment, whatever it is.
    private func sentCredential(of request: Request) throws(GatewayFault) -> String {
        guard request.query("token") == nil else {
            throw GatewayFault(
                .badRequest, "enrolment_in_query",
                "An enrolment is shown in the field Authorization: Bearer, never in a query, which others log.")
        }
        let parts = (request.header(.authorization) ?? "").split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else {
            throw Self.refusal("enrolment_missing", "Show the enrolment in the field Authorization: Bearer gwe_….")
        }
        return String(parts[1])
    }

    private static func refusal(_ code: String, _ message: String) -> GatewayFault {
        var fields = HeaderFields()
        fields.append(.wwwAuthenticate, "Bearer realm=\"tunnel\"")
        return GatewayFault(.unauthorized, code, message, fields: fields)
    }
}
