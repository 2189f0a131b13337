import GatewayBytes
import Testing

@testable import GatewayAuth

/// A request's credential fields, as a server would show them.
struct Fields {
    var query = ""
    var authorization: [String] = []
    var subprotocols: [String] = []
    var cookies: [String] = []
    var origin = ""
    var isWebSocket = false
    var isSafe = true
    var rules = CredentialRules(cookieName: "session", allowedOrigins: ["https://App.test/", "http://localhost:3000"])

    func search() throws(CredentialError) -> (token: String, carrier: Carrier)? {
        var search = CredentialSearch(rules)
        search.look(inQuery: Array(query.utf8).span)
        for value in authorization { search.look(inAuthorization: Array(value.utf8).span) }
        for value in subprotocols { search.look(inSubprotocols: Array(value.utf8).span) }
        for value in cookies { search.look(inCookie: Array(value.utf8).span) }
        let found = try search.result(
            isWebSocket: isWebSocket, isSafeMethod: isSafe, origin: Array(origin.utf8).span,
            ownOrigin: Array("https://gate.test".utf8).span)
        return found.map { (String(decoding: $0.token, as: UTF8.self), $0.carrier) }
    }

    var token: String? { (try? search())?.token }

    var error: CredentialError? {
        do throws(CredentialError) {
            _ = try search()
            return nil
        } catch { return error }
    }
}

@Suite("Carriers of a token")
struct CredentialTests {
    @Test(
        "the query parameter called token is read, escapes undone",
        arguments: [
            ("token=a.b.c", "a.b.c"), ("x=1&token=a.b.c&y", "a.b.c"), ("token=a%2Eb%2ec", "a.b.c"), ("%74oken=a", "a"),
            ("tok%65n=a&token=a", "a"), ("token=a&token=", "a"), ("token==", "="), ("token=a=b", "a=b"),
            ("token=a+b", "a+b"),
            ("", nil), ("token", nil), ("token=", nil), ("Token=a", nil), ("xtoken=a", nil), ("tokens=a", nil),
            ("x=token=a", nil), ("x;token=a", nil), ("&&&", nil), ("to%00ken=a", nil),
        ] as [(String, String?)])
    func query(_ query: String, _ token: String?) throws {
        let found = try Fields(query: query).search()
        #expect(found?.token == token)
        #expect(found == nil || found?.carrier == .query)
    }

    @Test("a token with a broken escape is malformed", arguments: ["token=%", "token=a%2", "token=%zz", "token=%2g"])
    func brokenEscape(_ query: String) {
        #expect(Fields(query: query).error == .malformed(.query))
        #expect(Fields(query: query).error?.status == 400)
    }

    @Test(
        "Authorization is read for Bearer in any case, other schemes are left alone",
        arguments: [
            ("Bearer a.b.c", "a.b.c"), ("bearer a", "a"), ("BEARER   a  ", "a"), ("Bearer a b", "a b"),
            ("Basic dXNlcjpwYXNz", nil), ("Bearertoken a", nil), ("Bear", nil), ("", nil), ("Digest x", nil),
            ("Bearer\ta", nil),
        ] as [(String, String?)])
    func authorization(_ value: String, _ token: String?) {
        #expect(Fields(authorization: [value]).token == token)
    }

    @Test("Bearer without a token is malformed", arguments: ["Bearer", "Bearer ", "bearer    "])
    func emptyBearer(_ value: String) {
        #expect(Fields(authorization: [value]).error == .malformed(.authorization))
    }

    @Test(
        "the element after bearer in Sec-WebSocket-Protocol is the token",
        arguments: [
            (["bearer, a.b.c"], "a.b.c"), (["bearer,a"], "a"), (["tunnel.v1.json, bearer, a"], "a"),
            (["bearer, a, tunnel.v1.json"], "a"), (["bearer", "a"], "a"), (["x", "bearer , a , y"], "a"),
            (["x, y"], nil),
            (["Bearer, a"], nil), ([""], nil), ([",,"], nil),
        ] as [([String], String?)])
    func subprotocols(_ values: [String], _ token: String?) {
        #expect(Fields(subprotocols: values, isWebSocket: true).token == token)
    }

