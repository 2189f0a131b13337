import GatewayAuth
import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTelemetry
import GatewayTransport
import GatewayWebSocket
import PluginKit

/// One open WebSocket: frames in, messages to the plugin's handler, frames out.
///
/// No task runs for it: an idle socket is this object, its stream and its plugin's handler. Everything that waits
/// (heartbeat, token expiry, close and drain time-outs) shares the stream's one deadline.
final class WebSocketConnection {
    let stream: ByteStream
    let server: LoopServer
    let requestID: RequestID
    let subprotocol: String?
    private(set) var principal: Principal?
    private(set) var roundTripNanoseconds: UInt64?

    private var handler: (any WebSocketHandler)?
    private var reader: MessageReader
    private var heartbeat: Heartbeat
    private var closing = CloseHandshake.open
    private var closeCode = CloseCode(rawValue: 1006)
    private var closeReason = ""
    /// When the close handshake, or waiting for the drain, must end.
    private var closeBy = MonotonicTime.distantFuture
    private var leaveAt = MonotonicTime.distantFuture
    /// Set once it is known that the gateway ends it.
    private var ending: SocketEnding?
    private var nextBeat = MonotonicTime.distantFuture
    /// How far the peer was at the first ping that it has not answered, or when it was told to close.
    private var watch = OutputWatch()
    /// `nil` closes beyond the server's limit.
    private let policy: SlowConsumerPolicy?
    /// `nil` beats as the server says.
    private let ownHeartbeat: SocketHeartbeat?
    let grounds: SocketGrounds
    private var dropped = 0
    private var isPaused = false
    private var isRenewing = false
    private var own = OwnOutput()
    private var refusedRenewals = 0
    private var hasWarned = false
    /// Received while paused.
    private var held: [UInt8] = []

    init(
        stream: ByteStream, server: LoopServer, request: Request, subprotocol: String?, deflate: DeflateContext?,
        options: WebSocketOptions, grounds: SocketGrounds
    ) {
        self.stream = stream
        self.server = server
        self.subprotocol = subprotocol
        policy = options.slowConsumer
        self.grounds = grounds
        ownHeartbeat = options.heartbeat
        requestID = request.id
        principal = request.principal
        reader = MessageReader(role: .server, limits: options.limits ?? server.messageLimits, deflate: deflate)
        heartbeat = Heartbeat(
            options.heartbeat?.policy ?? server.heartbeatPolicy, startingAt: stream.loop.now.nanoseconds)
    }

    private var heartbeatPolicy: HeartbeatPolicy { ownHeartbeat?.policy ?? server.heartbeatPolicy }

    /// Takes the stream over. `early` are bytes that came with the request.
    func begin(_ handler: any WebSocketHandler, early: [UInt8]) {
        self.handler = handler
        server.metrics.sockets.opened.increment()
        server.metrics.sockets.open.add()
        stream.adopt(self)
        if early.isEmpty {
            stream.resumeInput()
        } else {
            // What came first is read first.
            stream.pauseInput()
            held = early
            stream.loop.callSoon(self, tag: 0)
        }
        schedule()
        handler.opened(self)
    }

    private var now: UInt64 { stream.loop.now.nanoseconds }

    // MARK: Input

    private func process(_ bytes: UnsafeMutableRawBufferPointer) {
        var input = unsafe bytes
        heartbeat.heard(at: now, heartbeatPolicy)
        do throws(ProtocolViolation) {
            while stream.isOpen, closing.mayRead {
                let event = try unsafe reader.next(&input, using: server.codecs)
                if case .needMore = event { break }
                handle(event)
                if isPaused {
                    unsafe held.append(contentsOf: input)
                    break
                }
            }
        } catch {
            fail(error.closeCode, "\(error.reason)")
        }
        if reader.isMidMessage { stream.deadline = min(stream.deadline, messageDue) }
        warnOfLargeFrames()
    }

    /// When the message in progress must have grown. What this end does not read cannot grow.
    private var messageDue: MonotonicTime {
        guard closing == .open, !isPaused, let since = reader.unfinishedSince(now: now) else { return .distantFuture }
        return MonotonicTime(nanoseconds: since) + server.settings.webSocket.messageTimeout
    }

