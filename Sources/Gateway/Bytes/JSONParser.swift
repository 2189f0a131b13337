/// How much JSON a parser takes before it gives up.
package struct JSONLimits: Sendable {
    /// Bytes of the whole text.
    package var size: ByteCount
    /// Arrays and objects inside each other; the outermost counts as one.
    package var depth: Int
    /// Values of every kind in the whole text, so that `[[],[],…` cannot cost many times its size.
    package var values: Int

    package init(size: ByteCount = .mebibytes(1), depth: Int = 32, values: Int = 100_000) {
        self.size = size
        self.depth = depth
        self.values = values
    }
}

/// Why a text is not the JSON we take. `at` counts bytes from the start of the text.
package enum JSONError: Error, Equatable {
    case tooLarge(limit: ByteCount)
    case tooDeep(limit: Int, at: Int)
    case tooManyValues(limit: Int)
    case unexpectedEnd
    case unexpectedByte(UInt8, at: Int)
    case malformedNumber(at: Int)
    case malformedEscape(at: Int)
    /// Half of a UTF-16 pair, which names no character.
    case loneSurrogate(at: Int)
    /// A byte below 0x20 inside a string must be escaped.
    case controlCharacter(at: Int)
    case malformedUTF8(at: Int)
    case duplicateName(String)
    case trailingBytes(at: Int)
}

extension JSON {
    /// Reads exactly one value, with whitespace around it and nothing else (RFC 8259).
    ///
    /// Stricter than the RFC demands where parsers differ and forgers live: strict UTF-8 without a byte order mark, no
    /// name twice in an object, no lone surrogates.
    package static func parse(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) -> JSON {
        guard bytes.count <= limits.size.bytes else { throw .tooLarge(limit: limits.size) }
        var parser = JSONParser(bytes: bytes, limits: limits)
        return try parser.document()
    }

    package static func parse(_ text: String, limits: JSONLimits = JSONLimits()) throws(JSONError) -> JSON {
        try parse(Array(text.utf8), limits: limits)
    }
}

/// Recursive descent over the grammar of RFC 8259 §2-§7; the depth limit bounds the recursion.
private struct JSONParser {
    let bytes: [UInt8]
    let limits: JSONLimits
    private var place = 0
    private var depth = 0
    private var values = 0

    init(bytes: [UInt8], limits: JSONLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    mutating func document() throws(JSONError) -> JSON {
        let value = try value()
        skipWhitespace()
        guard place == bytes.count else { throw .trailingBytes(at: place) }
        return value
    }

    private mutating func value() throws(JSONError) -> JSON {
        values += 1
        guard values <= limits.values else { throw .tooManyValues(limit: limits.values) }
        skipWhitespace()
        switch try peek() {
        case UInt8(ascii: "{"): return .object(try nested { parser throws(JSONError) in try parser.object() })
        case UInt8(ascii: "["): return .array(try nested { parser throws(JSONError) in try parser.array() })
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        case let other: throw .unexpectedByte(other, at: place)
        }
    }

    private mutating func nested<R>(_ body: (inout JSONParser) throws(JSONError) -> R) throws(JSONError) -> R {
        guard depth < limits.depth else { throw .tooDeep(limit: limits.depth, at: place) }
        depth += 1
        defer { depth -= 1 }
        place += 1
        return try body(&self)
    }

    private mutating func object() throws(JSONError) -> JSONObject {
        var members: [(name: String, value: JSON)] = []
        var names = NameSet()
        skipWhitespace()
        if try accept(UInt8(ascii: "}")) { return JSONObject() }
        repeat {
            skipWhitespace()
            guard try peek() == UInt8(ascii: "\"") else { throw .unexpectedByte(bytes[place], at: place) }
            let name = try string()
            guard names.insert(name) else { throw .duplicateName(name) }
            skipWhitespace()
            try expect(UInt8(ascii: ":"))
            members.append((name, try value()))
            skipWhitespace()
        } while try accept(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"))
        return JSONObject(unique: members)
    }

    private mutating func array() throws(JSONError) -> [JSON] {
        var elements: [JSON] = []
        skipWhitespace()
        if try accept(UInt8(ascii: "]")) { return elements }
        repeat {
            elements.append(try value())
            skipWhitespace()
        } while try accept(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
        return elements
    }

    private mutating func literal(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        for offset in 0..<word.utf8CodeUnitCount {
            try expect(unsafe word.utf8Start[offset])
        }
        return value
    }

    // MARK: Strings

    private mutating func string() throws(JSONError) -> String {
        let start = place
        place += 1
        var text: [UInt8] = []
        var runStart = place
        while true {
            let byte = try peek()
            switch byte {
            case UInt8(ascii: "\""):
                text.append(contentsOf: bytes[runStart..<place])
                place += 1
                guard let valid = String(validating: text, as: UTF8.self) else { throw .malformedUTF8(at: start) }
                return valid
            case UInt8(ascii: "\\"):
                text.append(contentsOf: bytes[runStart..<place])
                try escape(into: &text)
                runStart = place
            case 0..<0x20: throw .controlCharacter(at: place)
            default: place += 1
            }
        }
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        let start = place
        place += 1
        let kind = try peek()
        place += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(kind)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text.append(contentsOf: String(try escapedScalar(from: start)).utf8)
        default: throw .malformedEscape(at: start)
        }
    }

    private mutating func escapedScalar(from start: Int) throws(JSONError) -> Character {
        var code = try fourHexDigits(from: start)
        if 0xD800..<0xDC00 ~= code {
            guard place + 1 < bytes.count, bytes[place] == UInt8(ascii: "\\"), bytes[place + 1] == UInt8(ascii: "u")
            else { throw .loneSurrogate(at: start) }
            place += 2
            let low = try fourHexDigits(from: start)
            guard 0xDC00..<0xE000 ~= low else { throw .loneSurrogate(at: start) }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw .loneSurrogate(at: start) }
        return Character(scalar)
    }

    private mutating func fourHexDigits(from start: Int) throws(JSONError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            let byte = try peek()
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw .malformedEscape(at: start)
            }
            code = code << 4 | UInt32(digit)
            place += 1
        }
        return code
    }

