import GatewayBytes
import GatewayWebSocket
import Testing

/// A request that opens a WebSocket, to be spoilt.
func goodRequest() -> HandshakeRequest {
    var request = HandshakeRequest()
    request.host = "gateway.example.com"
    request.upgrade = ["websocket"]
    request.connection = ["Upgrade"]
    request.key = ["dGhlIHNhbXBsZSBub25jZQ=="]
    request.version = ["13"]
    return request
}

@Suite("Opening handshake, server (RFC 6455 §4.2)")
struct OpeningHandshakeTests {
    @Test("the example of RFC 6455 §1.3 is accepted")
    func rfcExample() throws {
        let acceptance = try OpeningHandshake().check(goodRequest())
        #expect(acceptance.accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(acceptance.subprotocol == nil && acceptance.bearer == nil && acceptance.extensions.isEmpty)
        var output = OutputBuffer()
        acceptance.appendResponse(deflate: nil, to: &output)
        #expect(
            String(decoding: output.array, as: UTF8.self)
                == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    }

    @Test("tokens match in any case, in lists, over several lines")
    func tokens() throws {
        var request = goodRequest()
        request.upgrade = ["h2c, WebSocket"]
        request.connection = ["keep-alive", "close , UPGRADE"]
        _ = try OpeningHandshake().check(request)
        #expect(request.asksForWebSocket)
        request.upgrade = ["websocket/13"]
        #expect(!request.asksForWebSocket)
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        var name: String
        var error: HandshakeError
        var status: Int
        var spoil: @Sendable (inout HandshakeRequest) -> Void
        var testDescription: String { name }
    }

    static let refusals: [Refusal] = [
        Refusal(name: "POST", error: .methodNotGET, status: 405) { $0.method = "POST" },
        Refusal(name: "get in lower case", error: .methodNotGET, status: 405) { $0.method = "get" },
        Refusal(name: "HTTP/1.0", error: .httpTooOld, status: 400) { $0.minorVersion = 0 },
        Refusal(name: "HTTP/2", error: .httpTooOld, status: 400) { $0.majorVersion = 2 },
        Refusal(name: "no Upgrade", error: .notAnUpgrade, status: 426) { $0.upgrade = [] },
        Refusal(name: "another Upgrade", error: .notAnUpgrade, status: 426) { $0.upgrade = ["h2c"] },
        Refusal(name: "no Connection", error: .connectionNotUpgrade, status: 400) { $0.connection = [] },
        Refusal(name: "Connection without upgrade", error: .connectionNotUpgrade, status: 400) {
            $0.connection = ["keep-alive"]
        },
        Refusal(name: "no key", error: .missingKey, status: 400) { $0.key = [] },
        Refusal(name: "two keys", error: .missingKey, status: 400) { $0.key += $0.key },
        Refusal(name: "a key of 15 bytes", error: .invalidKey, status: 400) { $0.key = ["AAAAAAAAAAAAAAAAAAAA"] },
        Refusal(name: "a key of 17 bytes", error: .invalidKey, status: 400) { $0.key = ["AAAAAAAAAAAAAAAAAAAAAAA="] },
        Refusal(name: "a key that is not base64", error: .invalidKey, status: 400) {
            $0.key = ["dGhlIHNhbXBsZSBub25j*Q=="]
        },
        Refusal(name: "no version", error: .missingVersion, status: 426) { $0.version = [] },
        Refusal(name: "two versions", error: .missingVersion, status: 426) { $0.version = ["13", "13"] },
        Refusal(name: "version 8", error: .unsupportedVersion, status: 426) { $0.version = ["8"] },
        Refusal(name: "a list of versions", error: .unsupportedVersion, status: 426) { $0.version = ["13, 8"] },
        Refusal(name: "a subprotocol twice", error: .malformedSubprotocols, status: 400) {
            $0.protocols = ["a, b", "a"]
        },
        Refusal(name: "no subprotocol in the field", error: .malformedSubprotocols, status: 400) {
            $0.protocols = [""]
        },
        Refusal(name: "a subprotocol with a space", error: .malformedSubprotocols, status: 400) {
            $0.protocols = ["a b"]
        },
        Refusal(name: "33 subprotocols", error: .malformedSubprotocols, status: 400) {
            $0.protocols = [(0..<33).map { "p\($0)" }.joined(separator: ",")]
        },
        Refusal(name: "bearer at the end", error: .bearerWithoutToken, status: 400) {
            $0.protocols = ["tunnel.v1.json, bearer"]
        },
        Refusal(name: "bearer before a subprotocol", error: .bearerWithoutToken, status: 400) {
            $0.protocols = ["bearer, tunnel.v1.json"]
        },
        Refusal(name: "malformed extensions", error: .malformedExtensions, status: 400) { $0.extensions = ["a; ;"] },
        Refusal(name: "a foreign origin", error: .originNotAllowed, status: 403) {
            $0.origin = ["https://evil.example"]
        },
        Refusal(name: "two origins", error: .originNotAllowed, status: 403) {
            $0.origin = ["http://gateway.example.com", "http://gateway.example.com"]
        },
    ]

