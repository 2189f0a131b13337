/// Settings in a file, as systemd reads an `EnvironmentFile`: one `NAME=value` on each line.
///
/// ```
/// # a comment; `;` begins one too
/// PING_INTERVAL=30s
/// PROXY_ROUTES=/api=http://10.0.0.1:3000,\
///     /v2=http://10.0.0.2:3000
/// HLS_USER_AGENT="two words, and \"quotes\""
/// METRICS_TOKEN='nothing $means \anything here'
/// ```
/// - Space around a name and around an unquoted value does not count.
/// - Unquoted, a backslash makes the next character plain, and at the end of a line joins the next one to it.
/// - In double quotes it does so before `"`, `\`, `` ` ``, `$` and the end of a line; elsewhere it stands for itself.
/// - Single quotes keep everything, and either kind may go over several lines.
/// - Nothing is expanded, and `#` within a value is part of it.
///
/// Where systemd skips what it does not understand, this refuses it.
package enum EnvironmentFile {
    /// Largest file.
    package static let limit = 256 << 10

    /// - Parameter problems: Gets a sentence with its line number for everything that is wrong; values are never shown.
    package static func parse(_ bytes: [UInt8], problems: inout [String]) -> [String: String] {
        guard bytes.count <= limit else {
            problems.append("is larger than \(limit >> 10) KiB")
            return [:]
        }
        var scanner = EnvironmentScanner(bytes)
        var values: [String: String] = [:]
        var lines: [String: Int] = [:]
        while true {
            do throws(EnvironmentFault) {
                guard let entry = try scanner.next() else { return values }
                if let first = lines[entry.name] {
                    problems.append("line \(entry.line): \(entry.name) stands on line \(first) already")
                    continue
                }
                lines[entry.name] = entry.line
                values[entry.name] = entry.value
            } catch {
                problems.append("line \(error.line): \(error.message)")
                scanner.skipLine()
            }
        }
    }
}

private struct EnvironmentFault: Error {
    let line: Int
    let message: String
}

/// Walks over the bytes of the file, entry by entry.
private struct EnvironmentScanner {
    private let bytes: [UInt8]
    private var place = 0
    private var line = 1

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private static let newline = UInt8(ascii: "\n")
    private static let backslash = UInt8(ascii: "\\")

    private var current: UInt8? { place < bytes.count ? bytes[place] : nil }

    private mutating func advance() {
        if bytes[place] == Self.newline { line += 1 }
        place += 1
    }

    /// Goes on with the next line.
    mutating func skipLine() {
        while let byte = current {
            advance()
            if byte == Self.newline { return }
        }
    }

    private func fault(_ message: String) -> EnvironmentFault { EnvironmentFault(line: line, message: message) }

    /// The next setting; `nil` at the end of the file.
    mutating func next() throws(EnvironmentFault) -> (name: String, value: String, line: Int)? {
        while let byte = current {
            if Self.isSpace(byte) || byte == Self.newline {
                advance()
            } else if byte == UInt8(ascii: "#") || byte == UInt8(ascii: ";") {
                skipLine()
            } else {
                let start = line
                let name = try name()
                let value = try value()
                guard let text = String(validating: value, as: UTF8.self), !value.contains(0) else {
                    throw EnvironmentFault(line: start, message: "the value of \(name) is not text in UTF-8")
                }
                return (name, text, start)
            }
        }
        return nil
    }

    private mutating func name() throws(EnvironmentFault) -> String {
        let start = place
        while let byte = current, byte != UInt8(ascii: "="), byte != Self.newline { advance() }
        guard current == UInt8(ascii: "=") else { throw fault("there is no `=`; write NAME=value") }
        var name = bytes[start..<place]
        advance()
        while let last = name.last, Self.isSpace(last) { name.removeLast() }
        let isName = name.enumerated().allSatisfy { offset, byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"): offset > 0
            default: false
            }
        }
        guard isName, !name.isEmpty else {
            throw fault("what stands before `=` is no name; letters, digits and underscores are")
        }
        return String(decoding: name, as: UTF8.self)
    }

    private mutating func value() throws(EnvironmentFault) -> [UInt8] {
        while let byte = current, Self.isSpace(byte) { advance() }
        switch current {
        case UInt8(ascii: "\""): return try quoted(UInt8(ascii: "\""))
        case UInt8(ascii: "'"): return try quoted(UInt8(ascii: "'"))
        default: return plain()
        }
    }

    private mutating func plain() -> [UInt8] {
        var value: [UInt8] = []
        // Space at the end does not count, unless a backslash made it plain.
        var kept = 0
        while let byte = current, byte != Self.newline {
            advance()
            guard byte == Self.backslash, let next = current else {
                value.append(byte)
                if !Self.isSpace(byte) { kept = value.count }
                continue
            }
            if passLineEnd() { continue }
            advance()
            value.append(next)
            kept = value.count
        }
        return Array(value[..<kept])
    }

    private mutating func quoted(_ quote: UInt8) throws(EnvironmentFault) -> [UInt8] {
        let start = line
        advance()
        var value: [UInt8] = []
        while let byte = current {
            advance()
            if byte == quote {
                try finishLine()
                return value
            }
            guard byte == Self.backslash, quote == UInt8(ascii: "\"") else {
                value.append(byte)
                continue
            }
            if passLineEnd() { continue }
            if let next = current, Self.isEscapable(next) {
                advance()
                value.append(next)
            } else {
                value.append(byte)
            }
        }
        throw EnvironmentFault(line: start, message: "the quote that begins here never ends")
    }

    /// Goes past the end of a line, LF or CR LF, if it is here.
    private mutating func passLineEnd() -> Bool {
        if bytes[place...].starts(with: "\r\n".utf8) { advance() }
        guard current == Self.newline else { return false }
        advance()
        return true
    }

    private mutating func finishLine() throws(EnvironmentFault) {
        while let byte = current, byte != Self.newline {
            guard Self.isSpace(byte) else { throw fault("something stands behind the closing quote") }
            advance()
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
    }

    private static func isEscapable(_ byte: UInt8) -> Bool { "\"\\`$".utf8.contains(byte) }
}
