import GatewayBytes
import GatewayCompression
import GatewayTestSupport
import Testing

@Suite("Whole gzip members")
struct GzipCompressorTests {
    private func gunzip(_ bytes: [UInt8], limit: Int = 1 << 24) throws -> [UInt8] {
        var inflater = try Inflater.make(format: .gzip)
        let inflation = Inflation(bytes, with: &inflater, limit: limit)
        if let failure = inflation.failure { throw failure }
        #expect(inflation.progress == .ended && inflation.rest == 0)
        return inflation.output
    }

    @Test("what is compressed is inflated again, checksum and length included", arguments: [1, 5, 6, 9])
    func roundTrip(_ level: Int) throws {
        var compressor = try GzipCompressor.make(level: level)
        for size in [200, 1000, 1024, 16_384, 65_536, 300_000] {
            let bytes = sampleJSON(size)
            var output = OutputBuffer()
            output.append(7)
            let isSmaller = unsafe bytes.withUnsafeBytes { unsafe compressor.compress($0, into: &output) }
            guard size > 1000 || isSmaller else { continue }
            #expect(isSmaller)
            let member = Array(output.array.dropFirst())
            #expect(member.count < bytes.count)
            #expect(try gunzip(member) == bytes)
        }
    }

    @Test("what does not shrink leaves the output as it was", arguments: [0, 1, 20, 1000, 70_000])
    func incompressible(_ size: Int) throws {
        var compressor = try GzipCompressor.make(level: 5)
        var output = OutputBuffer()
        output.append(7)
        #expect(unsafe !noise(size).withUnsafeBytes { unsafe compressor.compress($0, into: &output) })
        #expect(output.array == [7])
    }

    @Test("a damaged member is found out by its checksum")
    func damaged() throws {
        var compressor = try GzipCompressor.make(level: 5)
        var output = OutputBuffer()
        let bytes = sampleJSON(4000)
        #expect(unsafe bytes.withUnsafeBytes { unsafe compressor.compress($0, into: &output) })
        var member = output.array
        member[member.count - 5] ^= 1
        #expect(throws: CompressionError.invalidData) { try gunzip(member) }
    }

    @Test("a level outside 1 through 9 is refused", arguments: [0, 10])
    func levels(_ level: Int) {
        #expect(throws: CompressionError.misuse) { _ = try GzipCompressor.make(level: level) }
    }
}
