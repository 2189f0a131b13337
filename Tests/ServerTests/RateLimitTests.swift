import GatewayBackplane
import GatewayBytes
import GatewayRuntime
import PluginKit
import Testing

@testable import GatewayServer

/// Answers each message with whether it was allowed.
private final class Limited: WebSocketHandler {
    private let limit: RateLimit
    private let subject: RateSubject

    init(_ limit: RateLimit, _ request: Request) {
        self.limit = limit
        subject = RateSubject(of: request)
    }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) {
        switch limit.check(RateUse(messages: 1, bytes: UInt64(message.count)), of: subject, on: socket.loop) {
        case .allowed: socket.send(text: "ok")
        case .refused(let refusal): socket.send(text: "\(refusal.kind.rawValue) \(refusal.retryAfterSeconds)")
        case .undecided: socket.close(.internalError, reason: "")
        }
    }
}

@Suite("Limits on routes")
struct RateLimitTests {
    private func gateway(
        _ settings: [String: String?] = [:], _ rules: RateRules = RateRules(), gate: Gate = Gate()
    ) throws -> TestGateway {
        try TestGateway(settings) { gateway in
            // A plugin that asks for this is made anew when WEBSOCKET_PATH changes.
            _ = gateway.context
            let limit = gateway.rateLimit("requests", rules)
            gateway.get("/free") { _ in .text("free") }
            gateway.get("/limited", access: .signedIn, limit: limit) { _ in .text("here you are") }
            gateway.get("/open", limit: limit) { _ in .text("here you are") }
            gateway.get("/missing", access: .signedIn, limit: limit) { _ in throw GatewayFault.notFound() }
            gateway.get("/slow", access: .signedIn, limit: limit) { request in
                try await gate.pass(on: request.loop)
                return .text("at last")
            }
            gateway.get("/stream", access: .signedIn, limit: limit) { request in
                let loop = request.loop
                return .stream { writer in
                    try await writer.write(Array("first".utf8))
                    try await gate.pass(on: loop)
                }
            }
            gateway.webSocket("/socket", limit: limit) { request in Limited(limit, request) }
            gateway.webSocket("/messages") { request in Limited(limit, request) }
        }
    }

    private func ask(_ gateway: TestGateway, _ path: String, _ token: String, _ fields: String...) throws -> Answer {
        let more = fields.map { $0 + "\r\n" }.joined()
        return try gateway.ask("GET \(path) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(token)\r\n\(more)\r\n")
    }

    @Test("a user is answered as long as the limit lasts, then 429 with the right wait, and others go on")
    func refusal() throws {
        let gateway = try gateway(["RATE_LIMIT_REQUESTS_PER_MINUTE": "3"])
        let token = try TestGateway.token(subject: "ada")
        for left in (0..<3).reversed() {
            let answer = try ask(gateway, "/limited", token)
            #expect(answer.status == 200)
            #expect(answer["x-ratelimit-remaining"] == "\(left)")
            #expect(answer["retry-after"] == nil)
        }
        let refused = try ask(gateway, "/limited", token)
        #expect(refused.status == 429)
        #expect(refused.code == "rate_limited")
        #expect((19...20).contains(Int(refused["retry-after"] ?? "") ?? 0))
        #expect(refused.text.contains(#""limitType":"user""#))
        #expect(refused.text.contains(#""requestId":""#))
        #expect(try ask(gateway, "/limited", TestGateway.token(subject: "bob")).status == 200)
        #expect(try gateway.ask(get("/free")).status == 200)
        let name = #"gateway_rate_limit_violations_total{limit="scripted.requests",kind="requests"}"#
        #expect(try gateway.metric(name) == 1)
        #expect(try gateway.metric("gateway_backplane_keys") == 2)
    }

    @Test("the fields that tell of limits are on answers, on refusals of others, and on 429s")
    func fields() throws {
        let gateway = try gateway(["RATE_LIMIT_REQUESTS_PER_MINUTE": "2"])
        let token = try TestGateway.token()
        let answer = try ask(gateway, "/limited", token)
        let policy = "\"user\";q=2;w=60, \"concurrent\";q=3;qu=\"concurrent-requests\""
        #expect(answer["ratelimit-policy"] == policy)
        #expect(answer["ratelimit"] == "\"user\";r=1;t=30, \"concurrent\";r=2")
        #expect(answer["x-ratelimit-limit"] == "2")
        let reset = try #require(Double(answer["x-ratelimit-reset"] ?? ""))
        #expect((TestGateway.now...TestGateway.now + 31).contains(reset))

        let missing = try ask(gateway, "/missing", token)
        #expect(missing.status == 404)
        #expect(missing["x-ratelimit-remaining"] == "0")

        let refused = try ask(gateway, "/limited", token)
        #expect(refused.status == 429)
        #expect(refused["ratelimit-policy"] == "\"user\";q=2;w=60")
        #expect(refused["ratelimit"] == "\"user\";r=0;t=60")
        #expect(refused["x-ratelimit-remaining"] == "0")
        #expect(try gateway.ask(get("/free"))["ratelimit"] == nil)
    }

