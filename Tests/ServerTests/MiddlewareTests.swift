import GatewayBytes
import PluginKit
import Testing

@Suite("Security headers")
struct SecurityHeadersTests {
    private func gateway(
        _ headers: SecurityHeaders = SecurityHeaders(), over carriage: Carriage = .plain,
        settings: [String: String?] = [:]
    ) throws -> TestGateway {
        try TestGateway(settings, over: carriage) { gateway in
            gateway.use(headers, on: .ownRoutes)
            gateway.get("/") { _ in .text("ok") }
            gateway.get("/own") { _ in
                var response = Response.text("ok")
                response.fields.append(.contentSecurityPolicy, "default-src 'none'")
                response.fields.append(.referrerPolicy, "no-referrer")
                response.fields.append(.strictTransportSecurity, "max-age=1")
                return response
            }
            gateway.get("/refused") { _ in throw GatewayFault.notFound() }
            gateway.get("/broken") { _ in throw Unexpected() }
        }
    }

    private struct Unexpected: Error {}

    @Test("every answer has them, refusals and failures too", arguments: ["/", "/refused", "/broken"])
    func defaults(_ path: String) throws {
        let answer = try gateway().ask(get(path))
        #expect(answer["x-content-type-options"] == "nosniff")
        #expect(answer["referrer-policy"] == "strict-origin-when-cross-origin")
        #expect(answer["content-security-policy"] == "frame-ancestors 'self'")
        #expect(answer["strict-transport-security"] == nil)
        #expect(try gateway(over: .tls).ask(get(path))["strict-transport-security"] == "max-age=15552000")
    }

    @Test("TLS at a trusted proxy is TLS, and at anybody else's word it is not")
    func behindProxy() throws {
        let request = get("/", "X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.1")
        let trusting = try gateway(settings: ["TRUSTED_PROXIES": "127.0.0.0/8"])
        #expect(try trusting.ask(request)["strict-transport-security"] == "max-age=15552000")
        #expect(try gateway().ask(request)["strict-transport-security"] == nil)
    }

    @Test("what a handler set stays as it is", arguments: Carriage.allCases)
    func own(_ carriage: Carriage) throws {
        let answer = try gateway(over: carriage).ask(get("/own"))
        #expect(answer.values(of: "content-security-policy") == ["default-src 'none'"])
        #expect(answer.values(of: "referrer-policy") == ["no-referrer"])
        #expect(answer.values(of: "strict-transport-security") == ["max-age=1"])
        #expect(answer["x-content-type-options"] == "nosniff")
    }

    @Test(
        "who may frame is the caller's to say",
        arguments: [
            (.nobody, nil, "frame-ancestors 'none'"), (.anybody, nil, nil),
            (.origins(["https://a.example"]), nil, "frame-ancestors 'self' https://a.example"),
            (.sameOrigin, "default-src 'self'", "default-src 'self'; frame-ancestors 'self'"),
            (.anybody, "default-src 'self'", "default-src 'self'"),
        ] as [(SecurityHeaders.Framing, String?, String?)])
    func framing(_ framing: SecurityHeaders.Framing, _ policy: String?, _ expected: String?) throws {
        let headers = SecurityHeaders(framing: framing, policy: policy, transport: nil)
        #expect(try gateway(headers).ask(get("/"))["content-security-policy"] == expected)
        #expect(try gateway(headers, over: .tls).ask(get("/"))["strict-transport-security"] == nil)
    }

    @Test("subdomains are included only when told")
    func subdomains() throws {
        let headers = SecurityHeaders(transport: .init(maximumAge: .seconds(60), includesSubdomains: true))
        let value = try gateway(headers, over: .tls).ask(get("/"))["strict-transport-security"]
        #expect(value == "max-age=60; includeSubDomains")
    }
}

@Suite("Body limit")
struct BodyLimitTests {
    private static let script: Scripted.Script = { gateway in
        gateway.use(BodyLimit(.bytes(10)), on: .path("/limited"))
        gateway.use(BodyLimit(.bytes(5)), on: .path("/limited/more"))
        for path in ["/limited", "/limited/more", "/free"] {
            gateway.post(path) { request in .text("\(try await request.body.collect(limit: 1 << 20).count)") }
        }
        gateway.post("/limited/unread") { _ in .text("unread") }
    }

    private func post(_ path: String, _ body: String) -> String {
        "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private func chunked(_ path: String, _ chunks: [String]) -> String {
        "POST \(path) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunks.map { "\(String($0.utf8.count, radix: 16))\r\n\($0)\r\n" }.joined() + "0\r\n\r\n"
    }

    @Test("up to the limit a body passes, declared or not")
    func passes() throws {
        let gateway = try TestGateway([:], Self.script)
        let client = try gateway.connect()
        for _ in 0..<3 {
            for request in [post("/limited", "0123456789"), chunked("/limited", ["01234", "56789"])] {
                try client.send(request)
                #expect(try client.answer().text == "10")
            }
            // The limit of one request is not that of the next.
            try client.send(post("/free", String(repeating: "a", count: 100)))
            #expect(try client.answer().text == "100")
        }
    }

