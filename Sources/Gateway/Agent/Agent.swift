import GatewayBytes
import GatewayHTTP
package import GatewayRuntime
package import GatewayTelemetry
import GatewayTunnel
import GatewayUpstream
import GatewayWebSocket

/// An agent: keeps a carrier to the gateway, and serves the streams that the gateway opens on it.
///
/// It is the last guard of the machine it runs on: what ``RequestPolicy``, ``LocalTarget`` and the ports it was given do
/// not allow, no gateway can ask of it. Confined to its loop.
package final class Agent {
    let settings: AgentOptions
    let loop: EventLoop
    let log: Logger
    private let gateway: UpstreamClient
    private let server: LocalServer?
    private let policy: RequestPolicy
    private var links: [Link] = []
    private var refusals = RefusalNotes()
    private var isStopping = false
    private var ending: Ending?
    private var cutOff: Task<Void, Never>?
    private let over = LoopWait()

    /// Reads the file of `--ca`: blocks.
    ///
    /// - Throws: When the options name something that cannot be used.
    package convenience init(_ options: AgentOptions, on loop: EventLoop, log: Logger) throws(Ending) {
        var server: LocalServer?
        if let local = options.local {
            server = LocalServer(
                url: local.url, client: try Clients.forLocalServer(local), timeouts: options.limits.local)
        }
        let gateway = try Clients.forGateway(options.connection, sockets: Self.sockets)
        self.init(options, gateway: gateway, server: server, on: loop, log: log)
    }

    init(_ settings: AgentOptions, gateway: UpstreamClient, server: LocalServer?, on loop: EventLoop, log: Logger) {
        self.settings = settings
        self.gateway = gateway
        self.server = server
        self.loop = loop
        self.log = log
        policy = RequestPolicy(allowing: settings.operations)
    }

    /// How carriers behave: no message is larger than the protocol's largest, and a gateway that is gone is known within
    /// 20 s.
    static let sockets = UpstreamSocketSettings(
        limits: MessageLimits(frame: .bytes(DataFrame.size + (1 << 20))),
        heartbeat: HeartbeatPolicy(interval: .seconds(10), patience: .seconds(5), allowedMisses: 2),
        closeTimeout: .seconds(2), messageTimeout: .seconds(30), stallTimeout: .seconds(30))

    // MARK: Life

    /// Serves until ``stop()``, or until the gateway wants this agent no more.
    ///
    /// - Returns: Why it ended unasked; `nil` when it was asked to.
    package func run() async -> Ending? {
        begin()
        _ = await over.run(on: loop)
        isStopping = true
        cutOff?.cancel()
        for link in links { link.cut() }
        log.info("agent has ended", .int("refused", refusals.total))
        return ending
    }

    /// Takes nothing new, and ends once what is under way has finished, or after the grace.
    package func stop() {
        guard !isStopping else { return over.wake() }
        isStopping = true
        log.info("agent is ending", .int("streams", links.reduce(0) { $0 + $1.streamCount }))
        for link in links { link.leave() }
        if links.isEmpty { over.wake() }
        cutOff = loop.launch { await self.endAfterGrace() }
    }

    private func endAfterGrace() async {
        do { try await loop.sleep(settings.limits.grace) } catch { return }
        over.wake()
    }

    private func begin(after predecessor: Link? = nil) {
        let link = Link(agent: self, after: predecessor)
        links.append(link)
        link.task = loop.launch { self.ended(link, await link.run()) }
    }

    /// A link leaves, so another takes its place, on a session of its own.
    func replace(_ link: Link) {
        if !isStopping { begin(after: link) }
    }

    private func ended(_ link: Link, _ ending: Ending?) {
        links.removeAll { $0 === link }
        if let ending, !isStopping {
            self.ending = ending
            over.wake()
        }
        if links.isEmpty { over.wake() }
    }

    /// Opens a carrier.
    func open(_ credential: Credential) async throws -> UpstreamUpgrade {
        let path = credential.isEnrolment ? "/api/tunnel/agent/enrolled" : "/api/tunnel/agent"
        return try await gateway.openWebSocket(
            settings.connection.request(.get, path, as: credential), subprotocols: [TunnelProtocol.subprotocol],
            offersCompression: false)
    }

    // MARK: Streams

    func accept(_ stream: TunnelStream) -> any TunnelStreamHandler {
        guard !isStopping else { return refuse(stream, .overloaded, "the agent is ending") }
        switch stream.request {
        case .http(let request): return serve(request, stream)
        case .tcp(let port): return serve(port, stream)
        }
    }

    private func serve(_ request: StreamHTTPRequest, _ stream: TunnelStream) -> any TunnelStreamHandler {
        guard let server else { return refuse(stream, .refused, "the agent offers no HTTP") }
        switch policy.decide(request.method, request.target) {
        case .refuse(let reason):
            let path = request.target.prefix { $0 != "?" }.prefix(200)
            note("\(request.method) \(path)", reason)
            return refuse(stream, .refused, reason)
        case .pass(let method, let path, let query):
            guard let url = Self.url(server.url, path, query) else {
                return refuse(
                    stream, .refused, "the agent does not pass on a path that could be read in more than one way")
            }
            let serving = RequestServing(stream, at: server, on: loop, log: log)
            serving.start(method, url, request)
            return serving
        }
    }

    private static func url(_ base: HTTPURL, _ path: [UInt8], _ query: [UInt8]) -> HTTPURL? {
        if let url = base.with(path: path, query: query) { return url }
        let target = path + (query.isEmpty ? [] : [UInt8(ascii: "?")] + query)
        // Leniently for the query, where nobody reads `f={a}` or `d=50%` in two ways. A path that had to be mended is
        // another one.
        guard let url = try? HTTPURL((Array(base.originBytes) + target).span, as: .lenient),
            url.path.elementsEqual(path)
        else { return nil }
        return url
    }

    private func serve(_ port: UInt16, _ stream: TunnelStream) -> any TunnelStreamHandler {
        guard settings.ports.contains(port) else {
            note("port \(port)", "it was not given by --forward")
            return refuse(stream, .refused, "the agent does not offer port \(port)")
        }
        let serving = PortServing(stream, port: port, on: loop, log: log)
        serving.start(within: settings.limits.local.connect)
        return serving
    }

    private func refuse(_ stream: TunnelStream, _ reason: TunnelReset, _ message: String) -> any TunnelStreamHandler {
        stream.reset(reason, message)
        return RefusedStream()
    }

    private func note(_ what: String, _ reason: String) {
        guard let times = refusals.note(what, at: loop.now) else { return }
        log.warn("request refused", .string("request", what), .string("reason", reason), .int("times", times))
    }
}
