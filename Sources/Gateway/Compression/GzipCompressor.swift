internal import CZlib
package import GatewayBytes

/// Makes whole gzip members (RFC 1952) of bytes that are all there: response bodies that fit into one piece.
///
/// One per event loop, used for all its responses in turn. It shares ``StatelessCompressor``, and so ISA-L where that is
/// compiled in.
@safe package struct GzipCompressor: ~Copyable {
    private var blocks: StatelessCompressor

    /// Magic, deflate, no flags, no time, no extra flags, unknown system.
    private static let header: [UInt8] = [0x1F, 0x8B, 0x08, 0, 0, 0, 0, 0, 0, 0xFF]
    /// The marker that ``StatelessCompressor`` leaves off, then an empty last block with fixed codes.
    private static let lastBlocks = Deflater.syncTail + [0x03, 0x00]

    /// - Parameter level: zlib's scale, 1 through 9.
    package static func make(level: Int) throws(CompressionError) -> GzipCompressor {
        GzipCompressor(blocks: try .make(level: level))
    }

    private init(blocks: consuming StatelessCompressor) { self.blocks = blocks }

    /// Appends `bytes` as one gzip member, if that is shorter.
    ///
    /// - Parameter bytes: Fewer than 2^30.
    /// - Returns: `false`, with `output` as it was, when compressing gains nothing or fails.
    package mutating func compress(_ bytes: UnsafeRawBufferPointer, into output: inout OutputBuffer) -> Bool {
        let before = output.count
        output.append(Self.header)
        guard unsafe blocks.compressMessage(bytes, windowBits: 15, into: &output) else {
            output.truncate(to: before)
            return false
        }
        output.append(Self.lastBlocks)
        let sum = unsafe crc32(0, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt32(bytes.count))
        Self.append(UInt32(truncatingIfNeeded: sum), to: &output)
        Self.append(UInt32(truncatingIfNeeded: bytes.count), to: &output)
        guard output.count - before < bytes.count else {
            output.truncate(to: before)
            return false
        }
        return true
    }

    private static func append(_ value: UInt32, to output: inout OutputBuffer) {
        for shift in [UInt32(0), 8, 16, 24] { output.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
}
