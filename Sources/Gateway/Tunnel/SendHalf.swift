/// One direction of a stream at its sender: what was written and may have to be sent again.
///
/// ```
/// 0 … acknowledged … sent … written
///     |---- kept ----------|
/// ```
/// The bytes kept are at most the stream's window: the writer asks for ``room`` first.
struct SendHalf {
    /// Consumed by the receiver: never needed again.
    private(set) var acknowledged: UInt64 = 0
    /// Sent on the present carrier.
    private(set) var sent: UInt64 = 0
    private(set) var written: UInt64 = 0
    /// Nothing follows ``written``.
    private(set) var isEnded = false
    /// The end was sent on the present carrier.
    private(set) var isEndSent = false
    /// The receiver has consumed everything, and knows that it is everything.
    private(set) var isComplete = false
    private var kept: [UInt8] = []
    /// Where in ``kept`` the byte at ``acknowledged`` is.
    private var start = 0

    /// Bytes under way.
    var outstanding: Int { Int(written - acknowledged) }

    /// Whether bytes, or the end, wait to be sent.
    var isPending: Bool { sent < written || (isEnded && !isEndSent) }

    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        precondition(!isEnded, "written to after the end")
        unsafe kept.append(contentsOf: bytes)
        written += UInt64(bytes.count)
    }

    mutating func end() { isEnded = true }

    /// The end went with the message that opened the stream, which has no bytes in this direction.
    mutating func endAtOpening() {
        isEnded = true
        isEndSent = true
    }

    /// Hands the next unsent bytes to `send`, with their offset and whether they are the last.
    mutating func sendNext(atMost limit: Int, _ send: (UnsafeRawBufferPointer, UInt64, _ ends: Bool) -> Void) {
        let count = min(limit, Int(written - sent))
        let place = start + Int(sent - acknowledged)
        let ends = isEnded && sent + UInt64(count) == written
        unsafe kept.withUnsafeBytes { bytes in
            unsafe send(UnsafeRawBufferPointer(rebasing: bytes[place..<place + count]), sent, ends)
        }
        sent += UInt64(count)
        if ends { isEndSent = true }
    }

    /// - Parameters:
    ///   - consumed: What the receiver says it has consumed of the direction.
    ///   - ended: Whether it says that this is all of it.
    /// - Returns: Bytes that are under way no more; `nil` when the receiver claims what it cannot have.
    mutating func acknowledge(_ consumed: UInt64, ended: Bool) -> Int? {
        guard consumed >= acknowledged, consumed <= sent, !ended || (isEndSent && consumed == written) else {
            return nil
        }
        let count = Int(consumed - acknowledged)
        acknowledged = consumed
        start += count
        isComplete = isComplete || ended
        compact()
        return count
    }

    /// A new carrier: the receiver has `received` bytes, and everything behind goes again.
    ///
    /// - Returns: `false` when the receiver has what was never sent, or lacks what is kept no more.
    mutating func rewind(to received: UInt64, receivedEnd: Bool) -> Bool {
        guard received >= acknowledged, received <= written, !receivedEnd || (isEnded && received == written) else {
            return false
        }
        sent = received
        isEndSent = receivedEnd
        return true
    }

    /// Gives back memory: at once when empty, else when most of it is behind.
    private mutating func compact() {
        if start == kept.count {
            kept.removeAll(keepingCapacity: kept.capacity <= 16 << 10)
            start = 0
        } else if start > 64 << 10, start * 2 > kept.count {
            kept.removeFirst(start)
            start = 0
        }
    }
}

/// One direction of a stream at its receiver.
struct ReceiveHalf {
    private(set) var received: UInt64 = 0
    private(set) var consumed: UInt64 = 0
    private(set) var reported: UInt64 = 0
    private(set) var isEnded = false

    /// Received and not consumed: what the sender's credit is spent on.
    var held: Int { Int(received - consumed) }

    /// All of it arrived and was consumed.
    var isComplete: Bool { isEnded && consumed == received }

    mutating func receive(_ count: Int, ends: Bool) {
        received += UInt64(count)
        isEnded = isEnded || ends
    }

    mutating func consume(_ count: Int) {
        precondition(count <= held, "more consumed than received")
        consumed += UInt64(count)
    }

    /// Whether the sender should be told: a quarter of the window is free again, or everything is done.
    func isReportDue(window: Int) -> Bool { consumed - reported >= UInt64(max(1, window / 4)) }

    mutating func noteReport() { reported = consumed }
}
