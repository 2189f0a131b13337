import GatewayBytes
import GatewayCompression
import GatewayTestSupport
import Testing

@Suite("Compression without context takeover")
struct StatelessCompressorTests {
    @Test("a message inflates to itself within the negotiated window", arguments: 1...9, 9...15)
    func roundTrip(level: Int, windowBits: Int) throws {
        var compressor = try StatelessCompressor.make(level: level)
        for message in [sampleJSON(1024), sampleJSON(5000), sampleJSON(100_000), noise(9000) + noise(9000)] {
            let compressed = compress(message, with: &compressor, windowBits: windowBits)
            if let compressed {
                #expect(compressed.count < message.count)
                #expect(try inflateMessage(compressed, windowBits: windowBits) == message)
            }
        }
    }

    @Test("every message stands alone")
    func independent() throws {
        var compressor = try StatelessCompressor.make(level: 6)
        let message = sampleJSON(3000)
        let first = try #require(compress(message, with: &compressor))
        let second = try #require(compress(message, with: &compressor))
        #expect(first == second)
        #expect(try inflateMessage(second) == message)
    }

    @Test("what gains nothing leaves the output as it was", arguments: [0, 1, 100, 5000, 200_000])
    func incompressible(size: Int) throws {
        var compressor = try StatelessCompressor.make(level: 9)
        var output = OutputBuffer()
        output.append([1, 2, 3])
        let message = noise(size)
        let gained = unsafe message.withUnsafeBytes { bytes in
            unsafe compressor.compressMessage(bytes, windowBits: 15, into: &output)
        }
        #expect(!gained)
        #expect(output.array == [1, 2, 3])
    }

    @Test("a message that ends like a flush is not mistaken for one")
    func endsLikeAFlush() throws {
        var compressor = try StatelessCompressor.make(level: 6)
        for head in [0, 1, 50, 3000] {
            let message = noise(head) + [0, 0, 0xFF, 0xFF]
            if let compressed = compress(message, with: &compressor) {
                #expect(try inflateMessage(compressed) == message)
            }
        }
    }

    @Test("a larger level never leaves more", arguments: [1024, 16_384, 200_000])
    func levels(size: Int) throws {
        var last = size
        for level in 1...9 {
            var compressor = try StatelessCompressor.make(level: level)
            let compressed = try #require(compress(sampleJSON(size), with: &compressor))
            // A little for lazy matching and tables that happen not to fit.
            #expect(compressed.count <= last + last / 25, "level \(level)")
            last = min(last, compressed.count)
        }
    }

    @Test("zlib's scale maps onto ISA-L's in order")
    func mapping() {
        #expect((1...9).map(StatelessCompressor.isalLevel) == [0, 1, 1, 1, 1, 2, 2, 3, 3])
    }

    private func compress(
        _ message: [UInt8], with compressor: inout StatelessCompressor, windowBits: Int = 15
    ) -> [UInt8]? {
        var output = OutputBuffer()
        let gained = unsafe message.withUnsafeBytes { bytes in
            unsafe compressor.compressMessage(bytes, windowBits: windowBits, into: &output)
        }
        return gained ? output.array : nil
    }
}
