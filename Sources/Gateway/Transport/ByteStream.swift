import GatewayBytes
package import GatewayRuntime
package import GatewayTLS

/// Whoever speaks a protocol over a ``ByteStream``. All calls come on the stream's loop.
package protocol ByteStreamHandler: AnyObject {
    /// The connection stands: connected, and through the TLS handshake if there is one.
    func streamOpened()
    /// Bytes wait: call ``ByteStream/receive(after:)``.
    func streamReadable()
    /// The peer finished sending; told once, also while reading is paused. Bytes before that may still be unread.
    func streamPeerFinished()
    /// Unsent output fell to nothing after it had piled up.
    func streamDrained()
    /// The deadline of ``ByteStream/deadline`` passed.
    func streamDeadline()
    /// The stream is gone. Told once, last.
    func streamClosed(_ reason: StreamEnd)
    /// Whether bytes that were received wait for the handler to go on.
    var holdsInput: Bool { get }
}

extension ByteStreamHandler {
    package var holdsInput: Bool { false }
}

/// Why a stream ended.
package enum StreamEnd: Equatable, Sendable {
    /// This side closed it.
    case local
    /// The peer closed or reset it, or the network failed.
    case failed(SystemError)
    case peer
    /// The TLS handshake or a record failed.
    case cipher(TLSError)
}