    @Test("a tier comes from the claims that AUTH_TIER_CLAIMS names, never from what users write")
    func tiers() throws {
        let gateway = try gateway(["RATE_LIMIT_REQUESTS_PER_MINUTE": "1"])
        let premium = try TestGateway.token(subject: "p", more: ["app_metadata": .object(["tier": .string("premium")])])
        #expect(try ask(gateway, "/limited", premium)["x-ratelimit-limit"] == "300")
        let liar = try TestGateway.token(subject: "l", more: ["user_metadata": .object(["tier": .string("premium")])])
        #expect(try ask(gateway, "/limited", liar)["x-ratelimit-limit"] == "1")
        gateway.reload(["AUTH_TIER_CLAIMS": "plan"])
        #expect(try ask(gateway, "/limited", premium)["x-ratelimit-limit"] == "1")
        let planned = try TestGateway.token(subject: "q", more: ["plan": .string("enterprise")])
        #expect(try ask(gateway, "/limited", planned)["x-ratelimit-limit"] == "1000")
        #expect(!gateway.reload(["AUTH_TIER_CLAIMS": "user_metadata.tier"]).problems.isEmpty)
    }

    // MARK: At once

    /// Asks without waiting for the answer.
    private func begin(_ gateway: TestGateway, _ path: String, _ token: String) throws -> Client {
        let client = try gateway.connect()
        try client.send(get(path, "Authorization: Bearer \(token)"))
        return client
    }

    private func leases(_ gateway: TestGateway) -> Int {
        gateway.assembly.shared.backplane.figures(at: MonotonicTime.read().nanoseconds).leases
    }

