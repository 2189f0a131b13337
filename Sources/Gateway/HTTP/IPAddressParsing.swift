extension IPAddress {
    /// Reads one address, all of `text`: a dotted quad or an RFC 4291 §2.2 form. Anything else is `nil`: no ports,
    /// brackets, zones or blanks.
    package init?(_ text: String) {
        self.init(text: Array(text.utf8).span)
    }

    /// The same for bytes.
    package init?(text: Span<UInt8>) {
        // 45 is the longest spelling, eight-times-four-digit groups ending in a quad; longer input is not looked at.
        guard text.count >= 2, text.count <= 45 else { return nil }
        if let value = Self.dottedQuad(text) {
            self = .v4(value)
        } else if let value = Self.groups(text) {
            self = .v6(value)
        } else {
            return nil
        }
    }

    /// Exactly four decimal parts of 0 through 255 without leading zeros, so no octal reading is possible.
    static func dottedQuad(_ text: Span<UInt8>) -> UInt32? {
        guard text.count >= 7, text.count <= 15 else { return nil }
        var value: UInt32 = 0
        var parts = 0
        var part: UInt32 = 0
        var digits = 0
        for place in text.indices {
            let byte = text[place]
            if byte == UInt8(ascii: ".") {
                guard digits > 0, parts < 3 else { return nil }
                value = value << 8 | part
                parts += 1
                part = 0
                digits = 0
                continue
            }
            guard byte >= 0x30, byte <= 0x39, digits == 0 || part != 0 else { return nil }
            part = part * 10 + UInt32(byte - 0x30)
            digits += 1
            guard part <= 255 else { return nil }
        }
        guard parts == 3, digits > 0 else { return nil }
        return value << 8 | part
    }

    /// Groups of up to four hexadecimal digits, one `::` at most, the last two perhaps as a dotted quad.
    private static func groups(_ text: Span<UInt8>) -> UInt128? {
        var value: UInt128 = 0
        var count = 0
        var gap: Int?  // groups before `::`
        var place = 0

        if text[0] == UInt8(ascii: ":") {
            guard text[1] == UInt8(ascii: ":") else { return nil }
            gap = 0
            place = 2
        }
        while place < text.count {
            guard count < 8 else { return nil }
            let (group, end) = hexadecimalGroup(text, from: place)
            guard end > place else { return nil }
            if end < text.count, text[end] == UInt8(ascii: ".") {
                guard count <= 6, let quad = dottedQuad(text.extracting(place..<text.count)) else { return nil }
                value = value << 32 | UInt128(quad)
                count += 2
                break
            }
            value = value << 16 | UInt128(group)
            count += 1
            guard end < text.count else { break }
            guard text[end] == UInt8(ascii: ":"), end + 1 < text.count else { return nil }
            place = end + 1
            guard text[place] == UInt8(ascii: ":") else { continue }
            guard gap == nil else { return nil }
            gap = count
            place += 1
        }
        return assembled(value, groups: count, gap: gap)
    }

    private static func assembled(_ value: UInt128, groups count: Int, gap: Int?) -> UInt128? {
        guard let gap else { return count == 8 ? value : nil }
        guard count < 8 else { return nil }
        let width = UInt128(16 * (count - gap))
        let tail = value & ((1 << width) - 1)
        // A shift by the full width gives zero, which is what an empty head is.
        let head = (value >> width) << UInt128(128 - 16 * gap)
        return head | tail
    }

    private static func hexadecimalGroup(_ text: Span<UInt8>, from start: Int) -> (value: UInt16, end: Int) {
        var value: UInt16 = 0
        var place = start
        while place < text.count, place < start + 4, let digit = URIReference.hexadecimalDigit(text[place]) {
            value = value << 4 | UInt16(digit)
            place += 1
        }
        return (value, place)
    }
}
