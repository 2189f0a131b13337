import GatewayBytes
import GatewayCompression
import GatewayTestSupport
import Testing

@Suite("Deflate and inflate (RFC 1951, RFC 7692 §7.2)")
struct DeflateTests {
    @Test("what is compressed inflates to itself, at every level and window", arguments: 1...9, 9...15)
    func roundTrip(level: Int, windowBits: Int) throws {
        var deflater = try Deflater.make(level: level, windowBits: windowBits, memoryLevel: 1 + level % 9)
        for message in [sampleJSON(1), sampleJSON(1000), sampleJSON(70_000), noise(5000), []] {
            deflater.reset()
            let compressed = try deflateMessage(message, with: &deflater)
            #expect(try inflateMessage(compressed, windowBits: windowBits) == message)
        }
    }

    @Test("a kept window makes a repeated message short, and a reset one does not refer to it")
    func takeover() throws {
        var deflater = try Deflater.make(level: 6)
        var inflater = try Inflater.make()
        let message = sampleJSON(2000)
        let first = try deflateMessage(message, with: &deflater)
        let second = try deflateMessage(message, with: &deflater)
        #expect(second.count < first.count / 10)
        #expect(try inflateMessage(first, with: &inflater) == message)
        #expect(try inflateMessage(second, with: &inflater) == message)
        deflater.reset()
        let third = try deflateMessage(message, with: &deflater)
        #expect(try inflateMessage(third) == message)
        #expect(throws: CompressionError.invalidData) { try inflateMessage(second) }
    }