    @Test("a request that is not right is refused with its status and a message to act on", arguments: refusals)
    func refused(_ refusal: Refusal) {
        var request = goodRequest()
        refusal.spoil(&request)
        let handshake = OpeningHandshake(subprotocols: ["tunnel.v1.json"], origins: .sameOrigin)
        #expect(throws: refusal.error) { try handshake.check(request) }
        #expect(refusal.error.status == refusal.status)
        #expect(refusal.error.message.count > 20)
    }

    @Test("refusals carry the fields that their status demands")
    func fields() {
        func names(_ error: HandshakeError) -> [String] { error.fields.map { "\($0.name): \($0.value)" } }
        #expect(names(.methodNotGET) == ["Allow: GET"])
        #expect(names(.unsupportedVersion).contains("Sec-WebSocket-Version: 13"))
        #expect(names(.unsupportedVersion).contains("Upgrade: websocket"))
        #expect(names(.notAnUpgrade).contains("Upgrade: websocket"))
        #expect(names(.invalidKey).isEmpty)
    }

    /// What is offered, what is selected, and whether a token was found.
    static let choices: [([String], String?, Bool)] = [
        ([], nil, false), (["unknown"], nil, false), (["b, a"], "a", false), (["b"], "b", false),
        (["b", "a"], "a", false),
        (["bearer, eyJ.eyJ.c2ln"], "bearer", true), (["bearer, eyJ.eyJ.c2ln, b"], "b", true),
        (["a, bearer, eyJ.eyJ.c2ln"], "a", true), (["unknown, bearer, eyJ.eyJ.c2ln"], "bearer", true),
        (["A"], nil, false),
    ]

    @Test("a known subprotocol is preferred in the server's order, and bearer only without one", arguments: choices)
    func subprotocols(_ offered: [String], _ selected: String?, _ hasToken: Bool) throws {
        var request = goodRequest()
        request.protocols = offered
        let acceptance = try OpeningHandshake(subprotocols: ["a", "b"]).check(request)
        #expect(acceptance.subprotocol == selected)
        #expect((acceptance.bearer != nil) == hasToken)
        if let bearer = acceptance.bearer {
            #expect(unsafe bearer.withBytes { unsafe [UInt8]($0) } == Array("eyJ.eyJ.c2ln".utf8))
            #expect("\(acceptance)".contains("eyJ") == false)
        }
    }

    @Test("where no token is taken bearer is a subprotocol like any other")
    func bearerOff() throws {
        var request = goodRequest()
        request.protocols = ["bearer"]
        let acceptance = try OpeningHandshake(subprotocols: ["bearer"], acceptsBearer: false).check(request)
        #expect(acceptance.subprotocol == "bearer" && acceptance.bearer == nil)
    }

    @Test("the response names what was agreed on")
    func response() throws {
        var request = goodRequest()
        request.protocols = ["a"]
        request.extensions = ["permessage-deflate; client_max_window_bits"]
        let acceptance = try OpeningHandshake(subprotocols: ["a"]).check(request)
        let context = makeCodecs().negotiate(acceptance.extensions)
        var output = OutputBuffer()
        acceptance.appendResponse(
            deflate: context?.parameters, fields: [("X-Request-Id", "42")], to: &output)
        let text = String(decoding: output.array, as: UTF8.self)
        #expect(text.contains("\r\nSec-WebSocket-Protocol: a\r\n"))
        #expect(
            text.contains(
                "\r\nSec-WebSocket-Extensions: permessage-deflate; "
                    + "server_no_context_takeover; client_no_context_takeover\r\n"
            ))
        #expect(text.hasSuffix("\r\nX-Request-Id: 42\r\n\r\n"))
    }
}

@Suite("Origin rules")
struct OriginPolicyTests {
    @Test(
        "the same origin is the same scheme, host and port",
        arguments: [
            ("https://app.example.com", "app.example.com", true, true),
            ("https://APP.example.com", "app.Example.com", true, true),
            ("https://app.example.com:443", "app.example.com", true, true),
            ("http://app.example.com", "app.example.com:80", false, true),
            ("https://app.example.com:8443", "app.example.com:8443", true, true),
            ("https://[::1]:3001", "[::1]:3001", true, true),
            ("http://app.example.com", "app.example.com", true, false),
            ("https://app.example.com", "app.example.com", false, false),
            ("https://app.example.com:8443", "app.example.com", true, false),
            ("https://example.com", "app.example.com", true, false),
            ("null", "app.example.com", true, false), ("", "app.example.com", true, false),
            ("https://", "app.example.com", true, false),
            ("https://app.example.com/", "app.example.com", true, false),
            ("https://u@app.example.com", "app.example.com", true, false),
            ("https://app.example.com:", "app.example.com", true, false),
            ("https://app.example.com:0", "app.example.com", true, false),
            ("https://app.example.com https://evil", "app.example.com", true, false),
        ] as [(String, String, Bool, Bool)])
    func sameOrigin(_ origin: String, _ host: String, _ isSecure: Bool, _ expected: Bool) {
        #expect(OriginPolicy.sameOrigin.allows(origins: [origin], host: host, isSecure: isSecure) == expected)
        #expect(OriginPolicy.any.allows(origins: [origin], host: host, isSecure: isSecure))
    }

