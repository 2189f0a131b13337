import GatewayBytes
import GatewayCompression

/// Text with the shape of ordinary traffic: names repeat, values do not.
func sampleJSON(_ size: Int, seed: UInt64 = 7) -> [UInt8] {
    var state = seed
    var bytes: [UInt8] = []
    let words = ["alpha", "status", "ready", "stream", "live", "segment", "throughput", "Europe/Berlin"]
    while bytes.count < size {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let word = words[Int(state >> 61)]
        bytes += Array(#"{"id":\#(state >> 40),"name":"\#(word)","at":"2024-05-1\#(state >> 60)T10:00:00Z"},"#.utf8)
    }
    return Array(bytes.prefix(size))
}

extension OutputBuffer {
    var array: [UInt8] { unsafe withUnsafeBytes { unsafe [UInt8]($0) } }
}

/// Inflates one permessage-deflate message with a window that is really enforced: zlib looks further back than its
/// window as long as the output is in one piece, so the output is taken in small steps.
func inflateMessage(_ compressed: [UInt8], windowBits: Int = 15, step: Int = 61) throws -> [UInt8] {
    var inflater = try Inflater.make(windowBits: windowBits)
    return try inflateMessage(compressed, with: &inflater, step: step)
}

func inflateMessage(_ compressed: [UInt8], with inflater: inout Inflater, step: Int = 61) throws -> [UInt8] {
    var output = OutputBuffer()
    let whole = compressed + [0x00, 0x00, 0xFF, 0xFF]
    // Copied out of the closure: a noncopyable parameter may not be captured.
    let room = step
    try unsafe whole.withUnsafeBytes { bytes in
        var rest = unsafe bytes
        while try unsafe inflater.messageStep(&rest, into: &output, atMost: room) == .outputFull {}
    }
    guard inflater.isAtBlockBoundary else { throw CompressionError.invalidData }
    return output.array
}

func deflateMessage(_ message: [UInt8], with deflater: inout Deflater) throws -> [UInt8] {
    var output = OutputBuffer()
    try unsafe message.withUnsafeBytes { try unsafe deflater.compressMessage($0, into: &output) }
    return output.array
}

/// What became of inflating `bytes` in one call.
struct Inflation {
    var output: [UInt8] = []
    var capacity = 0
    var progress: Inflater.Progress?
    var failure: CompressionError?
    /// Input that was not used.
    var rest = 0

    init(_ bytes: [UInt8], with inflater: inout Inflater, limit: Int) {
        var buffer = OutputBuffer()
        unsafe bytes.withUnsafeBytes { raw in
            var input = unsafe raw
            do throws(CompressionError) {
                progress = try unsafe inflater.inflate(&input, into: &buffer, limit: limit)
            } catch {
                failure = error
            }
            rest = input.count
        }
        output = buffer.array
        capacity = buffer.capacity
    }
}