    @Test("a declared body beyond it is refused before it is sent")
    func declared() throws {
        let gateway = try TestGateway([:], Self.script)
        let client = try gateway.connect()
        try client.send("POST /limited HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        let answer = try client.answer()
        #expect(answer.status == 413 && answer.code == "content_too_large")
        #expect(try gateway.ask(post("/limited/unread", "0123456789a")).status == 413)
    }

    @Test("a chunked one as soon as it is too long, and the smaller limit holds")
    func streamed() throws {
        let gateway = try TestGateway([:], Self.script)
        #expect(try gateway.ask(chunked("/limited", ["0123456789", "a"])).status == 413)
        #expect(try gateway.ask(chunked("/limited/more", ["012345"])).status == 413)
        #expect(try gateway.ask(post("/limited/more", "012345")).status == 413)
        #expect(try gateway.ask(chunked("/limited/more", ["01234"])).text == "5")
        #expect(try gateway.ask(chunked("/free", ["0123456789", "a"])).text == "11")
    }
}

@Suite("Pages of other sites")
struct CrossOriginTests {
    private func gateway(_ policy: CrossOriginPolicy) throws -> TestGateway {
        try TestGateway { gateway in
            gateway.get("/open") { _ in .text("open") }
            gateway.get("/mine", access: .signedIn) { _ in .text("mine") }
            gateway.post("/mine", access: .signedIn) { _ in .text("mine") }
            gateway.get("/item/{id}") { _ in .text("item") }
            gateway.route(nil, "/any/{path...}", access: .signedIn) { _ in .text("any") }
            gateway.route(.options, "/own") { _ in .text("own") }
            gateway.get("/own") { _ in .text("own") }
            gateway.allowCrossOrigin(policy)
        }
    }

    private static let listed: CrossOriginPolicy = {
        var policy = CrossOriginPolicy(
            .only(["https://app.example", "https://*.site.example"].compactMap { OriginRule($0) }, credentials: true))
        policy.methods = [.get, .post, .delete]
        return policy
    }()

    private func preflight(_ path: String, from origin: String) -> String {
        "OPTIONS \(path) HTTP/1.1\r\nHost: x\r\nOrigin: \(origin)\r\nAccess-Control-Request-Method: DELETE\r\n"
            + "Access-Control-Request-Headers: authorization\r\n\r\n"
    }

    @Test(
        "a preflight is answered before a token is asked for",
        arguments: ["/open", "/mine", "/item/7", "/any/thing", "/own"])
    func preflights(_ path: String) throws {
        let answer = try gateway(Self.listed).ask(preflight(path, from: "https://app.example"))
        #expect(answer.status == 204)
        #expect(answer["access-control-allow-origin"] == "https://app.example")
        #expect(answer["access-control-allow-credentials"] == "true")
        #expect(answer["access-control-allow-methods"] == "GET, POST, DELETE")
        #expect(answer["access-control-allow-headers"] == "Authorization, Content-Type")
        #expect(answer["access-control-max-age"] == "7200")
        #expect(answer["vary"] == "Origin")
    }

    @Test(
        "a page that is not listed is told nothing",
        arguments: [
            "https://evil.example", "http://app.example", "https://app.example:444", "https://app.example.evil.example",
            "null", "https://site.example",
        ])
    func strangers(_ origin: String) throws {
        let gateway = try gateway(Self.listed)
        for request in [preflight("/open", from: origin), get("/open", "Origin: \(origin)")] {
            let answer = try gateway.ask(request)
            #expect(!answer.head.lowercased().contains("access-control"))
            #expect(answer["vary"] == "Origin")
        }
    }

    @Test("a listed page may read the answer, and the refusal")
    func actual() throws {
        let gateway = try gateway(Self.listed)
        for (path, status) in [("/open", 200), ("/mine", 401), ("/any/x", 401), ("/item/7", 200)] {
            let answer = try gateway.ask(get(path, "Origin: https://a.site.example"))
            #expect(answer.status == status)
            #expect(answer["access-control-allow-origin"] == "https://a.site.example")
            #expect(answer["access-control-allow-credentials"] == "true")
            #expect(answer["access-control-expose-headers"]?.contains("ETag") == true)
            #expect(answer["vary"] == "Origin")
        }
    }

    @Test("an answer to nobody's page varies all the same: a cache must not hand it to one")
    func withoutOrigin() throws {
        let answer = try gateway(Self.listed).ask(get("/open"))
        #expect(answer["vary"] == "Origin" && answer["access-control-allow-origin"] == nil)
    }

    @Test("for everybody there are no credentials, and nothing varies")
    func anyone() throws {
        var policy = CrossOriginPolicy(.anyone)
        policy.isEmbeddable = true
        let gateway = try gateway(policy)
        for request in [get("/open"), get("/mine", "Origin: null"), preflight("/mine", from: "https://a.example")] {
            let answer = try gateway.ask(request)
            #expect(answer["access-control-allow-origin"] == "*")
            #expect(answer["access-control-allow-credentials"] == nil && answer["vary"] == nil)
        }
        #expect(try gateway.ask(get("/open"))["cross-origin-resource-policy"] == "cross-origin")
    }

    @Test("an OPTIONS that is no preflight goes to the route")
    func plainOptions() throws {
        let gateway = try gateway(Self.listed)
        #expect(try gateway.ask("OPTIONS /own HTTP/1.1\r\nHost: x\r\n\r\n").text == "own")
        #expect(try gateway.ask("OPTIONS /open HTTP/1.1\r\nHost: x\r\n\r\n").status == 204)
        #expect(try gateway.ask("OPTIONS /any/x HTTP/1.1\r\nHost: x\r\n\r\n").status == 401)
    }
}
