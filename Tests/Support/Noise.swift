/// Bytes that no compressor can shorten.
package func noise(_ size: Int, seed: UInt64 = 99) -> [UInt8] {
    var state = seed
    return (0..<size).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return UInt8(truncatingIfNeeded: state >> 24)
    }
}
