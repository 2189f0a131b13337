import GatewayBytes
import Testing

@testable import GatewayAuth

@Suite("Shape of a token (RFC 7515 §7.1)")
struct TokenShapeTests {
    @Test("a well-formed token from the reference signer is accepted")
    func accepted() {
        #expect(refusal(of: signed()) == nil)
        #expect(
            Base64URL.encode(SHA256Reference.hash(Array("abc".utf8))).hasPrefix(
                "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"))
    }

    @Test("genuine tokens made elsewhere are accepted", arguments: ForeignTokens.genuine.map(\.token))
    func foreign(_ token: String) {
        #expect(refusal(of: token) == nil)
    }

    @Test("every part count but three is refused", arguments: [1, 2, 4, 6, 7])
    func parts(_ count: Int) {
        let token = Array(repeating: "YQ", count: count).joined(separator: ".")
        #expect(refusal(of: token) == .notThreeParts(count: count))
    }

    @Test("an encrypted token with its five parts is told apart")
    func encrypted() {
        #expect(refusal(of: "eyJhbGciOiJkaXIifQ..aaaa.bbbb.cccc") == .encrypted)
    }

    @Test("no token at all, and one beyond the size limit")
    func size() {
        #expect(refusal(of: "") == .missing)
        let long = String(repeating: "a", count: 16 * 1024 + 1)
        #expect(refusal(of: long) == .tooLarge(limit: .kibibytes(16)))
        let padded = RawClaims(["pad": "\"\(String(repeating: "x", count: 11_000))\""]).text
        #expect(refusal(of: signed(claims: padded)) == nil)
        let tooMuch = RawClaims(["pad": "\"\(String(repeating: "x", count: 12_500))\""]).text
        #expect(refusal(of: signed(claims: tooMuch)) == .tooLarge(limit: .kibibytes(16)))
    }

    @Test(
        "characters outside the alphabet are refused in each part",
        arguments: [" ", "\n", "\r\n", "\t", "=", "==", "+", "/", "%", "\0", "é", ","])
    func foreignCharacters(_ text: String) {
        let parts = signed().split(separator: ".").map(String.init)
        for (place, part) in [TokenPart.header, .claims, .signature].enumerated() {
            for whole in [
                parts[place] + text, text + parts[place], parts[place].prefix(8) + text + parts[place].dropFirst(8),
            ] {
                var changed = parts
                changed[place] = String(whole)
                #expect(refusal(of: changed.joined(separator: ".")) == .notBase64URL(part))
            }
        }
    }

    @Test("a last symbol with stray bits is refused, though it decodes to the same signature")
    func strayBits() throws {
        let symbols = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let token = signed()
        let last = try #require(token.last.flatMap { symbols.firstIndex(of: $0) })
        for stray in 1...3 {
            let twin = token.dropLast() + String(symbols[last + stray])
            #expect(refusal(of: String(twin)) == .notBase64URL(.signature))
        }
    }

    @Test("an empty part is refused")
    func emptyParts() {
        let parts = signed().split(separator: ".").map(String.init)
        #expect(refusal(of: ".\(parts[1]).\(parts[2])") == .notBase64URL(.header))
        #expect(refusal(of: "\(parts[0])..\(parts[2])") == .notBase64URL(.claims))
        #expect(refusal(of: "\(parts[0]).\(parts[1]).") == .badSignature)
        #expect(refusal(of: "..") == .notBase64URL(.header))
    }

    @Test("no prefix of a token is accepted, and nothing behind one")
    func everySplit() {
        for token in [signed()] + ForeignTokens.genuine.map(\.token) {
            let bytes = Array(token.utf8)
            for length in stride(from: 0, to: bytes.count, by: token.utf8.count > 400 ? 7 : 1) {
                #expect(refusal(of: Array(bytes[..<length])) != nil)
            }
            for tail in ["A", "AAAA", ".", " ", "\n", "\0", "."] { #expect(refusal(of: token + tail) != nil) }
        }
    }

    @Test("a changed byte anywhere is refused")
    func everyByte() {
        for token in [signed()] + ForeignTokens.genuine.map(\.token) {
            var bytes = Array(token.utf8)
            for place in stride(from: 0, to: bytes.count, by: token.utf8.count > 400 ? 5 : 1) {
                let kept = bytes[place]
                for other in [kept ^ 0x01, kept ^ 0x20, UInt8(ascii: "A"), UInt8(ascii: ".")] where other != kept {
                    bytes[place] = other
                    #expect(refusal(of: bytes) != nil)
                }
                bytes[place] = kept
            }
        }
    }
}

