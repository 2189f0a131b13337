package import GatewayBytes

/// What names a request in logs, in errors and towards upstreams: 128 bits of the gateway's own, written as 32
/// hexadecimal digits, or the text that a trusted proxy chose.
///
/// Only a text of another form than the gateway's own needs memory.
package struct RequestID: Hashable, Sendable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64
    /// `nil` for the usual form.
    private let text: [UInt8]?

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
        text = nil
    }

    /// Takes over an id that somebody else chose.
    ///
    /// - Returns: `nil` unless it is 1 through 128 of `[A-Za-z0-9._-]`.
    package init?(foreign bytes: Span<UInt8>) {
        guard Self.isAcceptable(bytes) else { return nil }
        let words = Self.words(bytes)
        (high, low) = words ?? (0, 0)
        text = words == nil ? unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) } : nil
    }

    /// Reads the gateway's own form, which is also nginx's.
    private static func words(_ bytes: Span<UInt8>) -> (UInt64, UInt64)? {
        guard bytes.count == 32 else { return nil }
        var words: (UInt64, UInt64) = (0, 0)
        for place in 0..<32 {
            let nibble: UInt8
            switch bytes[place] {
            case 0x30...0x39: nibble = bytes[place] - 0x30
            case 0x61...0x66: nibble = bytes[place] - 0x57
            default: return nil
            }
            if place < 16 { words.0 = words.0 << 4 | UInt64(nibble) } else { words.1 = words.1 << 4 | UInt64(nibble) }
        }
        return words
    }

    package func append(to buffer: inout OutputBuffer) { withBytes { buffer.append($0) } }

    /// The written form, without an allocation.
    @inline(__always)
    package func withBytes<R>(_ body: (Span<UInt8>) -> R) -> R {
        if let text { return body(text.span) }
        // Eight digits at a time: every request is logged under its id.
        let digits: InlineArray<4, UInt64> = [
            Self.digits(of: high >> 32), Self.digits(of: high), Self.digits(of: low >> 32), Self.digits(of: low),
        ]
        return unsafe withUnsafeBytes(of: digits) { unsafe body($0.assumingMemoryBound(to: UInt8.self).span) }
    }

    /// The lower 32 bits in base sixteen, the first digit in the lowest byte: where memory has it first.
    @inline(__always)
    private static func digits(of word: UInt64) -> UInt64 {
        // One nibble to each byte, the highest on top; then the byte order turned round.
        var spread = (word & 0xFFFF_0000) << 16 | word & 0xFFFF
        spread = (spread << 8 | spread) & 0x00FF_00FF_00FF_00FF
        spread = ((spread << 4 | spread) & 0x0F0F_0F0F_0F0F_0F0F).byteSwapped
        let letters = (spread &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return spread &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
    }

    package var description: String {
        withBytes { bytes in
            unsafe bytes.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
        }
    }

    /// True if an id that somebody else chose may be taken over: 1 through 128 of `[A-Za-z0-9._-]`.
    private static func isAcceptable(_ bytes: Span<UInt8>) -> Bool {
        guard (1...128).contains(bytes.count) else { return false }
        for index in bytes.indices {
            switch bytes[index] {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: continue
            default: return false
            }
        }
        return true
    }
}

/// Makes request ids, one generator per loop. Unique, not secret: nothing may be granted for knowing one.
package struct RequestIDGenerator: Sendable {
    // xoshiro256++ (Blackman and Vigna, 2018): a few cycles per word, and 256 bits of seed keep loops apart.
    private var state: (UInt64, UInt64, UInt64, UInt64)

    /// Seeded by the system.
    package init() {
        var system = SystemRandomNumberGenerator()
        self.init(seed: (system.next(), system.next(), system.next(), system.next()))
    }

    /// - Parameter seed: A test's own; not all zero, or every id will be.
    package init(seed: (UInt64, UInt64, UInt64, UInt64)) { state = seed }

    package mutating func next() -> RequestID { RequestID(high: word(), low: word()) }

    private mutating func word() -> UInt64 {
        let result = Self.rotate(state.0 &+ state.3, by: 23) &+ state.0
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = Self.rotate(state.3, by: 45)
        return result
    }

    private static func rotate(_ word: UInt64, by count: UInt64) -> UInt64 {
        word << count | word >> (64 - count)
    }
}