    @Test("more requests at once than the limit are refused, until one is answered")
    func concurrency() throws {
        let gate = Gate()
        let gateway = try gateway(["RATE_LIMIT_MAX_CONCURRENT": "2"], gate: gate)
        let token = try TestGateway.token()
        let clients = try (0..<2).map { _ in try begin(gateway, "/slow", token) }
        for _ in clients { #expect(gate.awaitArrival()) }
        let refused = try ask(gateway, "/slow", token)
        #expect(refused.status == 429)
        #expect(refused["retry-after"] == "1")
        #expect(refused["ratelimit"]?.hasPrefix("\"concurrent\";r=0, \"user\";r=97;t=2") == true)
        #expect(refused["x-ratelimit-limit"] == "2")
        #expect(try ask(gateway, "/limited", TestGateway.token(subject: "bob")).status == 200)
        gate.open()
        for client in clients { #expect(try client.answer().text == "at last") }
        #expect(eventually { leases(gateway) == 0 })
        #expect(try ask(gateway, "/slow", token).status == 200)
    }

    @Test("a client that leaves gives its place back, before its answer and in the middle of it")
    func disconnect() throws {
        let gate = Gate()
        let gateway = try gateway(["RATE_LIMIT_MAX_CONCURRENT": "1"], gate: gate)
        let token = try TestGateway.token()
        for path in ["/slow", "/stream"] {
            let client = try begin(gateway, path, token)
            #expect(gate.awaitArrival())
            #expect(leases(gateway) == 1)
            #expect(try ask(gateway, "/limited", token).status == 429)
            client.reset()
            #expect(eventually { leases(gateway) == 0 })
        }
        #expect(try ask(gateway, "/limited", token).status == 200)
    }

    @Test("a streamed answer holds its place to the last byte")
    func streaming() throws {
        let gate = Gate()
        let gateway = try gateway(["RATE_LIMIT_MAX_CONCURRENT": "1"], gate: gate)
        let token = try TestGateway.token()
        let client = try begin(gateway, "/stream", token)
        #expect(gate.awaitArrival())
        #expect(try ask(gateway, "/limited", token).status == 429)
        gate.open()
        #expect(try client.answer().text == "first")
        #expect(eventually { leases(gateway) == 0 })
        #expect(try ask(gateway, "/limited", token).status == 200)
    }

    @Test("requests on one connection give their places back one by one")
    func keepAlive() throws {
        let gateway = try gateway(["RATE_LIMIT_MAX_CONCURRENT": "1"])
        let token = try TestGateway.token()
        let client = try gateway.connect()
        for _ in 0..<5 {
            try client.send(get("/limited", "Authorization: Bearer \(token)"))
            #expect(try client.answer().status == 200)
        }
        #expect(eventually { leases(gateway) == 0 })
    }

    // MARK: Sockets

    @Test("a handshake is a request: refused before the upgrade, and without a place once the socket is open")
    func handshake() throws {
        let gateway = try gateway(["RATE_LIMIT_REQUESTS_PER_MINUTE": "2", "RATE_LIMIT_MAX_CONCURRENT": "1"])
        let path = "/socket?token=\(try TestGateway.token())"
        let sockets = try (0..<2).map { _ in
            let socket = try SocketClient(gateway, path)
            #expect(eventually { leases(gateway) == 0 })
            return socket
        }
        #expect(sockets.allSatisfy { $0.answer.status == 101 })
        let refused = try SocketClient(gateway, path).answer
        #expect(refused.status == 429)
        #expect(refused["retry-after"] == "30")
    }

    @Test("messages and bytes on a socket are counted for its user, over all his sockets")
    func messages() throws {
        let gateway = try gateway(["RATE_LIMIT_MESSAGES_PER_MINUTE": "3", "RATE_LIMIT_BYTES_PER_MINUTE": "600B"])
        let path = "/messages?token=\(try TestGateway.token())"
        let (one, other) = (try SocketClient(gateway, path), try SocketClient(gateway, path))
        try one.send("1")
        #expect(try one.next() == .text("ok"))
        try other.send(String(repeating: "2", count: 595))
        #expect(try other.next() == .text("ok"))
        try one.send(String(repeating: "3", count: 55))
        #expect(try one.next() == .text("bytes 6"))
        try one.send("4")
        #expect(try one.next() == .text("messages 20"))
    }

    // MARK: Reload

    @Test("what was used outlives a change of settings, and a plugin that is made anew")
    func reload() throws {
        let gateway = try gateway(["RATE_LIMIT_REQUESTS_PER_MINUTE": "2"])
        let token = try TestGateway.token()
        for _ in 0..<2 { #expect(try ask(gateway, "/limited", token).status == 200) }
        #expect(gateway.reload(["HTTP_MAX_BODY": "1KiB"]).problems.isEmpty)
        #expect(try ask(gateway, "/limited", token).status == 429)
        #expect(gateway.reload(["WEBSOCKET_PATH": "/elsewhere"]).problems.isEmpty)
        #expect(try ask(gateway, "/limited", token).status == 429)
        // Half of what he has was used, and is so under the new rule.
        let other = try TestGateway.token(subject: "another")
        #expect(try ask(gateway, "/limited", other).status == 200)
        #expect(gateway.reload(["RATE_LIMIT_REQUESTS_PER_MINUTE": "4"]).problems.isEmpty)
        let answer = try ask(gateway, "/limited", other)
        #expect(answer.status == 200)
        #expect(answer["x-ratelimit-limit"] == "4")
        #expect(answer["x-ratelimit-remaining"] == "1")
    }

    @Test("a plan changes no limit")
    func plan() throws {
        let gateway = try gateway(["RATE_LIMIT_REQUESTS_PER_MINUTE": "2"])
        #expect(gateway.plan(["RATE_LIMIT_REQUESTS_PER_MINUTE": "9", "WEBSOCKET_PATH": "/x"]).problems.isEmpty)
        #expect(try ask(gateway, "/limited", TestGateway.token())["x-ratelimit-limit"] == "2")
    }

    // MARK: Addresses and shapes

    @Test("strangers are limited by the address that a trusted proxy names, and none for another")
    func addresses() throws {
        let settings = ["TRUSTED_PROXIES": "127.0.0.1", "RATE_LIMIT_ADDRESS_PER_MINUTE": "2"]
        let gateway = try gateway(settings, RateRules(addresses: .settings))
        func ask(_ address: String) throws -> Answer {
            try gateway.ask(get("/open", "X-Forwarded-For: \(address)"))
        }
        for _ in 0..<2 { #expect(try ask("2001:db8::1").status == 200) }
        let refused = try ask("2001:db8::2")
        #expect(refused.status == 429)
        #expect(refused.text.contains(#""limitType":"ip""#))
        #expect(refused["ratelimit-policy"] == "\"address\";q=2;w=60")
        #expect(try ask("2001:db8:0:1::1").status == 200)
        // The proxy itself speaks for many.
        for _ in 0..<5 { #expect(try gateway.ask(get("/open")).status == 200) }
    }

    @Test("an ingress that is not listed is not limited as if it were one client")
    func ingress() throws {
        let gateway = try gateway(["RATE_LIMIT_ADDRESS_PER_MINUTE": "2"], RateRules(addresses: .settings))
        for _ in 0..<5 {
            #expect(try gateway.ask(get("/open", "X-Forwarded-For: 192.0.2.1")).status == 200)
        }
        for _ in 0..<2 { #expect(try gateway.ask(get("/open")).status == 200) }
        #expect(try gateway.ask(get("/open")).status == 429)
    }

    @Test("a plugin's guide decides the shape of a refusal; the fields stay")
    func shape() throws {
        let rules = RateRules { refusal, request in
            .text("\(refusal.kind.rawValue) \(refusal.tier ?? "-") \(request.path)", status: .tooManyRequests)
        }
        let gateway = try gateway(["RATE_LIMIT_REQUESTS_PER_MINUTE": "1"], rules)
        let token = try TestGateway.token()
        #expect(try ask(gateway, "/limited", token).status == 200)
        let refused = try ask(gateway, "/limited", token)
        #expect(refused.status == 429)
        #expect(refused.text == "requests free /limited")
        #expect(refused["retry-after"] == "60")
        #expect(refused["x-ratelimit-remaining"] == "0")
    }
}
