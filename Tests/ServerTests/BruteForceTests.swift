import GatewayBytes
import GatewayRuntime
import PluginKit
import Testing

@testable import GatewayServer

@Suite("What refused tokens lead to")
struct BruteForceTests {
    private static let proxied: [String: String?] = ["TRUSTED_PROXIES": "127.0.0.1"]

    private func gateway(_ settings: [String: String?] = [:]) throws -> TestGateway {
        try TestGateway(Self.proxied.merging(settings) { _, given in given }) { gateway in
            gateway.get("/who", access: .signedIn) { request in .text(request.principal?.subject ?? "nobody") }
        }
    }

    private func ask(_ gateway: TestGateway, from address: String = "192.0.2.1", _ token: String) throws -> Answer {
        try gateway.ask(get("/who", "Authorization: Bearer \(token)", "X-Forwarded-For: \(address)"))
    }

    /// Signed by somebody else; another one each time.
    private func forged(_ number: Int = 0) throws -> String {
        try TestGateway.token(subject: "s\(number)", secret: "another secret of at least thirty-two bytes")
    }

    /// Five tokens that are refused.
    private func guess(_ gateway: TestGateway, from address: String = "192.0.2.1") throws {
        for number in 0..<5 { #expect(try ask(gateway, from: address, forged(number)).status == 401) }
    }

    @Test("five tokens that are not the issuer's block their address: the next one is answered 429")
    func block() throws {
        let gateway = try gateway()
        try guess(gateway)
        let refused = try ask(gateway, forged(9))
        #expect(refused.status == 429)
        #expect(refused.code == "too_many_failures")
        #expect((3590...3600).contains(Int(refused["retry-after"] ?? "") ?? 0))
        #expect(refused["www-authenticate"]?.hasPrefix("Bearer") == true)
        #expect(try ask(gateway, from: "192.0.2.2", forged(9)).status == 401)
        #expect(try gateway.metric(#"gateway_auth_blocks_total{of="address"}"#) == 1)
        #expect(gateway.log.contains("address blocked for credentials that nobody issued"))
    }

    @Test("a block is for the network that a customer has")
    func prefix() throws {
        let gateway = try gateway()
        try guess(gateway, from: "2001:db8::1")
        #expect(try ask(gateway, from: "2001:db8::ffff", forged(9)).status == 429)
        #expect(try ask(gateway, from: "2001:db8:0:1::1", forged(9)).status == 401)
    }

    @Test("users at a blocked address get in, those who are known and those who are not")
    func neighbours() throws {
        let gateway = try gateway()
        let known = try TestGateway.token(subject: "ada")
        #expect(try ask(gateway, known).text == "ada")
        try guess(gateway)
        #expect(try ask(gateway, known).text == "ada")
        #expect(try ask(gateway, TestGateway.token(subject: "bob")).text == "bob")
        #expect(try ask(gateway, forged(9)).status == 429)
    }

    @Test("at a blocked address so many unknown tokens are checked a minute, and the rest wait for seconds")
    func chances() throws {
        let gateway = try gateway(["AUTH_FAILURES_PER_MINUTE": "2"])
        let known = try TestGateway.token(subject: "ada")
        #expect(try ask(gateway, known).status == 200)
        try guess(gateway)
        for number in 10..<12 { #expect(try ask(gateway, forged(number)).status == 429) }
        let refused = try ask(gateway, TestGateway.token(subject: "bob"))
        #expect(refused.status == 429)
        #expect((1...30).contains(Int(refused["retry-after"] ?? "") ?? 0))
        #expect(try gateway.metric(#"gateway_authentications_total{result="throttled"}"#) == 1)
        #expect(try ask(gateway, known).text == "ada")
    }

    @Test("one token that is refused again and again is blocked, wherever it comes from")
    func token() throws {
        let gateway = try gateway()
        let token = try forged()
        for number in 0..<5 { #expect(try ask(gateway, from: "192.0.2.\(number)", token).status == 401) }
        let refused = try ask(gateway, from: "192.0.2.9", token)
        #expect(refused.status == 429)
        #expect(refused.text.contains("This token was refused too often"))
        #expect(try ask(gateway, from: "192.0.2.9", forged(1)).status == 401)
        #expect(try gateway.metric(#"gateway_auth_blocks_total{of="token"}"#) == 1)
    }

    @Test("what is no token at all is told so each time, wherever it comes from, and counts for its address")
    func rubbish() throws {
        let gateway = try gateway()
        for number in 0..<12 {
            #expect(try ask(gateway, from: "192.0.2.\(number)", "undefined").code == "token_malformed")
        }
        for _ in 0..<4 { #expect(try ask(gateway, "undefined").status == 401) }
        #expect(try ask(gateway, "undefined").status == 429)
    }

    @Test("an ingress that speaks for many is not blocked for one of them, and the one token is")
    func ingress() throws {
        let gateway = try gateway(["TRUSTED_PROXIES": nil])
        for number in 0..<20 { #expect(try ask(gateway, forged(number)).status == 401) }
        let token = try forged()
        for _ in 0..<5 { #expect(try ask(gateway, token).status == 401) }
        #expect(try ask(gateway, token).status == 429)
    }

    @Test("what is not a guess blocks nobody: expired tokens, those of others, none at all")
    func honest() throws {
        let gateway = try gateway()
        for _ in 0..<8 {
            #expect(try ask(gateway, TestGateway.token(lifetime: -10)).code == "token_expired")
            #expect(try ask(gateway, TestGateway.token(more: ["aud": .string("others")])).status == 401)
            #expect(try gateway.ask(get("/who", "X-Forwarded-For: 192.0.2.1")).code == "token_missing")
        }
        #expect(try ask(gateway, forged()).status == 401)
    }

    @Test("blocks end, and outlive a change of settings")
    func reload() throws {
        let gateway = try gateway(["BRUTE_FORCE_BLOCK_DURATION": "1s"])
        try guess(gateway)
        #expect(gateway.reload(["AUTH_CACHE_SIZE": "16"]).problems.isEmpty)
        #expect(try ask(gateway, forged(9)).status == 429)
        #expect(eventually { (try? ask(gateway, forged(10)).status) == 401 })
    }

    @Test("without a threshold nothing is blocked")
    func off() throws {
        let gateway = try gateway(["BRUTE_FORCE_THRESHOLD": "0"])
        for number in 0..<9 { #expect(try ask(gateway, forged(number)).status == 401) }
        #expect(gateway.reload(["BRUTE_FORCE_THRESHOLD": "1"]).problems.isEmpty)
        #expect(try ask(gateway, forged(20)).status == 401)
        #expect(try ask(gateway, forged(21)).status == 429)
    }
}
