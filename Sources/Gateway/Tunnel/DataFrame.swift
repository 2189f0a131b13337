/// The 13 bytes before the payload of a binary message: flags, stream, and where in the stream the payload begins.
///
/// ```
/// 0       1               5                               13
/// | flags | stream, u32   | offset, u64                   | payload …
/// ```
/// Numbers have their most significant byte first. Flag 1 says that the direction ends behind this payload.
package struct DataFrame: Equatable, Sendable {
    package static let size = 13
    private static let endFlag: UInt8 = 1

    package var stream: UInt32
    package var offset: UInt64
    package var ends: Bool

    package init(stream: UInt32, offset: UInt64, ends: Bool) {
        self.stream = stream
        self.offset = offset
        self.ends = ends
    }

    /// - Throws: When the message is shorter than its prefix, sets a flag nobody knows, or names stream 0.
    package init(_ message: UnsafeRawBufferPointer) throws(TunnelViolation) {
        guard message.count >= Self.size else { throw TunnelViolation("a binary message is shorter than its prefix") }
        let flags = unsafe message[0]
        stream = unsafe UInt32(bigEndian: message.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
        offset = unsafe UInt64(bigEndian: message.loadUnaligned(fromByteOffset: 5, as: UInt64.self))
        ends = flags & Self.endFlag != 0
        guard flags & ~Self.endFlag == 0 else { throw TunnelViolation("a binary message sets an unknown flag") }
        guard stream != 0 else { throw TunnelViolation("a binary message names stream 0") }
    }

    /// Writes the prefix to the beginning of `bytes`, which must have room for it.
    package func write(to bytes: UnsafeMutableRawBufferPointer) {
        unsafe bytes[0] = ends ? Self.endFlag : 0
        unsafe bytes.storeBytes(of: stream.bigEndian, toByteOffset: 1, as: UInt32.self)
        unsafe bytes.storeBytes(of: offset.bigEndian, toByteOffset: 5, as: UInt64.self)
    }
}
