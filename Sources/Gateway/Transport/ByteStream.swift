package import GatewayBytes
package import GatewayRuntime
package import GatewayTLS

/// Whoever speaks a protocol over a ``ByteStream``. All calls come on the stream's loop.
package protocol ByteStreamHandler: AnyObject {
    /// The connection stands: connected, and through the TLS handshake if there is one.
    func streamOpened()
    /// Bytes wait: call ``ByteStream/receive(after:)``.
    func streamReadable()
    /// The peer finished sending; told once, also while reading is paused.
    func streamPeerFinished()
    /// Unsent output fell to nothing after it had piled up.
    func streamDrained()
    /// The deadline of ``ByteStream/deadline`` passed.
    func streamDeadline()
    /// The stream is gone. Told once, last.
    func streamClosed(_ reason: StreamEnd)
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
/// leaves in one send when control returns to the loop; only what the kernel does not take is kept here. An idle stream
/// therefore holds no buffer at all.
package final class ByteStream: Channel, Corked, TimerTarget {
    package let loop: EventLoop
    package let peer: SocketAddress
    package private(set) var descriptor: WatchedDescriptor
    package private(set) var cipher: TLSSession?
    /// Kept alive while the stream is open.
    private var handler: (any ByteStreamHandler)?
    private var unsentBytes: Unsent?
    private var state: State
    private var wantsInput = true
    private var sawEnd = false
    /// The cipher must be read before it can write, or written before it can read.
    private var crossed: Crossing = .none
    private var timer = TimerToken.none
    private var timerAt = MonotonicTime.distantFuture

    /// Bytes received and sent over the life of the stream, on the wire side of the cipher's payload.
    package private(set) var received: UInt64 = 0
    package private(set) var sent: UInt64 = 0

    /// The descriptor is watched for every change, once and for all, while bytes are spliced past this object.
    var isRelaying = false

    /// Who waits in ``waitReadable()`` or ``waitWritable()`` in place of the handler.
    var readWaiter: Waiter?
    var writeWaiter: Waiter?

    private enum State: UInt8 { case connecting, securing, open, finishing, lingering, closed }
    private enum Crossing: UInt8 { case none, readNeedsWrite, writeNeedsRead }
    private enum Tag {
        static let deadline: UInt32 = 0
        static let more: UInt32 = 1
        static let end: UInt32 = 2
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
        self.cipher = cipher
        state = connecting ? .connecting : (cipher == nil ? .open : .securing)
    }

    /// Begins: watches the descriptor and tells `handler` what happens from here on.
    package func start(_ handler: any ByteStreamHandler) throws(SystemError) {
        self.handler = handler
        try descriptor.watch(state == .connecting ? [.writable] : [.readable, .peerFinished], for: self, on: loop)
        if state == .open { handler.streamOpened() }
    }

    /// Lets another handler take over, as after an upgrade.
    package func adopt(_ handler: any ByteStreamHandler) { self.handler = handler }

    package var isOpen: Bool { state == .open }
    package var isClosed: Bool { state == .closed }
    package var isSecure: Bool { cipher != nil }

    // MARK: Events

    package func ready(_ readiness: Readiness) {
        switch state {
        case .connecting: return connected()
        case .securing: return secure()
        case .open, .finishing: break
        case .lingering: return drainInput()
        case .closed: return
        }
        if readiness.contains(.writable) || crossed == .writeNeedsRead { becameWritable() }
        if state == .closed { return }
        if readiness.contains(.hungUp) { return hungUp() }
        if readiness.contains(.readable) || crossed == .readNeedsWrite { becameReadable() }
        if readiness.contains(.peerFinished), state != .closed { noticeEnd() }
    }

    private func connected() {
        if let error = Socket.pendingError(descriptor.number) { return end(.failed(error)) }
        state = cipher == nil ? .open : .securing
        descriptor.want([.readable, .peerFinished], on: loop)
        if state == .open { handler?.streamOpened() } else { secure() }
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

    private func becameReadable() {
        crossed = crossed == .readNeedsWrite ? .none : crossed
        if let waiter = readWaiter.take() {
            refreshInterest()
            return waiter.resume()
        }
        guard wantsInput, state == .open else { return refreshInterest() }
        handler?.streamReadable()
        if let cipher, cipher.hasPending, wantsInput, state == .open { loop.callSoon(self, tag: Tag.more) }
    }

    private func becameWritable() {
        crossed = crossed == .writeNeedsRead ? .none : crossed
        if let waiter = writeWaiter.take() {
            refreshInterest()
            return waiter.resume()
        }
        guard unsent > 0 else { return refreshInterest() }
        retryUnsent()
        guard unsent == 0, state != .closed else { return }
        if state == .finishing { return beginLinger() }
        handler?.streamDrained()
    }

    /// The kernel reports the socket dead. Input that came before that is still worth reading once.
    private func hungUp() {
        if readWaiter != nil { return becameReadable() }
        if wantsInput, state == .open { handler?.streamReadable() }
        guard state != .closed else { return }
        if let error = Socket.pendingError(descriptor.number) { end(.failed(error)) } else { end(.peer) }
    }

    private func noticeEnd() {
        guard !sawEnd else { return }
        sawEnd = true
        refreshInterest()
        handler?.streamPeerFinished()
    }

    package func timerFired(tag: UInt32) {
        guard state != .closed else { return }
        switch tag {
        case Tag.more: becameReadable()
        case Tag.end: noticeEnd()
        default: deadlinePassed()
        }
    }

    // MARK: Input

    package enum Received {
        /// So many bytes lie at the front of the loop's receive buffer, prefix included; `new` of them are new.
        case bytes(Int, new: Int)
        case wouldBlock
        /// The peer finished sending in order.
        case end
        case failed(StreamEnd)
    }

    /// Receives once into the loop's buffer, behind `prefix`: what a parser left over from before.
    ///
    /// The bytes are valid until anything on this loop receives again.
    package func receive(after prefix: [UInt8] = []) -> Received {
        let buffer = unsafe loop.receiveBuffer
        guard prefix.count < buffer.count else { return .wouldBlock }
        loop.willReceive()
        if !prefix.isEmpty { unsafe buffer.copyBytes(from: prefix) }
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[prefix.count...])
        switch unsafe receiveOnce(into: room) {
        case .bytes(let count):
            received &+= UInt64(count)
            return .bytes(prefix.count + count, new: count)
        case .wouldBlock: return .wouldBlock
        case .end: return .end
        case .failed(let reason): return .failed(reason)
        }
    }

    enum Once {
        case bytes(Int)
        case wouldBlock
        case end
        case failed(StreamEnd)
    }

    func receiveOnce(into room: UnsafeMutableRawBufferPointer) -> Once {
        guard let cipher else {
            switch unsafe Socket.receive(descriptor.number, into: room) {
            case .bytes(let count): return .bytes(count)
            case .wouldBlock: return .wouldBlock
            case .end: return .end
            case .failed(let error): return .failed(.failed(error))
            }
        }
        var count = 0
        // A record holds at most 16 KiB: take all that has arrived, so one event is one parse.
        while count < room.count {
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: room[count...])
            switch unsafe cipher.read(into: rest) {
            case .bytes(let more):
                count += more
                if !cipher.hasPending { return .bytes(count) }
            case .wantRead: return count > 0 ? .bytes(count) : .wouldBlock
            case .wantWrite:
                crossed = .readNeedsWrite
                refreshInterest()
                return count > 0 ? .bytes(count) : .wouldBlock
            case .closed:
                if count > 0 {
                    loop.callSoon(self, tag: Tag.more)
                    return .bytes(count)
                }
                return .end
            case .closedDirty: return count > 0 ? .bytes(count) : .failed(.peer)
            case .failed(let error): return count > 0 ? .bytes(count) : .failed(.cipher(error))
            }
        }
        return .bytes(count)
    }

    /// Stops telling the handler of input: the peer is slowed down by TCP itself.
    package func pauseInput() {
        guard wantsInput else { return }
        wantsInput = false
        refreshInterest()
    }

    package func resumeInput() {
        guard !wantsInput, state == .open else { return }
        wantsInput = true
        refreshInterest()
        if let cipher, cipher.hasPending { loop.callSoon(self, tag: Tag.more) }
    }

    // MARK: Output

    /// Bytes the kernel has not taken yet; those still in the loop's shared buffer do not count.
    package var unsent: Int { unsentBytes?.buffer.count ?? 0 }

    /// Exists only while the kernel has not taken everything.
    private final class Unsent {
        var buffer: OutputBuffer
        init(capacity: Int) { buffer = OutputBuffer(capacity: capacity) }
    }

    /// Appends to the stream's output. It leaves when control returns to the loop, or sooner when much has piled up.
    @inline(__always)
    package func write(_ body: (inout OutputBuffer) -> Void) {
        guard state == .open else { return }
        if let unsentBytes { return body(&unsentBytes.buffer) }
        loop.corkOutput(of: self)
        body(&loop.output)
        if loop.output.count >= ByteStream.flushAt { flush() }
    }

    /// The loop's shared buffer is sent once it holds this much, so that it stays in the processor's cache.
    private static let flushAt = 65536

    package func write(_ bytes: UnsafeRawBufferPointer) { write { unsafe $0.append(bytes) } }

    /// Sends what waits in the loop's buffer now.
    package func flush() {
        loop.uncork(self)
        flushCorked()
    }

    package func flushCorked() {
        guard !loop.output.isEmpty else { return }
        guard state == .open else { return loop.output.removeAll() }
        let left = unsafe loop.output.withUnsafeBytes { unsafe push($0) }
        if left > 0, state == .open {
            let kept = Unsent(capacity: left)
            unsafe loop.output.withUnsafeBytes { raw in
                unsafe kept.buffer.append(UnsafeRawBufferPointer(rebasing: raw[(raw.count - left)...]))
            }
            unsentBytes = kept
            refreshInterest()
        }
        loop.output.removeAll()
    }

    func retryUnsent() {
        guard let waiting = unsentBytes else { return }
        let left = unsafe waiting.buffer.withUnsafeBytes { unsafe push($0) }
        guard state != .closed else { return }
        waiting.buffer.consume(waiting.buffer.count - left)
        if left == 0 { unsentBytes = nil }
        refreshInterest()
    }

    /// Sends as much as the kernel takes; returns how much is left. Ends the stream when that fails.
    private func push(_ bytes: UnsafeRawBufferPointer) -> Int {
        var done = 0
        while done < bytes.count {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
            switch unsafe sendOnce(rest) {
            case .bytes(let count):
                done += count
                // A short plain send means that the socket's buffer is full.
                if cipher == nil, count < rest.count { return bytes.count - done }
            case .wouldBlock: return bytes.count - done
            case .end: return bytes.count - done
            case .failed(let reason):
                end(reason)
                return 0
            }
        }
        return 0
    }

    func sendOnce(_ bytes: UnsafeRawBufferPointer) -> Once {
        guard let cipher else {
            switch unsafe Socket.send(descriptor.number, bytes) {
            case .bytes(let count):
                sent &+= UInt64(count)
                return .bytes(count)
            case .wouldBlock: return .wouldBlock
            case .failed(let error): return .failed(.failed(error))
            }
        }
        switch unsafe cipher.write(bytes) {
        case .bytes(let count):
            sent &+= UInt64(count)
            return .bytes(count)
        case .wantWrite: return .wouldBlock
        case .wantRead:
            crossed = .writeNeedsRead
            return .wouldBlock
        case .closedDirty: return .failed(.peer)
        case .failed(let error): return .failed(.cipher(error))
        }
    }

    func watchForRelay(_ interest: Readiness) { descriptor.want(interest, on: loop) }

    /// Accounts for bytes that were spliced into the socket.
    func countRelayed(_ count: Int) { sent &+= UInt64(count) }

    func refreshInterest() {
        guard !isRelaying else { return }
        var interest: Readiness = []
        if (wantsInput && state == .open && !sawEnd) || readWaiter != nil { interest.insert(.readable) }
        if crossed == .writeNeedsRead || state == .lingering { interest.insert(.readable) }
        if unsent > 0 || writeWaiter != nil || crossed == .readNeedsWrite { interest.insert(.writable) }
        if !sawEnd { interest.insert(.peerFinished) }
        // The end of input is read like input by whoever still wants it.
        if sawEnd, wantsInput, state == .open { interest.insert(.readable) }
        descriptor.want(interest, on: loop)
    }

    // MARK: Deadline

    /// When the handler wants to be told that time ran out. Moving it later is free: the timer finds out when it fires.
    package var deadline = MonotonicTime.distantFuture {
        didSet {
            if deadline < timerAt { armTimer() }
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
        if state == .lingering { return end(.local) }
        handler?.streamDeadline()
    }

    // MARK: Ending

    /// How long, and for how many bytes, a closed stream still reads what the peer had on its way.
    ///
    /// Closing a socket with unread input resets it, and a reset destroys the last response on its way to the peer.
    private static let lingerTime = Duration.seconds(2)
    private static let lingerBytes: UInt64 = 1 << 20

    /// Sends what is left, tells the peer that it is all, waits briefly for the peer's end, closes.
    package func finish() {
        guard state == .open || state == .securing || state == .connecting else { return }
        guard state == .open else { return end(.local) }
        flush()
        guard state == .open else { return }
        if unsent > 0 {
            state = .finishing
            pauseInputForGood()
            return
        }
        beginLinger()
    }

    private func pauseInputForGood() {
        wantsInput = false
        refreshInterest()
    }

    private func beginLinger() {
        // One attempt: a peer whose window is full will not miss the notice.
        _ = cipher?.shutdown()
        Socket.finishSending(descriptor.number)
        if sawEnd { return end(.local) }
        state = .lingering
        wantsInput = false
        received = 0
        deadline = loop.now + Self.lingerTime
        refreshInterest()
    }

    private func drainInput() {
        loop.willReceive()
        switch unsafe Socket.receive(descriptor.number, into: loop.receiveBuffer) {
        case .bytes(let count):
            received &+= UInt64(count)
            if received > Self.lingerBytes { end(.local) }
        case .wouldBlock: return
        case .end, .failed: end(.local)
        }
    }

    /// Closes at once; unsent output is dropped.
    package func close() { end(.local) }

    /// Resets the connection: the peer learns that what it got is not whole.
    package func abort() {
        guard state != .closed else { return }
        if loop.isCurrent { loop.uncork(self) }
        Socket.resetOnClose(descriptor.number)
        end(.local)
    }

    private func end(_ reason: StreamEnd) {
        guard state != .closed else { return }
        state = .closed
        loop.cancelTimer(timer)
        timer = .none
        unsentBytes = nil
        descriptor.close(on: loop)
        readWaiter.wake()
        writeWaiter.wake()
        let handler = handler
        self.handler = nil
        handler?.streamClosed(reason)
    }
}
