import GatewayHTTP

/// Who owns one end of a stream. All calls come from the session, on its loop.
package protocol TunnelStreamHandler: AnyObject {
    /// The answer's head arrived; at the gateway only, once, before any byte.
    func answered(_ answer: StreamAnswer)
    /// Bytes arrived in order. Valid until this returns; count them off with ``TunnelStream/consume(_:)`` once they have
    /// been used up, which is what lets the peer send more.
    func received(_ bytes: UnsafeRawBufferPointer)
    /// The peer's direction is complete.
    func inputEnded()
    /// ``TunnelStream/room`` has grown.
    func roomGrew()
    /// The stream is over: with `nil` when both directions were delivered and acknowledged, else with the reason. Told
    /// once, last, unless this end reset it.
    func finished(_ reason: TunnelReset?, message: String)
}

/// One end of one stream: two directions of bytes that survive the carriers they travel on.
///
/// Confined to the session's loop.
package final class TunnelStream {
    package let id: UInt32
    package let request: StreamRequest
    weak var session: TunnelSession?
    var handler: (any TunnelStreamHandler)?
    var output = SendHalf()
    var input = ReceiveHalf()
    /// At the agent: what it answered, to be sent again on another carrier.
    var answer: StreamAnswer?
    /// At the gateway: whether the answer's head arrived.
    var isAnswered = false
    /// In the session's queue of streams with something to send.
    var isQueued = false

    init(id: UInt32, request: StreamRequest, session: TunnelSession) {
        self.id = id
        self.request = request
        self.session = session
    }

    /// Whether the session still carries it.
    package var isOpen: Bool { session != nil }

    /// Bytes that ``write(_:)`` takes now.
    package var room: Int { session?.room(of: self) ?? 0 }

    /// Bytes written that the peer has not consumed.
    package var outstanding: Int { output.outstanding }

    /// Whether the peer's direction was complete.
    package var hasInputEnded: Bool { input.isEnded }

    /// Writes as much of `bytes` as there is room for.
    ///
    /// - Returns: Bytes taken: all, some or none. ``TunnelStreamHandler/roomGrew()`` says when to go on.
    package func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let session, !output.isEnded else { return 0 }
        return unsafe session.write(bytes, to: self)
    }

    /// Completes this end's direction.
    package func end() {
        guard let session, !output.isEnded else { return }
        output.end()
        session.enqueue(self)
    }

    /// Sends the head of the answer; at the agent, once, before any byte.
    package func answer(_ answer: StreamAnswer) {
        guard let session, self.answer == nil else { return }
        self.answer = answer
        session.sendControl(.head(id, answer))
    }

    /// Bytes received were used up: the peer may send as many more.
    package func consume(_ count: Int) {
        guard let session, count > 0 else { return }
        session.consumed(count, of: self)
    }

    /// Ends the stream in both directions, now. The handler hears nothing any more.
    package func reset(_ reason: TunnelReset, _ message: String = "") {
        guard let session else { return }
        session.reset(self, reason, message)
    }

    var position: StreamPosition {
        StreamPosition(
            stream: id, hasHead: answer != nil || isAnswered, received: input.received, ended: input.isEnded,
            consumed: input.consumed)
    }
}
