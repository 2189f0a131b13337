import GatewayBytes
import Testing

@testable import GatewayAuth

@Suite("Claims and policy")
struct TokenPolicyTests {
    @Test("a token ends exactly at exp, fractions included")
    func expiry() {
        #expect(refusal(of: signed(["exp": "1800000000.5"])) == nil)
        #expect(refusal(of: signed(["exp": "1800000000"])) == .expired(at: now, now: now))
        #expect(refusal(of: signed(["exp": "1799999999.999"])) == .expired(at: 1_799_999_999.999, now: now))
        #expect(refusal(of: signed(["exp": "1.8000000005e9"])) == nil)
        #expect(refusal(of: signed(["exp": "0"])) == .expired(at: 0, now: now))
        #expect(refusal(of: signed(["exp": "-1"])) == .expired(at: -1, now: now))
        #expect(refusal(of: signed(["exp": "-1e300"])) == .expired(at: -1e300, now: now))
    }

    @Test("a token that was accepted is refused once it has ended, remembered or not")
    func expiryOfRemembered() {
        let authenticator = Authenticator(policy: policy, keys: everyKey)
        let token = Array(signed(["exp": "1800000010"]).utf8)
        #expect(authenticator.authenticate(token, now: now).failure == nil)
        #expect(authenticator.authenticate(token, now: now + 9.9).failure == nil)
        #expect(authenticator.authenticate(token, now: now + 10).failure == .expired(at: now + 10, now: now + 10))
    }