    // MARK: Numbers

    private mutating func number() throws(JSONError) -> JSONNumber {
        let start = place
        if bytes[place] == UInt8(ascii: "-") { place += 1 }
        let integerStart = place
        let integerDigits = skipDigits()
        guard integerDigits == 1 || integerDigits > 1 && bytes[integerStart] != UInt8(ascii: "0") else {
            throw .malformedNumber(at: start)
        }
        if place < bytes.count, bytes[place] == UInt8(ascii: ".") {
            place += 1
            guard skipDigits() > 0 else { throw .malformedNumber(at: start) }
        }
        if place < bytes.count, bytes[place] | 0x20 == UInt8(ascii: "e") {
            place += 1
            if try peek() == UInt8(ascii: "+") || bytes[place] == UInt8(ascii: "-") { place += 1 }
            guard skipDigits() > 0 else { throw .malformedNumber(at: start) }
        }
        return JSONNumber(validated: String(decoding: bytes[start..<place], as: UTF8.self))
    }

    private mutating func skipDigits() -> Int {
        let start = place
        while place < bytes.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[place] { place += 1 }
        return place - start
    }

    // MARK: Bytes

    private mutating func skipWhitespace() {
        while place < bytes.count {
            switch bytes[place] {
            case 0x20, 0x09, 0x0A, 0x0D: place += 1
            default: return
            }
        }
    }

    private func peek() throws(JSONError) -> UInt8 {
        guard place < bytes.count else { throw .unexpectedEnd }
        return bytes[place]
    }

    private mutating func expect(_ byte: UInt8) throws(JSONError) {
        guard try accept(byte) else { throw .unexpectedByte(bytes[place], at: place) }
    }

    private mutating func accept(_ byte: UInt8) throws(JSONError) -> Bool {
        guard try peek() == byte else { return false }
        place += 1
        return true
    }
}

/// Names seen in one object, by their bytes: a scan while few, a hash set beyond, so many names cost no square.
private struct NameSet {
    private var few: [String] = []
    private var many: Set<[UInt8]> = []

    mutating func insert(_ name: String) -> Bool {
        if many.isEmpty, few.count < 16 {
            guard !few.contains(where: { $0.isExactly(name) }) else { return false }
            few.append(name)
            return true
        }
        if many.isEmpty { many = Set(few.map { Array($0.utf8) }) }
        return many.insert(Array(name.utf8)).inserted
    }
}
