import GatewayHTTP
import PluginKit
import Testing

@testable import GatewayServer

/// What a plugin sees of a request's client, in one line of text.
private func describe(_ request: Request) -> String {
    let names = request.head.fields.map { unsafe $0.headerName(in: request.headBytes).wireName.lowercased() }
    return [
        request.clientAddress.description, request.isSecureForClient ? "https" : "http", request.externalHost,
        request.client.isShared ? "shared" : "single", request.client.isOnThisMachine ? "here" : "elsewhere",
        request.id.description, request.traceID ?? "-", names.filter { $0 != "host" }.joined(separator: ","),
    ].joined(separator: " ")
}

private let trusting: [String: String?] = ["TRUSTED_PROXIES": "127.0.0.0/8,10.0.0.0/8"]
private let named = "X-Request-ID: id-1"

@Suite("Who a request is from")
struct ClientIdentityTests {
    private func gateway(_ settings: [String: String?] = [:], over carriage: Carriage = .plain) throws -> TestGateway {
        try TestGateway(settings, over: carriage) { gateway in
            gateway.get("/who") { .text(describe($0)) }
            gateway.get("/secret", access: .signedIn) { _ in .text(literal: "ok") }
            gateway.get("/broken") { _ in throw GatewayFault(.badGateway, "broken", "It is broken.") }
        }
    }

    /// What the plugin saw of a request with `fields`.
    private func seen(_ fields: String..., settings: [String: String?], over carriage: Carriage = .plain) throws
        -> [String]
    {
        let gateway = try gateway(settings, over: carriage)
        let lines = fields.map { $0 + "\r\n" }.joined()
        return try gateway.ask("GET /who HTTP/1.1\r\nHost: x\r\n\(lines)\r\n").text.split(separator: " ").map(
            String.init)
    }

    @Test("nobody's word counts unless TRUSTED_PROXIES lists its sender, not even on loopback")
    func untrusted() throws {
        let seen = try seen(
            "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", named,
            settings: [:])
        #expect(seen[..<5] == ["127.0.0.1", "http", "x", "shared", "elsewhere"])
        #expect(seen[5] != "id-1" && seen[5].count == 32)
    }

    @Test("a trusted proxy names address, scheme, host and request, and a plugin sees none of its fields")
    func trusted() throws {
        let seen = try seen(
            "X-Forwarded-For: 1.2.3.4, 203.0.113.9, 10.0.0.1", "X-Forwarded-Proto: https", "Accept: */*",
            "X-Forwarded-Host: a.example:8443", "X-Real-IP: 1.2.3.4", "X-Forwarded-User: admin", named,
            settings: trusting)
        #expect(seen == ["203.0.113.9", "https", "a.example:8443", "single", "elsewhere", "id-1", "-", "accept"])
    }

    @Test(
        "the source is the one that CLIENT_IP_HEADER names",
        arguments: [
            ("x-forwarded-for", "203.0.113.1"), ("forwarded", "203.0.113.2"), ("CF-Connecting-IP", "203.0.113.3"),
            ("none", "127.0.0.1"),
        ])
    func source(_ name: String, _ expected: String) throws {
        let seen = try seen(
            "X-Forwarded-For: 203.0.113.1", "Forwarded: for=203.0.113.2", "CF-Connecting-IP: 203.0.113.3",
            settings: trusting.merging(["CLIENT_IP_HEADER": name]) { $1 })
        #expect(seen[0] == expected)
    }

    @Test(
        "a trusted proxy that says nothing usable leaves its own address, which nothing is held against",
        arguments: ["X-Forwarded-For: nonsense", "X-Forwarded-For: ", "Forwarded: for=203.0.113.9", "Accept: */*"])
    func unusable(_ field: String) throws {
        let seen = try seen(field, settings: trusting)
        #expect(seen[0] == "127.0.0.1")
        #expect(seen[3] == "shared")
        #expect(seen[4] == (field == "Accept: */*" ? "here" : "elsewhere"))
    }

