/// One element of `Sec-WebSocket-Extensions` (RFC 6455 §9.1): a name and its parameters, in order.
package struct ExtensionOffer: Equatable, Sendable {
    package struct Parameter: Equatable, Sendable {
        package var name: String
        /// `nil` when the parameter stands alone.
        package var value: String?

        package init(name: String, value: String?) {
            self.name = name
            self.value = value
        }
    }

    package var name: String
    package var parameters: [Parameter]

    package init(name: String, parameters: [Parameter] = []) {
        self.name = name
        self.parameters = parameters
    }

    /// The header does not follow the grammar, or names more than ``Bound`` allows. The handshake must fail.
    package struct Malformed: Error, Equatable, Sendable { package init() {} }

    private enum Bound {
        static let offers = 16
        static let parameters = 16
    }

    /// Reads all field lines of the header as one list.
    package static func parse(_ lines: [String]) throws(Malformed) -> [ExtensionOffer] {
        var offers: [ExtensionOffer] = []
        for line in lines {
            var scanner = FieldScanner(line)
            repeat {
                scanner.skipSpace()
                // Empty elements may stand in a list (RFC 9110 §5.6.1.2).
                if scanner.isAtEnd || scanner.peek == UInt8(ascii: ",") { continue }
                guard offers.count < Bound.offers else { throw Malformed() }
                offers.append(try parseOne(&scanner))
            } while scanner.skip(UInt8(ascii: ","))
            guard scanner.isAtEnd else { throw Malformed() }
        }
        return offers
    }

    private static func parseOne(_ scanner: inout FieldScanner) throws(Malformed) -> ExtensionOffer {
        guard let name = scanner.token() else { throw Malformed() }
        var offer = ExtensionOffer(name: name)
        scanner.skipSpace()
        while scanner.skip(UInt8(ascii: ";")) {
            scanner.skipSpace()
            guard offer.parameters.count < Bound.parameters, let name = scanner.token() else { throw Malformed() }
            scanner.skipSpace()
            var value: String?
            if scanner.skip(UInt8(ascii: "=")) {
                scanner.skipSpace()
                // A quoted value must be a token once its quotes are gone.
                value = scanner.peek == UInt8(ascii: "\"") ? scanner.quotedToken() : scanner.token()
                guard value != nil else { throw Malformed() }
                scanner.skipSpace()
            }
            offer.parameters.append(Parameter(name: name, value: value))
        }
        return offer
    }
}

/// Reads tokens from one field value (RFC 9110 §5.6).
struct FieldScanner {
    private let bytes: [UInt8]
    private var place = 0

    init(_ text: String) { bytes = Array(text.utf8) }

    var isAtEnd: Bool { place == bytes.count }
    var peek: UInt8? { isAtEnd ? nil : bytes[place] }

    mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x09 { place += 1 }
    }

    mutating func skip(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        place += 1
        return true
    }

    mutating func token() -> String? {
        let start = place
        while let byte = peek, Self.isTokenByte(byte) { place += 1 }
        return place > start ? String(decoding: bytes[start..<place], as: UTF8.self) : nil
    }

    /// A quoted string whose content is a token; `nil` otherwise.
    mutating func quotedToken() -> String? {
        guard skip(UInt8(ascii: "\"")) else { return nil }
        var content: [UInt8] = []
        while var byte = peek, byte != UInt8(ascii: "\"") {
            place += 1
            if byte == UInt8(ascii: "\\") {
                guard let escaped = peek else { return nil }
                place += 1
                byte = escaped
            }
            guard Self.isTokenByte(byte) else { return nil }
            content.append(byte)
        }
        guard skip(UInt8(ascii: "\"")), !content.isEmpty else { return nil }
        return String(decoding: content, as: UTF8.self)
    }

    /// The comma-separated tokens of all `lines`; `nil` when anything else stands there.
    static func tokens(in lines: [String]) -> [String]? {
        var tokens: [String] = []
        for line in lines {
            var scanner = FieldScanner(line)
            repeat {
                scanner.skipSpace()
                if let token = scanner.token() { tokens.append(token) }
                scanner.skipSpace()
            } while scanner.skip(UInt8(ascii: ","))
            guard scanner.isAtEnd else { return nil }
        }
        return tokens
    }

    static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default:
            false
        }
    }
}
