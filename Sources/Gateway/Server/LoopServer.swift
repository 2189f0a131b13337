import GatewayAuth
import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTLS
import GatewayTelemetry
import GatewayTransport
import GatewayUpstream
import GatewayWebSocket
import PluginKit

/// What one loop serves with: its connections, its buffers for logs, the generation it works under.
///
/// Lives on its loop; everything shared that it points to is immutable or made for several threads.
final class LoopServer {
    let loop: EventLoop
    let metrics: ServerMetrics
    let log: Logger
    let shared: SharedState
    /// Follows from ``generation``, like all of these.
    private(set) var accessLog: AccessLogBuffer?
    private(set) var codecs: SharedCodecs
    private(set) var messageLimits: MessageLimits
    private(set) var heartbeatPolicy: HeartbeatPolicy
    private(set) var origins: OriginPolicy
    private(set) var clients: ClientAddressRule
    /// Unsent bytes above which a socket counts as slow.
    private(set) var sendLimit: Int
    /// What new requests are served under.
    private(set) var generation: Generation
    /// What connections to an encrypted port begin with: the generation's, or newer.
    private var tls: TLSServerContext?
    private let logs: LogSystem
    private(set) var isDraining = false

    /// The query of the line being logged, without its token.
    private var redacted = OutputBuffer(capacity: 512)
    private var requestIDs: RequestIDGenerator
    private(set) var dates = DateCache(unixSeconds: WallClock.read().seconds)
    private var datesAt = MonotonicTime(nanoseconds: 0)
    private(set) var connections: [ObjectIdentifier: HTTPConnection] = [:]
    private(set) var sockets: [ObjectIdentifier: WebSocketConnection] = [:]
    /// Connections that have yet to say whose they are.
    private var preambles: [ObjectIdentifier: ProxyPreamble] = [:]
    private var preambleLog = MonotonicTime(nanoseconds: 0)
    private var ports: [ListeningPort] = []
    private var drained: (() -> Void)?
    private var flushTimer = TimerToken.none
    private var nextLargeFrameWarning = MonotonicTime(nanoseconds: 0)
    private var nextCloseCodeWarning = MonotonicTime(nanoseconds: 0)

    init(
        loop: EventLoop, generation: Generation, shared: SharedState, metrics: ServerMetrics, logs: LogSystem
    ) {
        self.loop = loop
        self.generation = generation
        self.shared = shared
        self.metrics = metrics
        self.logs = logs
        log = logs.logger("server")
        let settings = generation.settings.webSocket
        codecs = SharedCodecs(
            settings: settings.deflate, compressionBudget: shared.compression, assemblyBudget: shared.assembly)
        messageLimits = settings.messageLimits
        heartbeatPolicy = settings.heartbeat
        sendLimit = settings.sendBuffer.bytes
        origins = generation.settings.origins
        clients = generation.settings.clients.rule
        requestIDs = RequestIDGenerator()
        tls = generation.tls
        if generation.settings.operations.accessLog { accessLog = makeAccessLog() }
    }

    private func makeAccessLog() -> AccessLogBuffer { AccessLogBuffer(format: logs.format, sink: logs.sink) }

    /// Serves by another generation from here on. See LoopServer+Generation.swift for what that means to what is open.
    func replaceGeneration(_ next: Generation) {
        let settings = next.settings.webSocket
        if settings.deflate != generation.settings.webSocket.deflate {
            codecs = SharedCodecs(
                settings: settings.deflate, compressionBudget: shared.compression, assemblyBudget: shared.assembly)
        }
        generation = next
        tls = next.tls
        messageLimits = settings.messageLimits
        heartbeatPolicy = settings.heartbeat
        sendLimit = settings.sendBuffer.bytes
        origins = next.settings.origins
        clients = next.settings.clients.rule
        if next.settings.operations.accessLog != (accessLog != nil) {
            flushLogs()
            accessLog = accessLog == nil ? makeAccessLog() : nil
        }
    }

    var settings: CoreSettings { generation.settings }

    func nextRequestID() -> RequestID { requestIDs.next() }

    /// Keeps ``dates`` and ``wallTime`` current: reads the wall clock at most once per turn of the loop.
    @inline(__always)
    func updateDate() {
        guard loop.now != datesAt else { return }
        datesAt = loop.now
        let (seconds, nanoseconds) = WallClock.read()
        wallTime = WallTime(seconds: seconds, nanoseconds: Int(nanoseconds))
        dates.update(unixSeconds: seconds)
    }

    private(set) var wallTime = WallTime(seconds: 0)