    @Test("bearer as the last element is malformed, and an empty token counts as none")
    func lonelyBearer() {
        #expect(Fields(subprotocols: ["bearer"]).error == .malformed(.subprotocol))
        #expect(Fields(subprotocols: ["x, bearer"]).error == .malformed(.subprotocol))
        #expect(Fields(subprotocols: ["bearer,"]).token == nil)
    }

    @Test("application subprotocols are offered without bearer and the token")
    func offers() {
        var search = CredentialSearch(CredentialRules())
        var offered: [String] = []
        for value in ["tunnel.v1.json, bearer, secret", "tunnel.ssh ,x"] {
            let bytes = Array(value.utf8)
            search.look(inSubprotocols: bytes.span) { offered.append(String(decoding: bytes[$0], as: UTF8.self)) }
        }
        #expect(offered == ["tunnel.v1.json", "tunnel.ssh", "x"])
    }

    @Test(
        "the named cookie is read, no other",
        arguments: [
            ("session=a", "a"), ("x=1; session=a; y=2", "a"), ("session=\"a\"", "a"), ("session=a; session=a", "a"),
            ("session=a=b", "a=b"), ("Session=a", nil), ("xsession=a", nil), ("session", nil), ("session=", nil),
            ("", nil),
            ("x=session=a", nil), ("x=\"; session=a", "a"), (";;session=a", "a"), ("session =a", nil),
        ] as [(String, String?)])
    func cookie(_ value: String, _ token: String?) {
        #expect(Fields(cookies: [value]).token == token)
        var without = Fields(cookies: [value])
        without.rules = CredentialRules()
        #expect(without.token == nil)
    }

    @Test("two credentials that differ are 400, equal ones are one")
    func conflicts() {
        #expect(Fields(query: "token=a&token=b").error == .conflicting(.query, .query))
        #expect(Fields(query: "token=a&%74oken=b").error == .conflicting(.query, .query))
        #expect(Fields(authorization: ["Bearer a", "Bearer b"]).error == .conflicting(.authorization, .authorization))
        #expect(Fields(query: "token=a", authorization: ["Bearer b"]).error == .conflicting(.query, .authorization))
        #expect(Fields(query: "token=a", subprotocols: ["bearer, b"]).error == .conflicting(.query, .subprotocol))
        #expect(Fields(subprotocols: ["bearer, a, bearer, b"]).error == .conflicting(.subprotocol, .subprotocol))
        #expect(
            Fields(authorization: ["Bearer a"], cookies: ["session=b"]).error == .conflicting(.authorization, .cookie))
        #expect(Fields(cookies: ["session=a; session=b"]).error == .conflicting(.cookie, .cookie))
        #expect(Fields(cookies: ["session=a", "session=b"]).error == .conflicting(.cookie, .cookie))
        #expect(Fields(query: "token=a", authorization: ["Bearer b"]).error?.status == 400)
        #expect(
            Fields(query: "token=a", authorization: ["Bearer a"], subprotocols: ["bearer, a"], cookies: ["session=a"])
                .token
                == "a")
    }

    @Test(
        "a cookie on a WebSocket or an unsafe method needs a known Origin",
        arguments: [
            ("https://gate.test", nil), ("HTTPS://Gate.Test:443", nil), ("https://app.test", nil),
            ("http://localhost:3000", nil),
            ("", .missingOrigin), ("null", .foreignOrigin), ("https://evil.test", .foreignOrigin),
            ("http://gate.test", .foreignOrigin), ("https://gate.test:8443", .foreignOrigin),
            ("https://gate.test.evil.test", .foreignOrigin), ("http://localhost", .foreignOrigin),
            ("app.test", .foreignOrigin),
        ] as [(String, CredentialError?)])
    func cookieOrigin(_ origin: String, _ error: CredentialError?) {
        #expect(Fields(cookies: ["session=a"], origin: origin, isWebSocket: true).error == error)
        #expect(Fields(cookies: ["session=a"], origin: origin, isSafe: false).error == error)
        #expect(Fields(cookies: ["session=a"], origin: origin).error == nil)
        // The token itself proves that the page knows it.
        #expect(Fields(query: "token=a", cookies: ["session=a"], origin: origin, isWebSocket: true).token == "a")
        #expect(error == nil || error?.status == 403)
    }

    @Test(
        "a wildcard stands for the labels below a host, and for nothing else",
        arguments: [
            ("https://a.example.com", true), ("https://a.b.example.com", true), ("HTTPS://A.Example.com:443", true),
            ("https://example.com", false), ("https://.example.com", false), ("https://aexample.com", false),
            ("http://a.example.com", false), ("https://a.example.com:8443", false),
            ("https://a.example.com.evil.test", false),
            ("https://evil.test/.example.com", false), ("https://evil.test:1.example.com", false),
            ("https://evil@a.example.com", false), ("https://evil.test#.example.com", false), ("https://x.com", false),
        ])
    func wildcards(_ origin: String, _ isAllowed: Bool) {
        var fields = Fields(cookies: ["session=a"], origin: origin, isWebSocket: true)
        fields.rules = CredentialRules(
            cookieName: "session",
            allowedOrigins: ["https://*.example.com", "https://*.com", "*", "https://*", "https://a.*.com"])
        #expect(fields.error == (isAllowed ? nil : .foreignOrigin))
    }

    @Test("every error says what to do")
    func messages() {
        let errors: [CredentialError] = [
            .conflicting(.query, .query), .conflicting(.query, .cookie), .malformed(.query), .foreignOrigin,
            .missingOrigin,
        ]
        for error in errors { #expect(error.message.hasSuffix(".") && !error.code.isEmpty) }
    }
}

