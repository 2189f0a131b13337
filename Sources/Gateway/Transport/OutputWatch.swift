package import GatewayBytes

/// Whether a peer takes what waits for it, from one look to a later one. While it does, it owes no answer to what lies
/// behind that: it has not come to the question.
package struct OutputWatch {
    /// ``ByteStream/taken`` at the last look; `max` when nothing waited.
    private var taken = Int64.max
    private var drips: UInt8 = 0

    package init() {}

    /// Notes how far the peer is. Costs up to two system calls.
    package mutating func look(at stream: ByteStream) { taken = stream.isOwed ? stream.taken : .max }

    /// Whether nothing waited for the peer at the last look.
    package var sawNothing: Bool { taken == .max }

    /// Whether something waited at the last look, and the peer has taken some of it since.
    package func hasTaken(_ stream: ByteStream) -> Bool { !sawNothing && stream.taken > taken }

    /// Whether the peer has more time to answer a close frame, since it has taken some of what lies before that. Those that
    /// take next to nothing have it a few times.
    package mutating func extendsClose(of stream: ByteStream) -> Bool {
        guard hasTaken(stream) else { return false }
        if stream.taken - taken < Self.drip { drips += 1 }
        look(at: stream)
        return drips <= Self.mostDrips
    }

    /// Bytes in one CLOSE_TIMEOUT below which it is next to nothing.
    private static let drip: Int64 = 16 << 10
    private static let mostDrips: UInt8 = 12
}

/// Bounds what this end says on its own behind output that waits, such as answers to pings: a peer that asks for them and
/// never reads must not fill memory with them. What else waits is the concern of whoever wrote it.
package struct OwnOutput {
    /// Bytes of it written since ``mark`` was set.
    private var recent: UInt32 = 0
    /// Those written between the mark before and this one: some of them may have left.
    private var older: UInt32 = 0
    /// Where the output ended when all that was older was last known to have left: the low bits of ``ByteStream/sent`` then.
    /// Every idle socket holds this. Should more than 2 GiB leave from one write of this kind to the next, what they took
    /// along counts for longer.
    private var mark: UInt32 = 0

    package init() {}

    /// Writes to `stream`, and resets its connection when more than `limit` bytes of this kind have piled up.
    package mutating func write(to stream: ByteStream, limit: Int, _ body: (inout OutputBuffer) -> Void) {
        var count = 0
        stream.write { output in
            let before = output.count
            body(&output)
            count = output.count - before
        }
        guard stream.unsent > 0 else { return self = OwnOutput() }
        let sent = UInt32(truncatingIfNeeded: stream.sent)
        if older == 0 && recent == 0 || Int32(bitPattern: sent &- mark) >= 0 {
            older = recent
            recent = 0
            mark = sent &+ UInt32(truncatingIfNeeded: stream.unsent)
        }
        recent = UInt32(clamping: Int(recent) + count)
        if Int(older) + Int(recent) > limit { stream.abort() }
    }
}