    /// Connections that come from now on begin with `tls`.
    func replaceTLS(_ tls: TLSServerContext) { self.tls = tls }

    // MARK: Accepting

    /// Starts to accept on a socket of this loop's own.
    ///
    /// - Parameter number: What ``closePorts(_:)`` knows it by.
    func listen(_ descriptor: CInt, entry: EntryPoint, number: Int) throws(SystemError) {
        let port = ListeningPort(number: number, entry: entry)
        var limits = AcceptLimits()
        limits.backlog = settings.listen.backlog
        let listener = Listener(
            descriptor: descriptor, loop: loop, limits: limits, report: shared.report,
            mayAccept: { [shared] in shared.connections.hasRoom(for: entry) },
            accepted: { [unowned self] in
                shared.connections.enter()
                metrics.connectionsAccepted.increment()
                // What comes through a port that is being closed is served as when it was open.
                let generation = port.lastGeneration ?? generation
                let clients = generation.settings.clients.rule
                if entry != .operations, clients.source == .proxyProtocol {
                    awaitHeader($0, from: $1, entry, generation)
                } else {
                    open($0, from: $1, header: nil, entry, generation)
                }
            })
        do throws(SystemError) {
            try listener.start()
        } catch {
            // Left open, it would be dealt connections that nobody accepts.
            listener.stop()
            throw error
        }
        port.listener = listener
        ports.append(port)
    }

    /// Closes ports of these numbers once everybody is accepted who has connected.
    func closePorts(_ numbers: [Int]) {
        for port in ports where numbers.contains(port.number) {
            port.lastGeneration = generation
            close(port)
        }
    }

    private func close(_ port: ListeningPort) {
        guard !port.isClosing else { return }
        port.isClosing = true
        port.listener?.drain(grace: settings.operations.drainGrace) { [unowned self] in
            port.listener = nil
            ports.removeAll { $0 === port }
            reportDrained()
        }
    }

    /// Reads the PROXY header of a connection, which only a trusted proxy may open, and must send.
    private func awaitHeader(
        _ descriptor: CInt, from peer: SocketAddress, _ entry: EntryPoint, _ generation: Generation
    ) {
        guard generation.settings.clients.rule.trusts(peer.ipAddress) else {
            WatchedDescriptor.discard(descriptor)
            return refuse(peer, reason: "it is not in TRUSTED_PROXIES")
        }
        let preamble = ProxyPreamble(descriptor: descriptor, loop: loop)
        preambles[ObjectIdentifier(preamble)] = preamble
        preamble.start(patience: settings.headTimeout) { [unowned self] preamble, outcome in
            preambles[ObjectIdentifier(preamble)] = nil
            switch outcome {
            case .header(let header, let descriptor):
                open(descriptor, from: peer, header: header, entry, generation)
            case .refused(let reason): refuse(peer, reason: reason)
            case .left: leave()
            }
        }
    }

    private func refuse(_ peer: SocketAddress, reason: String) {
        metrics.proxyRefusals.increment()
        leave()
        // Whoever knocks all day must not fill the disk; the counter knows the rest.
        guard loop.now >= preambleLog else { return }
        preambleLog = loop.now + .seconds(1)
        log.warn("connection refused: no PROXY header", .string("peer", peer.description), .string("reason", reason))
    }

    private func leave() {
        shared.connections.leave()
        reportDrained()
    }

    private func open(
        _ descriptor: CInt, from peer: SocketAddress, header: ProxyProtocolHeader?, _ entry: EntryPoint,
        _ generation: Generation
    ) {
        guard let router = generation.routers[entry] else {
            WatchedDescriptor.discard(descriptor)
            return leave()
        }
        let newest = generation === self.generation ? tls : generation.tls
        let tls = entry.isEncrypted ? newest : nil
        let cipher: TLSSession?
        do {
            cipher = try tls.map { try $0.session(on: descriptor) }
        } catch {
            log.error("TLS session could not be made", .string("reason", "\(error)"))
            WatchedDescriptor.discard(descriptor)
            return leave()
        }
        let stream = ByteStream(descriptor: descriptor, peer: peer, loop: loop, cipher: cipher)
        let connection = HTTPConnection(
            stream: stream, server: self, generation: generation, router: router, header: header)
        connections[ObjectIdentifier(connection)] = connection
        stream.deadline = loop.now + (isDraining ? firstRequestGrace : settings.headTimeout)
        do throws(SystemError) {
            try stream.start(connection)
        } catch {
            log.warn("connection could not be watched", .string("reason", error.description))
            stream.close()
        }
    }

    /// While the gateway drains, how long whoever has connected may take to send a request.
    var firstRequestGrace: Duration { min(settings.headTimeout, settings.operations.drainGrace) }