    private func handle(_ event: MessageEvent) {
        switch event {
        case .needMore: break
        case .message(let kind, let payload): unsafe deliver(kind, UnsafeRawBufferPointer(payload))
        case .ping(let payload):
            guard closing.mayWrite else { return }
            writeOwn { unsafe FrameWriter.append(.pong, UnsafeRawBufferPointer(payload), to: &$0) }
        case .pong(let payload): unsafe heardPong(UnsafeRawBufferPointer(payload))
        case .close(let code, let reason):
            peerCloses(code, unsafe String(decoding: reason, as: UTF8.self))
        }
    }

    private func deliver(_ kind: MessageKind, _ payload: UnsafeRawBufferPointer) {
        server.metrics.sockets.messagesReceived.increment()
        guard closing == .open else { return }
        if kind == .text, principal != nil, let token = unsafe RenewalMessage.token(in: payload) {
            return renew(token)
        }
        let message = unsafe WebSocketMessage(kind: kind == .text ? .text : .binary, borrowing: payload)
        handler?.received(message, on: self)
    }

    private func heardPong(_ payload: UnsafeRawBufferPointer) {
        server.metrics.sockets.pongsReceived.increment()
        guard let nanoseconds = unsafe heartbeat.roundTrip(payload, at: MonotonicTime.read().nanoseconds) else {
            return
        }
        roundTripNanoseconds = nanoseconds
        server.metrics.sockets.roundTrip.observe(microseconds: Int(nanoseconds / 1000))
        // The timer waits for this pong's time-out, which may be later than the next ping.
        let next = MonotonicTime(nanoseconds: now + heartbeatPolicy.interval)
        if closing == .open, next < nextBeat {
            nextBeat = next
            if next < stream.deadline { stream.deadline = next }
        }
    }

    private func warnOfLargeFrames() {
        guard let length = server.codecs.takeLargeFrame() else { return }
        server.metrics.sockets.largeMessages.increment()
        server.warnOfLargeFrame(length, id: requestID)
    }

    // MARK: Token

    private func renew(_ token: [UInt8]) {
        guard let current = principal else { return }
        // One at a time: a peer cannot queue up work here.
        guard !isRenewing else {
            return tell(
                RenewalMessage.refused("renewal_pending", "A renewal is being checked already. Wait for its answer."))
        }
        isRenewing = true
        let access = server.generation.access
        stream.loop.launch {
            let outcome = await access.verify(token)
            self.finishRenewal(outcome, of: current)
        }
    }

    private func finishRenewal(_ outcome: Result<Principal, TokenError>, of current: Principal) {
        isRenewing = false
        guard stream.isOpen, closing == .open else { return }
        switch outcome {
        case .success(let next):
            if let refusal = current.renewalRefusal(with: next) { return refuseRenewal(refusal.code, refusal.message) }
            principal = next
            hasWarned = false
            refusedRenewals = 0
            tell(RenewalMessage.renewed(until: next.expiry))
            schedule()
        case .failure(let error): refuseRenewal(error.code, error.message)
        }
    }

    /// Guessing tokens in band is no cheaper than at the door.
    private func refuseRenewal(_ code: String, _ message: String) {
        if let principal {
            server.generation.access.audit.refusal(
                "renewal refused", of: principal.subject, on: requestID, .string("reason", code))
        }
        tell(RenewalMessage.refused(code, message))
        refusedRenewals += 1
        if refusedRenewals == Self.mostRefusedRenewals { close(.policyViolation, reason: "too many refused tokens") }
    }

    private static let mostRefusedRenewals = 5

    /// A message of the gateway's own: neither dropped for a slow peer nor a reason to close on it.
    private func tell(_ text: String) {
        guard closing.mayWrite else { return }
        writeOwn { FrameWriter.append(.text, Array(text.utf8), to: &$0) }
    }

    private func writeOwn(_ body: (inout OutputBuffer) -> Void) {
        own.write(to: stream, limit: server.sendLimit, body)
    }

    private func checkToken() {
        guard let principal, closing == .open else { return }
        let left = principal.secondsLeft(at: AccessControl.now())
        if left <= 0 {
            close(.tokenExpired, reason: "token expired")
        } else if !hasWarned, left <= server.settings.auth.warnBefore {
            hasWarned = true
            tell(RenewalMessage.expiring(in: left))
        }
    }

