import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTLS
import GatewayTransport
import PluginKit

/// One HTTP/1.1 connection: reads heads, runs the chain, writes responses, in order.
///
/// One task serves the connection. It suspends between requests; bytes arrive by ``streamReadable()``, which wakes it
/// and runs it at once, so that a request that never suspends is parsed, answered and its response sent within one
/// event, all out of the loop's buffers. What is left over when the task suspends moves into storage of its own: that
/// is the borrowing rule, and ``settle()`` is the only place where it is applied.
@safe final class HTTPConnection {
    let stream: ByteStream
    let server: LoopServer
    /// What the current request is served under, from the first byte of its head to the last of its response.
    private(set) var generation: Generation
    private(set) var router: Router
    /// Whose request is being answered.
    private(set) var route: ResolvedRoute
    /// Who is at the other end, as long as no field says more.
    private(set) var origin: ConnectionClient
    private let header: ProxyProtocolHeader?
    /// No request follows the current one: the port it came by is gone, or clients must show other certificates.
    private var isLeaving = false
    /// The client of the current request as the access log writes it.
    private(set) var remote: [UInt8] = []
    private(set) var remoteAddress: IPAddress

    private var parser: RequestParser
    private var head = RequestHead()
    var request: Request?
    private var task: Task<Void, Never>?

    /// New bytes in the loop's buffer, while ``streamReadable()`` runs.
    var window = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// Bytes that arrived before they were wanted, after the first ``leftoverUsed``. Bounded: input pauses while nobody
    /// waits for it.
    var leftover: [UInt8] = []
    var leftoverUsed = 0

    /// The task, waiting for input or for output to drain.
    var inputWaiter: Waiter?
    var outputWaiter: Waiter?

    var phase = Phase.idle
    var body = BodyState()
    var reply = ReplyState()
    var isClosed = false
    /// The time-out that passed; the next read throws it.
    var timedOut = false
    private(set) var sawEndOfInput = false
    /// No request was read yet: the time for its head runs from the connection's first moment.
    private var isFirst = true

    enum Phase: UInt8 {
        case idle, head, handling
        /// A WebSocket has the stream.
        case upgraded
        /// Nothing is read any more; the stream sends what is left.
        case over
    }

    /// - Parameter header: What a proxy said ahead of the stream.
    init(
        stream: ByteStream, server: LoopServer, generation: Generation, router: Router,
        header: ProxyProtocolHeader? = nil
    ) {
        self.stream = stream
        self.server = server
        self.generation = generation
        self.router = router
        self.header = header
        route = router.fallback
        origin = ConnectionClient(
            peer: stream.peer, isSecure: stream.isSecure, header: header, rule: generation.settings.clients.rule)
        remoteAddress = origin.client.address
        remoteAddress.append(to: &remote)
        parser = RequestParser(limits: generation.settings.headLimits)
    }

    var settings: CoreSettings { generation.settings }

    /// Whether the current request is the last.
    var isEnding: Bool { isLeaving || server.isDraining }

    // MARK: Generations

    /// Takes the newest generation for the next request, of which no byte was read yet.
    @inline(__always)
    private func renew() {
        if server.generation !== generation { takeNewest() }
    }

    @inline(never)
    private func takeNewest() {
        guard let router = server.generation.routers[router.entry] else {
            isLeaving = true
            return
        }
        guard isWelcome else {
            // One who has asked already is answered as before, but no longer than that.
            isLeaving = true
            reply.mustClose = true
            return
        }
        generation = server.generation
        self.router = router
        parser = RequestParser(limits: settings.headLimits)
        origin = ConnectionClient(
            peer: stream.peer, isSecure: stream.isSecure, header: header, rule: settings.clients.rule)
        if let identity = stream.cipher?.verifiedClient { origin.prove(identity) }
    }

    /// Whether who the client has proved to be in its handshake is what the newest generation asks for.
    private var isWelcome: Bool {
        !stream.isSecure || generation.settings.tls.asksClients(as: server.generation.settings.tls)
    }