    // MARK: Connections

    func connectionClosed(_ connection: HTTPConnection) {
        guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        shared.connections.leave()
        reportDrained()
    }

    func upgraded(_ connection: HTTPConnection, to socket: WebSocketConnection) {
        connections[ObjectIdentifier(connection)] = nil
        sockets[ObjectIdentifier(socket)] = socket
    }

    func socketClosed(_ socket: WebSocketConnection) {
        guard sockets.removeValue(forKey: ObjectIdentifier(socket)) != nil else { return }
        shared.connections.leave()
        reportDrained()
    }

    // MARK: Answering

    /// Finds the route of a request. One that has none is refused at the end of the fallback's chain, so that middleware
    /// for every request (CORS above all) sees it too.
    func findRoute(of request: Request, in router: Router) -> (route: ResolvedRoute, chain: Chain) {
        let bytes = unsafe request.headBytes
        let path = unsafe request.head.path(in: bytes)
        let match: Router.Match
        if request.head.pathIsPlain {
            match = unsafe router.match(request, path: path)
        } else {
            do throws(PathError) {
                let normalised = try unsafe PathNormaliser.normalise(path)
                request.normalisedPath = normalised
                match = unsafe normalised.withUnsafeBytes { unsafe router.match(request, path: $0) }
            } catch {
                return refusal(GatewayFault(.badRequest, "bad_path", error.message), router)
            }
        }
        switch match {
        case .route(let route): return (route, route.chain)
        case .nothing where request.head.form == .asterisk:
            return (router.fallback, router.fallback.chain.ending { _ in Self.serverOptions })
        case .nothing: return (router.fallback, router.fallback.chain)
        case .methodNotAllowed where request.method == .other: return refusal(Self.methodNotImplemented, router)
        case .upgradeRequired: return refusal(Self.upgradeRequired, router)
        case .methodNotAllowed(let allowed): return refusal(Self.methodNotAllowed(allowed), router)
        }
    }

    private func refusal(_ fault: GatewayFault, _ router: Router) -> (route: ResolvedRoute, chain: Chain) {
        (router.fallback, router.fallback.chain.ending { _ in throw fault })
    }

    private static var upgradeRequired: GatewayFault {
        var fields = HeaderFields()
        fields.append(.upgrade, "websocket")
        return GatewayFault(
            .upgradeRequired, "upgrade_required", "This path is a WebSocket; connect with a WebSocket client.",
            fields: fields)
    }