    @Test("requests of several clients on one connection are told apart")
    func severalClients() throws {
        let gateway = try gateway(trusting)
        let client = try gateway.connect()
        for address in ["203.0.113.1", "203.0.113.2", "2001:db8::7"] {
            try client.send(get("/who", "X-Forwarded-For: \(address)", "X-Request-ID: for-\(address.count)"))
            let seen = try client.answer().text.split(separator: " ")
            #expect(seen[0] == address)
            #expect(seen[5] == "for-\(address.count)")
        }
        try client.send(get("/who"))
        let own = try client.answer().text.split(separator: " ")
        #expect(own[0] == "127.0.0.1" && own[5].count == 32)
        #expect(gateway.log.contains("\"remote\":\"2001:db8::7\""))
        #expect(gateway.log.contains("\"correlationId\":\"for-11\""))
    }

    @Test(
        "a request on this machine counts as one only if nobody says otherwise",
        arguments: [
            ("Accept: */*", "here"), ("X-Real-IP: 127.0.0.1", "here"), ("X-Real-IP: 192.0.2.1", "elsewhere"),
            ("Forwarded: for=127.0.0.1", "elsewhere"), ("X-Forwarded-For: 127.0.0.1, 192.0.2.1", "elsewhere"),
        ])
    func onThisMachine(_ field: String, _ expected: String) throws {
        #expect(try seen(field, settings: [:])[4] == expected)
        #expect(try seen(field, "X-Forwarded-For: 127.0.0.1", settings: trusting)[4] == expected)
        #expect(try seen(field, "X-Forwarded-For: 203.0.113.9", settings: trusting)[4] == "elsewhere")
    }

    @Test("TLS at the gateway is the client's, until a trusted proxy says that it is its own")
    func scheme() throws {
        #expect(try seen(settings: [:], over: .tls)[1] == "https")
        #expect(try seen("X-Forwarded-Proto: http", settings: [:], over: .tls)[1] == "https")
        #expect(try seen("X-Forwarded-Proto: http", settings: trusting, over: .tls)[1] == "http")
    }

    // MARK: Ids and traces

    @Test(
        "an id out of form, or given twice, is not taken over",
        arguments: [
            ["X-Request-ID: a b"], ["X-Request-ID: "], ["X-Request-ID: a", "X-Request-ID: a"], ["X-Request-ID: \"a\""],
        ])
    func badID(_ fields: [String]) throws {
        let gateway = try gateway(trusting)
        let lines = fields.map { $0 + "\r\n" }.joined()
        let seen = try gateway.ask("GET /who HTTP/1.1\r\nHost: x\r\n\(lines)\r\n").text.split(separator: " ")
        #expect(seen[5].count == 32)
    }

    @Test("the id stands in errors, whoever made them, and in the log")
    func errors() throws {
        let gateway = try gateway(trusting)
        for path in ["/broken", "/secret", "/nowhere"] {
            let answer = try gateway.ask(get(path, "X-Request-ID: peer\(path.count)"))
            #expect(answer.text.contains("\"requestId\":\"peer\(path.count)\""))
            #expect(gateway.log.contains("\"correlationId\":\"peer\(path.count)\""))
        }
    }

    @Test("a valid trace context reaches the plugin and the log; another reaches neither")
    func trace() throws {
        let gateway = try gateway()
        let id = "4bf92f3577b34da6a3ce929d0e0e4736"
        let good = try gateway.ask(get("/who", "traceparent: 00-\(id)-00f067aa0ba902b7-01", "tracestate: a=b")).text
        #expect(good.hasSuffix(" \(id) traceparent,tracestate"))
        #expect(gateway.log.contains("\"traceId\":\"\(id)\""))
        let bad = try gateway.ask(
            get("/who", "traceparent: 00-\(id)-0000000000000000-01", "tracestate: a=b", "Accept: a")
        ).text
        #expect(bad.hasSuffix(" - accept"))
    }

    // MARK: Blocks

