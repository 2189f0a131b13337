internal import CZlib
package import GatewayBytes

/// A zlib decompressor with its window. Frees its state when it goes out of scope.
///
/// Every way of inflating is bounded by the caller: nothing beyond the bound is ever written.
@safe package struct Inflater: ~Copyable {
    /// Where ``step(_:into:atMost:)`` stopped.
    package enum Progress: Equatable, Sendable {
        /// All input has been used and all it said has been written.
        case needsInput
        /// The allowance is used up and there is more to write.
        case outputFull
        /// The final block, or the gzip trailer, has been read. What is left of the input follows it.
        case ended
    }

    // Why a pointer: zlib remembers the address of its z_stream and refuses one that has moved.
    private let stream: UnsafeMutablePointer<z_stream>

    /// Whether everything read so far ends where a block ends, on a byte boundary: the only place where a message may.
    package private(set) var isAtBlockBoundary = false

    private init(owning stream: UnsafeMutablePointer<z_stream>) { unsafe self.stream = stream }

    /// - Parameter windowBits: Base-two logarithm of the largest window the compressor may use, 9 through 15. A larger
    ///   value than the compressor's is always right.
    package static func make(
        format: CompressionFormat = .raw, windowBits: Int = 15
    ) throws(CompressionError) -> Inflater {
        guard 9...15 ~= windowBits else { throw .misuse }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe cz_inflate_init(stream, format.zlibWindow(windowBits))
        guard status == Z_OK else {
            unsafe stream.deallocate()
            throw CompressionError(zlib: status)
        }
        return unsafe Inflater(owning: stream)
    }

    deinit {
        _ = unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Bytes that one decompressor takes from the heap: zconf.h's `(1 << windowBits)` and about 7 KiB.
    package static func memoryEstimate(windowBits: Int) -> Int { (1 << windowBits) + (7 << 10) }

    /// Forgets the window and whatever was half read.
    package mutating func reset() { _ = unsafe inflateReset(stream) }

    /// Inflates from the front of `input`, which is advanced past what was used.
    ///
    /// - Parameter room: The most bytes to append, at least one.
    package mutating func step(
        _ input: inout UnsafeRawBufferPointer, into output: inout OutputBuffer, atMost room: Int
    ) throws(CompressionError) -> Progress {
        var progress = Progress.needsInput
        var failure: CompressionError?
        let allowed = min(room, 1 << 30)
        unsafe output.appendInPlace(room: allowed) { free in
            let window = unsafe UnsafeMutableRawBufferPointer(rebasing: free[..<allowed])
            do throws(CompressionError) {
                let written = try unsafe write(&input, to: window)
                progress = written.progress
                return written.count
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return progress
    }

    /// Inflates all of `input`.
    ///
    /// - Parameter limit: The most bytes `output` may hold in all. Beyond it ``CompressionError/tooLarge(limit:)``.
    /// - Returns: `ended` when a final block came, with `input` advanced past it, else `needsInput`.
    package mutating func inflate(
        _ input: inout UnsafeRawBufferPointer, into output: inout OutputBuffer, limit: Int
    ) throws(CompressionError) -> Progress {
        while true {
            let left = limit - output.count
            let progress: Progress
            if left > 0 {
                let room = min(left, max(256, min(input.count * 4, 1 << 16)))
                progress = try unsafe step(&input, into: &output, atMost: room)
            } else {
                progress = try unsafe probe(&input)
                if progress == .outputFull { throw .tooLarge(limit: limit) }
            }
            if progress != .outputFull { return progress }
        }
    }

    /// Finds out whether there is more to write without writing it to the caller.
    ///
    /// - Returns: `outputFull` when the stream produces at least one more byte, which is lost: the stream is of no use
    ///   afterwards. Otherwise what ``step(_:into:atMost:)`` would have returned.
    package mutating func probe(_ input: inout UnsafeRawBufferPointer) throws(CompressionError) -> Progress {
        var spare: UInt8 = 0
        var outcome: Result<(count: Int, progress: Progress), CompressionError> = .failure(.misuse)
        unsafe withUnsafeMutableBytes(of: &spare) { byte in
            do throws(CompressionError) {
                outcome = .success(try unsafe write(&input, to: byte))
            } catch {
                outcome = .failure(error)
            }
        }
        let (count, progress) = try outcome.get()
        return count > 0 ? .outputFull : progress
    }

    /// One call of zlib.
    private mutating func write(
        _ input: inout UnsafeRawBufferPointer, to free: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> (count: Int, progress: Progress) {
        let offered = min(input.count, 1 << 30)
        unsafe stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        unsafe stream.pointee.avail_in = UInt32(offered)
        unsafe stream.pointee.next_out = free.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_out = UInt32(free.count)
        let status = unsafe zlib_inflate(stream)
        let used = unsafe offered - Int(stream.pointee.avail_in)
        let count = unsafe free.count - Int(stream.pointee.avail_out)
        unsafe stream.pointee.next_in = nil
        unsafe stream.pointee.next_out = nil
        unsafe input = UnsafeRawBufferPointer(rebasing: input[used...])
        if used > 0 || count > 0 {
            // zlib.h: 128 is set right after a block, the low bits count the bits of the last byte still unused. A call
            // that finds nothing to do clears it, so only calls that moved are believed.
            isAtBlockBoundary = unsafe stream.pointee.data_type & (128 | 31) == 128
        }
        switch status {
        case Z_STREAM_END:
            return (count, .ended)
        case Z_OK, Z_BUF_ERROR:
            // A full buffer may hide more, also when all input is used: a match can be half copied.
            return (count, count == free.count || input.count > 0 ? .outputFull : .needsInput)
        default:
            throw CompressionError(zlib: status)
        }
    }

    /// Like ``step(_:into:atMost:)`` for permessage-deflate, where data may go on after a final block
    /// (RFC 7692 §7.2.3.4). Never returns `ended`.
    ///
    /// - Parameter room: The most bytes to append. With zero it only finds out whether there is more, see
    ///   ``probe(_:)``: `outputFull` then means that the message is longer than it may be. Otherwise it means that there may
    ///   be more.
    package mutating func messageStep(
        _ input: inout UnsafeRawBufferPointer, into output: inout OutputBuffer, atMost room: Int
    ) throws(CompressionError) -> Progress {
        let before = output.count
        while true {
            let left = room - (output.count - before)
            // Where a final block ends as the room does: probing would lose the next byte.
            if left == 0, room > 0 { return .outputFull }
            let progress = try unsafe left > 0 ? step(&input, into: &output, atMost: left) : probe(&input)
            guard progress == .ended else { return progress }
            continueAfterEnd()
            guard input.count > 0 else { return .needsInput }
        }
    }

    /// Makes a raw stream that has ended read on, with its window.
    package mutating func continueAfterEnd() { _ = unsafe cz_inflate_continue(stream) }
}

/// Spelled outside the type, where `inflate` is zlib's function and not the method.
private func zlib_inflate(_ stream: UnsafeMutablePointer<z_stream>) -> CInt { unsafe inflate(stream, Z_SYNC_FLUSH) }
