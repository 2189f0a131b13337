/// Whether `=` at the end of a base64 text is wanted.
package enum Base64Padding: Sendable {
    /// No `=` at all, as in JWS (RFC 7515 §2).
    case forbidden
    /// Complete padding or none.
    case optional
    /// Complete padding, as RFC 4648 §3.2 asks for.
    case required
}

/// Base64 with the `+` `/` alphabet (RFC 4648 §4), strict: no whitespace, no foreign characters, no stray bits.
package enum Base64 {
    /// - Returns: `nil` for anything an encoder would not have written; see ``Base64URL/decode(_:padding:)``.
    package static func decode(_ text: Span<UInt8>, padding: Base64Padding = .required) -> [UInt8]? {
        Base64Alphabet.standard.decode(text, padding: padding)
    }

    package static func decode(_ text: some Collection<UInt8>, padding: Base64Padding = .required) -> [UInt8]? {
        Base64Alphabet.standard.decode(text, padding: padding)
    }

    package static func decode(_ text: String, padding: Base64Padding = .required) -> [UInt8]? {
        decode(text.utf8, padding: padding)
    }

    package static func encode(_ bytes: some Collection<UInt8>, padding: Bool = true) -> String {
        Base64Alphabet.standard.encode(bytes, padding: padding)
    }
}

/// One of the two alphabets of RFC 4648, as a table each way.
struct Base64Alphabet: Sendable {
    static let standard = Base64Alphabet(symbols: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    static let url = Base64Alphabet(symbols: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

    private static let foreign: UInt8 = 0xFF

    private let symbols: [UInt8]
    private let values: [UInt8]

    private init(symbols text: String) {
        symbols = Array(text.utf8)
        var values = [UInt8](repeating: Self.foreign, count: 256)
        for (value, symbol) in symbols.enumerated() { values[Int(symbol)] = UInt8(value) }
        self.values = values
    }

    func decode(_ text: some Collection<UInt8>, padding: Base64Padding) -> [UInt8]? {
        let direct = text.withContiguousStorageIfAvailable {
            unsafe decode(Span(_unsafeElements: $0), padding: padding)
        }
        return direct ?? decode(Array(text).span, padding: padding)
    }

    func decode(_ text: Span<UInt8>, padding: Base64Padding) -> [UInt8]? {
        guard let length = lengthWithoutPadding(of: text, padding) else { return nil }
        var bytes = [UInt8]()
        bytes.reserveCapacity(length * 3 / 4)

        var bits: UInt32 = 0
        var held = 0
        for place in 0..<length {
            let value = values[Int(text[place])]
            guard value != Self.foreign else { return nil }
            bits = bits << 6 | UInt32(value)
            held += 6
            if held >= 8 {
                held -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(held)))
            }
        }
        // Stray bits would give one value several spellings, and a token several hashes (RFC 4648 §3.5).
        guard bits & (1 << UInt32(held) - 1) == 0 else { return nil }
        return bytes
    }

    /// - Returns: How many symbols come before the padding; `nil` when padding or length are wrong.
    private func lengthWithoutPadding(of text: Span<UInt8>, _ padding: Base64Padding) -> Int? {
        var length = text.count
        while length > 0, text.count - length < 2, text[length - 1] == UInt8(ascii: "=") { length -= 1 }
        guard length % 4 != 1 else { return nil }
        let present = text.count - length
        let complete = (4 - length % 4) % 4
        switch padding {
        case .forbidden: return present == 0 ? length : nil
        case .optional: return present == 0 || present == complete ? length : nil
        case .required: return present == complete ? length : nil
        }
    }

    func encode(_ bytes: some Collection<UInt8>, padding: Bool) -> String {
        var text = [UInt8]()
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var bits: UInt32 = 0
        var held: UInt32 = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            held += 8
            while held >= 6 {
                held -= 6
                text.append(symbols[Int(bits >> held & 0x3F)])
            }
        }
        if held > 0 { text.append(symbols[Int(bits << (6 - held) & 0x3F)]) }
        while padding, text.count % 4 != 0 { text.append(UInt8(ascii: "=")) }
        return String(decoding: text, as: UTF8.self)
    }
}