@Suite("Header of a token")
struct TokenHeaderTests {
    @Test(
        "an algorithm that is no signature is refused whatever its case",
        arguments: ["none", "None", "NONE", "nOnE", "nonE", ""])
    func unsigned(_ name: String) {
        #expect(refusal(of: signed(header: #"{"alg":"\#(name)"}"#)) == .unsigned(algorithm: name))
        let parts = signed(header: #"{"alg":"\#(name)","typ":"JWT"}"#).split(separator: ".")
        #expect(refusal(of: "\(parts[0]).\(parts[1]).") == .unsigned(algorithm: name))
    }

    @Test(
        "a misspelled algorithm is refused and the right one named",
        arguments: [("hs256", .hs256), ("Hs256", .hs256), ("rs512", .rs512), ("eS384", .es384)]
            as [(String, JWTAlgorithm)])
    func misspelled(_ name: String, _ meant: JWTAlgorithm) {
        let error = refusal(of: signed(header: #"{"alg":"\#(name)"}"#))
        #expect(error == .misspelledAlgorithm(name, meant: meant))
        #expect(error?.message.contains(meant.rawValue) == true)
    }

    @Test(
        "algorithms we do not take are refused by name",
        arguments: [
            "PS256", "PS384", "PS512", "EdDSA", "Ed25519", "ES256K", "HS1", "RS1", "HS256 ", " HS256", "HS256\\u0000",
            "none ", "RSA-OAEP", "dir", "HS-256", "H\\u017F256",
        ])
    func unsupported(_ name: String) throws {
        let error = try #require(refusal(of: signed(header: #"{"alg":"\#(name)"}"#)))
        let plain = try #require(try JSON.parse("\"\(name)\"").string)
        guard case .unsupportedAlgorithm(let named) = error else {
            // U+017F upper-cases to S, which makes it a misspelling.
            #expect(error == .misspelledAlgorithm(plain, meant: .hs256))
            return
        }
        #expect(named == plain)
    }

    @Test("genuine PS256 and EdDSA tokens are refused by name")
    func foreignAlgorithms() {
        #expect(refusal(of: ForeignTokens.ps256) == .unsupportedAlgorithm("PS256"))
        #expect(refusal(of: ForeignTokens.edDSA) == .unsupportedAlgorithm("EdDSA"))
        #expect(TokenError.unsupportedAlgorithm("PS256").message.contains("PS256"))
    }

    @Test(
        "an algorithm that is missing or no text is refused",
        arguments: [
            "{}", #"{"alg":null}"#, #"{"alg":256}"#, #"{"alg":["HS256"]}"#, #"{"alg":{"a":"HS256"}}"#,
            #"{"ALG":"HS256"}"#,
        ])
    func noAlgorithm(_ header: String) {
        #expect(refusal(of: signed(header: header)) == .malformedHeader(member: "alg", expected: "a string"))
    }

    @Test(
        "extensions are refused, even empty or switched off",
        arguments: [
            (#""crit":["exp"]"#, .criticalExtension), (#""crit":[]"#, .criticalExtension),
            (#""crit":null"#, .criticalExtension), (#""crit":["b64"],"b64":false"#, .criticalExtension),
            (#""crit":["http://example.com/UNDEFINED"],"http://example.com/UNDEFINED":true"#, .criticalExtension),
            (#""b64":false"#, .unencodedPayload), (#""b64":true"#, .unencodedPayload), (#""zip":"DEF""#, .compressed),
            (#""\u0063rit":["x"]"#, .criticalExtension),
        ] as [(String, TokenError)])
    func extensions(_ member: String, _ error: TokenError) {
        #expect(refusal(of: signed(header: #"{"alg":"HS256",\#(member)}"#)) == error)
    }

    @Test(
        "a repeated name is refused, in header and claims, whichever of the two is good",
        arguments: [
            (#"{"alg":"HS256","alg":"none"}"#, "alg"), (#"{"alg":"none","alg":"HS256"}"#, "alg"),
            (#"{"alg":"HS256","kid":"a","kid":"b"}"#, "kid"), (#"{"alg":"HS256","\u0061lg":"HS256"}"#, "alg"),
        ])
    func duplicates(_ header: String, _ name: String) {
        #expect(refusal(of: signed(header: header)) == .notJSON(.header, .duplicateName(name)))
    }

    @Test("a repeated claim is refused", arguments: ["sub", "exp", "aud", "iss", "role"])
    func duplicateClaims(_ name: String) {
        let claims = RawClaims().text.dropLast() + ",\"\(name)\":1}"
        #expect(refusal(of: signed(claims: String(claims))) == .notJSON(.claims, .duplicateName(name)))
        let nested = RawClaims(["app_metadata": "{\"a\":1,\"a\":2}"]).text
        #expect(refusal(of: signed(claims: nested)) == .notJSON(.claims, .duplicateName("a")))
    }

    @Test("header and claims must be one object each", arguments: ["[]", "\"x\"", "1", "null", "true"])
    func notAnObject(_ text: String) {
        #expect(refusal(of: signed(header: text)) == .notAnObject(.header))
        #expect(refusal(of: signed(claims: text)) == .notAnObject(.claims))
    }

    @Test(
        "text around the object is refused",
        arguments: ["{}{}", "{} x", "{}\u{0}", "{", "\u{FEFF}{}", "{'a':1}", "{\"a\":NaN}"])
    func notJSON(_ text: String) throws {
        for token in [signed(header: text), signed(claims: text)] {
            guard case .notJSON = try #require(refusal(of: token)) else {
                Issue.record("accepted as JSON: \(text)")
                continue
            }
        }
    }

    @Test(
        "a type of another kind of token is refused",
        arguments: ["JWE", "secevent+jwt", "logout+jwt", "dpop+jwt", "", "JWT ", "text/jwt"])
    func wrongType(_ type: String) {
        #expect(refusal(of: signed(header: #"{"alg":"HS256","typ":"\#(type)"}"#)) == .wrongType(type))
    }

    @Test(
        "the types of access tokens are accepted in any case",
        arguments: ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"])
    func rightType(_ type: String) {
        #expect(refusal(of: signed(header: #"{"alg":"HS256","typ":"\#(type)"}"#)) == nil)
    }

    @Test("a type that is no text is refused")
    func typeNumber() {
        let error = TokenError.malformedHeader(member: "typ", expected: "a string")
        #expect(refusal(of: signed(header: #"{"alg":"HS256","typ":1}"#)) == error)
    }

    @Test(
        "a key id that is no plain text is refused before any look-up",
        arguments: [
            #""""#, "1", "null", "[]", "{}", #""a\u0000b""#, #""a\nb""#, "\"\(String(repeating: "k", count: 257))\"",
        ])
    func keyID(_ json: String) throws {
        let error = try #require(refusal(of: signed(header: #"{"alg":"HS256","kid":\#(json)}"#)))
        #expect(error.check == .header)
    }

    @Test(
        "a key id is only ever compared: paths, SQL and shell in it find nothing",
        arguments: [
            "../../../../dev/null", "/dev/null", "/proc/sys/kernel/randomize_va_space", "x' UNION SELECT 'key';--",
            "x; echo secret", "http://evil.test/key.pem", "*", "%00", "rsa%00", "RSA", "rsa ", "\u{2028}",
        ])
    func hostileKeyID(_ id: String) throws {
        #expect(refusal(of: signed(header: #"{"alg":"HS256","kid":"\#(id)"}"#, secret: "")) != nil)
        let rsa = try TokenMint(privateKeyPEM: Secret(TestKeys.rsaPrivate), keyID: id)
        let claims = try #require(try JSON.parse(RawClaims().text).object)
        #expect(refusal(of: try rsa.mint(claims)) == .unknownKey(id: id))
    }
}
