package import GatewayHTTP
package import GatewayRuntime
package import GatewayTransport
package import GatewayWebSocket

/// Who listens to a WebSocket that the gateway has opened. All calls come on the socket's loop.
package protocol UpstreamWebSocketHandler: AnyObject {
    /// `payload` is valid until this returns.
    func upstreamSaid(_ kind: MessageKind, _ payload: UnsafeRawBufferPointer)
    /// Output that had piled up has left.
    func upstreamDrained()
    /// Told once, last, unless this end closed first: with the code of the upstream's close frame, 1005 for one without
    /// a code, 1006 when the upstream broke the protocol, fell silent or went without a close frame.
    func upstreamEnded(_ code: CloseCode, reason: String)
}

/// A WebSocket to an upstream: this end is the client.
///
/// Answers pings, sends its own, and knows a dead upstream by their silence. No task runs for it.
package final class UpstreamWebSocket {
    /// What the upstream chose of the subprotocols offered.
    package let subprotocol: String?
    /// The end-to-end fields of its 101, such as Set-Cookie.
    package let fields: HeaderFields
    private let stream: ByteStream
    private var permit: UpstreamPermit?
    private let codecs: SharedCodecs
    private let settings: UpstreamSocketSettings

    private var handler: (any UpstreamWebSocketHandler)?
    private var reader: MessageReader
    private var heartbeat: Heartbeat
    private var keys = MaskingKeys()
    private var closing = CloseHandshake.open
    private var closeBy = MonotonicTime.distantFuture
    /// When the upstream must have taken some of what waits for it.
    private var progressBy = MonotonicTime.distantFuture
    /// ``ByteStream/taken`` when that was set.
    private var takenBefore: Int64 = 0
    /// How far the upstream was at the first ping that it has not answered, or when the closing began.
    private var watch = OutputWatch()
    private var own = OwnOutput()
    private var isPaused = true
    /// Received while paused; at most what one receive brings.
    private var held: [UInt8]

    /// - Parameter early: Bytes that came with the answer.
    /// - Returns: `nil` when the stream is closed already.
    init?(
        stream: ByteStream, permit: UpstreamPermit?, codecs: SharedCodecs, settings: UpstreamSocketSettings,
        deflate: DeflateContext?,
        subprotocol: String?, fields: HeaderFields, early: [UInt8]
    ) {
        self.stream = stream
        self.permit = permit
        self.codecs = codecs
        self.settings = settings
        self.subprotocol = subprotocol
        self.fields = fields
        held = early
        reader = MessageReader(role: .client, limits: settings.limits, deflate: deflate)
        heartbeat = Heartbeat(settings.heartbeat, startingAt: stream.loop.now.nanoseconds)
        guard stream.adopt(self) else { return nil }
        stream.pauseInput()
    }

    /// Begins to deliver messages.
    package func start(_ handler: any UpstreamWebSocketHandler) {
        guard stream.isOpen else { return handler.upstreamEnded(.abnormal, reason: "") }
        self.handler = handler
        heartbeat.heard(at: now, settings.heartbeat)
        tick()
        resume()
    }

    package var loop: EventLoop { stream.loop }
    package var isClosed: Bool { stream.isClosed }
    package var isCompressed: Bool { reader.deflate != nil }
    /// Bytes of messages that the upstream has not taken.
    package var unsentBytes: Int { stream.unsent }

    private var now: UInt64 { stream.loop.now.nanoseconds }

    // MARK: Output

    /// Sends one message. There is no limit here: whoever sends looks at ``unsentBytes``.
    package func send(_ kind: MessageKind, _ payload: UnsafeRawBufferPointer) {
        guard closing == .open, stream.isOpen else { return }
        let (deflate, mask) = (reader.deflate, keys.next())
        stream.write { output in
            unsafe MessageWriter.append(kind, payload, deflate: deflate, using: codecs, mask: mask, to: &output)
        }
        if stream.unsent > 0, progressBy == .distantFuture { tick() }
    }

    /// Starts the closing handshake; the handler hears nothing any more.
    ///
    /// - Parameter code: One that may stand in a close frame, or `nil` for a frame without. Any other is sent as 1011.
    package func close(_ code: CloseCode?, reason: String = "") {
        handler = nil
        guard stream.isOpen, closing.send() else { return }
        let code = code.map { $0.isAllowedOnWire ? $0 : .internalError }
        let mask = keys.next()
        watch.look(at: stream)
        stream.write { FrameWriter.appendClose(code, reason: reason, mask: mask, to: &$0) }
        awaitEnd()
        // Its answer is read even if nobody was listening.
        resume()
    }

    private func awaitEnd() {
        closeBy = stream.loop.now + settings.closeTimeout
        stream.deadline = closeBy
    }

    /// Stops and resumes reading: the upstream is slowed down by TCP.
    package func pause() {
        guard !isPaused, closing == .open else { return }
        isPaused = true
        stream.pauseInput()
    }

    package func resume() {
        guard isPaused else { return }
        isPaused = false
        // Silence meanwhile was of this end's making.
        heartbeat.heard(at: now, settings.heartbeat)
        reader.restartPatience(now: now)
        if held.isEmpty { stream.resumeInput() } else { stream.loop.callSoon(self, tag: 0) }
    }

    // MARK: Input

    private func process(_ bytes: UnsafeMutableRawBufferPointer) {
        var input = unsafe bytes
        heartbeat.heard(at: now, settings.heartbeat)
        do throws(ProtocolViolation) {
            while stream.isOpen, closing.mayRead {
                let event = try unsafe reader.next(&input, using: codecs)
                if case .needMore = event { break }
                handle(event)
                if isPaused {
                    unsafe held.append(contentsOf: input)
                    break
                }
            }
        } catch {
            fail(error)
        }
        if reader.isMidMessage { stream.deadline = min(stream.deadline, messageDue) }
    }

    /// When the message in progress must have grown. What this end does not read cannot grow.
    private var messageDue: MonotonicTime {
        guard closing == .open, !isPaused, let since = reader.unfinishedSince(now: now) else { return .distantFuture }
        return MonotonicTime(nanoseconds: since) + settings.messageTimeout
    }

    private func handle(_ event: MessageEvent) {
        switch event {
        case .needMore: break
        case .message(let kind, let payload):
            if closing == .open { unsafe handler?.upstreamSaid(kind, UnsafeRawBufferPointer(payload)) }
        case .ping(let payload):
            guard closing.mayWrite else { return }
            let mask = keys.next()
            own.write(to: stream, limit: settings.sendLimit) {
                unsafe FrameWriter.append(.pong, UnsafeRawBufferPointer(payload), mask: mask, to: &$0)
            }
        case .pong:
            // The timer waits for this pong's time-out, which may be later than the next ping.
            if closing == .open { tick() }
        case .close(let code, let reason): unsafe heardClose(code, String(decoding: reason, as: UTF8.self))
        }
    }

    private func heardClose(_ code: CloseCode?, _ reason: String) {
        watch.look(at: stream)
        if closing.receive(), closing.send() {
            let mask = keys.next()
            stream.write { FrameWriter.appendClose(code, mask: mask, to: &$0) }
        }
        // The server closes first, so that its side of the connection lingers and not this one.
        awaitEnd()
        end(code ?? .withoutCode, reason)
    }

    private func fail(_ violation: ProtocolViolation) {
        if closing.send() {
            let mask = keys.next()
            stream.write {
                FrameWriter.appendClose(violation.closeCode, reason: "\(violation.reason)", mask: mask, to: &$0)
            }
        }
        stream.finish(patience: settings.closeTimeout)
        end(.abnormal, "\(violation.reason)")
    }

    private func end(_ code: CloseCode, _ reason: String) {
        handler.take()?.upstreamEnded(code, reason: reason)
    }

    // MARK: Time

    private func tick() {
        guard stream.isOpen else { return }
        if stream.loop.now >= closeBy {
            // The close frame lies behind what the upstream still takes: its time runs from when that was over.
            guard watch.extendsClose(of: stream) else { return stream.abort() }
            awaitEnd()
        }
        guard checkProgress() else { return stream.abort() }
        if stream.loop.now >= messageDue { return giveUp(.policyViolation, "message not finished in time", "stalled") }
        var next = min(closeBy, progressBy, messageDue)
        if closing == .open {
            // Pongs are not read either while paused.
            if isPaused { heartbeat.heard(at: now, settings.heartbeat) }
            switch heartbeat.tick(at: now, settings.heartbeat) {
            case .wait(let until): next = min(next, MonotonicTime(nanoseconds: until))
            case .ping(let until):
                if heartbeat.isFirstPing || watch.sawNothing { watch.look(at: stream) }
                let mask = keys.next()
                stream.write { FrameWriter.append(.ping, heartbeat.payload, mask: mask, to: &$0) }
                next = min(next, MonotonicTime(nanoseconds: until))
            case .close where watch.hasTaken(stream):
                // It has not come to the ping yet.
                heartbeat.heard(at: now, settings.heartbeat)
                next = min(next, stream.loop.now + .nanoseconds(Int64(clamping: settings.heartbeat.interval)))
            case .close(let code): return giveUp(code, "Connection timeout", "silent")
            }
        }
        stream.deadline = next
    }

    /// Closes, and tells the handler, which is told nothing of a close of its own.
    private func giveUp(_ code: CloseCode, _ reason: String, _ word: String) {
        let handler = handler
        close(code, reason: reason)
        handler?.upstreamEnded(.abnormal, reason: word)
    }

    /// - Returns: `false` when output waits and none of it was taken for too long.
    private func checkProgress() -> Bool {
        guard stream.unsent > 0 else {
            progressBy = .distantFuture
            return true
        }
        let taken = stream.taken
        if progressBy == .distantFuture || taken > takenBefore {
            takenBefore = taken
            progressBy = stream.loop.now + settings.stallTimeout
        }
        return stream.loop.now < progressBy
    }
}

