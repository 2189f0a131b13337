import CLinux
import CZlib
import Glibc

/// One message at a time as permessage-deflate without context takeover carries it (RFC 7692 §7.2): raw deflate that
/// ends in an empty stored block whose last four bytes are left out.
enum Deflate {
    private static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]
    private static let windowBits: CInt = 15

    /// What zlib makes of `message` at its default level and memory, the same as node's.
    static func compress(_ message: [UInt8]) throws(Fault) -> [UInt8] {
        var stream = unsafe z_stream()
        let started = unsafe deflateInit2_(
            &stream, 6, Z_DEFLATED, -windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, streamSize)
        guard started == Z_OK else { throw Fault("zlib: deflateInit2 says \(started)") }
        defer { unsafe deflateEnd(&stream) }
        let room = message.count + message.count / 100 + 64
        let (output, status) = unsafe feed(&stream, message, room: room) { unsafe deflate($0, Z_SYNC_FLUSH) }
        guard status == Z_OK, output.count < room, output.suffix(4).elementsEqual(tail) else {
            throw Fault("zlib: deflate says \(status)")
        }
        return output.dropLast(tail.count)
    }

    /// The message inside `payload`; a wrong or longer one than `limit` bytes is a fault.
    static func expand(_ payload: [UInt8], limit: Int) throws(Fault) -> [UInt8] {
        var stream = unsafe z_stream()
        let started = unsafe inflateInit2_(&stream, -windowBits, ZLIB_VERSION, streamSize)
        guard started == Z_OK else { throw Fault("zlib: inflateInit2 says \(started)") }
        defer { unsafe inflateEnd(&stream) }
        let (output, status) = unsafe feed(&stream, payload + tail, room: limit + 1) {
            unsafe inflate($0, Z_SYNC_FLUSH)
        }
        // A final block before the tail is allowed: RFC 7692 §7.2.3.4.
        guard status == Z_OK || status == Z_STREAM_END, output.count <= limit else {
            throw Fault("a reply of \(payload.count) bytes does not inflate to \(limit) bytes")
        }
        return output
    }

    private static var streamSize: CInt { unsafe CInt(MemoryLayout<z_stream>.size) }

    /// One step over all of `input`; the output ends where zlib stopped or the room did.
    private static func feed(
        _ stream: inout z_stream, _ input: [UInt8], room: Int, _ step: (UnsafeMutablePointer<z_stream>) -> CInt
    ) -> (output: [UInt8], status: CInt) {
        var input = input
        var status: CInt = 0
        let output = unsafe [UInt8](unsafeUninitializedCapacity: room) { target, count in
            unsafe input.withUnsafeMutableBufferPointer { source in
                unsafe stream.next_in = source.baseAddress
                unsafe stream.avail_in = uInt(source.count)
                unsafe stream.next_out = target.baseAddress
                unsafe stream.avail_out = uInt(room)
                status = unsafe step(&stream)
            }
            count = room - Int(unsafe stream.avail_out)
        }
        return (output, status)
    }
}

@inline(__always)
func areEqual(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    return unsafe left.withUnsafeBytes { first in
        unsafe right.withUnsafeBytes { second in
            guard let start = first.baseAddress, let other = second.baseAddress else { return true }
            return unsafe memcmp(start, other, first.count) == 0
        }
    }
}