    @Test("empty messages are one zero byte, also twice in a row")
    func emptyMessage() throws {
        var deflater = try Deflater.make(level: 6)
        for _ in 0..<3 { #expect(try deflateMessage([], with: &deflater) == [0]) }
        let next = try deflateMessage([1, 2, 3], with: &deflater)
        #expect(try inflateMessage(next) == [1, 2, 3])
    }

    @Test(
        "the examples of RFC 7692 §7.2.3 inflate to Hello",
        arguments: [
            [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00],
            [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00],
            [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00],
            [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00],
        ] as [[UInt8]])
    func rfcExamples(_ bytes: [UInt8]) throws {
        for step in [1, 2, 3, 64] { #expect(try inflateMessage(bytes, step: step) == Array("Hello".utf8)) }
    }

    @Test("a message that goes on behind a final block is whole, wherever the room for a step ends")
    func beyondFinalBlock() throws {
        // Found by fuzzing: 267 bytes up to the end of the final block, 23 behind it (RFC 7692 §7.2.3.4).
        let message: [UInt8] = [
            0xF3, 0x48, 0x8B, 0xAD, 0x30, 0x99, 0xDB, 0xBD, 0x8B, 0x61, 0x49, 0xF3, 0x48, 0x07, 0x00, 0x42, 0x00, 0xF3,
            0xF3, 0x48, 0x14, 0x00,
        ]
        let whole = try inflateMessage(message, step: 1000)
        #expect(whole.count == 290)
        for step in 1...300 { #expect(try inflateMessage(message, step: step) == whole, "\(step)") }
    }

    @Test("the shared window of RFC 7692 §7.2.3.2 carries over, also across a final block")
    func rfcSharedWindow() throws {
        let starts: [[UInt8]] = [
            [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00],
        ]
        for start in starts {
            var inflater = try Inflater.make()
            #expect(try inflateMessage(start, with: &inflater) == Array("Hello".utf8))
            #expect(try inflateMessage([0xF2, 0x00, 0x11, 0x00, 0x00], with: &inflater) == Array("Hello".utf8))
        }
    }

    @Test("inflation stops at the limit with exactly the limit written", arguments: [1, 100, 4096, 1_000_000])
    func bomb(limit: Int) throws {
        let compressed = try compressedZeros(64 << 20)
        #expect(compressed.count < 70_000)
        var inflater = try Inflater.make()
        let result = Inflation(compressed, with: &inflater, limit: limit)
        #expect(result.failure == .tooLarge(limit: limit))
        #expect(result.output == [UInt8](repeating: 0, count: limit))
        #expect(result.capacity <= max(4096, 4 * limit))
    }

    @Test("a message of exactly the limit passes", arguments: [1, 258, 300, 65_536])
    func exactLimit(size: Int) throws {
        var deflater = try Deflater.make(level: 9)
        let message = [UInt8](repeating: 0x41, count: size)
        let compressed = try deflateMessage(message, with: &deflater) + [0, 0, 0xFF, 0xFF]
        var inflater = try Inflater.make()
        let result = Inflation(compressed, with: &inflater, limit: size)
        #expect(result.progress == .needsInput)
        #expect(result.output == message)
    }

    @Test("data that is not deflate is refused")
    func garbage() throws {
        #expect(throws: CompressionError.invalidData) { try inflateMessage([0xFF, 0xFF, 0xFF]) }
        #expect(throws: CompressionError.invalidData) { try inflateMessage([0x07, 0x00]) }
    }

    @Test("a message cut inside a block is noticed at its end")
    func truncated() throws {
        var deflater = try Deflater.make(level: 6)
        let compressed = try deflateMessage(sampleJSON(400), with: &deflater)
        for size in 1..<compressed.count - 1 {
            #expect(throws: CompressionError.invalidData, "cut to \(size)") {
                try inflateMessage(Array(compressed[..<size]))
            }
        }
    }

    @Test("a window larger than the negotiated one is refused when the inflater has the negotiated one")
    func windowIsEnforced() throws {
        var deflater = try Deflater.make(level: 9, windowBits: 15)
        let message = noise(4000) + noise(4000)
        let compressed = try deflateMessage(message, with: &deflater)
        #expect(try inflateMessage(compressed, windowBits: 15) == message)
        #expect(throws: CompressionError.invalidData) { try inflateMessage(compressed, windowBits: 9) }
    }

    @Test("parameters out of range are refused")
    func misuse() {
        #expect(throws: CompressionError.misuse) { _ = try Deflater.make(level: 0) }
        #expect(throws: CompressionError.misuse) { _ = try Deflater.make(level: 10) }
        #expect(throws: CompressionError.misuse) { _ = try Deflater.make(level: 6, windowBits: 8) }
        #expect(throws: CompressionError.misuse) { _ = try Deflater.make(level: 6, memoryLevel: 10) }
        #expect(throws: CompressionError.misuse) { _ = try Inflater.make(windowBits: 16) }
        #expect(throws: CompressionError.misuse) { _ = try StatelessCompressor.make(level: 0) }
    }

    @Test("memory estimates follow zconf.h")
    func estimates() {
        #expect(Deflater.memoryEstimate(windowBits: 15, memoryLevel: 8) == 262_144)
        #expect(Deflater.memoryEstimate(windowBits: 9, memoryLevel: 1) == 3072)
        #expect(Inflater.memoryEstimate(windowBits: 15) == 39 << 10)
    }

    private func compressedZeros(_ size: Int) throws -> [UInt8] {
        var deflater = try Deflater.make(level: 9)
        return try deflateMessage([UInt8](repeating: 0, count: size), with: &deflater)
    }
}

@Suite("gzip (RFC 1952)")
struct GzipTests {
    @Test("a member has the magic number, inflates to itself, and says where it ends")
    func roundTrip() throws {
        var deflater = try Deflater.make(format: .gzip, level: 6)
        let message = sampleJSON(50_000)
        var packed = OutputBuffer()
        for start in stride(from: 0, to: message.count, by: 7000) {
            let piece = Array(message[start..<min(start + 7000, message.count)])
            try unsafe piece.withUnsafeBytes { try unsafe deflater.compress($0, flush: .none, into: &packed) }
        }
        unsafe try deflater.compress(UnsafeRawBufferPointer(start: nil, count: 0), flush: .finish, into: &packed)
        #expect(packed.array.prefix(3) == [0x1F, 0x8B, 0x08])

        var inflater = try Inflater.make(format: .gzip)
        let result = Inflation(packed.array + [1, 2, 3], with: &inflater, limit: 1 << 20)
        #expect(result.progress == .ended)
        #expect(result.rest == 3)
        #expect(result.output == message)
    }

    @Test("a damaged checksum is refused")
    func checksum() throws {
        var deflater = try Deflater.make(format: .gzip, level: 1)
        var packed = OutputBuffer()
        let message = sampleJSON(300)
        try unsafe message.withUnsafeBytes { try unsafe deflater.compress($0, flush: .finish, into: &packed) }
        var bytes = packed.array
        bytes[bytes.count - 6] ^= 1
        var inflater = try Inflater.make(format: .gzip)
        let result = Inflation(bytes, with: &inflater, limit: 1 << 20)
        #expect(result.failure == .invalidData)
    }
}
