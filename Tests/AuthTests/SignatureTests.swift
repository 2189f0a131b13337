import GatewayBytes
import Testing

@testable import GatewayAuth

@Suite("Signatures")
struct SignatureTests {
    static let claims = (try? JSON.parse(RawClaims().text))?.object ?? [:]

    static func mint(_ pem: String, _ algorithm: JWTAlgorithm? = nil, id: String?) throws -> String {
        try TokenMint(privateKeyPEM: Secret(pem), algorithm: algorithm, keyID: id).mint(claims)
    }

    @Test("every algorithm is signed and verified", arguments: JWTAlgorithm.allCases)
    func everyAlgorithm(_ algorithm: JWTAlgorithm) throws {
        let token: String
        switch algorithm.family {
        case .hmac: token = try TokenMint(secret: Secret(sharedSecret), algorithm: algorithm).mint(Self.claims)
        case .rsa: token = try Self.mint(TestKeys.rsaPrivate, algorithm, id: "rsa")
        case .ellipticCurve:
            let keys = [
                EllipticCurve.p256: ("p256", TestKeys.p256Private), .p384: ("p384", TestKeys.p384Private),
                .p521: ("p521", TestKeys.p521Private),
            ]
            let (id, pem) = try #require(algorithm.curve.flatMap { keys[$0] })
            token = try Self.mint(pem, id: id)
        }
        #expect(refusal(of: token) == nil)
    }

    @Test("libjwt and a plain implementation of HMAC agree")
    func agreement() throws {
        let minted = try TokenMint(secret: Secret(sharedSecret)).mint(Self.claims)
        let parts = minted.split(separator: ".")
        let mac = SHA256Reference.hmac(Array("\(parts[0]).\(parts[1])".utf8), key: Array(sharedSecret.utf8))
        #expect(Base64URL.encode(mac) == String(parts[2]))
    }

    @Test(
        "a token signed with another secret, an empty one or a zero byte is refused",
        arguments: ["", "\0", "wrong", sharedSecret + " ", "secret"])
    func wrongSecret(_ secret: String) {
        #expect(refusal(of: signed(secret: secret)) == .badSignature)
    }