    @Test("an unlisted ingress is told of once, with the setting to use, and nobody behind it is blocked")
    func unlisted() throws {
        let gateway = try gateway(["BRUTE_FORCE_THRESHOLD": "2"])
        for _ in 0..<4 {
            #expect(try gateway.ask(get("/secret?token=rubbish", "X-Forwarded-For: 192.0.2.1")).status == 401)
        }
        #expect(gateway.log.components(of: "\"remedy\":\"TRUSTED_PROXIES=127.0.0.1\"") == 1)
        for _ in 0..<2 { #expect(try gateway.ask(get("/secret?token=rubbish")).status == 401) }
        #expect(try gateway.ask(get("/secret?token=rubbish")).status == 429)
    }

    @Test("behind a trusted proxy one client is blocked and its neighbour is not, nor the proxy")
    func blocked() throws {
        let gateway = try gateway(trusting.merging(["BRUTE_FORCE_THRESHOLD": "2"]) { $1 })
        func status(_ fields: String) throws -> Int { try gateway.ask(get("/secret?token=rubbish", fields)).status }
        for _ in 0..<2 { #expect(try status("X-Forwarded-For: 6.6.6.6, 203.0.113.1") == 401) }
        #expect(try status("X-Forwarded-For: 7.7.7.7, 203.0.113.1") == 429)
        #expect(try status("X-Forwarded-For: 203.0.113.1, 203.0.113.2") == 401)
        for _ in 0..<4 { #expect(try status("X-Forwarded-For: nonsense") == 401) }
        #expect(gateway.log.components(of: "check CLIENT_IP_HEADER") == 1)
    }

    // MARK: Settings

    @Test(
        "a setting that cannot be meant stops the start and says what to write",
        arguments: [
            (["TRUSTED_PROXIES": "10.0.0.1/8"], "10.0.0.0/8"), (["TRUSTED_PROXIES": "ingress"], "not a network"),
            (["TRUSTED_PROXIES": "10.0.0.0/33"], "impossible length"),
            (["TRUSTED_PROXIES": "10.0.0.0/8, 1.2.3.4 5"], "element 2 is not a network"),
            (["CLIENT_IP_HEADER": "x-real-ip"], "x-forwarded-for"),
            (["CLIENT_IP_HEADER": "proxy-protocol"], "TRUSTED_PROXIES"),
            (["TRUSTED_PROXIES": String(repeating: "10.0.0.1,", count: 257)], "more than 256"),
        ])
    func settings(_ settings: [String: String], _ expected: String) {
        let problems = TestGateway.configuration(settings).problems
        #expect(problems.count == 1)
        #expect(problems.first?.contains(expected) == true, "\(problems)")
    }

    @Test("the list of proxies may go over several lines")
    func lines() {
        let configuration = TestGateway.configuration(["TRUSTED_PROXIES": "10.0.0.0/8,\r\n\t::ffff:192.0.2.7 ,\n"])
        #expect(configuration.problems.isEmpty)
        #expect(
            configuration.values.first { $0.name == "TRUSTED_PROXIES" }?.text == "10.0.0.0/8,192.0.2.7/32")
    }
}

@Suite("PROXY protocol on connections")
struct ProxyPreambleTests {
    private static let speaking: [String: String?] = [
        "CLIENT_IP_HEADER": "proxy-protocol", "TRUSTED_PROXIES": "127.0.0.1",
    ]

    private func gateway(_ settings: [String: String?] = [:]) throws -> TestGateway {
        try TestGateway(Self.speaking.merging(settings) { $1 }) { gateway in
            gateway.get("/who") { .text(describe($0)) }
        }
    }

    private static let line = Array("PROXY TCP4 203.0.113.9 192.0.2.1 54321 443\r\n".utf8)
    private static let start: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]
    private static let binary = start + [0x21, 0x11, 0, 15, 203, 0, 113, 9, 192, 0, 2, 1, 1, 2, 3, 4, 0xEE, 0, 0]

    @Test(
        "the client is the one that the header names, and its own fields are nobody's word", arguments: [line, binary])
    func client(_ header: [UInt8]) throws {
        let gateway = try gateway()
        let client = try gateway.connect()
        try client.send(header + Array(get("/who", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", named).utf8))
        let seen = try client.answer().text.split(separator: " ").map(String.init)
        #expect(seen[..<5] == ["203.0.113.9", "http", "x", "single", "elsewhere"])
        #expect(seen[5].count == 32)
        // Said once, for all requests.
        try client.send(get("/who"))
        #expect(try client.answer().text.hasPrefix("203.0.113.9 "))
        #expect(gateway.log.contains("\"remote\":\"203.0.113.9\""))
    }

    @Test("a header may come byte by byte, and the request with its last one", arguments: [line, binary])
    func split(_ header: [UInt8]) throws {
        let gateway = try gateway()
        for cut in header.indices where cut > 0 {
            let client = try gateway.connect()
            try client.send(Array(header[..<cut]))
            try client.send(Array(header[cut...]) + Array(get("/who").utf8))
            #expect(try client.answer().text.hasPrefix("203.0.113.9 "))
        }
        let client = try gateway.connect()
        for byte in header { try client.send([byte]) }
        try client.send(get("/who"))
        #expect(try client.answer().text.hasPrefix("203.0.113.9 "))
    }

    @Test("a proxy may speak for itself, or for nobody it knows")
    func nobody() throws {
        let gateway = try gateway()
        let health = try gateway.connect()
        try health.send(Self.start + [0x20, 0, 0, 0] + Array(get("/who").utf8))
        #expect(try health.answer().text.hasPrefix("127.0.0.1 http x shared here "))
        let unknown = try gateway.connect()
        try unknown.send("PROXY UNKNOWN\r\n" + get("/who"))
        #expect(try unknown.answer().text.hasPrefix("127.0.0.1 http x shared elsewhere "))
    }

    @Test("a listed proxy behind the proxy is believed for its requests' ids")
    func behind() throws {
        let gateway = try gateway(["TRUSTED_PROXIES": "127.0.0.1,203.0.113.9"])
        let client = try gateway.connect()
        try client.send(Self.line + Array(get("/who", named, "X-Forwarded-For: 1.2.3.4").utf8))
        #expect(try client.answer().text.hasPrefix("203.0.113.9 http x shared elsewhere id-1 "))
        #expect(gateway.log.contains("\"correlationId\":\"id-1\""))
    }

    @Test(
        "without a header, or with a broken one, the connection is closed and the log says why",
        arguments: [
            ("GET /who HTTP/1.1\r\n\r\n", "does not begin"), ("PROXY TCP4 x\r\n", "malformed"),
            ("\r\n\r\n\0\r\nQUIT\n\u{11}\u{11}\0\0", "version 1"),
        ])
    func refused(_ text: String, _ reason: String) throws {
        let gateway = try gateway()
        let client = try gateway.connect()
        try client.send(text)
        #expect(try Self.isCut(client))
        #expect(gateway.log.contains("connection refused: no PROXY header"))
        #expect(gateway.log.contains(reason))
        #expect(gateway.awaitQuiet())
    }

    /// Whether the server says nothing and ends the connection, in order or not.
    private static func isCut(_ client: Client) throws -> Bool {
        do { return try client.isEnded() } catch is Client.Reset { return true }
    }

    @Test("half a header is waited for as long as for a request's head, and no longer")
    func timeout() throws {
        let gateway = try gateway(["HTTP_HEAD_TIMEOUT": "200"])
        let client = try gateway.connect()
        try client.send("PROXY TCP4 203.0")
        #expect(try Self.isCut(client))
        #expect(gateway.log.contains("did not come in time"))
        let silent = try gateway.connect()
        #expect(try Self.isCut(silent))
    }

    @Test("a client that leaves before it said a word is no news; one that leaves within its header is")
    func left() throws {
        let gateway = try gateway()
        let silent = try gateway.connect()
        silent.finishSending()
        #expect(try Self.isCut(silent))
        #expect(!gateway.log.contains("connection refused"))
        let early = try gateway.connect()
        try early.send("PROXY")
        early.finishSending()
        #expect(try Self.isCut(early))
        #expect(gateway.log.contains("ended within"))
    }

    @Test("from an address that is not listed there is no connection, header or not")
    func unlisted() throws {
        let gateway = try gateway(["TRUSTED_PROXIES": "10.0.0.0/8"])
        let client = try gateway.connect()
        #expect(try Self.isCut(client))
        #expect(gateway.log.contains("not in TRUSTED_PROXIES"))
        #expect(try gateway.metric("gateway_proxy_protocol_refused_total") == 1)
    }

    @Test("the operator's port takes no header")
    func operations() throws {
        let gateway = try gateway()
        #expect(try gateway.ask(get("/readyz"), of: .operations).status == 200)
    }

    @Test("a drain does not wait longer than for the header")
    func drain() throws {
        let gateway = try gateway(["HTTP_HEAD_TIMEOUT": "300"])
        let client = try gateway.connect()
        try client.send("PROXY")
        #expect(eventually { gateway.openConnections == 1 })
        #expect(gateway.stop())
        #expect(try Self.isCut(client))
    }
}

extension String {
    /// How often `part` occurs.
    fileprivate func components(of part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let found = rest.firstRange(of: part) {
            count += 1
            rest = rest[found.upperBound...]
        }
        return count
    }
}
