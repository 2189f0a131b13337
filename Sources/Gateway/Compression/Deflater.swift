internal import CZlib
package import GatewayBytes

/// A zlib compressor with its window. Frees its state when it goes out of scope.
@safe package struct Deflater: ~Copyable {
    /// How a call to ``compress(_:flush:into:)`` ends.
    package enum Flush: Sendable {
        /// Bytes may stay inside the compressor.
        case none
        /// Everything given so far can be inflated; the output ends with `00 00 FF FF` on a byte boundary.
        case sync
        /// The last block, and gzip's trailer. Only ``reset()`` may follow.
        case finish
    }

    /// The four bytes that end a sync flush, and that RFC 7692 §7.2.1 leaves off the wire.
    package static let syncTail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]
    static let syncTailSize = 4

    // Why a pointer: zlib remembers the address of its z_stream and refuses one that has moved.
    private let stream: UnsafeMutablePointer<z_stream>

    private init(owning stream: UnsafeMutablePointer<z_stream>) { unsafe self.stream = stream }

    /// - Parameters:
    ///   - level: zlib's scale, 1 (fast) through 9 (small).
    ///   - windowBits: Base-two logarithm of the window, 9 through 15. zlib refuses 8 for raw deflate.
    ///   - memoryLevel: 1 through 9; each step doubles the hash memory. zlib's own default is 8.
    package static func make(
        format: CompressionFormat = .raw, level: Int, windowBits: Int = 15, memoryLevel: Int = 8
    ) throws(CompressionError) -> Deflater {
        guard 1...9 ~= level, 9...15 ~= windowBits, 1...9 ~= memoryLevel else { throw .misuse }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe cz_deflate_init(stream, CInt(level), format.zlibWindow(windowBits), CInt(memoryLevel))
        guard status == Z_OK else {
            unsafe stream.deallocate()
            throw CompressionError(zlib: status)
        }
        return unsafe Deflater(owning: stream)
    }

    deinit {
        _ = unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Bytes that one compressor takes from the heap: zconf.h's `(1 << (windowBits+2)) + (1 << (memLevel+9))`.
    package static func memoryEstimate(windowBits: Int, memoryLevel: Int = 8) -> Int {
        (1 << (windowBits + 2)) + (1 << (memoryLevel + 9))
    }

    /// Appends the compressed form of `input` to `output`.
    package mutating func compress(
        _ input: UnsafeRawBufferPointer, flush: Flush, into output: inout OutputBuffer
    ) throws(CompressionError) {
        let mode: CInt =
            switch flush {
            case .none: Z_NO_FLUSH
            case .sync: Z_SYNC_FLUSH
            case .finish: Z_FINISH
            }
        // zlib counts in 32 bits; a longer input goes in slices, of which only the last is flushed.
        var rest = unsafe input
        while rest.count > Self.slice {
            unsafe try run(UnsafeRawBufferPointer(rebasing: rest[..<Self.slice]), mode: Z_NO_FLUSH, into: &output)
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest[Self.slice...])
        }
        unsafe try run(rest, mode: mode, into: &output)
    }

    /// Compresses one message for permessage-deflate: sync-flushed, its last four bytes cut off (RFC 7692 §7.2.1).
    ///
    /// The window keeps the message, so with context takeover the result must be sent, even when it is longer than
    /// the message: the next one may refer to it.
    package mutating func compressMessage(
        _ message: UnsafeRawBufferPointer, into output: inout OutputBuffer
    ) throws(CompressionError) {
        guard message.count > 0 else {
            // An empty stored block's first byte (RFC 7692 §7.2.3.6). zlib would refuse a second flush of nothing.
            output.append(0)
            return
        }
        try unsafe compress(message, flush: .sync, into: &output)
        output.truncate(to: output.count - Self.syncTailSize)
    }

    /// Forgets the window; what follows refers to nothing before it.
    package mutating func reset() { _ = unsafe deflateReset(stream) }

    private static let slice = 1 << 24

    private mutating func run(
        _ input: UnsafeRawBufferPointer, mode: CInt, into output: inout OutputBuffer
    ) throws(CompressionError) {
        // zlib takes a mutable pointer but only reads.
        unsafe stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        unsafe stream.pointee.avail_in = UInt32(input.count)
        defer { forgetBuffers() }
        while true {
            // Room for the whole of an ordinary message, so that one call does it.
            let left = unsafe Int(stream.pointee.avail_in)
            let room = min(left + left / 8 + 64, 1 << 16)
            var status = Z_OK
            var isFull = false
            unsafe output.appendInPlace(room: room) { free in
                unsafe stream.pointee.next_out = free.baseAddress?.assumingMemoryBound(to: UInt8.self)
                let size = UInt32(clamping: free.count)
                unsafe stream.pointee.avail_out = size
                status = unsafe deflate(stream, mode)
                let unused = unsafe stream.pointee.avail_out
                isFull = unused == 0
                return Int(size - unused)
            }
            if status == Z_STREAM_END || status == Z_BUF_ERROR { return }
            guard status == Z_OK else { throw CompressionError(zlib: status) }
            if !isFull, mode != Z_FINISH { return }
        }
    }

    private func forgetBuffers() {
        unsafe stream.pointee.next_in = nil
        unsafe stream.pointee.avail_in = 0
        unsafe stream.pointee.next_out = nil
        unsafe stream.pointee.avail_out = 0
    }
}
