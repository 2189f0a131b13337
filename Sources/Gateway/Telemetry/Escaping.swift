import GatewayBytes

// Values in a log line come from strangers. None of them may end the line, close a quote, move a cursor or reverse the
// direction of text, whatever shows the log.

/// True if every byte is printable ASCII other than `"` and `\`: nothing to escape in either format.
@inline(__always)
func isPlain(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    while index + 8 <= bytes.count {
        let word = unsafe bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
        if !isPlain(word) { return false }
        index += 8
    }
    while index < bytes.count {
        if unsafe !isPlain(bytes[index]) { return false }
        index += 1
    }
    return true
}

@inline(__always)
private func isPlain(_ byte: UInt8) -> Bool { byte >= 0x20 && byte < 0x7F && byte != 0x22 && byte != 0x5C }

/// The same of eight bytes at once: the high bit of a byte is raised where that byte is not plain.
@inline(__always)
private func isPlain(_ word: UInt64) -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let quotes = word ^ (ones &* 0x22)
    let slashes = word ^ (ones &* 0x5C)
    let deletes = word ^ (ones &* 0x7F)
    // `x - 1` borrows into the high bit of a byte that is zero; false alarms need a true one below them.
    let raised =
        (word &- ones &* 0x20) | (quotes &- ones) | (slashes &- ones) | (deletes &- ones) | word
    return raised & (ones &* 0x80) == 0
}

/// How the characters that must not stand in a line are written.
enum Escape {
    /// `\u001b`, as JSON strings do.
    case json
    /// `\u{1b}`, for people.
    case text
}

extension OutputBuffer {
    /// Appends UTF-8 text with control characters, quotes and backslashes escaped; what is not UTF-8 becomes U+FFFD.
    mutating func append(escaping bytes: UnsafeRawBufferPointer, as escape: Escape) {
        if unsafe isPlain(bytes) { return unsafe append(bytes) }
        for scalar in unsafe String(decoding: bytes, as: UTF8.self).unicodeScalars { append(scalar, as: escape) }
    }

    mutating func append(escaping text: String, as escape: Escape) {
        var text = text
        text.withUTF8 { unsafe append(escaping: UnsafeRawBufferPointer($0), as: escape) }
    }

    private mutating func append(_ scalar: Unicode.Scalar, as escape: Escape) {
        switch scalar {
        case "\"": append("\\\"" as StaticString)
        case "\\": append("\\\\" as StaticString)
        case "\n": append("\\n" as StaticString)
        case "\r": append("\\r" as StaticString)
        case "\t": append("\\t" as StaticString)
        case _ where scalar.isUnfitForLines: append(code: scalar.value, as: escape)
        default:
            for unit in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter { append(unit) }
        }
    }

    private mutating func append(code: UInt32, as escape: Escape) {
        switch escape {
        case .json:
            // Everything unfit lies in the basic plane, so four digits do.
            append("\\u" as StaticString)
            for place in [12, 8, 4, 0] { append(hexadecimal: UInt64(code >> UInt32(place) & 0xF)) }
        case .text:
            append("\\u{" as StaticString)
            append(hexadecimal: UInt64(code))
            append(UInt8(ascii: "}"))
        }
    }
}

extension Unicode.Scalar {
    /// C0, DEL, C1, line and paragraph separators, and the marks and overrides of text direction.
    fileprivate var isUnfitForLines: Bool {
        switch value {
        case 0..<0x20, 0x7F..<0xA0, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: true
        default: false
        }
    }
}