    @Test(
        "exp is required",
        arguments: [nil, "null", "\"1900000000\"", "\"never\"", "true", "[1900000000]", "{}"] as [String?])
    func expiryType(_ json: String?) throws {
        let error = try #require(refusal(of: signed(["exp": json])))
        #expect(error.check == .expiry)
        #expect(
            error
                == (json == nil
                    ? .missingClaim(name: "exp")
                    : .malformedClaim(name: "exp", expected: "a number of seconds since 1970")))
    }

    @Test(
        "a number no machine holds is refused",
        arguments: ["1e400", "-1e400", "9223372036854775808", "123456789012345678901234567890"])
    func hugeNumbers(_ json: String) {
        let error = TokenError.malformedClaim(
            name: "exp", expected: "free of NUL characters and numbers beyond 64 bits")
        #expect(refusal(of: signed(["exp": json])) == error)
    }

    @Test(
        "NaN, infinity and hexadecimal are no JSON",
        arguments: ["NaN", "Infinity", "-Infinity", "0x7fffffff", "1_900_000_000", "01900000000", "+1900000000"])
    func noNumbers(_ json: String) throws {
        guard case .notJSON(.claims, _) = try #require(refusal(of: signed(["exp": json]))) else {
            Issue.record("read as a number: \(json)")
            return
        }
    }

    @Test("a token may say it never ends, but a timer can hold its end")
    func farFuture() throws {
        let authenticator = Authenticator(policy: policy, keys: everyKey)
        let principal = try #require(authenticator.authenticate(Array(signed(["exp": "1e300"]).utf8), now: now).success)
        #expect(principal.expiry == Principal.latestExpiry)
        #expect(Int64(exactly: principal.secondsLeft(at: now) * 1e9) != nil)
    }

    @Test("nbf and iat allow for the issuer's clock, and no more")
    func clockSkew() {
        #expect(refusal(of: signed(["nbf": "1800000005", "iat": "1800000005"])) == nil)
        #expect(refusal(of: signed(["nbf": "1800000005.1"])) == .notYetValid(from: now + 5.1, now: now))
        #expect(refusal(of: signed(["iat": "1800000006"])) == .issuedInFuture(at: now + 6, now: now))
        #expect(refusal(of: signed(["nbf": nil, "iat": nil])) == nil)
        var strict = policy
        strict.clockSkew = 0
        #expect(refusal(of: signed(["iat": "1800000000.1"]), policy: strict)?.check == .issuedAt)
    }

    @Test("dates that are text are refused", arguments: ["nbf", "iat"])
    func dateText(_ name: String) {
        let error = TokenError.malformedClaim(name: name, expected: "a number of seconds since 1970")
        #expect(refusal(of: signed([name: "\"1700000000\""])) == error)
        #expect(refusal(of: signed([name: "null"])) == error)
    }

    @Test("the issuer is exact, give or take one trailing slash")
    func issuerSpelling() {
        #expect(refusal(of: signed(["iss": "\"\(issuer)/\""])) == nil)
        let slashed = TokenPolicy(issuer: issuer + "/", audiences: ["authenticated"])
        #expect(refusal(of: signed(), policy: slashed) == nil)
        for other in [
            issuer + "//", issuer.uppercased(), " " + issuer, issuer + "/x", "http://issuer.test/auth/v1", "", "/",
            "https://issuer.test",
        ] {
            #expect(refusal(of: signed(["iss": "\"\(other)\""])) == .wrongIssuer(found: other, expected: issuer))
        }
        #expect(refusal(of: signed(["iss": nil])) == .missingClaim(name: "iss"))
        for json in ["null", "1", "[\"\(issuer)\"]"] {
            #expect(refusal(of: signed(["iss": json])) == .malformedClaim(name: "iss", expected: "a string"))
        }
    }

    @Test("texts are compared by bytes, so the Kelvin sign is no K")
    func canonicalEquivalence() {
        let kelvin = TokenPolicy(issuer: "K", audiences: ["K"])
        #expect(refusal(of: signed(["iss": "\"K\"", "aud": "\"K\""]), policy: kelvin) == nil)
        #expect(refusal(of: signed(["iss": "\"\u{212A}\"", "aud": "\"K\""]), policy: kelvin)?.check == .issuer)
        #expect(refusal(of: signed(["iss": "\"K\"", "aud": "\"\u{212A}\""]), policy: kelvin)?.check == .audience)
    }

    @Test("the audience is a string or an array, and one of ours must be in it")
    func audience() {
        #expect(refusal(of: signed(["aud": "[\"x\",\"authenticated\"]"])) == nil)
        let two = TokenPolicy(issuer: issuer, audiences: ["a", "authenticated"])
        #expect(refusal(of: signed(), policy: two) == nil)
        #expect(refusal(of: signed(["aud": "[]"])) == .wrongAudience(found: [], expected: ["authenticated"]))
        #expect(
            refusal(of: signed(["aud": "\"authenticated2\""]))
                == .wrongAudience(found: ["authenticated2"], expected: ["authenticated"]))
        #expect(refusal(of: signed(["aud": "\"\""])) == .wrongAudience(found: [""], expected: ["authenticated"]))
        #expect(refusal(of: signed(["aud": nil])) == .missingClaim(name: "aud"))
        for json in ["null", "1", "{}", "[1]", "[\"authenticated\",1]", "[[\"authenticated\"]]"] {
            #expect(refusal(of: signed(["aud": json]))?.code == "token_claim_malformed")
        }
    }

    @Test("an operator who said so takes any issuer and audience, but still a person and an end")
    func anyAudience() {
        let open = TokenPolicy(issuer: nil, audiences: [])
        #expect(refusal(of: signed(["iss": nil, "aud": nil]), policy: open) == nil)
        #expect(refusal(of: signed(["iss": "\"other\"", "aud": "[\"other\"]"]), policy: open) == nil)
        #expect(refusal(of: signed(["sub": nil]), policy: open)?.check == .subject)
        #expect(refusal(of: signed(["exp": nil]), policy: open)?.check == .expiry)
        #expect(refusal(of: signed(["role": "\"anon\""]), policy: open) == .roleRefused("anon"))
    }

    @Test("a subject is a text that is not empty")
    func subject() {
        #expect(refusal(of: signed(["sub": nil])) == .missingClaim(name: "sub"))
        #expect(refusal(of: signed(["sub": "\"\""])) == .emptySubject)
        for json in ["1", "null", "true", "[\"user-1\"]", "{}"] {
            #expect(refusal(of: signed(["sub": json])) == .malformedClaim(name: "sub", expected: "a string"))
        }
        #expect(
            refusal(of: signed(["sub": #""a\r\nX-Admin: 1""#]))
                == .malformedClaim(name: "sub", expected: "free of control characters"))
        #expect(refusal(of: signed(["sub": #""a\u0000b""#]))?.code == "token_claim_malformed")
    }

    @Test("the roles of shared keys are refused with 403", arguments: ["anon", "service_role"])
    func sharedRoles(_ role: String) {
        let error = refusal(of: signed(["role": "\"\(role)\""]))
        #expect(error == .roleRefused(role))
        #expect(error?.status == 403)
        #expect(refusal(of: signed(["role": "[\"authenticated\",\"\(role)\"]"])) == .roleRefused(role))
        let open = TokenPolicy(issuer: issuer, audiences: ["authenticated"], refusedRoles: [])
        #expect(refusal(of: signed(["role": "\"\(role)\""]), policy: open) == nil)
    }

    @Test("a role of another shape is refused, none at all is fine")
    func roleShapes() {
        #expect(refusal(of: signed(["role": "1"]))?.check == .role)
        #expect(refusal(of: signed(["role": "null"]))?.check == .role)
        #expect(refusal(of: signed(["role": nil])) == nil)
    }

    @Test("a public anon key as Supabase hands out is refused")
    func anonKey() {
        let claims = #"{"iss":"supabase","ref":"abc","role":"anon","iat":1700000000,"exp":2000000000}"#
        #expect(refusal(of: signed(claims: claims)) != nil)
        #expect(refusal(of: signed(claims: claims), policy: TokenPolicy(issuer: nil, audiences: [])) != nil)
    }

    @Test("every refusal has a status, a code, a check and a message that leaks nothing")
    func descriptions() {
        let errors: [TokenError] = [
            .missing, .tooLarge(limit: .kibibytes(16)), .notThreeParts(count: 2), .encrypted, .notBase64URL(.claims),
            .notJSON(.header, .unexpectedEnd), .notJSON(.claims, .duplicateName("a\nb")), .notAnObject(.header),
            .malformedHeader(member: "kid", expected: "x"), .criticalExtension, .unencodedPayload, .compressed,
            .unsigned(algorithm: "none"), .misspelledAlgorithm("hs256", meant: .hs256), .unsupportedAlgorithm("PS256"),
            .wrongType("x"), .malformedClaim(name: "exp", expected: "a number"), .missingClaim(name: "sub"),
            .noKeyConfigured, .keysUnavailable, .unknownKey(id: "a\u{1B}[31m"), .noKeyFits(.rs256),
            .ambiguousKey(.es256),
            .algorithmNotForKey(.rs256, id: "k"), .badSignature, .expired(at: 5, now: now),
            .notYetValid(from: 5, now: 1),
            .issuedInFuture(at: 5, now: 1), .wrongIssuer(found: "a", expected: "b"),
            .wrongAudience(found: [], expected: ["b"]), .emptySubject, .roleRefused("anon"),
        ]
        for error in errors {
            #expect([401, 403, 503].contains(error.status))
            #expect(!error.code.isEmpty && error.message.hasSuffix("."))
            #expect((error.challenge == nil) == (error.status == 503))
            #expect(!error.message.hasControlCharacters)
            #expect(error.message != "The token was refused.")
            #expect((error.check == nil) == (error == .missing))
        }
        let long = TokenError.unknownKey(id: String(repeating: "k", count: 5000))
        #expect(long.message.count < 300)
    }

    @Test(
        "instants are written for people",
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_800_000_000, "2027-01-15T08:00:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"), (253_402_300_799, "9999-12-31T23:59:59Z"), (1e300, "1e+300"),
            (-1, "-1.0"),
        ] as [(Double, String)])
    func instants(_ seconds: Double, _ text: String) {
        #expect(utc(seconds) == text)
    }
}

