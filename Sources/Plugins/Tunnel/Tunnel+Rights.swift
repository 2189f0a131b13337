import PluginKit

extension Tunnel {
    /// Everything about who may be an agent, and who may ask one.
    func registerRights(_ host: AgentHost, with gateway: inout Registrar) {
        EnrolmentAPI(host: host).register(with: &gateway)
        AgentAPI(host: host).register(with: &gateway)
        ShareAPI(host: host).register(with: &gateway)
        CompanionAPI(host: host).register(with: &gateway)
        let uses = host.uses
        gateway.service("uses of enrolments") { try await uses.run($0) }
    }

    /// The path by which consumers ask an agent that was shared with them.
    func sharedHandler(_ requests: ConsumerRequests) -> Handler {
        { request in
            let (owner, agent) = (request.capture("owner") ?? "", request.capture("agent") ?? "")
            let prefix = "/api/tunnel/agents///ollama".utf8.count + owner.utf8.count + agent.utf8.count
            guard let name = TunnelAPI.decoded(owner) else { throw TunnelFailure.noAgent.fault }
            return try await requests.answer(request, below: prefix, agent: "\(name)/\(agent)")
        }
    }
}
