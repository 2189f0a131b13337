/// What a frame carries (RFC 6455 §5.2).
package enum Opcode: UInt8, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    @inline(__always) package var isControl: Bool { rawValue & 0x8 != 0 }
}

/// Whether a message is UTF-8 text or bytes.
package enum MessageKind: UInt8, Sendable {
    case text = 0x1
    case binary = 0x2

    @inline(__always) package var opcode: Opcode { self == .text ? .text : .binary }
}

/// Which end of the connection this process is.
package enum Role: UInt8, Sendable {
    /// Receives masked frames and sends bare ones.
    case server
    /// Receives bare frames and sends masked ones.
    case client
}

/// The head of one frame: 2 to 14 bytes.
package struct FrameHead: Equatable, Sendable {
    package var opcode: Opcode
    package var isFinal: Bool
    /// RSV1 on the first frame of a message: its payload is deflated (RFC 7692 §6).
    package var isCompressed: Bool
    /// Payload bytes that follow the head.
    package var length: Int
    /// The masking key as its four bytes stand in memory; `nil` when the payload is bare.
    package var mask: UInt32?
    /// Bytes of the head itself.
    package var size: Int

    /// The longest a head can be.
    package static let maximumSize = 14

    /// Reads a frame head from the front of `input`.
    ///
    /// Every check that two bytes allow is made as soon as they are there.
    ///
    /// - Parameters:
    ///   - role: This end's own role, which says whether frames must or must not be masked.
    ///   - allowsCompression: Whether permessage-deflate was negotiated.
    /// - Returns: `nil` when `input` is too short; call again with the same bytes and more.
    @inline(__always)
    package static func parse(
        _ input: UnsafeRawBufferPointer, role: Role, allowsCompression: Bool
    ) throws(ProtocolViolation) -> FrameHead? {
        guard input.count >= 2 else { return nil }
        let first = unsafe input[0]
        let second = unsafe input[1]
        let opcode = try checkedOpcode(first, second, allowsCompression: allowsCompression)
        let isMasked = second & 0x80 != 0
        guard isMasked == (role == .server) else { throw isMasked ? .maskedFrame : .unmaskedFrame }

        var size = 2
        var length = Int(second & 0x7F)
        if length >= 126 {
            guard let extended = try unsafe extendedLength(input, short: length) else { return nil }
            size = length == 126 ? 4 : 10
            length = extended
        }
        var mask: UInt32?
        if isMasked {
            guard input.count >= size + 4 else { return nil }
            mask = unsafe input.loadUnaligned(fromByteOffset: size, as: UInt32.self)
            size += 4
        }
        return FrameHead(
            opcode: opcode, isFinal: first & 0x80 != 0, isCompressed: first & 0x40 != 0, length: length, mask: mask,
            size: size)
    }

    @inline(__always)
    private static func checkedOpcode(
        _ first: UInt8, _ second: UInt8, allowsCompression: Bool
    ) throws(ProtocolViolation) -> Opcode {
        guard let opcode = Opcode(rawValue: first & 0x0F) else { throw .unknownOpcode(first & 0x0F) }
        let reserved = first & 0x70
        if reserved != 0 {
            // Only RSV1, only when negotiated, only on the frame that starts a message.
            guard reserved == 0x40, allowsCompression, opcode == .text || opcode == .binary else {
                throw .reservedBits(reserved)
            }
        }
        if opcode.isControl {
            guard first & 0x80 != 0 else { throw .fragmentedControlFrame(opcode) }
            guard second & 0x7F <= 125 else { throw .oversizedControlFrame(opcode) }
        }
        return opcode
    }

    private static func extendedLength(
        _ input: UnsafeRawBufferPointer, short: Int
    ) throws(ProtocolViolation) -> Int? {
        if short == 126 {
            guard input.count >= 4 else { return nil }
            let length = unsafe Int(UInt16(bigEndian: input.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            guard length >= 126 else { throw .lengthNotMinimal }
            return length
        }
        guard input.count >= 10 else { return nil }
        let length = unsafe UInt64(bigEndian: input.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
        guard length >> 63 == 0 else { throw .lengthOutOfRange }
        guard length > 0xFFFF else { throw .lengthNotMinimal }
        return Int(length)
    }
}