@Suite("Tokens in queries")
struct QueryTokenTests {
    static func redacted(_ query: String) -> String {
        var output = OutputBuffer()
        QueryToken.redact(Array(query.utf8).span, into: &output)
        var bytes: [UInt8] = []
        unsafe output.withUnsafeBytes { raw in unsafe bytes.append(contentsOf: raw) }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(
        "for a log the value is hidden, however the name is spelled",
        arguments: [
            ("token=secret", "token=<redacted>"), ("a=1&token=secret&b=2", "a=1&token=<redacted>&b=2"),
            ("TOKEN=secret", "TOKEN=<redacted>"), ("%74oken=secret", "%74oken=<redacted>"),
            ("token=secret&token=s2", "token=<redacted>&token=<redacted>"),
            ("access_token=secret", "access_token=<redacted>"), ("apikey=secret", "apikey=<redacted>"),
            ("a;token=secret", "a;token=<redacted>"), ("token=a;b=secret", "token=<redacted>"),
            ("token=%zzsecret", "token=<redacted>"),
            ("token", "token"), ("token=", "token=<redacted>"), ("", ""), ("a&&b", "a&&b"), ("x=token", "x=token"),
            ("tokens=1", "tokens=1"), ("&token=secret&", "&token=<redacted>&"),
        ])
    func redaction(_ query: String, _ shown: String) {
        #expect(Self.redacted(query) == shown)
    }

    @Test(
        "for an upstream the parameter is left out, the rest stays byte for byte",
        arguments: [
            ("token=secret", ""), ("a=1&token=secret&b=%20", "a=1&b=%20"), ("token=s&a", "a"), ("a&token=s", "a"),
            ("%74oken=s&x=1", "x=1"), ("token=s&token=t", ""), ("token", ""), ("a=1", "a=1"), ("", ""),
            ("Token=1", "Token=1"), ("&a&&", "&a&&"), ("a&token=s&", "a&"), ("&token=s", ""), ("token=s&", ""),
        ])
    func stripping(_ query: String, _ rest: String) {
        let bytes = Array(query.utf8)
        #expect(String(decoding: QueryToken.strip(bytes.span), as: UTF8.self) == rest)
        #expect(QueryToken.isPresent(in: bytes.span) == (query != rest))
    }

    @Test("what is read as a credential is never left in what goes upstream or to a log")
    func agreement() {
        let pieces = ["token=s3cret", "%74%6f%6b%65%6e=s3cret", "a=1", "", "token", "t%6Fken=s3cret"]
        for first in pieces {
            for second in pieces {
                let query = "\(first)&\(second)"
                let bytes = Array(query.utf8)
                #expect(!String(decoding: QueryToken.strip(bytes.span), as: UTF8.self).contains("s3cret"))
                #expect(!Self.redacted(query).contains("s3cret"))
            }
        }
    }
}