    /// Ends the connection as in a drain if no port leads here any more, or clients must show other certificates.
    func leaveIfOutdated() {
        guard server.generation.routers[router.entry] == nil || !isWelcome, !isLeaving else { return }
        isLeaving = true
        drain()
    }

    func writeRemote(_ address: IPAddress) {
        remote.removeAll(keepingCapacity: true)
        address.append(to: &remote)
        remoteAddress = address
    }

    // MARK: The task

    private func wake() {
        if let waiter = inputWaiter.take() {
            waiter.resume()
        } else if task == nil, phase == .idle {
            task = stream.loop.launch { await self.serve() }
        }
    }

    private func serve() async {
        // What can be done at once is done without an async call: each costs a frame and, on the way back, a switch.
        while true {
            if !readHeadAtOnce() { guard await readHead() else { break } }
            guard await answer() else { break }
            recycle()
        }
        letGoOfRequest()
        task = nil
        guard phase != .upgraded else { return }
        phase = .over
        stream.finish(patience: settings.writeTimeout)
    }

    /// Answers ``request``.
    ///
    /// - Returns: Whether another request may follow on this connection.
    private func answer() async -> Bool {
        guard let request else { return false }
        phase = .handling
        stream.deadline = .distantFuture
        let started = stream.loop.now
        var response = await respond(to: request)
        if let refusal = refusalOfUnreadBody(of: request, before: response) { response = refusal }
        if case .webSocket(let upgrade) = response.body {
            // Who left meanwhile gets no socket: nobody would ever close it.
            guard stream.isOpen, let refusal = open(upgrade, with: response.fields, for: request, started: started)
            else { return false }
            await send(refusal, to: request, started: started)
        } else if !sendAtOnce(response, to: request, started: started) {
            await send(response, to: request, started: started)
        }
        if let decided = continuesAtOnce { return decided }
        return await mayContinue()
    }

    @inline(__always)
    private func respond(to request: Request) async -> Response {
        do {
            let found = server.findRoute(of: request, in: router)
            route = found.route
            request.plugin = route.plugin
            try refuseLargeBody()
            if found.chain.isPlain { return try await found.chain.handler(request) }
            return try await found.chain.run(request)
        } catch let fault as GatewayFault {
            return server.response(to: fault, of: request)
        } catch is CancellationError {
            reply.mustClose = true
            return GatewayFault(.serviceUnavailable, "cancelled", "The request was cancelled.", source: .gateway)
                .response(requestID: request.id)
        } catch {
            return server.response(to: GatewayFault(unexpected: error), of: request)
        }
    }

    /// A body that says it is too large is refused before anybody starts to read it.
    private func refuseLargeBody() throws {
        guard let declared = body.declared, declared > UInt64(settings.maxBody.bytes) else { return }
        reply.mustClose = true
        throw GatewayFault.contentTooLarge(limit: settings.maxBody.bytes)
    }

    /// Whether another request may follow, if that can be told without waiting.
    private var continuesAtOnce: Bool? {
        guard !isClosed, !reply.mustClose, inputWaiter == nil else { return false }
        guard body.isComplete, stream.unsent <= settings.sendBuffer.bytes else { return nil }
        return !isEnding || hasInput
    }

    private func mayContinue() async -> Bool {
        guard !isClosed, !reply.mustClose, inputWaiter == nil else { return false }
        guard await discardBody() else { return false }
        if stream.unsent > settings.sendBuffer.bytes { await drained(below: settings.sendBuffer.bytes) }
        return !isClosed && (!isEnding || hasInput)
    }

    /// Whether bytes of the next request are here already: a draining gateway still answers it.
    var hasInput: Bool { unsafe !leftover.isEmpty || !window.isEmpty }

    private func recycle() {
        reply = ReplyState()
        if isKnownUniquelyReferenced(&request) {
            request?.recycle(id: server.nextRequestID())
        } else {
            letGoOfRequest()
        }
    }

