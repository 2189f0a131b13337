import PluginKit
import PluginTesting
import Testing

@testable import TunnelPlugin

@Suite("Enrolling")
struct EnrolmentRouteTests {
    @Test("mints a credential that is shown once, and lets its agent in under its name")
    func minted() throws {
        let rig = try Rig()
        let answer = try rig.ask("POST", "/api/tunnel/enrolments", "{\"name\":\"desk\"}")
        #expect(answer.status == 201)
        #expect(answer["cache-control"] == "no-store")
        let json = try JSON.parse(answer.body)
        let (id, credential) = (try #require(json["id"]?.string), try #require(json["credential"]?.string))
        #expect(json["name"]?.string == "desk")
        #expect(json["createdAt"]?.string?.hasSuffix("Z") == true)
        #expect(credential.hasPrefix("gwe_\(id)_"))
        let agent = try rig.agent(by: credential)
        let list = try rig.ask("GET", "/api/tunnel/enrolments")
        #expect(!list.text.contains("gwe_"))
        #expect(!list.text.contains(credential.suffix(43)))
        let one = try JSON.parse(list.body)["enrolments"]?[0]
        #expect(one?["id"]?.string == id)
        #expect(one?["connected"]?.bool == true)
        #expect(one?["lastUsedAt"]?.string?.hasSuffix("Z") == true)
        try agent.close()
    }

    @Test("survives a restart, with its last use")
    func restart() throws {
        let folder = try TestFolder()
        let first = try Rig(folder: folder)
        let (_, credential) = try first.enrol()
        try first.agent(by: credential).close()
        #expect(first.gateway.stop())
        let second = try Rig(folder: folder)
        let list = try second.json("GET", "/api/tunnel/enrolments")
        #expect(list["enrolments"]?[0]?["connected"]?.bool == false)
        #expect(list["enrolments"]?[0]?["lastUsedAt"]?.string != nil)
        try second.agent(by: credential).close()
    }

    @Test("revoking ends the agent's session at once with 4403, and breaks what runs on it visibly")
    func revoked() throws {
        let rig = try Rig(loops: 2)
        let (id, credential) = try rig.enrol()
        let agent = try rig.agent(by: credential)
        let asked = try rig.begin("GET", "/api/ollama/api/tags")
        let open = try agent.nextOpen()
        try agent.answer(try #require(open["stream"]?.number?.int), ends: false)
        #expect(try asked.readHead().status == 200)
        #expect(try asked.read(1).count == 1)
        #expect(try rig.ask("DELETE", "/api/tunnel/enrolments/\(id)").status == 204)
        #expect(try agent.closeCode() == 4403)
        // A reset, or the end without a last chunk: a broken answer does not look whole.
        let rest = (try? asked.readToEnd()) ?? []
        #expect(!rest.ends(with: "0\r\n\r\n"))
        let again = try rig.gateway.socket("/api/tunnel/agent/enrolled", token: credential).reply
        #expect(again.status == 401)
        #expect(again["www-authenticate"]?.hasPrefix("Bearer") == true)
        #expect(try rig.json("GET", "/api/tunnel/enrolments")["enrolments"] == .array([]))
        #expect(try rig.ask("DELETE", "/api/tunnel/enrolments/\(id)").status == 404)
    }

    @Test("an agent that was let in and revoked before its hello is not welcome")
    func revokedBeforeHello() throws {
        let rig = try Rig()
        let (id, credential) = try rig.enrol()
        let agent = try rig.gateway.socket("/api/tunnel/agent/enrolled", token: credential)
        #expect(agent.reply.status == 101)
        #expect(try rig.ask("DELETE", "/api/tunnel/enrolments/\(id)").status == 204)
        try agent.send(hello("desk"))
        #expect(try agent.next() == .close(4403))
    }

    @Test("a session whose connection is lost cannot come back after the revocation")
    func revokedWhileAway() throws {
        let rig = try Rig(["TUNNEL_RESUME_GRACE": "30s"])
        let (id, credential) = try rig.enrol()
        do { _ = try rig.agent(by: credential) }
        #expect(
            try eventually { try rig.json("GET", "/api/tunnel/agents")["agents"]?[0]?["reconnecting"]?.bool == true })
        #expect(try rig.ask("DELETE", "/api/tunnel/enrolments/\(id)").status == 204)
        #expect(try rig.json("GET", "/api/tunnel/agents")["agents"] == .array([]))
    }

    @Test("a name that another credential has taken is closed with 4409, and who has it serves on", arguments: [1, 2])
    func nameTaken(loops: Int) throws {
        let rig = try Rig(["TUNNEL_AGENT_PERMISSION": "admin"], loops: loops)
        let (_, desk) = try rig.connect("desk")
        let token = try GatewayUnderTest.token(for: "ann", isAdmin: true)
        let other = try rig.gateway.socket("/api/tunnel/agent", token: token)
        #expect(other.reply.status == 101)
        try other.send(hello("desk"))
        #expect(try other.closeCode() == 4409)
        try rig.expect("/api/ollama/x", reaches: desk)
    }

    @Test("an enrolment is for one name only")
    func otherName() throws {
        let rig = try Rig()
        let (_, credential) = try rig.enrol("desk")
        let agent = try rig.gateway.socket("/api/tunnel/agent/enrolled", token: credential)
        try agent.send(hello("lap"))
        #expect(try agent.next() == .close(4403))
    }

    @Test("a credential that is not good is refused before the upgrade, with a sentence")
    func refused() throws {
        let rig = try Rig()
        for credential in [
            "gwe_0123456789abcdef_" + String(repeating: "A", count: 43), "gwe_short", "eyJhbGciOiJIUzI1NiJ9.e30.x",
        ] {
            let reply = try rig.gateway.ask("GET", "/api/tunnel/agent/enrolled", token: credential)
            #expect(reply.status == 426)
            let socket = try rig.gateway.socket("/api/tunnel/agent/enrolled", token: credential)
            #expect(socket.reply.status == 401)
        }
    }

    @Test("the right id with another secret is as unknown as any, revoked or not")
    func wrongSecret() throws {
        let rig = try Rig()
        let (id, credential) = try rig.enrol()
        let other = "gwe_\(id)_" + String(repeating: "A", count: 43)
        let first = try rig.refusal(by: other)
        _ = try rig.ask("DELETE", "/api/tunnel/enrolments/\(id)")
        #expect(first.contains("not known"))
        #expect(try rig.refusal(by: other) == first)
        #expect(try rig.refusal(by: credential).contains("was revoked"))
    }

    @Test("who guesses enrolments is blocked: 429 with the time to wait, for tokens too")
    func guesses() throws {
        let rig = try Rig()
        let (_, credential) = try rig.enrol()
        let path = "/api/tunnel/agent/enrolled"
        for digit in 0..<5 {
            let guess = "gwe_\(digit)123456789abcdef_" + String(repeating: "A", count: 43)
            #expect(try rig.upgrade(path, token: guess).status == 401)
        }
        let refused = try rig.upgrade(path, token: "gwe_5123456789abcdef_" + String(repeating: "A", count: 43))
        #expect(refused.status == 429)
        #expect((1...3600).contains(Int(refused["retry-after"] ?? "") ?? 0))
        #expect(refused.text.contains("too_many_failures"))
        #expect(try rig.upgrade(path, token: "rubbish").status == 429)
        // Those beside the guesser get in all the same.
        try rig.agent(by: credential).close()
        let metrics = try rig.gateway.get("/metrics", at: .operations).text
        #expect(metrics.contains("gateway_authentications_total{result=\"enrolment_unknown\"} 6"))
        #expect(metrics.contains("gateway_auth_blocks_total{of=\"address\"} 1"))
    }

    @Test("an agent that comes again and again with a revoked enrolment hears so each time, and locks nobody out")
    func revokedAgainAndAgain() throws {
        let rig = try Rig()
        let (id, credential) = try rig.enrol()
        let (_, other) = try rig.enrol("lap")
        #expect(try rig.ask("DELETE", "/api/tunnel/enrolments/\(id)").status == 204)
        for _ in 0..<12 { #expect(try rig.refusal(by: credential).contains("was revoked")) }
        try rig.agent("lap", by: other).close()
        let unknown = "gwe_0123456789abcdef_" + String(repeating: "A", count: 43)
        #expect(try rig.upgrade("/api/tunnel/agent/enrolled", token: unknown).status == 401)
    }

    @Test("a credential in the query is refused, with where it belongs")
    func inQuery() throws {
        let rig = try Rig()
        let (_, credential) = try rig.enrol()
        let reply = try rig.upgrade("/api/tunnel/agent/enrolled?token=\(credential)")
        #expect(reply.status == 400)
        #expect(reply.text.contains("Authorization: Bearer"))
        let missing = try rig.upgrade("/api/tunnel/agent/enrolled")
        #expect(missing.status == 401)
    }

    @Test("a consumer's token is no agent's, and an enrolment is no consumer's token")
    func otherRights() throws {
        let rig = try Rig()
        let (_, credential) = try rig.enrol()
        let token = try GatewayUnderTest.token(for: "ann")
        #expect(try rig.gateway.socket("/api/tunnel/agent", token: token).reply.status == 403)
        #expect(try rig.gateway.socket("/api/tunnel/agent/enrolled", token: token).reply.status == 401)
        #expect(try rig.gateway.socket("/api/tunnel/agent", token: credential).reply.status == 401)
        #expect(try rig.gateway.get("/api/ollama/api/tags", token: credential).status == 401)
        #expect(try rig.gateway.ask("POST", "/api/tunnel/enrolments", token: credential, body: "{}").status == 401)
    }

    @Test("a name that is enrolled is refused, unless the older one is to be replaced, whose agent then ends")
    func replaced() throws {
        let rig = try Rig()
        let (id, agent) = try rig.connect()
        let refusal = try rig.ask("POST", "/api/tunnel/enrolments", "{\"name\":\"desk\"}")
        #expect(refusal.status == 409)
        #expect(refusal.text.contains(id))
        let answer = try rig.json(
            "POST", "/api/tunnel/enrolments", "{\"name\":\"desk\",\"replace\":true}", expecting: 201)
        #expect(try agent.closeCode() == 4403)
        try rig.agent(by: try #require(answer["credential"]?.string)).close()
        #expect(try rig.json("GET", "/api/tunnel/enrolments")["enrolments"]?.array?.count == 1)
    }

    @Test("no user has more than TUNNEL_ENROLMENTS_PER_USER")
    func limited() throws {
        let rig = try Rig(["TUNNEL_ENROLMENTS_PER_USER": "2"])
        let (id, _) = try rig.enrol("a")
        _ = try rig.enrol("b")
        let refusal = try rig.ask("POST", "/api/tunnel/enrolments", "{\"name\":\"c\"}")
        #expect(refusal.status == 409)
        #expect(refusal.text.contains("2 enrolments"))
        _ = try rig.enrol("c", as: "bob")
        #expect(try rig.ask("DELETE", "/api/tunnel/enrolments/\(id)").status == 204)
        _ = try rig.enrol("c")
    }

    @Test("nobody revokes another's enrolment, but an admin")
    func others() throws {
        let rig = try Rig()
        let (id, _) = try rig.enrol()
        #expect(try rig.ask("DELETE", "/api/tunnel/enrolments/\(id)", as: "bob").status == 404)
        #expect(try rig.json("GET", "/api/tunnel/enrolments", as: "bob")["enrolments"] == .array([]))
        #expect(try rig.ask("DELETE", "/api/tunnel/enrolments/\(id)", as: "root", isAdmin: true).status == 204)
    }

    @Test("a body that is not one is refused")
    func badBody() throws {
        let rig = try Rig()
        for body in [
            "", "[]", "{}", "{\"name\":7}", "{\"name\":\"\"}", "{\"name\":\"a b\"}", "{\"name\":\"..\"}",
            "{\"name\":\"desk\",\"replace\":\"yes\"}", "{\"name\":\"" + String(repeating: "a", count: 65) + "\"}",
        ] {
            #expect(try rig.ask("POST", "/api/tunnel/enrolments", body).status == 400)
        }
    }

    @Test("a body without an end is not read to it")
    func largeBody() throws {
        let body = "{\"name\":\"" + String(repeating: "a", count: 17 << 10) + "\"}"
        #expect(try Rig().ask("POST", "/api/tunnel/enrolments", body).status == 413)
    }

    @Test("a page of another origin mints nothing by a cookie")
    func foreignPage() throws {
        let rig = try Rig(["AUTH_COOKIE": "session", "ALLOWED_ORIGINS": "https://app.test"])
        let token = try GatewayUnderTest.token(for: "ann")
        func mint(from origin: String?) throws -> Reply {
            let origin = origin.map { "Origin: \($0)\r\n" } ?? ""
            return try rig.gateway.ask(
                "POST", "/api/tunnel/enrolments", fields: "Cookie: session=\(token)\r\n\(origin)",
                body: "{\"name\":\"desk\"}")
        }
        #expect(try mint(from: "https://evil.test").status == 403)
        #expect(try mint(from: "null").status == 403)
        #expect(try mint(from: nil).status == 403)
        #expect(try rig.json("GET", "/api/tunnel/enrolments")["enrolments"] == .array([]))
        #expect(try mint(from: "https://app.test").status == 201)
    }

    @Test("without a store the tunnel works by tokens, and the routes say 503 and why", arguments: ["none", "sqlite"])
    func noStore(_ kind: String) throws {
        let rig = try Rig(["TUNNEL_STORE": kind, "STATE_DIRECTORY": "/dev/null/state"])
        let reason = kind == "none" ? "TUNNEL_STORE" : "STATE_DIRECTORY"
        for (method, path, body) in [
            ("POST", "/api/tunnel/enrolments", "{\"name\":\"desk\"}"), ("GET", "/api/tunnel/enrolments", ""),
            ("DELETE", "/api/tunnel/enrolments/x", ""), ("GET", "/api/tunnel/shares", ""),
            ("GET", "/api/tunnel/agents/default", ""),
        ] {
            let reply = try rig.ask(method, path, body)
            #expect(reply.status == 503)
            #expect(reply.text.contains(reason))
        }
        let credential = "gwe_0123456789abcdef_" + String(repeating: "A", count: 43)
        #expect(try rig.gateway.socket("/api/tunnel/agent/enrolled", token: credential).reply.status == 503)
        #expect(try rig.json("GET", "/api/tunnel/agents")["agents"] == .array([]))
        #expect(try rig.ask("GET", "/api/ollama/api/tags").status == 503)
    }
}
