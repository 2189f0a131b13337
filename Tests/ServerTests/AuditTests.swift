import GatewayBytes
import GatewayHTTP
import PluginKit
import Testing

@testable import GatewayServer

/// Sends every message back.
private final class Parrot: WebSocketHandler {
    func received(_ message: WebSocketMessage, on socket: any WebSocket) { socket.send(message) }
}

/// What keys.test does with keys: `key-` and a word is one, `old-` and a word was one.
private struct Keys: Sendable {
    let credentials: CredentialChecks

    func answer(_ request: Request) async throws -> Response {
        let sent = String((request.header(.authorization) ?? "").dropFirst("Bearer ".count))
        let owner = try await credentials.check(Array(sent.utf8), of: request) { Self.verdict(sent) }
        return .text(owner)
    }

    private static func verdict(_ sent: String) -> CredentialVerdict<String> {
        switch sent {
        case "key-ann": .good("ann")
        case "old-ann": .refused(GatewayFault(.unauthorized, "key_ended", "It has ended."), of: "ann")
        case _ where sent.hasPrefix("key-"): .unknown(GatewayFault(.unauthorized, "key_unknown", "Which key is this?"))
        default: .malformed(GatewayFault(.unauthorized, "key_malformed", "This is no key."))
        }
    }
}

@Suite("What the audit log says")
struct AuditTests {
    private func gateway(_ settings: [String: String?] = [:]) throws -> TestGateway {
        try TestGateway(["TRUSTED_PROXIES": "127.0.0.1"].merging(settings) { $1 }) { gateway in
            let keys = Keys(credentials: gateway.credentials)
            gateway.get("/key") { try await keys.answer($0) }
            gateway.get("/who", access: .signedIn) { request in .text(request.principal?.subject ?? "nobody") }
            gateway.get("/admin", access: .admin) { _ in .text("welcome") }
            gateway.get("/others", access: .signedIn) { _ in
                throw GatewayFault(.forbidden, "not_yours", "This is another user's.")
            }
            gateway.get("/below/{rest...}", access: .signedIn) { _ in .text("below") }
            gateway.webSocket("/socket") { _ in Parrot() }
        }
    }

    private func ask(_ gateway: TestGateway, _ path: String, _ token: String, from address: String = "192.0.2.1") throws
        -> Answer
    { try gateway.ask(get(path, "Authorization: Bearer \(token)", "X-Forwarded-For: \(address)")) }

    private func show(_ gateway: TestGateway, _ key: String, from address: String = "192.0.2.1") throws -> Answer {
        try gateway.ask(get("/key", "Authorization: Bearer \(key)", "X-Forwarded-For: \(address)"))
    }

    private func forged(_ number: Int = 0) throws -> String {
        try TestGateway.token(subject: "s\(number)", secret: "another secret of at least thirty-two bytes")
    }