    /// Somebody may have kept the request: it stays as it is, in storage of its own, but its body is over.
    private func letGoOfRequest() {
        guard let request = request.take() else { return }
        request.detach()
        request.body.end()
        request.endCompanions()
    }

    /// Points ``request`` at the next head if all of it is here. One that is refused is left to ``readHead()``.
    private func readHeadAtOnce() -> Bool {
        guard !isClosed, hasInput else { return false }
        renew()
        return (try? parseHead()) ?? false
    }

    /// Waits for the next head and points ``request`` at it; `false` at the end of the connection.
    private func readHead() async -> Bool {
        parser.reset()
        while !isClosed {
            do throws(RequestError) {
                if try parseHead() { return true }
            } catch {
                refuse(error)
                return false
            }
            let hasPartial = hasInput
            if sawEndOfInput || (isEnding && !hasPartial) { return false }
            if timedOut {
                if phase == .head { refuse(.headTimedOut) }
                return false
            }
            waitDeadline(partial: hasPartial)
            await input()
            if !hasPartial { renew() }
        }
        return false
    }

    private func waitDeadline(partial: Bool) {
        let was = phase
        phase = partial ? .head : .idle
        // The first head has its time since the connection was accepted, TLS handshake included.
        if isFirst, !isEnding { return }
        if !partial {
            stream.deadline = stream.loop.now + settings.keepAliveTimeout
        } else if was != .head {
            stream.deadline = stream.loop.now + settings.headTimeout
        }
    }

    private func parseHead() throws(RequestError) -> Bool {
        if leftover.isEmpty {
            guard unsafe !window.isEmpty, try unsafe parser.parse(window, into: &head) else { return false }
            let length = head.length
            unsafe begin(UnsafeRawBufferPointer(rebasing: window[..<length]))
            unsafe window = UnsafeRawBufferPointer(rebasing: window[length...])
        } else {
            // Bytes of our own: the array may move, so the request takes a copy at once.
            guard let length = try parseLeftover() else { return false }
            useLeftover(length)
        }
        isFirst = false
        return true
    }

