/// Frames as a client writes and reads them (RFC 6455 §5.2).
struct WebSocketFrame {
    enum Opcode: UInt8 {
        case text = 1
        case binary = 2
        case close = 8
        case ping = 9
        case pong = 10
    }

    let opcode: Opcode
    let isCompressed: Bool
    let payload: Range<Int>
    var byteCount: Int { payload.upperBound }

    /// A complete masked frame.
    ///
    /// The key is fixed: a server unmasks the same whatever the key is, and the frame can be sent over and over.
    static func masked(_ opcode: Opcode, compressed: Bool = false, _ payload: [UInt8]) -> [UInt8] {
        var frame = [0x80 | (compressed ? 0x40 : 0) | opcode.rawValue]
        switch payload.count {
        case ...125: frame.append(0x80 | UInt8(payload.count))
        case ...65_535: frame += [0x80 | 126] + bigEndian(payload.count, bytes: 2)
        default: frame += [0x80 | 127] + bigEndian(payload.count, bytes: 8)
        }
        let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
        frame += key
        for (index, byte) in payload.enumerated() { frame.append(byte ^ key[index & 3]) }
        return frame
    }

    private static func bigEndian(_ value: Int, bytes: Int) -> [UInt8] {
        (0..<bytes).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    /// - Returns: `nil` when the frame is not complete.
    /// - Throws: For what no server may send, and for a fragment: an echo of one frame comes back as one frame.
    static func parse(_ input: Span<UInt8>, limit: Int) throws(Fault) -> WebSocketFrame? {
        guard input.count >= 2 else { return nil }
        guard let opcode = Opcode(rawValue: input[0] & 0x0F) else {
            throw Fault("a frame has opcode \(input[0] & 0x0F)")
        }
        guard input[0] & 0x80 != 0 else { throw Fault("a reply came in fragments") }
        guard input[0] & 0x30 == 0 else { throw Fault("a frame has reserved bits set") }
        guard input[1] & 0x80 == 0 else { throw Fault("a frame of the server is masked") }
        let (extra, short) = (lengthBytes(input[1]), Int(input[1]))
        guard input.count >= 2 + extra else { return nil }
        var length = extra == 0 ? short : 0
        for index in 0..<extra { length = length << 8 | Int(input[2 + index]) }
        guard (0...limit).contains(length) else { throw Fault("a frame of \(length) bytes, over \(limit)") }
        let start = 2 + extra
        guard input.count >= start + length else { return nil }
        return WebSocketFrame(
            opcode: opcode, isCompressed: input[0] & 0x40 != 0, payload: start..<(start + length))
    }

    private static func lengthBytes(_ short: UInt8) -> Int {
        switch short {
        case ..<126: 0
        case 126: 2
        default: 8
        }
    }
}