    @Test(
        "a rule allows what it names",
        arguments: [
            ("https://app.example.com", "https://app.example.com", true),
            ("https://app.example.com", "https://app.example.com:443", true),
            ("https://app.example.com", "http://app.example.com", false),
            ("https://app.example.com", "https://app.example.com:444", false),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("http://localhost:3000", "http://localhost", false),
            ("https://*.example.com", "https://app.example.com", true),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://evilexample.com", false),
            ("https://*.example.com", "https://.example.com", false),
            ("https://*.example.com", "http://app.example.com", false),
            ("https://*.example.com:8443", "https://app.example.com:8443", true),
            ("https://*.example.com:8443", "https://app.example.com", false),
            ("https://*.example.com", "https://app.example.com.evil.test", false),
            ("capacitor://localhost", "capacitor://localhost", true),
        ])
    func rules(_ rule: String, _ origin: String, _ expected: Bool) throws {
        let policy = OriginPolicy.allowing([try #require(OriginRule(rule))], orSameOrigin: false)
        #expect(policy.allows(origins: [origin], host: "unrelated.test", isSecure: true) == expected)
        #expect(!policy.allows(origins: ["null"], host: "unrelated.test", isSecure: true))
    }

    @Test(
        "a rule that could mean anything is refused",
        arguments: [
            "example.com", "*", "https://*", "https://*.com", "https://a.*.com", "https://*.*.example.com",
            "https://example.com/",
            "https://", "https://example.com:99999", "https://exa mple.com", "://example.com", "https://[::1",
        ])
    func badRules(_ text: String) { #expect(OriginRule(text) == nil) }

    @Test("clients without an origin pass, unless a cookie is what authenticates")
    func absent() {
        #expect(OriginPolicy.sameOrigin.allows(origins: [], host: "a", isSecure: true))
        var strict = OriginPolicy.sameOrigin
        strict.requiresOrigin = true
        #expect(!strict.allows(origins: [], host: "a", isSecure: true))
        #expect(strict.allows(origins: ["https://a"], host: "a", isSecure: true))
    }
}

@Suite("Opening handshake, client (RFC 6455 §4.1)")
struct ClientHandshakeTests {
    private let handshake = ClientHandshake(nonce: Array("the sample nonce".utf8), subprotocols: ["a", "b"])

    private var goodAnswer: ClientHandshake.Answer {
        var answer = ClientHandshake.Answer(status: 101)
        answer.upgrade = ["websocket"]
        answer.connection = ["Upgrade"]
        answer.accept = ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
        return answer
    }

    @Test("the request's fields are those of RFC 6455 §1.3")
    func fields() {
        var output = OutputBuffer()
        handshake.appendFields(deflate: "permessage-deflate", to: &output)
        #expect(
            String(decoding: output.array, as: UTF8.self)
                == "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: a, b\r\n"
                + "Sec-WebSocket-Extensions: permessage-deflate\r\n")
    }

    @Test("a good answer is taken")
    func accepts() throws {
        #expect(try handshake.check(goodAnswer) == ClientHandshake.Agreement(subprotocol: nil, extensions: []))
        var answer = goodAnswer
        answer.protocols = ["b"]
        answer.extensions = ["permessage-deflate"]
        #expect(
            try handshake.check(answer)
                == ClientHandshake.Agreement(subprotocol: "b", extensions: [ExtensionOffer(name: "permessage-deflate")])
        )
    }

    @Test("a bad one is not")
    func refuses() {
        func expect(_ error: HandshakeError, _ spoil: (inout ClientHandshake.Answer) -> Void) {
            var answer = goodAnswer
            spoil(&answer)
            #expect(throws: error) { try handshake.check(answer) }
            #expect(error.status == 502)
            #expect(!error.message.isEmpty)
        }
        expect(.notSwitched(status: 200)) { $0.status = 200 }
        expect(.answerNotUpgrade) { $0.upgrade = [] }
        expect(.answerNotUpgrade) { $0.connection = ["close"] }
        expect(.wrongAccept) { $0.accept = [] }
        expect(.wrongAccept) { $0.accept = ["s3pPLMBiTxaQ9kYGzzhZRbK+xOp="] }
        expect(.wrongAccept) { $0.accept += $0.accept }
        expect(.unexpectedSubprotocol) { $0.protocols = ["c"] }
        expect(.unexpectedSubprotocol) { $0.protocols = ["a", "b"] }
        expect(.unacceptableExtension) { $0.extensions = [";"] }
    }
}
