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
    private var drainAt = MonotonicTime.distantFuture
    private let policy: SlowConsumerPolicy
    private var dropped = 0
    private var isPaused = false
    private var isRenewing = false
    private var hasWarned = false
    /// Received while paused.
    private var held: [UInt8] = []

    init(
        stream: ByteStream, server: LoopServer, request: Request, subprotocol: String?, deflate: DeflateContext?,
        policy: SlowConsumerPolicy
    ) {
        self.stream = stream
        self.server = server
        self.subprotocol = subprotocol
        self.policy = policy
        requestID = request.id
        principal = request.principal
        reader = MessageReader(role: .server, limits: server.messageLimits, deflate: deflate)
        heartbeat = Heartbeat(server.heartbeatPolicy, startingAt: stream.loop.now.nanoseconds)
    }

    /// Takes the stream over. `early` are bytes that came with the request.
    func begin(_ handler: any WebSocketHandler, early: [UInt8]) {
        self.handler = handler
        server.metrics.sockets.opened.increment()
        server.metrics.sockets.open.add()
        stream.adopt(self)
        stream.resumeInput()
        schedule()
        handler.opened(self)
        if !early.isEmpty {
            held = early
            stream.loop.callSoon(self, tag: 0)
        }
    }

    private var now: UInt64 { stream.loop.now.nanoseconds }

    // MARK: Input

    private func process(_ bytes: UnsafeMutableRawBufferPointer) {
        var input = unsafe bytes
        heartbeat.heard(at: now, server.heartbeatPolicy)
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
        warnOfLargeFrames()
    }

    private func handle(_ event: MessageEvent) {
        switch event {
        case .needMore: break
        case .message(let kind, let payload): unsafe deliver(kind, UnsafeRawBufferPointer(payload))
        case .ping(let payload):
            guard closing.mayWrite else { return }
            stream.write { unsafe FrameWriter.append(.pong, UnsafeRawBufferPointer(payload), to: &$0) }
            // A peer that pings and never reads must not fill memory with answers.
            if stream.unsent > 2 * server.sendLimit { stream.abort() }
        case .pong(let payload): unsafe heardPong(UnsafeRawBufferPointer(payload))
        case .close(let code, let reason):
            closeReason = unsafe String(decoding: reason, as: UTF8.self)
            peerCloses(code)
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
        guard let nanoseconds = unsafe heartbeat.roundTrip(payload, at: MonotonicTime.read().nanoseconds) else { return }
        roundTripNanoseconds = nanoseconds
        server.metrics.sockets.roundTrip.observe(microseconds: Int(nanoseconds / 1000))
    }

    private func warnOfLargeFrames() {
        guard let length = server.codecs.takeLargeFrame() else { return }
        server.metrics.sockets.largeMessages.increment()
        server.warnOfLargeFrame(length, id: requestID)
    }

    // MARK: Token

    private func renew(_ token: [UInt8]) {
        // One at a time: a peer cannot queue up work here.
        guard !isRenewing, let current = principal else { return }
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
            if let refusal = current.renewalRefusal(with: next) {
                send(text: RenewalMessage.refused(refusal.code, refusal.message))
                return
            }
            principal = next
            hasWarned = false
            send(text: RenewalMessage.renewed(until: next.expiry))
            schedule()
        case .failure(let error):
            send(text: RenewalMessage.refused(error.code, error.message))
        }
    }

    private func checkToken() {
        guard let principal, closing == .open else { return }
        let left = principal.secondsLeft(at: AccessControl.now())
        if left <= 0 {
            close(.tokenExpired, reason: "token expired")
        } else if !hasWarned, left <= server.settings.auth.warnBefore {
            hasWarned = true
            send(text: RenewalMessage.expiring(in: left))
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
        if stream.loop.now >= drainAt, closing == .open { close(.goingAway, reason: "Server shutting down") }
        guard stream.isOpen else { return }
        if stream.loop.now >= closeBy { return stream.abort() }
        var next = min(closeBy, drainAt, tokenDue)
        if closing == .open {
            // The plugin does not read: a pong that waits behind its messages is not a missed one.
            if isPaused { heartbeat.heard(at: now, server.heartbeatPolicy) }
            switch heartbeat.tick(at: now, server.heartbeatPolicy) {
            case .wait(let until): next = min(next, MonotonicTime(nanoseconds: until))
            case .ping(let until):
                stream.write { FrameWriter.append(.ping, heartbeat.payload, to: &$0) }
                server.metrics.sockets.pingsSent.increment()
                next = min(next, MonotonicTime(nanoseconds: until))
            case .close(let code):
                close(code, reason: "Connection timeout")
                next = min(next, closeBy)
            }
        }
        stream.deadline = next
    }

    /// Closes at `time`: the gateway drains.
    func drain(at time: MonotonicTime) {
        drainAt = time
        schedule()
    }

    // MARK: Closing

    private func peerCloses(_ code: CloseCode?) {
        closeCode = code ?? CloseCode(rawValue: 1005)
        if closing.receive(), closing.send() {
            stream.write { FrameWriter.appendClose(code, to: &$0) }
        }
        if closing.transport(.server) == .close { stream.finish() }
    }

    /// The peer broke the protocol: says so, and does not wait for an answer it could not trust.
    private func fail(_ code: CloseCode, _ reason: String) {
        closeCode = code
        closeReason = reason
        if closing.send() { stream.write { FrameWriter.appendClose(code, reason: reason, to: &$0) } }
        stream.finish()
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
        guard closing.mayWrite, stream.isOpen else { return false }
        let unsent = stream.unsent
        switch policy {
        case .close(let limit) where unsent > limit:
            close(.tryAgainLater, reason: "reading too slowly")
            return false
        case .drop(let limit) where unsent > limit:
            dropped += 1
            server.metrics.sockets.dropped.increment()
            return false
        case .close, .drop: break
        }
        server.metrics.sockets.messagesSent.increment()
        let deflate = reader.deflate
        stream.write { output in
            unsafe MessageWriter.append(
                kind == .text ? .text : .binary, payload, deflate: deflate, using: server.codecs, to: &output)
        }
        return true
    }

    func close(_ code: CloseCode, reason: String) {
        guard stream.isOpen, closing.send() else { return }
        closeCode = code
        closeReason = reason
        stream.write { FrameWriter.appendClose(code == .withoutCode ? nil : code, reason: reason, to: &$0) }
        closeBy = stream.loop.now + server.settings.webSocket.closeTimeout
        stream.deadline = closeBy
        // The peer's answer is read even if the plugin had stopped reading.
        if isPaused { resume() }
        if closing.transport(.server) == .close { stream.finish() }
    }

    func pause() {
        guard !isPaused, closing == .open else { return }
        isPaused = true
        stream.pauseInput()
    }

    func resume() {
        guard isPaused else { return }
        isPaused = false
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
        server.metrics.sockets.closed.with(closeCode.description).increment()
        server.logSocketClosed(self, code: closeCode, reason: closeReason)
        server.socketClosed(self)
        let handler = handler
        self.handler = nil
        handler?.closed(self, code: closeCode, reason: closeReason)
    }
}
