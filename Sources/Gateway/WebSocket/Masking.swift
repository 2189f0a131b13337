/// The masking of client frames (RFC 6455 §5.3): the payload, byte by byte, with four key bytes in turn.
package enum Masking {
    /// Masks or unmasks `bytes` in place, 32 and then 8 bytes at a time.
    ///
    /// - Parameters:
    ///   - key: The key as its four bytes stand in memory (little-endian machines).
    ///   - phase: How many bytes of the same payload went before; only the last two bits matter.
    /// - Returns: Whether every resulting byte is ASCII, which is known for free here.
    @inline(__always)
    @discardableResult
    package static func apply(_ key: UInt32, phase: Int, to bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        let shift = UInt32(truncatingIfNeeded: phase & 3) * 8
        let turned = shift == 0 ? key : key >> shift | key << (32 - shift)
        let word = UInt64(turned) | UInt64(turned) << 32
        let count = bytes.count
        var place = 0
        var seen: UInt64 = 0
        if count >= 32 {
            unsafe applyBlocks(word, to: base, count: count, place: &place, seen: &seen)
        }
        while count - place >= 8 {
            let plain = unsafe base.loadUnaligned(fromByteOffset: place, as: UInt64.self) ^ word
            unsafe base.storeBytes(of: plain, toByteOffset: place, as: UInt64.self)
            seen |= plain
            place += 8
        }
        var rest = word
        while place < count {
            let plain = unsafe base.load(fromByteOffset: place, as: UInt8.self) ^ UInt8(truncatingIfNeeded: rest)
            unsafe base.storeBytes(of: plain, toByteOffset: place, as: UInt8.self)
            seen |= UInt64(plain)
            rest >>= 8
            place += 1
        }
        return seen & 0x8080_8080_8080_8080 == 0
    }

    @inline(never)
    private static func applyBlocks(
        _ word: UInt64, to base: UnsafeMutableRawPointer, count: Int, place: inout Int, seen: inout UInt64
    ) {
        let block = SIMD4<UInt64>(repeating: word)
        var all = SIMD4<UInt64>.zero
        var offset = 0
        while count - offset >= 32 {
            let plain = unsafe base.loadUnaligned(fromByteOffset: offset, as: SIMD4<UInt64>.self) ^ block
            unsafe base.storeBytes(of: plain, toByteOffset: offset, as: SIMD4<UInt64>.self)
            all |= plain
            offset += 32
        }
        place = offset
        seen = all[0] | all[1] | all[2] | all[3]
    }
}
