import GatewayBytes
import Testing

@testable import GatewayAuth

/// Tokens of type `at+jwt` are verified by OpenSSL without libjwt, so the two must never differ.
@Suite("Two verifiers, one verdict")
struct SecondOpinionTests {
    static func parsed(_ token: String) throws -> CompactToken {
        let bytes = Array(token.utf8)
        let parts = try CompactToken.decode(CompactToken.pieces(of: bytes))
        let limits = TokenLimits()
        let object = try CompactToken.object(.header, parts.header, limits: limits)
        let header = JWTHeader(
            algorithm: try JWTHeader.algorithm(object), keyID: try JWTHeader.keyID(object, limits: limits),
            type: try JWTHeader.type(object))
        let claims = try Claims(CompactToken.object(.claims, parts.claims, limits: limits))
        return CompactToken(bytes: bytes, header: header, claims: claims, signature: parts.signature)
    }

    static func signatures(around good: [UInt8]) -> [[UInt8]] {
        var all = [good, [], [0], good + [0], Array(good.dropLast()), [UInt8](repeating: 0, count: good.count)]
        for place in stride(from: 0, to: good.count, by: 9) {
            var changed = good
            changed[place] ^= 0x10
            all.append(changed)
        }
        return all
    }

    @Test("libjwt and OpenSSL agree on good and broken signatures of every algorithm")
    func agreement() throws {
        let secrets = try [JWTAlgorithm.hs256, .hs384, .hs512].map {
            try TokenMint(secret: Secret(sharedSecret), algorithm: $0).mint(SignatureTests.claims)
        }
        let keys = everyKey.fixed + everyKey.published
        for text in secrets + ForeignTokens.genuine.map(\.token) {
            let token = try Self.parsed(text)
            let key = try everyKey.choose(token.header, now: now).key
            let input = text[..<(text.lastIndex(of: ".") ?? text.endIndex)]
            for signature in Self.signatures(around: token.signature) {
                let changed = try Self.parsed("\(input).\(Base64URL.encode(signature))")
                let verdict = SignatureVerifier.verifyByLibjwt(changed, with: key)
                #expect(verdict == SignatureVerifier.verifyDirectly(changed, with: key))
                #expect(verdict == (signature == token.signature))
            }
            // Neither is fooled by a key of another kind either, though nobody may ask them to.
            for other in keys where other.description != key.description {
                #expect(throws: TokenError.self) { try SignatureVerifier.verify(token, with: other) }
            }
        }
    }

    @Test("an access token of RFC 9068 is verified, and refused when anything is wrong with it")
    func accessTokens() throws {
        let header = #"{"alg":"HS256","typ":"at+jwt"}"#
        #expect(refusal(of: signed(header: header)) == nil)
        #expect(refusal(of: signed(header: header, secret: "x")) == .badSignature)
        #expect(refusal(of: signed(header: header, secret: "")) == .badSignature)
        #expect(refusal(of: signed(header: header, claims: RawClaims(["exp": "1"]).text))?.isExpired == true)
        for (_, token) in ForeignTokens.accessTokens {
            #expect(refusal(of: token) == nil)
            let last = token.dropLast(8) + "AAAAAAA" + String(token.suffix(1))
            #expect(refusal(of: String(last)) == .badSignature)
        }
    }
}