    /// The lines about it, as JSON.
    private func lines(_ gateway: TestGateway, _ message: String) throws -> [JSON] {
        try gateway.log.split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }
            .filter { $0["component"]?.string == "audit" && $0["message"]?.string == message }
    }

    // MARK: Tokens

    @Test("each refused token has a line: why, from where, for what, and neither the token nor a name that it claims")
    func refused() throws {
        let gateway = try gateway()
        let forged = try forged()
        let expired = try TestGateway.token(subject: "late", lifetime: -10)
        let others = try TestGateway.token(subject: "foreign", more: ["aud": .string("others")])
        #expect(try gateway.ask(get("/who?token=\(forged)&q=1", "X-Forwarded-For: 192.0.2.7")).status == 401)
        #expect(try ask(gateway, "/who", expired).status == 401)
        let last = try ask(gateway, "/who", others)
        #expect(last.status == 401)
        let found = try lines(gateway, "credential refused")
        #expect(
            found.map { $0["reason"]?.string } == [
                "token_signature_invalid", "token_expired", "token_audience_refused",
            ])
        #expect(found[0]["address"]?.string == "192.0.2.7")
        #expect(found[0]["method"]?.string == "GET")
        #expect(found[0]["path"]?.string == "/who")
        #expect(found[0]["plugin"]?.string == "scripted")
        #expect(found[0]["level"]?.string == "WARN")
        #expect(try found[2]["correlationId"]?.string == JSON.parse(Array(last.text.utf8))["requestId"]?.string)
        #expect(found.allSatisfy { $0["user"] == nil })
        let log = gateway.log
        for token in [forged, expired, others] { #expect(!log.contains(token.suffix(40))) }
    }

    @Test("a request without a token, and one that is let in, are no events")
    func silent() throws {
        let gateway = try gateway()
        #expect(try gateway.ask(get("/who")).status == 401)
        #expect(try ask(gateway, "/who", TestGateway.token()).status == 200)
        #expect(!gateway.log.contains("\"audit\""))
    }

    @Test("what a user may not is told with the user, whoever refused it: the core or a plugin")
    func forbidden() throws {
        let gateway = try gateway()
        let token = try TestGateway.token(subject: "ada")
        #expect(try ask(gateway, "/admin", token).status == 403)
        #expect(try ask(gateway, "/others", token).status == 403)
        let found = try lines(gateway, "request refused")
        #expect(found.map { $0["reason"]?.string } == ["admin_required", "not_yours"])
        #expect(found.allSatisfy { $0["user"]?.string == "ada" && $0["address"]?.string == "192.0.2.1" })
    }

    @Test("a block is told when it begins, and each that it refuses")
    func block() throws {
        let gateway = try gateway(["AUTH_FAILURES_PER_MINUTE": "1"])
        for number in 0..<7 { _ = try ask(gateway, "/who", forged(number)) }
        let begun = try lines(gateway, "address blocked for credentials that nobody issued")
        #expect(begun.count == 1)
        #expect(begun.first?["address"]?.string == "192.0.2.1")
        #expect((3590...3600).contains(begun.first?["seconds"]?.number?.int ?? 0))
        let refused = try lines(gateway, "credential refused")
        #expect(refused.last?["reason"]?.string == "too_many_failures")
        #expect(refused.last?["blocked"]?.string == "address")
        #expect(refused.count == 7)
    }

    @Test("a socket's beginning is told with its user, and a refused renewal under the same id")
    func sockets() throws {
        let gateway = try gateway()
        let client = try SocketClient(gateway, "/socket?token=\(TestGateway.token(subject: "ada"))")
        #expect(client.answer.status == 101)
        try client.send("{\"type\":\"auth\",\"token\":\"rubbish\"}")
        _ = try client.nextMessage()
        let begun = try lines(gateway, "socket let in")
        #expect(begun.count == 1)
        #expect(begun.first?["user"]?.string == "ada")
        #expect(begun.first?["path"]?.string == "/socket")
        let refused = try lines(gateway, "renewal refused")
        #expect(refused.first?["user"]?.string == "ada")
        #expect(refused.first?["reason"]?.string == "token_malformed")
        #expect(refused.first?["correlationId"]?.string == begun.first?["correlationId"]?.string)
    }

    @Test("who goes on being refused fills nothing: lines are left out, counted, and what settings say applies at once")
    func flood() throws {
        let gateway = try gateway(["AUDIT_LINES_PER_SOURCE": "2", "BRUTE_FORCE_THRESHOLD": "0"])
        for _ in 0..<9 { _ = try ask(gateway, "/who", "rubbish") }
        #expect(try lines(gateway, "credential refused").count == 2)
        #expect(try gateway.metric("gateway_audit_suppressed_total") == 7)
        _ = try ask(gateway, "/who", "rubbish", from: "192.0.2.2")
        #expect(try lines(gateway, "credential refused").count == 3)
        #expect(gateway.reload(["AUDIT_LINES_PER_SOURCE": "1000000"]).problems.isEmpty)
        _ = try ask(gateway, "/who", "rubbish")
        let last = try lines(gateway, "credential refused").last
        #expect(last?["suppressed"]?.number?.int == 7)
    }

    @Test("a block is told even of who has used up his lines")
    func blockAfterFlood() throws {
        let gateway = try gateway(["AUDIT_LINES_PER_SOURCE": "1"])
        for number in 0..<5 { #expect(try ask(gateway, "/who", forged(number)).status == 401) }
        #expect(try lines(gateway, "credential refused").count == 1)
        let begun = try lines(gateway, "address blocked for credentials that nobody issued")
        #expect(begun.first?["suppressed"]?.number?.int == 4)
    }

    @Test("those behind a proxy that speaks for many do not hide each other, and all together have a limit")
    func proxied() throws {
        let settings = ["TRUSTED_PROXIES": nil, "AUDIT_LINES_PER_SOURCE": "1", "AUDIT_LINES_PER_MINUTE": "2"]
        let gateway = try gateway(settings)
        for _ in 0..<9 { #expect(try ask(gateway, "/who", "rubbish").status == 401) }
        let found = try lines(gateway, "credential refused")
        #expect(found.count == 2)
        #expect(found.allSatisfy { $0["shared"]?.bool == true && $0["address"]?.string == "127.0.0.1" })
        let token = try TestGateway.token(subject: "ada")
        #expect(try ask(gateway, "/admin", token).status == 403)
        #expect(try lines(gateway, "request refused").count == 1, "users have their own")
    }

    @Test("a path may be as long as a head, and its line may not")
    func longPath() throws {
        let gateway = try gateway()
        #expect(try ask(gateway, "/below/" + String(repeating: "a", count: 4000), "rubbish").status == 401)
        let path = try lines(gateway, "credential refused").first?["path"]?.string
        #expect(path == "/below/" + String(repeating: "a", count: 193) + "…")
    }

    // MARK: Credentials of plugins

    @Test("guesses at a plugin's credentials block their address as those at tokens do, and add up with them")
    func guesses() throws {
        let gateway = try gateway()
        for number in 0..<3 {
            let answer = try show(gateway, "key-\(number)")
            #expect(answer.status == 401)
            #expect(answer.code == "key_unknown")
        }
        for number in 0..<2 { #expect(try ask(gateway, "/who", forged(number)).status == 401) }
        let refused = try show(gateway, "key-9")
        #expect(refused.status == 429)
        #expect(refused.code == "too_many_failures")
        #expect((3590...3600).contains(Int(refused["retry-after"] ?? "") ?? 0))
        #expect(try ask(gateway, "/who", forged(9)).status == 429)
        #expect(try show(gateway, "key-9", from: "192.0.2.2").status == 401)
        #expect(try gateway.metric(#"gateway_auth_blocks_total{of="address"}"#) == 1)
        #expect(try gateway.metric(#"gateway_authentications_total{result="key_unknown"}"#) == 5)
        #expect(
            try lines(gateway, "credential refused").filter { $0["reason"]?.string == "key_unknown" }.count == 5)
        #expect(!gateway.log.contains("key-9"))
    }

    @Test("one credential that is unknown again and again is blocked wherever it comes from; what is none is not")
    func sameKey() throws {
        let gateway = try gateway()
        for number in 0..<5 { #expect(try show(gateway, "key-x", from: "192.0.2.\(number)").status == 401) }
        let refused = try show(gateway, "key-x", from: "192.0.2.9")
        #expect(refused.status == 429)
        #expect(refused.text.contains("This credential was refused too often"))
        for number in 0..<12 {
            #expect(try show(gateway, "rubbish", from: "192.0.3.\(number)").code == "key_malformed")
        }
    }

    @Test("one that was issued and has ended hears so each time, blocks nobody, and its line names whose it was")
    func ended() throws {
        let gateway = try gateway()
        for _ in 0..<12 { #expect(try show(gateway, "old-ann").code == "key_ended") }
        #expect(try show(gateway, "key-ann").text == "ann")
        #expect(try ask(gateway, "/who", forged()).status == 401)
        let found = try lines(gateway, "credential refused").filter { $0["reason"]?.string == "key_ended" }
        #expect(found.count == 12)
        #expect(found.allSatisfy { $0["user"]?.string == "ann" })
    }

    @Test("at a blocked address a good credential gets in: a known one always, another while there are chances")
    func neighbours() throws {
        let gateway = try gateway(["AUTH_FAILURES_PER_MINUTE": "2"])
        #expect(try show(gateway, "key-ann").status == 200)
        for number in 0..<5 { #expect(try show(gateway, "key-\(number)").status == 401) }
        for number in 10..<12 { #expect(try show(gateway, "key-\(number)").status == 429) }
        for _ in 0..<3 { #expect(try show(gateway, "key-ann").text == "ann") }
        let late = try show(gateway, "old-ann")
        #expect(late.status == 429)
        #expect((1...30).contains(Int(late["retry-after"] ?? "") ?? 0))
    }
}