@Suite("Explanation")
struct ExplanationTests {
    @Test("a good token passes every check in order")
    func good() {
        let explanation = Authenticator(policy: policy, keys: everyKey).explain(Array(signed().utf8), now: now)
        #expect(explanation.failure == nil)
        #expect(explanation.principal?.subject == "user-1")
        #expect(explanation.passed.map(\.check) == TokenCheck.allCases)
        #expect(explanation.lines.count == TokenCheck.allCases.count)
        #expect(explanation.lines.allSatisfy { $0.hasPrefix("ok ") })
    }

    @Test(
        "the first check that fails is the last line, and those before it passed",
        arguments: [
            ("x", .parts), ("a.b.c", .encoding), (signed(header: "[]"), .header),
            (signed(header: #"{"alg":"HS256","zip":1}"#), .extensions),
            (signed(header: #"{"alg":"none"}"#), .algorithm), (signed(header: #"{"alg":"HS256","typ":"x"}"#), .type),
            (signed(claims: "[]"), .claims), (signed(header: #"{"alg":"RS256","kid":"x"}"#), .key),
            (signed(secret: "x"), .signature), (signed(["exp": "1"]), .expiry),
            (signed(["nbf": "1900000000"]), .notBefore),
            (signed(["iat": "1900000000"]), .issuedAt), (signed(["iss": "\"x\""]), .issuer),
            (signed(["aud": "\"x\""]), .audience), (signed(["sub": "\"\""]), .subject),
            (signed(["role": "\"anon\""]), .role),
        ] as [(String, TokenCheck)])
    func failing(_ token: String, _ check: TokenCheck) throws {
        let explanation = Authenticator(policy: policy, keys: everyKey).explain(Array(token.utf8), now: now)
        let failure = try #require(explanation.failure)
        #expect(failure.check == check)
        #expect(explanation.passed.map(\.check) == Array(TokenCheck.allCases.prefix { $0 != check }))
        #expect(explanation.lines.last?.hasPrefix("FAIL") == true)
        #expect(explanation.principal == nil)
    }
}
