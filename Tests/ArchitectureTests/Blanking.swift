/// Swift source with comments and the text of string literals replaced by spaces; lines keep their numbers.
///
/// Enough of a lexer to tell code from prose: nested comments, raw, multi-line and interpolated strings. Not a parser.
func blanked(_ text: String) -> String {
    var lexer = Lexer(Array(text.utf8))
    lexer.run()
    return String(decoding: lexer.output, as: UTF8.self)
}

private struct Lexer {
    private enum Context {
        /// Code; `depth` counts open parentheses, so that an interpolation knows its end.
        case code(depth: Int)
        case lineComment
        case blockComment(depth: Int)
        case string(hashes: Int, multiline: Bool)
    }

    private let input: [UInt8]
    private var place = 0
    private var contexts: [Context] = [.code(depth: 0)]
    private(set) var output: [UInt8] = []

    init(_ input: [UInt8]) {
        self.input = input
        output.reserveCapacity(input.count)
    }

    mutating func run() {
        while place < input.count {
            switch contexts.last {
            case .code(let depth)?: stepCode(depth)
            case .lineComment?: stepLineComment()
            case .blockComment(let depth)?: stepBlockComment(depth)
            case .string(let hashes, let multiline)?: stepString(hashes, multiline)
            case nil: return
            }
        }
    }

    private func at(_ text: String, offset: Int = 0) -> Bool {
        var next = place + offset
        for byte in text.utf8 {
            guard next < input.count, input[next] == byte else { return false }
            next += 1
        }
        return true
    }

    private mutating func keep(_ count: Int = 1) {
        output += input[place..<(place + count)]
        place += count
    }

    private mutating func blank(_ count: Int = 1) {
        let end = min(place + count, input.count)
        for byte in input[place..<end] { output.append(byte == UInt8(ascii: "\n") ? byte : UInt8(ascii: " ")) }
        place = end
    }

    private mutating func replaceContext(_ context: Context) { contexts[contexts.count - 1] = context }

    private mutating func stepCode(_ depth: Int) {
        if at("//") {
            contexts.append(.lineComment)
        } else if at("/*") {
            contexts.append(.blockComment(depth: 0))
        } else if at("\"") || at("#") {
            stepOpeningQuote()
        } else if at("(") {
            replaceContext(.code(depth: depth + 1))
            keep()
        } else if at(")") {
            if depth == 0, contexts.count > 1 {
                contexts.removeLast()
            } else {
                replaceContext(.code(depth: depth - 1))
            }
            keep()
        } else {
            keep()
        }
    }

    /// Keeps the quotes, so that a string still looks like an operand, and enters the string.
    private mutating func stepOpeningQuote() {
        var hashes = 0
        while at("#", offset: hashes) { hashes += 1 }
        guard at("\"", offset: hashes) else { return keep(max(hashes, 1)) }
        let multiline = at("\"\"\"", offset: hashes)
        keep(hashes + (multiline ? 3 : 1))
        contexts.append(.string(hashes: hashes, multiline: multiline))
    }

    private mutating func stepString(_ hashes: Int, _ multiline: Bool) {
        let fence = String(repeating: "#", count: hashes)
        let quote = (multiline ? "\"\"\"" : "\"") + fence
        if at("\\" + fence + "(") {
            keep(hashes + 2)
            contexts.append(.code(depth: 0))
        } else if at("\\" + fence) {
            blank(hashes + 2)
        } else if at(quote) {
            contexts.removeLast()
            keep(quote.utf8.count)
        } else if at("\n"), !multiline {
            contexts.removeLast()
            keep()
        } else {
            blank()
        }
    }

    private mutating func stepLineComment() {
        if at("\n") {
            contexts.removeLast()
            keep()
        } else {
            blank()
        }
    }

    private mutating func stepBlockComment(_ depth: Int) {
        if at("/*") {
            replaceContext(.blockComment(depth: depth + 1))
            blank(2)
        } else if at("*/") {
            if depth == 1 { contexts.removeLast() } else { replaceContext(.blockComment(depth: depth - 1)) }
            blank(2)
        } else {
            blank()
        }
    }
}
