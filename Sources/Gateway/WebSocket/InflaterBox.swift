import GatewayBytes
import GatewayCompression

/// An inflater that can change hands: a socket's own, the loop's shared one, or one lent to a message that arrives in
/// pieces. Gives its memory back to the budget when nobody holds it any more.
final class InflaterBox {
    private var inflater: Inflater
    private let budget: CompressionBudget
    private let reserved: Int

    /// Takes the memory for one inflater from `budget`; `nil` when it has none.
    static func lend(from budget: CompressionBudget) -> InflaterBox? {
        let size = Inflater.memoryEstimate(windowBits: 15)
        guard budget.reserve(size) else { return nil }
        do throws(CompressionError) {
            return InflaterBox(try .make(), budget: budget, reserved: size)
        } catch {
            budget.release(size)
            return nil
        }
    }

    /// - Parameter reserved: Bytes of `budget` that are released with this box.
    init(_ inflater: consuming Inflater, budget: CompressionBudget, reserved: Int) {
        self.inflater = inflater
        self.budget = budget
        self.reserved = reserved
    }

    deinit { budget.release(reserved) }

    func reset() { inflater.reset() }

    /// Inflates the next bytes of a message to the back of `output`, checking text as it appears.
    ///
    /// - Parameters:
    ///   - limit: The most bytes `output` may hold; never exceeded, not even for a moment.
    ///   - text: Has seen the message so far; `nil` for binary.
    ///   - reserve: Called before `output` may grow by that many bytes.
    func inflate(
        _ part: UnsafeRawBufferPointer, into output: inout OutputBuffer, limit: Int, text: inout UTF8Validator?,
        reserve: (_ more: Int, _ output: borrowing OutputBuffer) throws(ProtocolViolation) -> Void
    ) throws(ProtocolViolation) {
        var rest = unsafe part
        while true {
            let before = output.count
            let room = min(limit - before, max(256, min(rest.count * 4, 1 << 16)))
            try reserve(room, output)
            let progress: Inflater.Progress
            do throws(CompressionError) {
                progress = try unsafe inflater.messageStep(&rest, into: &output, atMost: room)
            } catch {
                throw error == .outOfMemory ? .outOfMemory : .invalidCompression
            }
            guard accepts(output, from: before, text: &text) else { throw .invalidText }
            guard progress == .outputFull else { return }
            guard room > 0 else { throw .messageTooBig(limit: limit) }
        }
    }

    /// Ends a message: puts back the four bytes that the sender left off and checks that a block ended there
    /// (RFC 7692 §7.2.2).
    func finish(
        into output: inout OutputBuffer, limit: Int, text: inout UTF8Validator?,
        reserve: (_ more: Int, _ output: borrowing OutputBuffer) throws(ProtocolViolation) -> Void
    ) throws(ProtocolViolation) {
        let tail = Deflater.syncTail
        try unsafe tail.span.withUnsafeBytes { bytes throws(ProtocolViolation) in
            try unsafe inflate(bytes, into: &output, limit: limit, text: &text, reserve: reserve)
        }
        guard inflater.isAtBlockBoundary else { throw .invalidCompression }
        if let text, !text.isComplete { throw .invalidText }
    }

    private func accepts(_ output: borrowing OutputBuffer, from start: Int, text: inout UTF8Validator?) -> Bool {
        guard text != nil else { return true }
        return unsafe output.withUnsafeBytes { bytes in
            unsafe text?.accepts(UnsafeRawBufferPointer(rebasing: bytes[start...])) ?? true
        }
    }
}