    /// When the token wants attention next: the warning, then the end.
    private var tokenDue: MonotonicTime {
        guard let principal, closing == .open else { return .distantFuture }
        let left = principal.secondsLeft(at: AccessControl.now())
        let wait = hasWarned ? left : max(0, left - server.settings.auth.warnBefore)
        // A token may outlive any timer; a day from now is soon enough to look again.
        return stream.loop.now + .milliseconds(Int64(min(wait, 86400) * 1000) + 1)
    }

    // MARK: Time

    private func schedule() {
        guard stream.isOpen else { return }
        tick()
    }

    private func tick() {
        checkToken()
        if let ending, closing == .open, stream.loop.now >= leaveAt { close(ending.code, reason: ending.reason) }
        if stream.loop.now >= messageDue { return fail(.policyViolation, "message not finished in time") }
        if closing == .open { beat() }
        guard stream.isOpen else { return }
        guard closing == .open else { return awaitClose() }
        stream.deadline = min(nextBeat, leaveAt, tokenDue, messageDue)
    }

    /// The close frame lies behind what the peer still takes: its time runs from when that was over.
    private func awaitClose() {
        if stream.loop.now >= closeBy {
            guard watch.extendsClose(of: stream) else { return stream.abort() }
            closeBy = stream.loop.now + server.settings.webSocket.closeTimeout
        }
        stream.deadline = closeBy
    }

    private func beat() {
        switch heartbeat.tick(at: now, heartbeatPolicy) {
        case .wait(let until): nextBeat = MonotonicTime(nanoseconds: until)
        case .ping(let until):
            if heartbeat.isFirstPing || watch.sawNothing { watch.look(at: stream) }
            stream.write { FrameWriter.append(.ping, heartbeat.payload, to: &$0) }
            server.metrics.sockets.pingsSent.increment()
            nextBeat = MonotonicTime(nanoseconds: until)
        case .close where isDeafButAlive:
            heartbeat.heard(at: now, heartbeatPolicy)
            nextBeat = MonotonicTime(nanoseconds: now + heartbeatPolicy.interval)
        case .close(let code): close(code, reason: "Connection timeout")
        }
    }

    /// A peer that takes what lies before the ping is alive. A plugin that stopped reading hears no pong either: then the
    /// peer is dead only if it takes nothing.
    private var isDeafButAlive: Bool { isPaused && watch.sawNothing || watch.hasTaken(stream) }

    /// Whether nobody has begun to close it, nor is about to.
    var isStaying: Bool { closing == .open && ending == nil && stream.isOpen }

    /// Closes at `time`, or earlier if it is to leave earlier already.
    func leave(at time: MonotonicTime, _ ending: SocketEnding) {
        guard time < leaveAt else { return }
        leaveAt = time
        self.ending = ending
        schedule()
    }

    /// The gateway will end.
    ///
    /// - Returns: Whether the plugin sees to the socket's end itself.
    func drain() -> Bool {
        guard isStaying, let handler else { return false }
        return handler.draining(self)
    }

    /// The server's policy is another: the silence counts anew, from a moment of each socket's own within an interval,
    /// so that not all are pinged at once.
    func heartbeatChanged() {
        guard closing == .open, ownHeartbeat == nil else { return }
        let policy = server.heartbeatPolicy
        heartbeat.heard(at: now - min(now, UInt64.random(in: 0..<policy.interval)), policy)
        schedule()
    }

    // MARK: Closing

    private func peerCloses(_ code: CloseCode?, _ reason: String) {
        if closing == .open {
            closeCode = code ?? CloseCode(rawValue: 1005)
            closeReason = reason
        }
        if closing.receive(), closing.send() {
            stream.write { FrameWriter.appendClose(code, to: &$0) }
        }
        if closing.transport(.server) == .close { finish() }
    }

    /// A peer that does not even take the close frame is waited for no longer than one that does not answer it.
    private func finish() { stream.finish(patience: server.settings.webSocket.closeTimeout) }

    /// The peer broke the protocol: says so, and does not wait for an answer it could not trust.
    private func fail(_ code: CloseCode, _ reason: String) {
        closeCode = code
        closeReason = reason
        if closing.send() { stream.write { FrameWriter.appendClose(code, reason: reason, to: &$0) } }
        finish()
    }

    private func notifyDropped() {
        guard dropped > 0, closing == .open else { return }
        let notice = Array("{\"type\":\"dropped\",\"messages\":\(dropped)}".utf8)
        dropped = 0
        stream.write { FrameWriter.append(.text, notice, to: &$0) }
    }
}

