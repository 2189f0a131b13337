import GatewayTestSupport
import GatewayWebSocket
import Testing

@Suite("Frame head (RFC 6455 §5.2)")
struct FrameHeadTests {
    @Test(
        "a head is read back as it was spelled, at every length form",
        arguments: [0, 1, 125, 126, 65535, 65536, 1 << 40])
    func lengths(_ length: Int) throws {
        let bytes: [UInt8] = [0x82] + lengthBytes(length, masked: true) + [1, 2, 3, 4]
        let head = try #require(try parse(bytes))
        #expect(head.length == length)
        #expect(head.size == bytes.count)
        #expect(head.opcode == .binary)
        #expect(head.isFinal)
        #expect(!head.isCompressed)
        #expect(head.mask == 0x0403_0201)
    }

    @Test("a head cut short asks for more, wherever it is cut", arguments: [5, 300, 70_000])
    func split(_ length: Int) throws {
        let bytes: [UInt8] = [0x81] + lengthBytes(length, masked: true) + [1, 2, 3, 4]
        for cut in 0..<bytes.count { #expect(try parse(Array(bytes[..<cut])) == nil, "cut at \(cut)") }
    }

    @Test("a reserved opcode is refused by number", arguments: [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] as [UInt8])
    func reservedOpcode(_ code: UInt8) {
        #expect(throws: ProtocolViolation.unknownOpcode(code)) { try parse([0x80 | code, 0x80]) }
    }

    @Test("reserved bits are refused without an extension", arguments: 1...7, [0, 1, 2, 8, 9, 10] as [UInt8])
    func reservedBits(_ bits: Int, _ opcode: UInt8) {
        let bits = UInt8(bits) << 4
        #expect(throws: ProtocolViolation.reservedBits(bits)) { try parse([0x80 | bits | opcode, 0x80]) }
    }

    @Test("with deflate RSV1 may stand on the first frame of a message and nowhere else")
    func compressionBit() throws {
        for opcode in [1, 2] as [UInt8] {
            let head = try parse([0xC0 | opcode, 0x80, 0, 0, 0, 0], allowsCompression: true)
            #expect(head?.isCompressed == true)
        }
        for opcode in [0, 8, 9, 10] as [UInt8] {
            #expect(throws: ProtocolViolation.reservedBits(0x40)) {
                try parse([0xC0 | opcode, 0x80], allowsCompression: true)
            }
        }
        for bits in [0x10, 0x20, 0x30, 0x50, 0x60, 0x70] as [UInt8] {
            #expect(throws: ProtocolViolation.reservedBits(bits)) {
                try parse([0x81 | bits, 0x80], allowsCompression: true)
            }
        }
    }

    @Test("control frames are whole and short", arguments: [Opcode.close, .ping, .pong])
    func controlFrames(_ opcode: Opcode) {
        #expect(throws: ProtocolViolation.fragmentedControlFrame(opcode)) { try parse([opcode.rawValue, 0x80]) }
        for length in [126, 127] as [UInt8] {
            #expect(throws: ProtocolViolation.oversizedControlFrame(opcode)) {
                try parse([0x80 | opcode.rawValue, 0x80 | length])
            }
        }
    }

    @Test("a server takes masked frames only, a client bare ones")
    func masking() throws {
        #expect(throws: ProtocolViolation.unmaskedFrame) { try parse([0x81, 0x05]) }
        #expect(throws: ProtocolViolation.maskedFrame) { try parse([0x81, 0x85], role: .client) }
        let bare = try parse([0x81, 0x05], role: .client)
        #expect(bare?.mask == nil && bare?.size == 2)
    }

    @Test(
        "a length in more bytes than it needs is refused",
        arguments: [
            [126, 0, 0], [126, 0, 125], [127, 0, 0, 0, 0, 0, 0, 0, 5], [127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
        ] as [[UInt8]])
    func minimalLength(_ length: [UInt8]) {
        let bytes: [UInt8] = [0x82, length[0] | 0x80] + length[1...] + [0, 0, 0, 0]
        #expect(throws: ProtocolViolation.lengthNotMinimal) { try parse(bytes) }
    }

    @Test("a 64-bit length with its top bit set is refused")
    func topBit() {
        let bytes: [UInt8] = [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        #expect(throws: ProtocolViolation.lengthOutOfRange) { try parse(bytes) }
    }

    private func parse(
        _ bytes: [UInt8], role: Role = .server, allowsCompression: Bool = false
    ) throws(ProtocolViolation) -> FrameHead? {
        let outcome: Result<FrameHead?, ProtocolViolation> = unsafe bytes.withUnsafeBytes { raw in
            do throws(ProtocolViolation) {
                return .success(try unsafe FrameHead.parse(raw, role: role, allowsCompression: allowsCompression))
            } catch {
                return .failure(error)
            }
        }
        return try outcome.get()
    }

    private func lengthBytes(_ length: Int, masked: Bool) -> [UInt8] {
        var bytes = Frame.shortest(length)
        bytes[0] |= masked ? 0x80 : 0
        return bytes
    }
}

@Suite("Masking (RFC 6455 §5.3)")
struct MaskingTests {
    @Test("every length and phase masks as byte by byte", arguments: 0...3)
    func phases(_ phase: Int) {
        let key: [UInt8] = [0x12, 0xFE, 0x00, 0x9A]
        let word = UInt32(0x9A00_FE12)
        for count in Array(0...80) + [1000, 4097] {
            let payload = noise(count)
            // An odd start: the buffer need not be aligned.
            var bytes = [0xAA] + payload + [0xBB]
            unsafe bytes.withUnsafeMutableBytes { raw in
                let inner = unsafe UnsafeMutableRawBufferPointer(rebasing: raw[1..<1 + count])
                unsafe Masking.apply(word, phase: phase, to: inner)
            }
            let expected = payload.enumerated().map { $1 ^ key[($0 + phase) % 4] }
            #expect(bytes == [0xAA] + expected + [0xBB])
        }
    }

    @Test(
        "it knows whether the result is ASCII, wherever the one other byte stands",
        arguments: [1, 7, 8, 31, 32, 33, 100])
    func ascii(_ count: Int) {
        for place in -1..<count {
            var payload = [UInt8](repeating: 0x7F, count: count)
            if place >= 0 { payload[place] = 0x80 }
            var masked = payload.enumerated().map { $1 ^ ([1, 2, 3, 4] as [UInt8])[$0 % 4] }
            let isASCII = unsafe masked.withUnsafeMutableBytes { unsafe Masking.apply(0x0403_0201, phase: 0, to: $0) }
            #expect(isASCII == (place < 0))
            #expect(masked == payload)
        }
    }
}