    /// - Returns: How long the head is, if all of it is here.
    private func parseLeftover() throws(RequestError) -> Int? {
        let result: Result<Int?, RequestError> = unsafe leftover.withUnsafeBytes { raw in
            do throws(RequestError) {
                let fresh = unsafe UnsafeRawBufferPointer(rebasing: raw[leftoverUsed...])
                guard try unsafe parser.parse(fresh, into: &head) else { return .success(nil) }
                let length = head.length
                unsafe begin(UnsafeRawBufferPointer(rebasing: fresh[..<length])).detach()
                return .success(length)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Gives the request the head just parsed, which `bytes` hold.
    @discardableResult
    private func begin(_ bytes: UnsafeRawBufferPointer) -> Request {
        let request = nextRequest()
        unsafe identify(request, &head, bytes)
        body = BodyState(framing: head.framing, expectsContinue: head.expectsContinue)
        unsafe request.borrow(&head, bytes)
        return request
    }

    /// The next `count` bytes of ``leftover`` have been dealt with.
    func useLeftover(_ count: Int) {
        leftoverUsed += count
        if leftoverUsed == leftover.count { dropLeftover() }
    }

    private func dropLeftover() {
        leftover.removeAll(keepingCapacity: leftover.capacity <= 4096)
        leftoverUsed = 0
    }

    private func nextRequest() -> Request {
        if let request { return request }
        let fresh = Request(
            loop: stream.loop, peer: stream.peer, isSecure: stream.isSecure, body: RequestBody(source: self),
            id: server.nextRequestID())
        request = fresh
        return fresh
    }

    private func refuse(_ error: RequestError) {
        server.metrics.refusedRequests.increment()
        reply.mustClose = true
        let id = server.nextRequestID()
        let fault = GatewayFault(error.status, error.code, error.message)
        writeRefusal(fault.response(requestID: id), to: head.method)
        server.logRefusal(error, id: id, client: origin)
    }

    // MARK: Waiting

    /// Suspends until bytes arrived, or the connection ended, or its deadline passed.
    @inline(__always)
    func input() async {
        guard !isClosed else { return }
        if leftoverUsed > 0 {
            leftover.removeFirst(leftoverUsed)
            leftoverUsed = 0
        }
        // Only once it is noted who waits: a handler that has lost its isolation is suspended on the way already, and
        // what comes then would wake nobody.
        await suspend { waiter in
            guard !isClosed, !timedOut else { return waiter.resume() }
            inputWaiter = waiter
            stream.resumeInput()
        }
    }

    /// Suspends while more than `limit` bytes wait to be sent.
    func drained(below limit: Int) async {
        stream.flush()
        while !isClosed, stream.unsent > limit {
            reply.takenBefore = stream.taken
            reply.due = stream.loop.now + settings.writeTimeout
            armDeadline()
            await suspend { waiter in
                if isClosed || stream.unsent <= limit { waiter.resume() } else { outputWaiter = waiter }
            }
        }
        reply.due = .distantFuture
        armDeadline()
    }

    /// The request's body and the response may be waited for at the same time, each for its own.
    func armDeadline() { stream.deadline = min(body.due, reply.due) }

    /// Moves what the loop's buffer still holds of this connection into storage of its own. Called before control
    /// returns to the loop, which may then receive for somebody else.
    private func settle() {
        if let request, phase == .handling { request.detach() }
        guard unsafe !window.isEmpty else { return }
        unsafe leftover.append(contentsOf: window)
        unsafe window = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private func resumeEverything() {
        inputWaiter.wake()
        outputWaiter.wake()
    }

    /// Ends the connection when the gateway drains: at once if idle, else after the current response. The first request of
    /// a connection is waited for a moment, since whoever has just connected is about to send it.
    func drain() {
        guard phase == .idle else { return }
        // A request that has arrived, but was not read yet, is answered like one under way.
        if stream.isOpen { streamReadable() }
        guard phase == .idle else { return }
        let graceEnds = stream.loop.now + server.firstRequestGrace
        if isFirst, graceEnds > stream.loop.now { stream.deadline = min(stream.deadline, graceEnds) } else { wake() }
    }
}

extension HTTPConnection: ByteStreamHandler {
    /// The time for the first head runs already.
    func streamOpened() {
        guard let cipher = stream.cipher else { return }
        server.metrics.recordHandshake(isResumed: cipher.isResumed)
        if let identity = cipher.verifiedClient { origin.prove(identity) }
    }

    func streamReadable() {
        // Nobody waits: leave the bytes to the kernel, so that the sender is slowed down.
        guard inputWaiter != nil || task == nil else { return stream.pauseInput() }
        switch stream.receive(after: leftover) {
        case .bytes(let total, let count):
            dropLeftover()
            unsafe window = UnsafeRawBufferPointer(rebasing: stream.loop.receiveBuffer[..<total])
            body.lastProgress = stream.loop.now
            server.metrics.bytesReceived.increment(by: count)
            wake()
            stream.loop.runReadyJobs()
            settle()
        case .wouldBlock: return
        case .end: inputEnded()
        case .failed: stream.close()
        }
    }

    private func inputEnded() {
        sawEndOfInput = true
        stream.pauseInput()
        wake()
    }

    /// The peer sent its end, though bytes before it may still wait. Reading on will find it.
    func streamPeerFinished() {
        // A client that left must not keep an upstream busy.
        if phase == .handling, body.isComplete { task?.cancel() }
    }

    func streamDrained() {
        outputWaiter.wake()
    }

    func streamDeadline() {
        if outputWaiter != nil, reply.due <= stream.loop.now {
            if stream.taken > reply.takenBefore { return streamDrained() }
            server.metrics.writeTimeouts.increment()
            return stream.abort()
        }
        timedOut = true
        wake()
    }

    func streamClosed(_ reason: StreamEnd) {
        isClosed = true
        if case .cipher = reason { server.metrics.handshakeFailures.increment() }
        task?.cancel()
        resumeEverything()
        server.connectionClosed(self)
    }
}
