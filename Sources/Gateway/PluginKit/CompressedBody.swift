import GatewayCompression

/// A gzip stream under way, with the memory it was promised.
///
/// Belongs to one response, and gives its memory back with it, sent or not.
final class GzipStream {
    private var deflater: Deflater
    private var output = OutputBuffer(capacity: 16 << 10)
    private let budget: ByteBudget

    private static let windowBits = 15
    private static let memory = Deflater.memoryEstimate(windowBits: windowBits)
    /// What is compressed at once: about half a millisecond.
    private static let slice = 32 << 10

    /// - Returns: `nil` when the budget is used up: then the response goes out as it is.
    static func make(level: Int, budget: ByteBudget) -> GzipStream? {
        guard budget.reserve(memory) else { return nil }
        guard let deflater = try? Deflater.make(format: .gzip, level: level, windowBits: windowBits) else {
            budget.release(memory)
            return nil
        }
        return GzipStream(deflater: deflater, budget: budget)
    }

    private init(deflater: consuming Deflater, budget: ByteBudget) {
        self.deflater = deflater
        self.budget = budget
    }

    deinit { budget.release(Self.memory) }

    /// Compresses `bytes` into `writer`, in pieces between which the loop's other connections have their turn.
    ///
    /// - Parameter flush: What becomes of the last of them.
    func write(_ bytes: [UInt8], flush: Deflater.Flush, to writer: any BodyWriter, on loop: EventLoop) async throws {
        var start = 0
        repeat {
            let end = min(start + Self.slice, bytes.count)
            try compress(bytes[start..<end], flush: end == bytes.count ? flush : .none)
            if !output.isEmpty { try await writer.write(takeOutput()) }
            start = end
            if start < bytes.count { await loop.nextTurn() }
        } while start < bytes.count
    }

    private func compress(_ bytes: ArraySlice<UInt8>, flush: Deflater.Flush) throws(CompressionError) {
        let result: Result<Void, CompressionError> = unsafe bytes.withUnsafeBytes { raw in
            do throws(CompressionError) {
                return .success(try unsafe deflater.compress(raw, flush: flush, into: &output))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    private func takeOutput() -> [UInt8] {
        defer { output.removeAll() }
        return unsafe output.withUnsafeBytes { unsafe Array($0) }
    }
}

/// What a handler writes to when its stream is compressed on the way.
final class GzipBodyWriter: BodyWriter {
    private let stream: GzipStream
    private let writer: any BodyWriter
    private let loop: EventLoop
    private let declared: UInt64?
    private var written: UInt64 = 0

    /// - Parameter declared: Bytes that the handler said it would write.
    init(_ stream: GzipStream, to writer: any BodyWriter, on loop: EventLoop, declared: UInt64?) {
        self.stream = stream
        self.writer = writer
        self.loop = loop
        self.declared = declared
    }

    func write(_ bytes: [UInt8]) async throws {
        guard !bytes.isEmpty else { return }
        written += UInt64(bytes.count)
        // A body without a length may be one that is watched as it grows: nothing of it is held back.
        try await stream.write(bytes, flush: declared == nil ? .sync : .none, to: writer, on: loop)
    }

    func setTrailers(_ fields: HeaderFields) { writer.setTrailers(fields) }

    /// Ends the gzip stream.
    ///
    /// - Throws: When the handler wrote fewer bytes than it had declared, or more. The length that would have told is
    ///   not sent, so the framing is broken in its place.
    func finish() async throws {
        if let declared, declared != written { throw WrongLength(declared: declared, written: written) }
        try await stream.write([], flush: .finish, to: writer, on: loop)
    }

    struct WrongLength: Error, CustomStringConvertible {
        let declared: UInt64
        let written: UInt64
        var description: String { "the handler declared \(declared) bytes and wrote \(written)" }
    }
}