/// A connected socket, its cipher and its unsent output; plain or TLS alike to whoever uses it.
///
/// Input is parsed where it arrives, in the loop's receive buffer. Output is written to the loop's shared buffer and
/// leaves in one send when the loop's turn ends; only what the kernel does not take is kept here. An idle stream
/// therefore holds no buffer at all.
package final class ByteStream: Channel, Corked, TimerTarget {
    package let loop: EventLoop
    package let peer: SocketAddress
    package let isSecure: Bool
    package internal(set) var descriptor: WatchedDescriptor
    /// `nil` for plain TCP, and once the stream is closed: its descriptor's number may be another connection's then.
    package internal(set) var cipher: TLSSession?
    /// Kept alive while the stream is open.
    var handler: (any ByteStreamHandler)?
    var state: State

    var wantsInput = true
    /// The kernel reported the peer's end; bytes before it may still be unread.
    var sawEnd = false
    /// What came before the peer reset the connection is kept for a handler that rests, which reads it when it resumes.
    package var outlivesReset = false
    /// The kernel has reported the socket dead; what it still holds may be read.
    package private(set) var isDead = false
    var unsentBytes: Unsent?
    package var isCorked = false
    /// The cipher must be read before it can write, or written before it can read.
    var crossed: Crossing = .none

    private var timer = TimerToken.none
    private var timerAt = MonotonicTime.distantFuture

    /// Payload bytes received and sent over the life of the stream.
    package internal(set) var received: UInt64 = 0
    package internal(set) var sent: UInt64 = 0
    /// The turn in which the kernel last took any, but for what was spliced; before that, the turn of its making.
    package internal(set) var lastSent: MonotonicTime

    /// Told of all events in place of the handler while bytes are spliced past this object.
    var relay: SpliceRelay?
    /// The task in ``drainCompletely(patience:)``.
    var drainWait: LoopWait?

    /// What only a stream that comes to its end needs; most of the time most streams are idle.
    var ends: Ends?

    enum State: UInt8 { case connecting, securing, open, finishing, lingering, closed }
    enum Crossing: UInt8 { case none, readNeedsWrite, writeNeedsRead }
    enum Tag {
        static let deadline: UInt32 = 0
        static let more: UInt32 = 1
        static let writeFailed: UInt32 = 2
        static let interest: UInt32 = 3
    }

    /// - Parameters:
    ///   - descriptor: Non-blocking; owned from here on.
    ///   - cipher: A session attached to `descriptor`, or `nil` for plain TCP.
    ///   - connecting: Whether connect(2) is still under way.
    package init(
        descriptor: CInt, peer: SocketAddress, loop: EventLoop, cipher: TLSSession? = nil, connecting: Bool = false
    ) {
        self.descriptor = WatchedDescriptor(owning: descriptor)
        self.peer = peer
        self.loop = loop
        lastSent = loop.now
        self.cipher = cipher
        isSecure = cipher != nil
        state = connecting ? .connecting : (cipher == nil ? .open : .securing)
    }

    /// Begins: watches the descriptor and tells `handler` what happens from here on.
    ///
    /// - Throws: When the descriptor cannot be watched; ``close()`` it then, which still tells the handler.
    package func start(_ handler: any ByteStreamHandler) throws(SystemError) {
        self.handler = handler
        try descriptor.watch(state == .connecting ? [.writable] : [.readable, .peerFinished], for: self, on: loop)
        if state == .open { handler.streamOpened() }
    }

    /// Lets another handler take over, as after an upgrade.
    ///
    /// - Returns: `false` when the stream is closed already: then `handler` will never be told anything.
    @discardableResult
    package func adopt(_ handler: any ByteStreamHandler) -> Bool {
        guard state != .closed else { return false }
        self.handler = handler
        return true
    }

    package var isOpen: Bool { state == .open }
    package var isClosed: Bool { state == .closed }

    // MARK: Events

    package func ready(_ readiness: Readiness) {
        switch state {
        case .connecting: return connected()
        case .securing: return secure()
        case .open, .finishing: break
        case .lingering: return drainInput()
        case .closed: return
        }
        if let relay { return tell(relay, readiness) }
        if readiness.contains(crossed == .writeNeedsRead ? .readable : .writable) { becameWritable() }
        guard state == .open || state == .finishing else { return }
        if readiness.isHungUp { return hungUp() }
        if readiness.contains(crossed == .readNeedsWrite ? .writable : .readable) { becameReadable() }
        if readiness.contains(.peerFinished) { noticeEnd() }
    }

    package func loopEnds() { end(.local) }

    private func connected() {
        if let error = Socket.pendingError(descriptor.number) { return end(.failed(error)) }
        guard cipher == nil else {
            state = .securing
            return secure()
        }
        state = .open
        refreshInterest()
        handler?.streamOpened()
    }

    private func secure() {
        guard let cipher else { return }
        switch cipher.handshake() {
        case .complete:
            state = .open
            refreshInterest()
            handler?.streamOpened()
            // The client's first request may have come with the end of the handshake.
            if state == .open, cipher.hasPending { becameReadable() }
        case .wantRead: descriptor.want([.readable, .peerFinished], on: loop)
        case .wantWrite: descriptor.want([.writable], on: loop)
        case .failed(let error): end(.cipher(error))
        }
    }

    private func tell(_ relay: SpliceRelay, _ readiness: Readiness) {
        if readiness.contains(.peerFinished) { noticeEnd() }
        relay.somethingHappened(to: self, hungUp: readiness.isHungUp)
    }

    private func becameReadable() {
        if crossed == .readNeedsWrite { crossed = .none }
        guard wantsInput, state == .open, inputEnd == nil else { return refreshInterest() }
        handler?.streamReadable()
        // The kernel will not report again what the cipher has taken out of the socket already.
        if hasHiddenInput { loop.callSoon(self, tag: Tag.more) }
    }

    /// Whether input waits that no event will announce.
    var hasHiddenInput: Bool {
        guard let cipher, wantsInput, state == .open, inputEnd == nil else { return false }
        return cipher.hasPending
    }

    private func becameWritable() {
        if crossed == .writeNeedsRead { crossed = .none }
        let hadUnsent = unsent > 0
        retryUnsent()
        drainWait?.wake()
        guard hadUnsent, unsent == 0, outputFailure == nil else { return refreshInterest() }
        if state == .finishing { return beginLinger() }
        if ends?.finishesSending == true { Socket.finishSending(descriptor.number) }
        handler?.streamDrained()
    }

    /// The kernel reports the socket dead.
    private func hungUp() {
        readWhatIsLeft()
        guard state != .closed else { return }
        isDead = true
        // Nobody asks for the error meanwhile: that would forget it, and make an orderly end of it.
        if outlivesReset, hasUnreadRest { return descriptor.want([.edgeTriggered], on: loop) }
        if let outputFailure { return end(outputFailure) }
        if let error = Socket.pendingError(descriptor.number, of: "recv") { return end(.failed(error)) }
        guard isHalfRead else { return end(.peer) }
        noticeEnd()
        // The kernel would repeat it as long as the handler rests; asked this way it says so once.
        if isHalfRead { descriptor.want([.edgeTriggered], on: loop) }
    }

    /// What the peer sent before it went may be a whole response: it is read as long as somebody wants it.
    private func readWhatIsLeft() {
        while state == .open, wantsInput, inputEnd == nil {
            let before = received
            handler?.streamReadable()
            loop.runReadyJobs()
            guard received > before else { return }
        }
    }

    /// Whether the handler rests, and something waits for it.
    private var hasUnreadRest: Bool {
        guard state == .open, !wantsInput, inputEnd == nil else { return false }
        return handler?.holdsInput == true || cipher?.hasPending == true || Socket.unread(descriptor.number) > 0
    }

    private func noticeEnd() {
        guard !sawEnd, state != .closed else { return }
        sawEnd = true
        refreshInterestSoon()
        handler?.streamPeerFinished()
    }

    package func timerFired(tag: UInt32) {
        guard state != .closed else { return }
        switch tag {
        case Tag.more: becameReadable()
        case Tag.writeFailed: hungUp()
        case Tag.interest: refreshInterest()
        default: deadlinePassed()
        }
    }

    /// Asks for the news that matter in this state. While a relay runs, all of them are asked for.
    func refreshInterest() {
        guard relay == nil, state == .open || state == .finishing || state == .lingering else { return }
        var interest: Readiness = []
        if state == .lingering || crossed == .writeNeedsRead { interest.insert(.readable) }
        if state == .open, wantsInput, inputEnd == nil, crossed != .readNeedsWrite { interest.insert(.readable) }
        if unsent > 0, crossed != .writeNeedsRead { interest.insert(.writable) }
        if crossed == .readNeedsWrite { interest.insert(.writable) }
        if !sawEnd { interest.insert(.peerFinished) }
        descriptor.want(interest, on: loop)
    }

    /// The same before the loop waits again. A stream whose peer has ended is as a rule closed within the turn, and then
    /// the kernel need not be told.
    func refreshInterestSoon() { loop.callSoon(self, tag: Tag.interest) }

    // MARK: Deadline

    /// When the handler wants to be told that time ran out. Moving it later is free: the timer finds out when it fires.
    package var deadline = MonotonicTime.distantFuture {
        didSet {
            if deadline < timerAt, state != .closed { armTimer() }
        }
    }

    private func armTimer() {
        loop.cancelTimer(timer)
        timer = loop.setTimer(at: deadline, for: self, tag: Tag.deadline)
        timerAt = deadline
    }

    private func deadlinePassed() {
        timer = .none
        timerAt = .distantFuture
        if deadline == .distantFuture { return }
        if loop.now < deadline { return armTimer() }
        deadline = .distantFuture
        switch state {
        case .finishing: checkFinishing()
        case .lingering: end(.local)
        default: handler?.streamDeadline()
        }
    }

    func cancelDeadline() {
        loop.cancelTimer(timer)
        timer = .none
    }
}