extension UpstreamWebSocket: ByteStreamHandler, TimerTarget {
    package func streamOpened() {}

    package var holdsInput: Bool { !held.isEmpty }

    package func streamReadable() {
        guard !isPaused else { return stream.pauseInput() }
        switch stream.receive() {
        case .bytes(let total, _):
            unsafe process(UnsafeMutableRawBufferPointer(rebasing: stream.loop.receiveBuffer[..<total]))
        case .wouldBlock: break
        case .end, .failed: stream.close()
        }
    }

    /// What came while it was paused.
    package func timerFired(tag: UInt32) {
        guard stream.isOpen, !isPaused, !held.isEmpty else { return }
        var bytes = held
        held = []
        unsafe bytes.withUnsafeMutableBytes { unsafe process($0) }
        if !isPaused { stream.resumeInput() }
    }

    package func streamPeerFinished() {}

    package func streamDrained() {
        progressBy = .distantFuture
        handler?.upstreamDrained()
    }

    package func streamDeadline() { tick() }

    package func streamClosed(_ reason: StreamEnd) {
        permit = nil
        end(.abnormal, "")
    }
}

/// Masking keys, unpredictable and used once each (RFC 6455 §5.3): two for one call of the system.
private struct MaskingKeys {
    private var spare: UInt32?

    mutating func next() -> UInt32 {
        if let spare = spare.take() { return spare }
        var system = SystemRandomNumberGenerator()
        let random = system.next()
        spare = UInt32(truncatingIfNeeded: random >> 32)
        return UInt32(truncatingIfNeeded: random)
    }
}
