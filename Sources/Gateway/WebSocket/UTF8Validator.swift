/// Validates UTF-8 (RFC 3629) as it arrives, cut anywhere, and refuses the first byte that cannot be part of it.
///
/// Four bytes of state: what the next byte must be. Overlong forms, surrogates and code points above U+10FFFF fail at
/// their second byte, not at their last.
package struct UTF8Validator: Equatable, Sendable {
    private var missing: UInt8 = 0
    private var lower: UInt8 = 0x80
    private var upper: UInt8 = 0xBF

    package init() {}

    /// Whether a text may end here.
    @inline(__always) package var isComplete: Bool { missing == 0 }

    /// Takes the next bytes of the text.
    ///
    /// - Returns: `false` at the first impossible byte; the state is of no use afterwards.
    package mutating func accepts(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        let count = bytes.count
        var place = 0
        while place < count {
            if missing > 0 {
                guard continues(unsafe base.load(fromByteOffset: place, as: UInt8.self)) else { return false }
                place += 1
                continue
            }
            let lead = unsafe base.load(fromByteOffset: place, as: UInt8.self)
            if lead < 0x80 {
                place = unsafe Self.skipASCII(base, from: place, to: count)
            } else if unsafe Self.isOrdinary(base + place, lead: lead, left: count - place) {
                place += lead < 0xE0 ? 2 : 3
            } else {
                guard begins(lead) else { return false }
                place += 1
            }
        }
        return true
    }

    /// The place of the first byte from `start` that is not ASCII, or `end`.
    @inline(__always)
    private static func skipASCII(_ base: UnsafeRawPointer, from start: Int, to end: Int) -> Int {
        var place = start
        while end - place >= 16 {
            let words = unsafe base.loadUnaligned(fromByteOffset: place, as: SIMD2<UInt64>.self)
            guard (words[0] | words[1]) & 0x8080_8080_8080_8080 == 0 else { break }
            place += 16
        }
        while place < end, unsafe base.load(fromByteOffset: place, as: UInt8.self) < 0x80 { place += 1 }
        return place
    }

    /// Whether a complete two-byte sequence, or a three-byte one that needs no special bounds, stands here: nearly all
    /// text that is not ASCII. The rest goes byte by byte.
    @inline(__always)
    private static func isOrdinary(_ here: UnsafeRawPointer, lead: UInt8, left: Int) -> Bool {
        switch lead {
        case 0xC2...0xDF:
            guard left >= 2 else { return false }
            return unsafe here.load(fromByteOffset: 1, as: UInt8.self) & 0xC0 == 0x80
        case 0xE1...0xEC, 0xEE, 0xEF:
            guard left >= 3 else { return false }
            let pair = unsafe here.loadUnaligned(fromByteOffset: 1, as: UInt16.self)
            return pair & 0xC0C0 == 0x8080
        default:
            return false
        }
    }

    @inline(__always)
    private mutating func continues(_ byte: UInt8) -> Bool {
        guard byte >= lower, byte <= upper else { return false }
        missing -= 1
        lower = 0x80
        upper = 0xBF
        return true
    }

    /// The table of RFC 3629 §4.
    private mutating func begins(_ lead: UInt8) -> Bool {
        switch lead {
        case 0xC2...0xDF: missing = 1
        case 0xE0: (missing, lower) = (2, 0xA0)
        case 0xED: (missing, upper) = (2, 0x9F)
        case 0xE1...0xEF: missing = 2
        case 0xF0: (missing, lower) = (3, 0x90)
        case 0xF1...0xF3: missing = 3
        case 0xF4: (missing, upper) = (3, 0x8F)
        default: return false
        }
        return true
    }
}
