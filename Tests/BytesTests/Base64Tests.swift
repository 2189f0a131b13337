import GatewayBytes
import Testing

@Suite("Base64 (RFC 4648)")
struct Base64Tests {
    /// RFC 4648 §10.
    static let vectors = [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ]

    @Test("the RFC's vectors go both ways", arguments: vectors)
    func bothWays(plain: String, text: String) {
        #expect(Base64.encode(plain.utf8) == text)
        #expect(Base64.decode(text) == Array(plain.utf8))
        #expect(Base64URL.decode(text, padding: .required) == Array(plain.utf8))
        #expect(Base64URL.decode(text, padding: .optional) == Array(plain.utf8))
        let bare = text.filter { $0 != "=" }
        #expect(Base64URL.encode(plain.utf8) == bare)
        #expect(Base64URL.encode(plain.utf8, padding: true) == text)
        #expect(Base64URL.decode(bare) == Array(plain.utf8))
        #expect(Base64URL.decode(bare, padding: .optional) == Array(plain.utf8))
    }

    @Test("every byte value survives both alphabets")
    func everyByte() {
        for length in 0..<300 {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ length) }
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
    }

    @Test(
        "whitespace, foreign characters, wrong lengths and padding are refused",
        arguments: [
            "Zg==", "Zg=", "Z", "Zm9vY", "Zm9v ", " Zm9v", "Zm\n9v", "Zm9v\r\n", "Zm+v", "Zm/v", "Zm9v=", "=", "==",
            "Zé8",
            "Zm9\0", "Z===", "Zg==Zg==",
        ])
    func refused(_ text: String) {
        #expect(Base64URL.decode(text) == nil)
    }

    @Test("padding has to match its mode", arguments: ["Zg=", "Zg===", "Zm8", "Zm9v=", "Zg"])
    func padding(_ text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test("incomplete padding is refused even where padding is optional", arguments: ["Zg=", "Zm9v=", "Zm8=="])
    func optionalPadding(_ text: String) {
        #expect(Base64URL.decode(text, padding: .optional) == nil)
    }

    @Test("trailing bits that are not zero are refused, so a value has one spelling")
    func strayBits() {
        let symbols = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        let twoSymbols = symbols.filter { Base64URL.decode("A\($0)") != nil }
        let threeSymbols = symbols.filter { Base64URL.decode("AA\($0)") != nil }
        #expect(twoSymbols == "AQgw")
        #expect(threeSymbols == "AEIMQUYcgkosw048")
    }

    @Test("the two alphabets do not mix")
    func alphabets() {
        #expect(Base64.decode("+/+/") == Base64URL.decode("-_-_"))
        #expect(Base64.decode("-_-_") == nil)
        #expect(Base64URL.decode("+/+/") == nil)
    }

    @Test("arrays, slices and spans decode alike")
    func inputs() {
        let text = Array("xZm9vYmFyx".utf8)
        #expect(Base64URL.decode(text[1..<9]) == Array("foobar".utf8))
        #expect(Base64URL.decode(text.span.extracting(1..<9)) == Array("foobar".utf8))
        #expect(Base64.decode(text.span.extracting(1..<9)) == Array("foobar".utf8))
    }
}
