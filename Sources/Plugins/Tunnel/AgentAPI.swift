import GatewayTunnel
import PluginKit

/// `/api/tunnel/agents`: the agents a user has or may ask, and which of them is asked when none is named.
struct AgentAPI: Sendable {
    let host: AgentHost

    func register(with gateway: inout Registrar) {
        let api = TunnelAPI(host: host)
        let standard = "/api/tunnel/agents/default"
        gateway.get("/api/tunnel/agents", access: .signedIn, api.handler { await list($1) })
        gateway.get(standard, access: .signedIn, api.handler { try await showDefault($1) })
        gateway.route(.put, standard, access: .signedIn, api.handler { try await choose($0, $1) })
        gateway.route(.delete, standard, access: .signedIn, api.handler { try await unchoose($0, $1) })
    }

    // MARK: Default

    private func showDefault(_ principal: Principal) async throws -> Response {
        let chosen = try await host.store.chosenAgent(of: principal.subject)
        return await answer(chosen, principal)
    }

    private func choose(_ request: Request, _ principal: Principal) async throws -> Response {
        let name = try TunnelAPI.agentName("name", in: try await TunnelAPI.object(in: request))
        try await keep(name, principal, request)
        return await answer(name, principal)
    }

    private func unchoose(_ request: Request, _ principal: Principal) async throws -> Response {
        try await keep(nil, principal, request)
        return TunnelAPI.nothing
    }

    private func keep(_ name: String?, _ principal: Principal, _ request: Request) async throws {
        try await host.store.chooseAgent(name, for: principal.subject)
        host.grants.storeChanged()
        host.audit.note(
            "default agent chosen", by: principal.subject, request, name.map { .string("agent", $0) } ?? .none)
    }

    /// - Returns: The choice, and the agent that is asked now, which is another one while the chosen is not connected.
    private func answer(_ chosen: String?, _ principal: Principal) async -> Response {
        let asked = await host.finder.standard(of: principal.subject)
        return TunnelAPI.answer { json in
            json.member("name", chosen.map(JSON.string) ?? .null)
            json.member("asked", asked.map { .string($0.name) } ?? .null)
        }
    }

    // MARK: List

    /// What the store knows, as far as it answers: agents that are connected are listed in any case.
    private struct Known {
        var enrolments: [Enrolment] = []
        var given: [AgentShare] = []
        var received: [AgentShare] = []
    }

    private func known(of user: String) async -> Known {
        var known = Known()
        known.enrolments = (try? await host.store.enrolments(of: user)) ?? []
        known.given = (try? await host.store.shares(givenBy: user)) ?? []
        known.received = (try? await host.store.shares(givenTo: user)) ?? []
        return known
    }

    private func list(_ principal: Principal) async -> Response {
        let user = principal.subject
        let known = await known(of: user)
        let asked = await host.finder.standard(of: user)
        let agents = host.directory.agents(of: user)
        return TunnelAPI.answer { json in
            json.key("agents")
            json.array { json in
                for agent in agents {
                    json.object { Self.write(agent, isDefault: agent === asked, known, to: &$0) }
                }
                for enrolment in known.enrolments where !agents.contains(where: { $0.name.isExactly(enrolment.name) }) {
                    json.object { Self.write(enrolment, known, to: &$0) }
                }
            }
            json.key("shared")
            json.array { json in
                for share in known.received { json.object { write(share, to: &$0) } }
            }
            json.member("limit", host.settings.agentsPerUser)
        }
    }

    private static func write(_ agent: AgentRecord, isDefault: Bool, _ known: Known, to json: inout JSONWriter) {
        json.member("name", agent.name)
        json.member("connected", true)
        json.member("reconnecting", !agent.traffic.isAttached)
        json.time("since", Int64(agent.connectedAt))
        json.member("software", agent.software)
        json.member("address", "\(agent.address)")
        if case .enrolment(let id) = agent.credential { json.member("enrolment", id) }
        json.key("offers")
        json.object { json in
            json.member("http", agent.offersHTTP)
            json.key("ports")
            json.array { json in for port in agent.ports { json.value(port) } }
        }
        json.member("requests", agent.traffic.requests.value)
        json.member("failures", agent.traffic.failures.value)
        json.member("open", agent.traffic.openStreams.value)
        json.member("bytesToAgent", agent.traffic.bytesToAgent.value)
        json.member("bytesFromAgent", agent.traffic.bytesFromAgent.value)
        let roundTrip = agent.traffic.roundTrip.value
        json.key("roundTripMs")
        if roundTrip == 0 { json.null() } else { json.value(Double(roundTrip) / 1000) }
        json.member("default", isDefault)
        writeShares(of: agent.name, known, to: &json)
    }

    /// One that is not connected: what is known of it is that it may.
    private static func write(_ enrolment: Enrolment, _ known: Known, to json: inout JSONWriter) {
        json.member("name", enrolment.name)
        json.member("connected", false)
        json.member("reconnecting", false)
        json.member("enrolment", enrolment.id)
        json.member("default", false)
        writeShares(of: enrolment.name, known, to: &json)
    }

    private static func writeShares(of name: String, _ known: Known, to json: inout JSONWriter) {
        json.texts(
            "sharedWith", known.given.filter { $0.parties.agent.isExactly(name) }.map(\.parties.consumer))
    }

    /// Another user's: whether it can be asked, and for what.
    private func write(_ share: AgentShare, to json: inout JSONWriter) {
        let agent = host.directory.find(share.parties.owner, share.parties.agent)
        json.member("name", share.parties.agent)
        json.member("sharedBy", share.parties.owner)
        json.member("connected", agent != nil)
        json.member("reconnecting", agent.map { !$0.traffic.isAttached } ?? false)
        json.texts("methods", share.rule.methods)
        json.texts("paths", share.rule.paths)
    }
}
