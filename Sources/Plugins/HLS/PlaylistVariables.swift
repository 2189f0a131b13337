import PluginKit

/// The variables of a playlist (EXT-X-DEFINE, RFC 8216bis §4.4.2.3), by name.
package struct PlaylistVariables: Hashable, Sendable {
    /// In the order of their definition.
    private(set) var names: [[UInt8]] = []
    private var values: [[UInt8]: [UInt8]] = [:]

    package init() {}

    package var isEmpty: Bool { names.isEmpty }
    package var count: Int { names.count }

    package subscript(name: [UInt8]) -> [UInt8]? { values[name] }

    /// - Returns: `false` when the name is taken; its value stays.
    package mutating func define(_ name: [UInt8], as value: [UInt8]) -> Bool {
        guard values[name] == nil else { return false }
        values[name] = value
        names.append(name)
        return true
    }

    /// Letters, digits, hyphen and underscore, as long as it is within reason.
    static func isName(_ bytes: [UInt8]) -> Bool {
        !bytes.isEmpty && bytes.count <= 128 && bytes.allSatisfy(isNameByte)
    }

    static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }
}

extension PlaylistVariables {
    /// `name=value&name=value`, percent-encoded: what a link to a child playlist carries behind `#`.
    package var fragment: [UInt8] {
        var text: [UInt8] = []
        for name in names {
            if !text.isEmpty { text.append(UInt8(ascii: "&")) }
            text.append(contentsOf: name)
            text.append(UInt8(ascii: "="))
            for byte in values[name] ?? [] { Percent.append(byte, to: &text) }
        }
        return text
    }

    /// Reads what ``fragment`` wrote. What is not of that form, or beyond the limits, gives no variables: the fragment
    /// of a link somebody else made means something else.
    package init(fragment: Span<UInt8>, limits: PlaylistLimits) {
        self.init()
        guard fragment.count <= limits.carried.bytes else { return }
        var read = PlaylistVariables()
        for parameter in QueryParameters.all(in: fragment) {
            let name = parameter.name(in: fragment)
            guard read.count < limits.variables, Self.isName(name), let place = parameter.value,
                let value = Percent.decoded(fragment.extracting(place)), value.allSatisfy(Self.isQuotable),
                read.define(name, as: value)
            else { return }
        }
        self = read
    }

    /// What can stand between quotes in an attribute list.
    static func isQuotable(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7F && byte != UInt8(ascii: "\"") }
}

/// Percent-encoding (RFC 3986 §2.1).
enum Percent {
    /// Appends an unreserved byte as it is and any other encoded.
    static func append(_ byte: UInt8, to text: inout [UInt8]) {
        if PlaylistVariables.isNameByte(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "~") {
            text.append(byte)
            return
        }
        text.append(UInt8(ascii: "%"))
        for digit in [byte >> 4, byte & 0xF] { text.append(digit < 10 ? 0x30 + digit : 0x37 + digit) }
    }

    /// `nil` when a percent sign is not followed by two hexadecimal digits.
    static func decoded(_ text: Span<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var place = 0
        while place < text.count {
            guard text[place] == UInt8(ascii: "%") else {
                bytes.append(text[place])
                place += 1
                continue
            }
            guard place + 2 < text.count, let high = digit(text[place + 1]), let low = digit(text[place + 2]) else {
                return nil
            }
            bytes.append(high << 4 | low)
            place += 3
        }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}

/// One `name=value` of a query, as places in it. A parameter without `=` has no value.
struct QueryParameter: Equatable {
    let whole: Range<Int>
    let nameEnd: Int

    var value: Range<Int>? { nameEnd < whole.upperBound ? nameEnd + 1..<whole.upperBound : nil }

    func name(in query: Span<UInt8>) -> [UInt8] { (whole.lowerBound..<nameEnd).map { query[$0] } }
}

enum QueryParameters {
    /// The parameters between ampersands, empty ones left out.
    static func all(in query: Span<UInt8>) -> [QueryParameter] {
        var parameters: [QueryParameter] = []
        var start = 0
        while start < query.count {
            var end = start
            var nameEnd: Int?
            while end < query.count, query[end] != UInt8(ascii: "&") {
                if nameEnd == nil, query[end] == UInt8(ascii: "=") { nameEnd = end }
                end += 1
            }
            if end > start { parameters.append(QueryParameter(whole: start..<end, nameEnd: nameEnd ?? end)) }
            start = end + 1
        }
        return parameters
    }
}
