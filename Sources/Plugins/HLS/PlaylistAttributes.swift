/// One `NAME=value` of an attribute list. A quoted value is the bytes between its quotes.
struct PlaylistAttribute: Equatable {
    let name: Range<Int>
    let value: Range<Int>
    let isQuoted: Bool
}

/// Walks over an attribute list (RFC 8216 §4.2): commas inside quotes belong to the value. Blanks around names, and
/// values that should be quoted and are not, are met as players meet them.
struct PlaylistAttributes {
    private var place: Int
    private let end: Int
    private let line: Int

    /// - Parameter list: Where the list stands in the text given to ``next(in:)``.
    /// - Parameter line: The line's number, for errors.
    init(in list: Range<Int>, line: Int) {
        place = list.lowerBound
        end = list.upperBound
        self.line = line
    }

    mutating func next(in text: Span<UInt8>) throws(PlaylistError) -> PlaylistAttribute? {
        while place < end {
            skip(in: text) { $0 == UInt8(ascii: ",") || Self.isBlank($0) }
            let nameStart = place
            skip(in: text) { $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "=") }
            guard place < end, text[place] == UInt8(ascii: "=") else { continue }  // a word without a value
            let name = Self.withoutTrailingBlanks(nameStart..<place, in: text)
            place += 1
            skip(in: text, while: Self.isBlank)
            if place < end, text[place] == UInt8(ascii: "\"") {
                return PlaylistAttribute(name: name, value: try quotedValue(in: text), isQuoted: true)
            }
            let valueStart = place
            skip(in: text) { $0 != UInt8(ascii: ",") }
            let value = Self.withoutTrailingBlanks(valueStart..<place, in: text)
            return PlaylistAttribute(name: name, value: value, isQuoted: false)
        }
        return nil
    }

    private mutating func quotedValue(in text: Span<UInt8>) throws(PlaylistError) -> Range<Int> {
        let start = place + 1
        place = start
        skip(in: text) { $0 != UInt8(ascii: "\"") }
        guard place < end else { throw .unterminatedQuote(line: line) }
        let value = start..<place
        skip(in: text) { $0 != UInt8(ascii: ",") }
        return value
    }

    private mutating func skip(in text: Span<UInt8>, while condition: (UInt8) -> Bool) {
        while place < end, condition(text[place]) { place += 1 }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    private static func withoutTrailingBlanks(_ range: Range<Int>, in text: Span<UInt8>) -> Range<Int> {
        var end = range.upperBound
        while end > range.lowerBound, isBlank(text[end - 1]) { end -= 1 }
        return range.lowerBound..<end
    }
}