    /// `OPTIONS *` asks about the server, not about a resource (RFC 9110 §9.3.7): a ping.
    private static var serverOptions: Response {
        var fields = HeaderFields()
        fields.append(.allow, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
        return Response(status: .noContent, fields: fields)
    }

    /// No method this server knows, and no resource takes every one (RFC 9110 §15.6.2).
    private static var methodNotImplemented: GatewayFault {
        GatewayFault(.notImplemented, "method_not_implemented", "This server does not know the method.")
    }

    private static func methodNotAllowed(_ allowed: String) -> GatewayFault {
        var fields = HeaderFields()
        // The names of methods hold no control character, which is all that could be refused.
        try? fields.append(.allow, checking: allowed)
        return GatewayFault(.methodNotAllowed, "method_not_allowed", "This path answers \(allowed).", fields: fields)
    }

    /// The response to a fault. What a plugin let through is logged in full, and told to the client without detail.
    func response(to fault: GatewayFault, of request: Request) -> Response {
        if let cause = fault.cause { logUnexpected(cause, in: request) }
        return fault.response(requestID: request.id)
    }

    private func logUnexpected(_ error: any Error, in request: Request) {
        let plugin = LogField.string("plugin", request.plugin.text)
        switch error {
        case let error as UpstreamError:
            log.warn("upstream failed", plugin, .string("reason", error.description), .request(request.id))
        case is WorkerPool.Busy:
            log.warn("worker threads are busy", plugin, .request(request.id))
        default:
            log.error("request failed", plugin, .string("reason", "\(error)"), .request(request.id))
        }
    }

    func logRefusal(_ error: RequestError, id: RequestID, client: ConnectionClient) {
        log.debug(
            "request refused", .string("reason", error.message), .int("status", error.status.code),
            .string("remote", client.client.address.description), .request(id))
    }

    func logSocketClosed(_ socket: WebSocketConnection, code: CloseCode, reason: String) {
        log.debug(
            "websocket closed", .int("code", Int(code.rawValue)), .string("reason", reason),
            .request(socket.requestID))
    }

    /// Tells of a frame over FRAME_WARN_THRESHOLD, at most once a second for the loop: the counter knows the rest.
    func warnOfLargeFrame(_ length: Int, id: RequestID) {
        guard loop.now >= nextLargeFrameWarning else { return }
        nextLargeFrameWarning = loop.now + .seconds(1)
        log.warn("large frame", .int("bytes", length), .request(id))
    }

    /// Tells of a plugin that closes with a code which must not be sent, at most once a second for the loop.
    func warnOfCloseCode(_ code: CloseCode, id: RequestID) {
        guard loop.now >= nextCloseCodeWarning else { return }
        nextCloseCodeWarning = loop.now + .seconds(1)
        log.error(
            "websocket closed with 1011: its plugin named a code that must not be sent",
            .int("code", Int(code.rawValue)), .request(id))
    }

    // MARK: Draining

    /// Stops accepting; ends connections as they become idle and sockets over the jitter; calls `done` when all are gone.
    func drain(done: @escaping () -> Void) {
        isDraining = true
        drained = done
        for port in ports { close(port) }
        for connection in connections.values { connection.drain() }
        // All sockets must have their turn before the time is up.
        let operations = settings.operations
        let jitter = min(operations.closeJitter, operations.drainTimeout / 2).wholeNanoseconds
        for socket in sockets.values where !socket.drain() {
            let wait = jitter == 0 ? 0 : UInt64.random(in: 0..<jitter)
            socket.leave(at: MonotonicTime(nanoseconds: loop.now.nanoseconds + wait), .shuttingDown)
        }
        loop.runReadyJobs()
        reportDrained()
    }

    /// Ends what is left, mid-response or not.
    func cutOff() {
        for preamble in preambles.values { preamble.cutOff() }
        for connection in connections.values { connection.stream.abort() }
        for socket in sockets.values { socket.stream.abort() }
    }

    private func reportDrained() {
        guard isDraining, ports.isEmpty, preambles.isEmpty, connections.isEmpty, sockets.isEmpty,
            let done = drained
        else { return }
        drained = nil
        done()
    }

    var openConnections: Int { preambles.count + connections.count + sockets.count }

    // MARK: Record

    /// Counts and logs a finished exchange. Runs for every request: no text is made here.
    func record(
        _ request: Request, of route: ResolvedRoute, remote: [UInt8], status: Status, received: Int, sent: Int,
        microseconds: Int
    ) {
        route.metrics.record(status, microseconds: microseconds)
        guard let accessLog else { return }
        updateDate()
        let record = AccessRecord(
            status: status.code, received: received, sent: sent, microseconds: microseconds,
            minorVersion: Int(request.head.minorVersion))
        let name = route.name
        let head = request.head
        let bytes = unsafe request.headBytes
        redacted.removeAll()
        if let query = head.queryRange {
            unsafe QueryToken.redact(query.of(bytes).assumingMemoryBound(to: UInt8.self).span, into: &redacted)
        }
        let method = unsafe head.methodRange.of(bytes).assumingMemoryBound(to: UInt8.self)
        let path = unsafe head.path(in: bytes).assumingMemoryBound(to: UInt8.self)
        let trace = unsafe (request.traceRange ?? .empty).of(bytes).assumingMemoryBound(to: UInt8.self)
        request.id.withBytes { id in
            unsafe redacted.withUnsafeBytes { query in
                unsafe accessLog.record(
                    record, method: method.span, path: path.span,
                    query: query.assumingMemoryBound(to: UInt8.self).span, requestID: id, remote: remote.span,
                    route: name.span, trace: trace.span, at: wallTime)
            }
        }
        if !flushTimer.isSet {
            flushTimer = loop.setTimer(at: loop.now + .milliseconds(200), for: self, tag: 0)
        }
    }

    func logBrokenBody(_ error: any Error, _ request: Request) {
        log.warn(
            "response cut short", .string("plugin", request.plugin.text), .string("reason", "\(error)"),
            .request(request.id))
    }

    func flushLogs() { accessLog?.flush() }
}

extension LoopServer: TimerTarget {
    func timerFired(tag: UInt32) {
        flushTimer = .none
        flushLogs()
    }
}

/// A port this loop accepts on.
private final class ListeningPort {
    let number: Int
    let entry: EntryPoint
    /// Set from ``LoopServer/listen(_:entry:number:)`` on.
    var listener: Listener?
    var isClosing = false
    /// What those are served by who still come while it closes, if the gateway goes on without it.
    var lastGeneration: Generation?

    init(number: Int, entry: EntryPoint) {
        self.number = number
        self.entry = entry
    }
}
