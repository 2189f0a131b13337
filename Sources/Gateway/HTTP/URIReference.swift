/// The parts of a URI reference as places in the bytes they were found in (RFC 3986 §3 and appendix B).
///
/// Every byte string has exactly one reading; whether a part's bytes are allowed is for its user to say. The fragment
/// is cut off: it never leaves a user agent.
package struct URIReference: Equatable, Sendable {
    /// Without the colon. Present only if its first byte is a letter and the rest are letters, digits, `+`, `-`, `.`.
    package let scheme: Range<Int>?
    /// Without the two slashes; may be empty.
    package let authority: Range<Int>?
    package let path: Range<Int>
    /// Without the question mark; may be empty.
    package let query: Range<Int>?

    package init(_ text: Span<UInt8>) {
        var place = 0
        let schemeEnd = Self.schemeEnd(in: text)
        scheme = schemeEnd.map { 0..<$0 }
        if let schemeEnd { place = schemeEnd + 1 }

        if place + 1 < text.count, text[place] == Self.slash, text[place + 1] == Self.slash {
            let start = place + 2
            place = start
            while place < text.count, !Self.endsAuthority(text[place]) { place += 1 }
            authority = start..<place
        } else {
            authority = nil
        }

        let pathStart = place
        while place < text.count, text[place] != Self.question, text[place] != Self.hash { place += 1 }
        path = pathStart..<place

        guard place < text.count, text[place] == Self.question else {
            query = nil
            return
        }
        let queryStart = place + 1
        place = queryStart
        while place < text.count, text[place] != Self.hash { place += 1 }
        query = queryStart..<place
    }

    private static func schemeEnd(in text: Span<UInt8>) -> Int? {
        guard text.count > 0, URIReference.isLetter(text[0]) else { return nil }
        for place in 1..<max(text.count, 1) {
            switch text[place] {
            case UInt8(ascii: ":"): return place
            case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), 0x30...0x39: continue
            case let byte where URIReference.isLetter(byte): continue
            default: return nil
            }
        }
        return nil
    }

    private static func endsAuthority(_ byte: UInt8) -> Bool { byte == slash || byte == question || byte == hash }

    private static let slash = UInt8(ascii: "/")
    private static let question = UInt8(ascii: "?")
    private static let hash = UInt8(ascii: "#")
}

extension URIReference {
    /// Removes `.` and `..` segments in place, in one pass (RFC 3986 §5.2.4).
    ///
    /// - Parameter start: Where in `bytes` a path begins that is the rest of `bytes` and starts with a slash. `..`
    ///   never climbs above it. Percent-encoded dots are left alone: whether they are dots is the origin's reading.
    package static func removeDotSegments(_ bytes: inout [UInt8], from start: Int) {
        let end = bytes.count
        var reading = start
        var writing = start
        while reading < end {
            var next = reading + 1
            while next < end, bytes[next] != slash { next += 1 }
            let dots = dotCount(bytes, reading + 1..<next)
            if dots == 2 {
                while writing > start {
                    writing -= 1
                    if bytes[writing] == slash { break }
                }
            }
            if dots == 0 {
                if writing != reading {
                    for place in reading..<next { bytes[writing + place - reading] = bytes[place] }
                }
                writing += next - reading
            } else if next == end {
                bytes[writing] = slash
                writing += 1
            }
            reading = next
        }
        bytes.removeLast(end - writing)
    }

    /// One for the segment `.`, two for `..`, zero for any other.
    private static func dotCount(_ bytes: [UInt8], _ segment: Range<Int>) -> Int {
        guard segment.count == 1 || segment.count == 2 else { return 0 }
        return segment.allSatisfy { bytes[$0] == UInt8(ascii: ".") } ? segment.count : 0
    }
}

extension URIReference {
    static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

    /// The value of one hexadecimal digit in either case.
    static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