    @Test("HS256 signed with the text of a public key finds no secret to match", arguments: [true, false])
    func publicKeyAsSecret(_ isNamed: Bool) throws {
        let written = PublicKey.publicPEM(Array(TestKeys.rsaPublic.utf8))?.pem
        let pem = try #require(written)
        for secret in [pem, Array(TestKeys.rsaPublic.utf8), Array((TestKeys.rsaPublic + "\n").utf8), pem.dropLast()] {
            let mint = try TokenMint(secret: Secret(secret), keyID: isNamed ? "rsa" : nil)
            let token = try mint.mint(Self.claims)
            #expect(refusal(of: token) == (isNamed ? .algorithmNotForKey(.hs256, id: "rsa") : .badSignature))
            let onlyRSA = KeySet(published: everyKey.published)
            #expect(
                refusal(of: token, keys: onlyRSA)
                    == (isNamed ? .algorithmNotForKey(.hs256, id: "rsa") : .noKeyFits(.hs256)))
        }
    }

    @Test("an algorithm that is not its key's is refused before the signature is looked at")
    func algorithmOfAnotherKey() throws {
        #expect(refusal(of: ForeignTokens.es256ByP384) == .algorithmNotForKey(.es256, id: "p384"))
        #expect(refusal(of: ForeignTokens.es384ByP256) == .algorithmNotForKey(.es384, id: "p256"))
        #expect(refusal(of: ForeignTokens.es256ByP384Unnamed) == .badSignature)
        let onlyP384 = KeySet(published: everyKey.published.filter { $0.id == "p384" })
        #expect(refusal(of: ForeignTokens.es256ByP384Unnamed, keys: onlyP384) == .noKeyFits(.es256))
        #expect(refusal(of: ForeignTokens.es256BySecp256k1) == .badSignature)
        #expect(refusal(of: try Self.mint(TestKeys.rsaPrivate, id: "p256")) == .algorithmNotForKey(.rs256, id: "p256"))
        #expect(refusal(of: try Self.mint(TestKeys.p256Private, id: "rsa")) == .algorithmNotForKey(.es256, id: "rsa"))
    }

    @Test("a key bound to one algorithm verifies no other")
    func boundKey() throws {
        let pem = Array(TestKeys.rsaPublic.utf8)
        let keys = KeySet(published: [try .publicKey(pem: pem, id: "rsa", algorithm: .rs256)])
        #expect(refusal(of: try Self.mint(TestKeys.rsaPrivate, .rs256, id: "rsa"), keys: keys) == nil)
        let other = try Self.mint(TestKeys.rsaPrivate, .rs512, id: "rsa")
        #expect(refusal(of: other, keys: keys) == .algorithmNotForKey(.rs512, id: "rsa"))
    }

    @Test("a signature of another scheme or hash under the right name is refused")
    func otherScheme() {
        #expect(refusal(of: ForeignTokens.rs256WithPSSSignature) == .badSignature)
        #expect(refusal(of: ForeignTokens.rs256HashedBySHA512) == .badSignature)
        #expect(refusal(of: ForeignTokens.rs512HashedBySHA256) == .badSignature)
    }

    @Test("a key that came with the token counts for nothing")
    func embeddedKey() {
        #expect(refusal(of: ForeignTokens.embeddedKeyUnderOurName) == .badSignature)
        #expect(refusal(of: ForeignTokens.embeddedKey) == .badSignature)
        #expect(refusal(of: ForeignTokens.keyAtURL) == .badSignature)
    }

    @Test("another key of the same kind is refused")
    func otherKey() throws {
        #expect(refusal(of: try Self.mint(TestKeys.otherRSAPrivate, id: "rsa")) == .badSignature)
        #expect(refusal(of: try Self.mint(TestKeys.otherP256Private, id: "p256")) == .badSignature)
        #expect(refusal(of: try Self.mint(TestKeys.otherP256Private, id: nil)) == .badSignature)
    }

    @Test("an elliptic signature must be two numbers of fixed length, inside the group")
    func ellipticForms() throws {
        let token = try Self.mint(TestKeys.p256Private, id: "p256")
        let input = token[..<(try #require(token.lastIndex(of: ".")))]
        let raw = try #require(Base64URL.decode(String(token[token.index(after: input.endIndex)...])))
        #expect(raw.count == 64)
        let zero = [UInt8](repeating: 0, count: 32)
        // The order of P-256 (SEC 2 §2.4.2): r and s must lie below it.
        let order: [UInt8] = [
            0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD,
            0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
        ]
        let most = [UInt8](repeating: 0xFF, count: 32)
        let r = Array(raw[..<32])
        let s = Array(raw[32...])
        let forged = [
            [], zero + zero, r + zero, zero + s, order + order, r + order, order + s, most + most, s + r, r, raw + [0],
            [0] + raw, Array(raw.dropLast()), Array(raw.dropFirst()), zero + r + zero + s, Self.der(r, s),
            Self.der(zero, zero),
        ]
        for signature in forged {
            #expect(refusal(of: "\(input).\(Base64URL.encode(signature))") == .badSignature)
        }
        #expect(refusal(of: "\(input).\(Base64URL.encode(r + s))") == nil)
    }

    /// The form X.509 uses, which JWS does not (RFC 7518 §3.4).
    static func der(_ r: [UInt8], _ s: [UInt8]) -> [UInt8] {
        func integer(_ number: [UInt8]) -> [UInt8] {
            var digits = Array(number.drop { $0 == 0 })
            if digits.first.map({ $0 >= 0x80 }) ?? true { digits.insert(0, at: 0) }
            return [2, UInt8(digits.count)] + digits
        }
        let body = integer(r) + integer(s)
        return [0x30, UInt8(body.count)] + body
    }

    @Test(
        "a signature that is empty, short or long is refused for every kind of key",
        arguments: ForeignTokens.genuine.map(\.token))
    func lengths(_ token: String) throws {
        let input = token[..<(try #require(token.lastIndex(of: ".")))]
        let raw = try #require(Base64URL.decode(String(token[token.index(after: input.endIndex)...])))
        for signature in [
            [], [0], Array(raw.dropLast()), raw + [0], [0] + raw, [UInt8](repeating: 0, count: raw.count),
        ] {
            #expect(refusal(of: "\(input).\(Base64URL.encode(signature))") == .badSignature)
        }
    }

    @Test("a signature of one token does not fit another")
    func swapped() {
        let mine = signed().split(separator: ".")
        let other = signed(["sub": "\"admin\""]).split(separator: ".")
        #expect(refusal(of: "\(mine[0]).\(other[1]).\(mine[2])") == .badSignature)
    }

    @Test("without any key every token is refused, and the reason is told apart")
    func noKeys() {
        #expect(refusal(of: signed(), keys: .empty) == .noKeyConfigured)
        #expect(refusal(of: signed(), keys: KeySet(expectsPublished: true)) == .keysUnavailable)
    }

    @Test("a token without a key id is taken only when exactly one key fits")
    func unnamed() throws {
        let token = try Self.mint(TestKeys.p256Private, id: nil)
        #expect(refusal(of: token) == nil)
        let second = try VerificationKey.publicKey(pem: Array(TestKeys.otherP256Public.utf8), id: "other")
        let both = KeySet(published: everyKey.published + [second])
        #expect(refusal(of: token, keys: both) == .ambiguousKey(.es256))
    }

    @Test("a named token is tried with the operator's nameless secret, and fetches no keys for it")
    func namedTokenNamelessSecret() throws {
        let token = try TokenMint(secret: Secret(sharedSecret), keyID: "supabase-legacy").mint(Self.claims)
        #expect(refusal(of: token) == nil)
        #expect(refusal(of: token, keys: KeySet(published: everyKey.published)) == .noKeyFits(.hs256))
    }

    @Test("published keys are not believed beyond their time")
    func stale() throws {
        let token = try Self.mint(TestKeys.rsaPrivate, id: "rsa")
        let keys = KeySet(published: everyKey.published, publishedUntil: now)
        #expect(refusal(of: token, keys: keys, at: now - 1) == nil)
        #expect(refusal(of: token, keys: keys, at: now) == .keysUnavailable)
        let withSecret = KeySet(fixed: everyKey.fixed, published: everyKey.published, publishedUntil: now)
        #expect(refusal(of: token, keys: withSecret, at: now) == .unknownKey(id: "rsa"))
        #expect(refusal(of: signed(), keys: withSecret, at: now) == nil)
    }

    @Test("verifying leaves nothing behind that TLS could mistake for its own error")
    func manyRefusals() {
        for _ in 0..<200 { #expect(refusal(of: ForeignTokens.es256BySecp256k1) == .badSignature) }
    }
}

@Suite("Keys")
struct VerificationKeyTests {
    @Test("a secret must hold something, and nothing everybody knows")
    func secrets() throws {
        #expect(throws: KeyError.emptySecret) { try VerificationKey.secret(Secret("")) }
        #expect(throws: KeyError.secretIsPublicKey) { try VerificationKey.secret(Secret(TestKeys.rsaPublic)) }
        #expect(try VerificationKey.secret(Secret("short")).weakness?.contains("5 bytes") == true)
        #expect(try VerificationKey.secret(Secret(sharedSecret)).weakness == nil)
        #expect(NonEmptyBytes([]) == nil)
    }

    @Test("a key prints its kind, never its bytes")
    func printing() throws {
        let key = try VerificationKey.secret(Secret("hunter2-hunter2-hunter2-hunter2"))
        var dumped = ""
        dump(key, to: &dumped)
        #expect(key.description == "HMAC secret")
        #expect(!dumped.contains("hunter2") && !dumped.contains("104"))
        #expect(
            everyKey.published.map(\.description) == [
                "RSA 2048 \"rsa\"", "P-256 \"p256\"", "P-384 \"p384\"", "P-521 \"p521\"",
            ])
    }

    @Test("keys that are too weak or of another kind are refused")
    func refused() {
        func error(_ pem: String, _ algorithm: JWTAlgorithm? = nil) -> KeyError? {
            do throws(KeyError) {
                _ = try VerificationKey.publicKey(pem: Array(pem.utf8), algorithm: algorithm)
                return nil
            } catch { return error }
        }
        #expect(error(TestKeys.shortRSAPublic) == .rsaTooShort(bits: 1024))
        #expect(error(TestKeys.secp256k1Public) == .unsupportedKind)
        #expect(error(TestKeys.ed25519Public) == .unsupportedKind || error(TestKeys.ed25519Public) == .unreadable)
        #expect(error("") == .unreadable)
        #expect(error("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n") == .unreadable)
        #expect(error(TestKeys.rsaPrivate) == .unreadable)
        #expect(error(TestKeys.rsaPublic, .es256) == .algorithmForOtherKind(.es256))
        #expect(error(TestKeys.p256Public, .es384) == .algorithmForOtherKind(.es384))
        #expect(error(TestKeys.rsaPublic, .rs384) == nil)
    }
}

@Suite("Minting")
struct TokenMintTests {
    @Test("what is minted is accepted, and says what was asked for")
    func accepted() throws {
        let mint = try TokenMint(secret: Secret(sharedSecret), keyID: "k")
        let token = try mint.mint(
            subject: "me", issuer: issuer, audience: ["authenticated", "x"], now: now + 0.7, lifetime: 60,
            more: ["permissions": .array([.string("admin")]), "tier": .string("premium")])
        let principal = try #require(
            Authenticator(policy: policy, keys: everyKey).authenticate(Array(token.utf8), now: now).success)
        #expect(principal.subject == "me")
        #expect(principal.expiry == now + 60)
        #expect(principal.isAdmin)
        #expect(principal.tier == "premium")
        let parts = token.split(separator: ".").map(String.init)
        let header = try JSON.parse(try #require(Base64URL.decode(parts[0])))
        #expect(header == .object(["alg": .string("HS256"), "typ": .string("JWT"), "kid": .string("k")]))
        let claims = try JSON.parse(try #require(Base64URL.decode(parts[1])))
        #expect(claims["iat"]?.number?.text == "1800000000")
    }

    @Test("an algorithm must be its key's, an empty secret signs nothing, a locked key is not asked for")
    func refused() {
        func error(_ body: () throws(MintError) -> TokenMint) -> MintError? {
            do throws(MintError) {
                _ = try body()
                return nil
            } catch { return error }
        }
        #expect(error { () throws(MintError) in try TokenMint(secret: Secret("")) } == .key(.emptySecret))
        #expect(
            error { () throws(MintError) in try TokenMint(secret: Secret("x"), algorithm: .rs256) }
                == .algorithmForOtherKind(.rs256))
        let cases: [(String, JWTAlgorithm?, MintError)] = [
            (TestKeys.rsaPrivate, .es256, .algorithmForOtherKind(.es256)),
            (TestKeys.rsaPrivate, .hs256, .algorithmForOtherKind(.hs256)),
            (TestKeys.p384Private, .es256, .algorithmForOtherKind(.es256)),
            (TestKeys.p256Private, .rs256, .algorithmForOtherKind(.rs256)),
            (TestKeys.shortRSAPrivate, nil, .key(.rsaTooShort(bits: 1024))),
            (TestKeys.encryptedPrivate, nil, .key(.unreadable)), (TestKeys.rsaPublic, nil, .key(.unreadable)),
            ("", nil, .key(.unreadable)),
        ]
        for (pem, algorithm, expected) in cases {
            #expect(
                error { () throws(MintError) in try TokenMint(privateKeyPEM: Secret(pem), algorithm: algorithm) }
                    == expected)
        }
    }
}