extension WebSocketConnection: WebSocket {
    var loop: EventLoop { stream.loop }
    var unsentBytes: Int { stream.unsent }

    @discardableResult
    func send(_ kind: WebSocketMessage.Kind, _ payload: UnsafeRawBufferPointer) -> Bool {
        guard accepts() else { return false }
        let deflate = reader.deflate
        stream.write { output in
            unsafe MessageWriter.append(
                kind == .text ? .text : .binary, payload, deflate: deflate, using: server.codecs, to: &output)
        }
        return true
    }

    @discardableResult
    func send(_ message: PreparedMessage) -> Bool {
        guard accepts() else { return false }
        let deflate = reader.deflate
        stream.write { message.append(to: &$0, deflate: deflate, using: server.codecs) }
        return true
    }

    /// Whether one more message may be written now, which is counted then; if not, does what the policy says.
    private func accepts() -> Bool {
        guard closing.mayWrite, stream.isOpen else { return false }
        let unsent = stream.unsent
        switch policy ?? .close(limit: server.sendLimit) {
        case .close(let limit) where unsent > limit:
            close(.tryAgainLater, reason: "reading too slowly")
            return false
        case .drop(let limit) where unsent > limit:
            dropped += 1
            server.metrics.sockets.dropped.increment()
            return false
        case .close, .drop: break
        }
        // The gap is told where it is, before what comes after it.
        notifyDropped()
        server.metrics.sockets.messagesSent.increment()
        return true
    }

    func pong() {
        guard closing.mayWrite, stream.isOpen else { return }
        writeOwn { unsafe FrameWriter.append(.pong, UnsafeRawBufferPointer(start: nil, count: 0), to: &$0) }
    }

    func close(_ code: CloseCode, reason: String) {
        guard stream.isOpen, closing.send() else { return }
        let code = sendable(code)
        closeCode = code
        closeReason = reason
        watch.look(at: stream)
        stream.write { FrameWriter.appendClose(code == .withoutCode ? nil : code, reason: reason, to: &$0) }
        closeBy = stream.loop.now + server.settings.webSocket.closeTimeout
        stream.deadline = closeBy
        // The peer's answer is read even if the plugin had stopped reading.
        if isPaused { resume() }
    }

    /// A plugin's mistake must neither reach the peer nor end the process.
    private func sendable(_ code: CloseCode) -> CloseCode {
        guard code != .withoutCode, !code.isAllowedOnWire else { return code }
        server.warnOfCloseCode(code, id: requestID)
        return .internalError
    }

    func pause() {
        guard !isPaused, closing == .open else { return }
        isPaused = true
        stream.pauseInput()
    }

    func resume() {
        guard isPaused else { return }
        isPaused = false
        reader.restartPatience(now: now)
        if held.isEmpty { stream.resumeInput() } else { stream.loop.callSoon(self, tag: 0) }
    }
}

extension WebSocketConnection: ByteStreamHandler, TimerTarget {
    func streamOpened() {}

    func streamReadable() {
        switch stream.receive() {
        case .bytes(let total, let count):
            server.metrics.bytesReceived.increment(by: count)
            unsafe process(UnsafeMutableRawBufferPointer(rebasing: stream.loop.receiveBuffer[..<total]))
        case .wouldBlock: break
        case .end, .failed: stream.close()
        }
    }

    /// What came before the plugin wanted it.
    func timerFired(tag: UInt32) {
        guard stream.isOpen, !isPaused, !held.isEmpty else { return }
        var bytes = held
        held = []
        unsafe bytes.withUnsafeMutableBytes { unsafe process($0) }
        if !isPaused { stream.resumeInput() }
    }

    func streamPeerFinished() {}

    func streamDrained() {
        notifyDropped()
        handler?.drained(self)
    }

    func streamDeadline() { tick() }

    func streamClosed(_ reason: StreamEnd) {
        server.metrics.sockets.open.subtract()
        server.metrics.sockets.recordClose(closeCode)
        server.logSocketClosed(self, code: closeCode, reason: closeReason)
        server.socketClosed(self)
        let handler = handler
        self.handler = nil
        handler?.closed(self, code: closeCode, reason: closeReason)
    }
}
