/// Base64 with the `-` `_` alphabet (RFC 4648 §5), strict: no whitespace, no `+` or `/`, no stray bits.
///
/// One byte string has exactly one spelling per padding mode, so equal bytes and equal texts are the same thing.
package enum Base64URL {
    /// - Returns: `nil` for a foreign character, wrong padding, an impossible length or non-zero trailing bits.
    package static func decode(_ text: Span<UInt8>, padding: Base64Padding = .forbidden) -> [UInt8]? {
        Base64Alphabet.url.decode(text, padding: padding)
    }

    package static func decode(_ text: some Collection<UInt8>, padding: Base64Padding = .forbidden) -> [UInt8]? {
        Base64Alphabet.url.decode(text, padding: padding)
    }

    package static func decode(_ text: String, padding: Base64Padding = .forbidden) -> [UInt8]? {
        decode(text.utf8, padding: padding)
    }

    package static func encode(_ bytes: some Collection<UInt8>, padding: Bool = false) -> String {
        Base64Alphabet.url.encode(bytes, padding: padding)
    }
}
