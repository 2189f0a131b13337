package import GatewayBytes

#if ISAL
internal import CISAL
#endif

/// Compresses messages that stand alone: permessage-deflate without context takeover, and shared broadcasts.
///
/// One per event loop, used for all its sockets in turn. Built on ISA-L where it is compiled in (measured 1.5 to 4.5
/// times cheaper than zlib), else on zlib with a reset before each message.
///
/// `COMPRESSION_LEVEL` is zlib's scale. It maps to ISA-L's levels so that a larger one never compresses worse
/// (JSON of 16 KiB, size left and time: 0 is 31 % in 19 us, 1 and 2 are 24.5 % in 24 us, 3 is 23 % in 46 us; zlib's own
/// 6 is 21 % in 163 us):
///
/// | zlib's | ISA-L's |
/// |---|---|
/// | 1 | 0, fixed Huffman tables, next to nothing gained below 1 KiB |
/// | 2-5 | 1, 8 Ki hash entries |
/// | 6-7 | 2, 32 Ki hash entries |
/// | 8-9 | 3, searches chains |
@safe package struct StatelessCompressor: ~Copyable {
    private let level: Int
    #if ISAL
    private let compressor: UnsafeMutableRawPointer
    #else
    private var deflater: Deflater
    private var windowBits = 15
    #endif

    /// ISA-L's level for one of zlib's.
    package static func isalLevel(for level: Int) -> Int {
        switch level {
        case ...1: 0
        case 2...5: 1
        case 6...7: 2
        default: 3
        }
    }

    /// - Parameter level: zlib's scale, 1 through 9.
    package static func make(level: Int) throws(CompressionError) -> StatelessCompressor {
        guard 1...9 ~= level else { throw .misuse }
        #if ISAL
        guard let compressor = unsafe ci_make(UInt32(isalLevel(for: level))) else { throw .outOfMemory }
        return unsafe StatelessCompressor(level: level, compressor: compressor)
        #else
        return StatelessCompressor(level: level, deflater: try .make(level: level))
        #endif
    }

    #if ISAL
    private init(level: Int, compressor: UnsafeMutableRawPointer) {
        self.level = level
        unsafe self.compressor = compressor
    }

    deinit { unsafe ci_free(compressor) }
    #else
    private init(level: Int, deflater: consuming Deflater) {
        self.level = level
        self.deflater = deflater
    }
    #endif

    /// Appends `message` as raw deflate without the last four bytes of its flush (RFC 7692 §7.2.1), if that is
    /// shorter than the message itself.
    ///
    /// - Parameter windowBits: 9 through 15; no distance in the result reaches further back.
    /// - Returns: `false`, with `output` as it was, when compressing gains nothing or fails.
    package mutating func compressMessage(
        _ message: UnsafeRawBufferPointer, windowBits: Int, into output: inout OutputBuffer
    ) -> Bool {
        let before = output.count
        if unsafe compress(message, windowBits: windowBits, into: &output), output.count - before < message.count {
            return true
        }
        output.truncate(to: before)
        return false
    }

    #if ISAL
    private mutating func compress(
        _ message: UnsafeRawBufferPointer, windowBits: Int, into output: inout OutputBuffer
    ) -> Bool {
        guard message.count > 0, message.count < 1 << 30, 9...15 ~= windowBits else { return false }
        // What does not compress is stored: five bytes for each 65,535. A block's tables take up to 328.
        let room = message.count + message.count / 64 + 512
        var isDone = false
        unsafe output.appendInPlace(room: room) { free in
            let written = unsafe ci_compress(
                compressor, UInt32(windowBits), message.baseAddress, UInt32(message.count), free.baseAddress,
                UInt32(room))
            guard written > Deflater.syncTailSize else { return 0 }
            let body = Int(written) - Deflater.syncTailSize
            // Data that was merely stored ends without the flush marker, and is longer than the message anyway.
            isDone = unsafe free.loadUnaligned(fromByteOffset: body, as: UInt32.self) == UInt32(bigEndian: 0x0000_FFFF)
            return body
        }
        return isDone
    }
    #else
    private mutating func compress(
        _ message: UnsafeRawBufferPointer, windowBits: Int, into output: inout OutputBuffer
    ) -> Bool {
        guard message.count > 0, 9...15 ~= windowBits else { return false }
        do throws(CompressionError) {
            if windowBits == self.windowBits {
                deflater.reset()
            } else {
                deflater = try .make(level: level, windowBits: windowBits)
                self.windowBits = windowBits
            }
            unsafe try deflater.compressMessage(message, into: &output)
            return true
        } catch {
            return false
        }
    }
    #endif
}
