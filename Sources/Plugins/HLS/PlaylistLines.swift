import PluginKit

/// One line: `start..<end` is what it says, `end..<next` its terminator: LF, CRLF, nothing at the end, or a lone
/// CR, which the RFC does not know and players' patterns take for a line's end.
struct PlaylistLine: Equatable {
    let number: Int
    let start: Int
    let end: Int
    let next: Int

    var content: Range<Int> { start..<end }
}

/// Walks over the lines of a playlist in order (RFC 8216 §4.1), within the limits on their number and length.
struct PlaylistLines {
    private let limits: PlaylistLimits
    private var place: Int
    private var number = 0

    /// - Parameter start: Behind a byte order mark, if there is one.
    init(from start: Int, limits: PlaylistLimits) {
        place = start
        self.limits = limits
    }

    mutating func next(in text: Span<UInt8>) throws(PlaylistError) -> PlaylistLine? {
        guard place < text.count else { return nil }
        guard number < limits.lines else { throw .tooManyLines(limit: limits.lines) }
        number += 1
        let start = place
        while place < text.count, text[place] != Self.lineFeed, text[place] != Self.carriageReturn { place += 1 }
        let end = place
        guard end - start <= limits.line.bytes else { throw .lineTooLong(line: number, limit: limits.line) }
        if place < text.count, text[place] == Self.carriageReturn { place += 1 }
        if place < text.count, text[place] == Self.lineFeed { place += 1 }
        return PlaylistLine(number: number, start: start, end: end, next: place)
    }

    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
}
