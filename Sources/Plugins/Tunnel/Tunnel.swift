import GatewayTunnel
package import PluginKit

/// Reaches servers behind NAT: agents beside them connect here, and their users' requests go through.
package struct Tunnel: Plugin {
    package static let name: PluginName = "tunnel"
    package static let summary = "Carries requests and connections to agents on machines behind NAT."

    private let settings: TunnelSettings

    package init(settings: TunnelSettings) { self.settings = settings }

    package func register(with gateway: inout Registrar) {
        let store = settings.store.makeStore(for: &gateway)
        let host = AgentHost(
            settings: settings, metrics: TunnelMetrics(gateway.metrics), breakers: gateway.breakers, store: store,
            log: gateway.log, audit: gateway.audit, credentials: gateway.credentials)
        let limit = gateway.rateLimit("requests", RateRules(addresses: .settings))
        gateway.use(TunnelPathErrors(), on: .everyRequest)
        gateway.use(TunnelErrors(), on: .ownRoutesBeforeAccess)
        registerAgents(host, with: &gateway)
        registerRights(host, with: &gateway)
        let requests = ConsumerRequests(host: host)
        registerConsumers(requests, limit, with: &gateway)
        registerSockets(requests, limit, with: &gateway)
        StatusRoutes.add(TunnelStatus(host: host, breakers: gateway.breakers, limit: limit), to: &gateway)
        ConfigRoutes.add(settings, to: &gateway)
        PageRoutes.add(to: &gateway)
        var origins = CrossOriginPolicy(Self.origins(gateway.context.origins))
        origins.methods = [.get, .head, .post, .put, .patch, .delete, .options]
        origins.requestFields += [ConsumerRequests.agentField]
        origins.responseFields += RateLimit.fieldNames
        gateway.allowCrossOrigin(origins)
    }

    /// ALLOWED_ORIGINS, as the CORS protocol asks for it. Pages of the gateway's own host need no leave.
    private static func origins(_ policy: OriginPolicy) -> CrossOriginPolicy.Origins {
        policy.allowsAny ? .anyone : .only(policy.allowed)
    }

    private func registerAgents(_ host: AgentHost, with gateway: inout Registrar) {
        var options = WebSocketOptions()
        options.subprotocols = [TunnelProtocol.subprotocol]
        options.heartbeat = SocketHeartbeat(settings.heartbeat)
        options.compresses = false
        // Whatever consumers may send: what both ends of a carrier have agreed on must pass.
        options.limits = MessageLimits(
            frame: .bytes(max(TunnelProtocol.messageSize, settings.terms.dataFrame + DataFrame.size)))
        // Data waits in the session; what else is unsent is small, or its agent has stopped reading.
        options.slowConsumer = .close(limit: max(settings.terms.sessionWindow, 8 * TunnelProtocol.messageSize))
        let admission = AgentAdmission(host: host)
        gateway.webSocket("/api/tunnel/agent", access: .signedIn, options: options) { request in
            try admission.byToken(request)
        }
        gateway.webSocket("/api/tunnel/agent/enrolled", access: .anyone, options: options) { request in
            try await admission.byEnrolment(request)
        }
    }

    private func registerSockets(_ requests: ConsumerRequests, _ limit: RateLimit, with gateway: inout Registrar) {
        let host = requests.host
        let count = SocketCount(limit: settings.agentsPerUser)
        var envelopes = WebSocketOptions()
        envelopes.subprotocols = ["tunnel.v1.json"]
        for path in gateway.context.mainSocketPaths {
            gateway.webSocket(path, access: .signedIn, options: envelopes) { request in
                let user = request.principal?.subject ?? ""
                guard count.take(user) else {
                    throw GatewayFault(
                        .tooManyRequests, "CONNECTION_LIMIT",
                        "Connection limit exceeded. Maximum \(host.settings.agentsPerUser) concurrent connections allowed."
                    )
                }
                return ConsumerSocket(requests: requests, limit: limit, request: request) { count.giveBack(user) }
            }
        }
        var bytes = WebSocketOptions()
        bytes.subprotocols = [ConnectSession.subprotocol]
        bytes.compresses = false
        // A client sends as much at once as it has read, and knows nothing of the stream's window.
        bytes.limits = MessageLimits(frame: .bytes(max(settings.terms.streamWindow, ConnectSession.frameSize)))
        bytes.heartbeat = SocketHeartbeat(ConnectSession.heartbeat)
        let permission = settings.connectPermission
        gateway.webSocket("/api/tunnel/connect/{agent}/{port}", access: .signedIn, options: bytes) { request in
            guard let principal = request.principal, principal.has(permission) else {
                throw GatewayFault(
                    .forbidden, "permission_required", "TCP connections need a token with the permission \(permission)."
                )
            }
            guard let port = UInt16(request.capture("port") ?? ""), port > 0 else {
                throw GatewayFault(.badRequest, "INVALID_PORT", "The path ends in a port from 1 to 65535.")
            }
            do throws(TunnelFailure) {
                let found = try await host.finder.find(
                    principal.subject, request.capture("agent"), for: .tcp(port: port))
                return SessionHandler { try await ConnectSession.run($0, to: port, at: found.record, host) }
            } catch {
                throw error.fault
            }
        }
    }

    private func registerConsumers(_ requests: ConsumerRequests, _ limit: RateLimit, with gateway: inout Registrar) {
        func consumer(_ pattern: String, _ handler: @escaping Handler) {
            gateway.route(nil, pattern, access: .signedIn, limit: limit, handler)
        }
        for prefix in ["/api/ollama", "/ollama"] {
            for pattern in [prefix, prefix + "/", prefix + "/{path...}"] {
                consumer(pattern) { try await requests.answer($0, below: prefix.utf8.count, agent: nil) }
            }
        }
        consumer("/api/tunnel/agents/{owner}/{agent}/ollama/{path...}", sharedHandler(requests))
        for end in ["", "/", "/{path...}"] {
            consumer("/api/tunnel/agents/{agent}/ollama" + end) { request in
                let name = request.capture("agent") ?? ""
                let prefix = "/api/tunnel/agents//ollama".utf8.count + name.utf8.count
                return try await requests.answer(request, below: prefix, agent: name)
            }
            consumer("/api/direct-proxy/{user}/ollama" + end) { request in
                let user = request.capture("user") ?? ""
                guard let name = TunnelAPI.decoded(user), request.principal?.subject.isExactly(name) == true else {
                    throw GatewayFault(.forbidden, "ACCESS_DENIED", "This path is another user's.")
                }
                let prefix = "/api/direct-proxy//ollama".utf8.count + user.utf8.count
                return try await requests.answer(request, below: prefix, agent: nil)
            }
        }
    }
}
