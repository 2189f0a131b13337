import GatewayBytes
import Testing

@testable import GatewayAuth

/// JWKs as text, to be broken piece by piece.
func rsaJWK(_ id: String?, modulus: String = TestJWK.rsaModulus, exponent: String = "AQAB", more: String = "") -> String
{
    let name = id.map { "\"kid\":\"\($0)\"," } ?? ""
    return #"{\#(name)"kty":"RSA","n":"\#(modulus)","e":"\#(exponent)"\#(more)}"#
}

func ecJWK(_ id: String, _ curve: String = "P-256", point: (x: String, y: String) = TestJWK.p256, more: String = "")
    -> String
{
    #"{"kid":"\#(id)","kty":"EC","crv":"\#(curve)","x":"\#(point.x)","y":"\#(point.y)"\#(more)}"#
}

func keySet(_ keys: String...) -> [UInt8] { Array(#"{"keys":[\#(keys.joined(separator: ","))]}"#.utf8) }

@Suite("JWK Set (RFC 7517)")
struct JWKSetTests {
    @Test("every kind of key is read and verifies tokens made elsewhere")
    func everyKind() throws {
        let set = try JWKSet.parse(
            keySet(
                rsaJWK("rsa", more: #","use":"sig","x5c":["ignored"]"#), ecJWK("p256", more: #","key_ops":["verify"]"#),
                ecJWK("p384", "P-384", point: TestJWK.p384, more: #","alg":"ES384""#),
                ecJWK("p521", "P-521", point: TestJWK.p521)))
        #expect(set.notes == [])
        #expect(set.keys.map(\.algorithms) == [[.rs256, .rs384, .rs512], [.es256], [.es384], [.es512]])
        for (_, token) in ForeignTokens.genuine {
            #expect(refusal(of: token, keys: KeySet(published: set.keys)) == nil)
        }
    }

    @Test("a key is bound to the algorithm it names")
    func bound() throws {
        let set = try JWKSet.parse(keySet(rsaJWK("rsa", more: #","alg":"RS384""#)))
        #expect(set.keys.map(\.algorithms) == [[.rs384]])
    }

    @Test(
        "a key that cannot be used is left out with a note that says why",
        arguments: [
            (#"{"kty":"oct","k":"c2VjcmV0","kid":"bad"}"#, "secret"),
            (#"{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"bad"}"#, "OKP"),
            (#"{"kid":"bad"}"#, "no kty"), (#""bad""#, "not an object"), ("null", "not an object"),
            (rsaJWK("bad", more: #","use":"enc""#), "use"), (rsaJWK("bad", more: #","use":1"#), "use"),
            (rsaJWK("bad", more: #","key_ops":["sign"]"#), "key_ops"),
            (rsaJWK("bad", more: #","key_ops":"verify""#), "key_ops"),
            (rsaJWK("bad", more: #","alg":"PS256""#), "PS256"),
            (rsaJWK("bad", more: #","alg":"RSA-OAEP""#), "RSA-OAEP"),
            (rsaJWK("bad", more: #","alg":"HS256""#), "HS256"), (rsaJWK("bad", more: #","alg":"ES256""#), "ES256"),
            (rsaJWK("bad", more: #","alg":"none""#), "none"), (rsaJWK("bad", more: #","alg":7"#), "alg"),
            (rsaJWK("bad", more: #","d":"AQAB""#), "private"),
            (rsaJWK("bad", modulus: TestJWK.shortRSAModulus), "1024"),
            (rsaJWK("bad", modulus: ""), "too short"), (rsaJWK("bad", modulus: "AQAB"), "too short"),
            (rsaJWK("bad", modulus: String(repeating: "_", count: 1368)), "too long"),
            (rsaJWK("bad", modulus: TestJWK.rsaModulus + "="), "cannot be read"),
            (rsaJWK("bad", exponent: "AQ"), "exponent"), (rsaJWK("bad", exponent: "Ag"), "exponent"),
            (rsaJWK("bad", exponent: "AQAAAAE"), "exponent"), (rsaJWK("bad", exponent: ""), "exponent"),
            (#"{"kty":"RSA","kid":"bad","e":"AQAB"}"#, "cannot be read"),
            (ecJWK("bad", point: TestJWK.secp256k1), "not on the curve"),
            (ecJWK("bad", "secp256k1", point: TestJWK.secp256k1), "only RSA"),
            (ecJWK("bad", point: TestJWK.p384), "not on the curve"), (ecJWK("bad", "P-384"), "not on the curve"),
            (ecJWK("bad", point: (TestJWK.p256.y, TestJWK.p256.x)), "not on the curve"),
            (
                ecJWK("bad", point: (String(repeating: "A", count: 43), String(repeating: "A", count: 43))),
                "not on the curve"
            ),
            (ecJWK("bad", point: ("", "")), "not on the curve"), (ecJWK("bad", more: #","alg":"ES384""#), "ES384"),
            (ecJWK("bad", more: #","d":"AAAA""#), "private"),
            (#"{"kty":"EC","kid":"bad","crv":"P-256","x":"\#(TestJWK.p256.x)"}"#, "cannot be read"),
        ])
    func leftOut(_ key: String, _ reason: String) throws {
        let set = try JWKSet.parse(keySet(key, rsaJWK("good")))
        #expect(set.keys.map(\.id) == ["good"])
        let note = try #require(set.notes.first)
        #expect(set.notes.count == 1 && note.contains(reason), "\(note)")
        #expect(throws: JWKSetError.noUsableKey(notes: set.notes)) { try JWKSet.parse(keySet(key)) }
    }

    @Test("a modulus with the zero octet of ASN.1 in front is read")
    func leadingZero() throws {
        let modulus = Base64URL.encode([0] + (try #require(Base64URL.decode(TestJWK.rsaModulus))))
        let set = try JWKSet.parse(keySet(rsaJWK("rsa", modulus: modulus)))
        #expect(refusal(of: ForeignTokens.genuine[0].token, keys: KeySet(published: set.keys)) == nil)
    }

    @Test("of two keys with one name that fit the same tokens the first counts; of two kinds both do")
    func sameName() throws {
        let twins = try JWKSet.parse(keySet(rsaJWK("k"), rsaJWK("k", modulus: TestJWK.otherRSAModulus)))
        #expect(twins.keys.count == 1 && twins.notes.count == 1)
        let kinds = try JWKSet.parse(keySet(rsaJWK("k"), ecJWK("k")))
        #expect(kinds.keys.count == 2 && kinds.notes == [])
        let token = try SignatureTests.mint(TestKeys.p256Private, id: "k")
        #expect(refusal(of: token, keys: KeySet(published: kinds.keys)) == nil)
    }

    @Test("a name that no token could carry leaves a key nameless", arguments: ["\"\"", "7", "null"])
    func noName(_ json: String) throws {
        let set = try JWKSet.parse(
            Array(#"{"keys":[{"kid":\#(json),"kty":"RSA","n":"\#(TestJWK.rsaModulus)","e":"AQAB"}]}"#.utf8))
        #expect(set.keys.map(\.id) == [nil])
    }

    @Test(
        "what is no JWK Set is refused",
        arguments: ["{}", "[]", #"{"keys":{}}"#, #"{"keys":null}"#, #"{"Keys":[]}"#, "1"])
    func notASet(_ text: String) {
        #expect(throws: JWKSetError.notAKeySet) { try JWKSet.parse(Array(text.utf8)) }
    }

    @Test("broken JSON, a repeated name, too many keys and too large a body are refused")
    func limits() {
        #expect(throws: JWKSetError.notJSON(.unexpectedEnd)) { try JWKSet.parse(Array("{".utf8)) }
        #expect(throws: JWKSetError.notJSON(.duplicateName("keys"))) {
            try JWKSet.parse(Array(#"{"keys":[],"keys":[]}"#.utf8))
        }
        #expect(throws: JWKSetError.noUsableKey(notes: [])) { try JWKSet.parse(keySet()) }
        let many = (0..<33).map { rsaJWK("k\($0)") }.joined(separator: ",")
        #expect(throws: JWKSetError.tooManyKeys(count: 33, limit: 32)) { try JWKSet.parse(keySet(many)) }
        let large = keySet(rsaJWK("a", more: ",\"x\":\"\(String(repeating: "x", count: 256 * 1024))\""))
        #expect(throws: JWKSetError.notJSON(.tooLarge(limit: .kibibytes(256)))) { try JWKSet.parse(large) }
    }

    @Test("no prefix of a set is accepted")
    func everySplit() {
        let text = keySet(rsaJWK("rsa"), ecJWK("p256"))
        for length in 0..<text.count {
            #expect(throws: JWKSetError.self) { try JWKSet.parse(Array(text[..<length])) }
        }
    }
}

@Suite("Where keys come from")
struct KeyLocationTests {
    @Test(
        "https anywhere, http to this machine only",
        arguments: [
            ("https://a.test", "https://a.test/"), ("HTTPS://A.Test:443/X?y=1", "https://a.test/X?y=1"),
            ("https://a.test:8443/jwks", "https://a.test:8443/jwks"),
            ("http://localhost:54321/x", "http://localhost:54321/x"),
            ("http://127.0.0.1/", "http://127.0.0.1/"), ("http://127.8.9.1:80", "http://127.8.9.1/"),
            ("http://[::1]:9/x", "http://[::1]:9/x"), ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
            ("https://a.test?x", "https://a.test/?x"),
        ])
    func accepted(_ text: String, _ normal: String) {
        #expect(KeyURL(text)?.text == normal)
    }

    @Test(
        "anything else is refused",
        arguments: [
            "", "a.test", "http://a.test/", "http://127.0.0.1.evil.test/", "http://localhost.evil.test/",
            "http://127.1/",
            "http://0177.0.0.1/", "http://2130706433/", "http://10.0.0.1/", "http://169.254.169.254/", "http://[::]/",
            "http://[::ffff:127.0.0.1]/", "http://127.0.0.256/", "file:///etc/passwd", "ftp://a.test/", "https:/a.test",
            "https://", "https:///x", "https://user@a.test/", "https://a.test@127.0.0.1/", "https://a.test/#x",
            "https://a test/", "https://a.test\\@b/", "https://a.test:0/", "https://a.test:99999/", "https://a.test:x/",
            "https://a.test:/", "https://[::1/", "https://é.test/", "https://a.test/\n", "//a.test/",
            "javascript://a.test/",
        ])
    func refused(_ text: String) {
        #expect(KeyURL(text) == nil)
    }

    @Test(
        "a redirect stays on scheme, host and port",
        arguments: [
            ("/b", "https://a.test/b"), ("b", "https://a.test/x/b"), ("https://a.test/z", "https://a.test/z"),
            ("https://A.TEST:443/z", "https://a.test/z"), ("//a.test/q", "https://a.test/q"),
            ("https://b.test/x/y", nil),
            ("http://a.test/x", nil), ("https://a.test:8443/", nil), ("//b.test/", nil),
            ("https://a.test@b.test/", nil),
            ("http://127.0.0.1/", nil), ("https://a.test.evil.test/", nil), ("\\\\b.test", nil), ("/\\b.test", nil),
        ] as [(String, String?)])
    func redirects(_ location: String, _ target: String?) throws {
        let url = try #require(KeyURL("https://a.test/x/y?z=/w"))
        #expect(url.redirected(to: location)?.text == target)
    }

    @Test("the places are asked in the documented order, each once")
    func order() {
        var settings = AuthSettings()
        settings.domain = "abc.supabase.co"
        settings.issuer = "https://abc.supabase.co/auth/v1"
        settings.keySetURL = "https://keys.test/k.json"
        #expect(
            settings.keySources.map { "\($0)".hasPrefix("discovery") ? "discovery \($0.url)" : $0.url.text } == [
                "https://keys.test/k.json",
                "discovery https://abc.supabase.co/auth/v1/.well-known/openid-configuration",
                "https://abc.supabase.co/auth/v1/.well-known/jwks.json",
                "https://abc.supabase.co/.well-known/jwks.json",
            ])
        settings.issuer = "supabase"
        settings.keySetURL = nil
        #expect(
            settings.keySources.map(\.url.text) == [
                "https://abc.supabase.co/auth/v1/.well-known/jwks.json",
                "https://abc.supabase.co/.well-known/jwks.json",
            ])
        settings.domain = "http://127.0.0.1:54321/"
        #expect(settings.keySources.first?.url.text == "http://127.0.0.1:54321/auth/v1/.well-known/jwks.json")
    }
}

@Suite("Search for keys")
struct KeySearchTests {
    static let good = keySet(rsaJWK("rsa"))

    /// Runs a search against a table of answers and lists what was asked.
    static func run(
        _ answers: [String: KeyResponse], remembered: KeySource? = nil
    ) -> (asked: [KeyRequest], end: KeySearch.Step) {
        var settings = AuthSettings()
        settings.domain = "a.test"
        settings.issuer = "https://i.test"
        settings.keySetURL = "https://k.test/jwks"
        var search = KeySearch(settings.keySources, remembered: remembered, issuer: "https://i.test")
        var asked: [KeyRequest] = []
        var step = search.begin()
        while case .fetch(let request) = step {
            asked.append(request)
            step = search.received(answers[request.url.text] ?? .status(404))
        }
        return (asked, step)
    }

    static let places = [
        "https://k.test/jwks", "https://i.test/.well-known/openid-configuration",
        "https://i.test/.well-known/jwks.json",
        "https://a.test/auth/v1/.well-known/jwks.json", "https://a.test/.well-known/jwks.json",
    ]

    @Test("the first place with a usable key wins, whatever is wrong with those before", arguments: [0, 2, 3, 4])
    func firstUsable(_ place: Int) throws {
        let wrong: [KeyResponse] = [
            .status(500), .unreachable("refused"), .tooLarge, .body(Array("<html>".utf8)), .body(keySet()),
        ]
        var answers: [String: KeyResponse] = [:]
        for earlier in 0..<place { answers[Self.places[earlier]] = wrong[earlier] }
        answers[Self.places[place]] = .body(Self.good)
        let (asked, end) = Self.run(answers)
        #expect(asked.map(\.url.text) == Array(Self.places[...place]))
        #expect(asked.allSatisfy { $0.isOperatorHost })
        guard case .found(let found) = end else {
            Issue.record("nothing found")
            return
        }
        #expect(found.source.url.text == Self.places[place])
    }

    @Test("nobody has a key: every place says why")
    func nobody() {
        let (asked, end) = Self.run([:])
        #expect(asked.count == 5)
        guard case .failed(let reasons) = end else {
            Issue.record("found keys nowhere")
            return
        }
        #expect(reasons == Self.places.map { "\($0): status 404" })
    }

    @Test("discovery is followed to the place it names, which is foreign when on another host")
    func discovery() {
        let document = #"{"issuer":"https://i.test/","jwks_uri":"https://cdn.test/keys"}"#
        let (asked, end) = Self.run([
            Self.places[1]: .body(Array(document.utf8)), "https://cdn.test/keys": .body(Self.good),
        ])
        #expect(asked.map(\.url.text) == [Self.places[0], Self.places[1], "https://cdn.test/keys"])
        #expect(asked.map(\.isOperatorHost) == [true, true, false])
        guard case .found(let found) = end, case .discovery = found.source else {
            Issue.record("not found by discovery")
            return
        }
    }

    @Test(
        "a discovery document of another issuer, or one that points to this machine, is not followed",
        arguments: [
            #"{"issuer":"https://evil.test","jwks_uri":"https://evil.test/k"}"#, #"{"jwks_uri":"https://evil.test/k"}"#,
            #"{"issuer":"https://i.test"}"#, #"{"issuer":"https://i.test","jwks_uri":"http://evil.test/k"}"#,
            #"{"issuer":"https://i.test","jwks_uri":"http://127.0.0.1/k"}"#,
            #"{"issuer":"https://i.test","jwks_uri":"https://localhost/k"}"#,
            #"{"issuer":"https://i.test","jwks_uri":7}"#, #"{"issuer":"https://i.test","issuer":"https://i.test"}"#,
            "[]", "x",
        ])
    func badDiscovery(_ document: String) {
        let (asked, end) = Self.run([Self.places[1]: .body(Array(document.utf8))])
        #expect(asked.map(\.url.text) == Self.places)
        guard case .failed = end else {
            Issue.record("followed")
            return
        }
    }

    @Test("redirects are followed on the same host, five at most")
    func redirects() {
        var answers: [String: KeyResponse] = [Self.places[0]: .redirect("/1")]
        for hop in 1..<5 { answers["https://k.test/\(hop)"] = .redirect("/\(hop + 1)") }
        answers["https://k.test/5"] = .body(Self.good)
        guard case .found = Self.run(answers).end else {
            Issue.record("five redirects were not followed")
            return
        }
        answers["https://k.test/5"] = .redirect("/6")
        answers["https://k.test/6"] = .body(Self.good)
        #expect(Self.run(answers).asked.count == 6 + 4)
        let (asked, _) = Self.run([
            Self.places[0]: .redirect("https://evil.test/jwks"), "https://evil.test/jwks": .body(Self.good),
        ])
        #expect(!asked.map(\.url.text).contains("https://evil.test/jwks"))
    }

    @Test("the place that worked last is asked first, and forgotten when settings no longer name it")
    func remembered() throws {
        let last = KeySource.keySet(try #require(KeyURL(Self.places[3])))
        #expect(Self.run([:], remembered: last).asked.first?.url.text == Self.places[3])
        #expect(Self.run([:], remembered: last).asked.count == 5)
        let foreign = KeySource.keySet(try #require(KeyURL("https://old.test/k")))
        #expect(Self.run([:], remembered: foreign).asked.first?.url.text == Self.places[0])
    }

    @Test("a body beyond the limit is refused even when the fetcher let it through")
    func bodyLimit() {
        let large = Self.good + [UInt8](repeating: 0x20, count: 256 * 1024)
        guard case .failed(let reasons) = Self.run([Self.places[0]: .body(large)]).end else {
            Issue.record("accepted")
            return
        }
        #expect(reasons.first?.hasSuffix("more than 256 KiB") == true)
    }
}
