import GatewayRuntime
import GatewayTLS

extension ByteStream {
    final class Ends {
        /// How reading ended; nothing is read after that.
        var input: Received?
        /// ``ByteStream/sent`` at that moment.
        var sentAtInputEnd: UInt64 = 0
        /// Writing failed: nothing is written after that, what the peer had sent is still read.
        var outputFailure: StreamEnd?
        var finishPatience = Duration.zero
        /// ``ByteStream/taken`` at the last check.
        var takenAtCheck: Int64 = 0
        var lingeredBytes = 0
        /// See ``finishSending()``.
        var finishesSending = false
    }

    private var madeEnds: Ends {
        if let ends { return ends }
        let made = Ends()
        ends = made
        return made
    }

    var inputEnd: Received? {
        get { ends?.input }
        set {
            let ends = madeEnds
            ends.input = newValue
            ends.sentAtInputEnd = sent
        }
    }

    var outputFailure: StreamEnd? {
        get { ends?.outputFailure }
        set { madeEnds.outputFailure = newValue }
    }

    /// How long, and for how many bytes, a closed stream still reads what the peer had on its way.
    ///
    /// Closing a socket with unread input resets it, and a reset destroys the last response on its way to the peer.
    private static var lingerTime: Duration { .seconds(2) }
    private static var lingerBytes: Int { 1 << 20 }

    /// Sends what is left, tells the peer that it is all, waits briefly for the peer's end, closes.
    ///
    /// - Parameter patience: How long the peer may take none of what is left before the connection is reset.
    package func finish(patience: Duration = .seconds(30)) {
        guard state == .open || state == .securing || state == .connecting else { return }
        guard state == .open else { return end(.local) }
        flush()
        guard outputFailure == nil else { return }
        wantsInput = false
        guard unsent > 0 else { return beginLinger() }
        state = .finishing
        madeEnds.finishPatience = patience
        madeEnds.takenAtCheck = taken
        deadline = loop.now + patience
        refreshInterest()
    }

    /// Sends what is left and tells the peer that no more follows, while receiving goes on: TCP's half-close. For plain
    /// streams; write nothing after it.
    package func finishSending() {
        precondition(!isSecure, "TLS has no half-close here")
        guard state == .open, !madeEnds.finishesSending else { return }
        flush()
        madeEnds.finishesSending = true
        if unsent == 0 { Socket.finishSending(descriptor.number) }
    }

    /// Whether both sides have finished sending, and what came before that is still to be read: the kernel calls such a
    /// socket hung up.
    var isHalfRead: Bool {
        state == .open && ends?.finishesSending == true && !wantsInput && inputEnd == nil
    }

    /// The peer must go on taking what is left.
    func checkFinishing() {
        let ends = madeEnds
        let taken = taken
        guard taken > ends.takenAtCheck else { return abort() }
        ends.takenAtCheck = taken
        deadline = loop.now + ends.finishPatience
    }

    func beginLinger() {
        // One attempt: a peer whose window is full will not miss the notice.
        if !peerHasLeft { _ = cipher?.shutdown() }
        // Nothing is left to read, and closing tells the peer as well.
        guard inputEnd == nil else { return end(.local) }
        Socket.finishSending(descriptor.number)
        state = .lingering
        crossed = .none
        deadline = loop.now + Self.lingerTime
        refreshInterest()
    }

    /// Whether the peer has ended its stream and its connection, and was sent nothing since. As a rule nobody is there
    /// any more, and what is still said to it is answered with a reset (docs/decisions/0002).
    private var peerHasLeft: Bool {
        guard sawEnd, case .end = inputEnd else { return false }
        return sent == ends?.sentAtInputEnd
    }

    func drainInput() {
        loop.willReceive()
        switch unsafe Socket.receive(descriptor.number, into: loop.receiveBuffer) {
        case .bytes(let count):
            madeEnds.lingeredBytes += count
            if madeEnds.lingeredBytes > Self.lingerBytes { end(.local) }
        case .wouldBlock: return
        case .end, .failed: end(.local)
        }
    }

    /// Closes at once; unsent output is dropped.
    package func close() { end(.local) }

    /// Resets the connection: the peer learns that what it got is not whole.
    package func abort() {
        guard state != .closed else { return }
        Socket.resetOnClose(descriptor.number)
        end(.local)
    }

    func end(_ reason: StreamEnd) {
        guard state != .closed else { return }
        state = .closed
        cancelDeadline()
        unsentBytes = nil
        cipher = nil
        descriptor.close(on: loop)
        drainWait?.wake()
        relay?.somethingHappened(to: self, hungUp: true)
        let handler = handler
        self.handler = nil
        handler?.streamClosed(reason)
    }
}
