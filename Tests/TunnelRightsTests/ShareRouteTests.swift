import PluginKit
import PluginTesting
import Testing

@testable import TunnelPlugin

@Suite("Sharing")
struct ShareRouteTests {
    private static let chat =
        "{\"agent\":\"desk\",\"user\":\"bob\",\"methods\":[\"GET\"],\"paths\":[\"/api/chat\",\"/v1/*\"]}"

    private func shared(_ rig: Rig, _ body: String = chat) throws -> String {
        try #require(try rig.json("POST", "/api/tunnel/shares", body, expecting: 201)["id"]?.string)
    }

    @Test("what is shared is reached by path and by field, and nothing else is")
    func reached() throws {
        let rig = try Rig()
        let (_, agent) = try rig.connect()
        _ = try shared(rig)
        let prefix = "/api/tunnel/agents/ann/desk/ollama"
        let field = "X-Tunnel-Agent: ann/desk\r\n"
        try rig.expect("\(prefix)/api/chat", as: "bob", reaches: agent, at: "/api/chat")
        try rig.expect("\(prefix)/v1/models?a=b", as: "bob", reaches: agent, at: "/v1/models?a=b")
        try rig.expect("/api/ollama/api/chat", as: "bob", fields: field, reaches: agent, at: "/api/chat")
        for path in ["/api/tags", "/v1", "/v1x", "/api/chat/", "/api/%63hats"] {
            let reply = try rig.ask("GET", prefix + path, as: "bob")
            #expect(reply.status == 403, "\(path)")
            #expect(reply.text.contains("SHARE_FORBIDS"))
        }
        #expect(try rig.ask("POST", "\(prefix)/api/chat", as: "bob", "{}").status == 403)
        for path in ["/v1/../api/delete", "/v1/%2e%2e/api/delete", "/v1/..%2fapi/delete", "/v1//x"] {
            #expect(try rig.ask("GET", prefix + path, as: "bob").status == 400, "\(path)")
        }
        #expect(try rig.json("GET", "/api/tunnel/agents")["agents"]?[0]?["requests"]?.number?.int == 3)
    }

    @Test("who was given nothing hears the same as where there is no agent")
    func strangers() throws {
        let rig = try Rig()
        let (_, agent) = try rig.connect()
        _ = try shared(rig)
        for (user, owner, name) in [
            ("cat", "ann", "desk"), ("bob", "ann", "lap"), ("bob", "cat", "desk"), ("bob", "%FF", "desk"),
        ] {
            let reply = try rig.ask("GET", "/api/tunnel/agents/\(owner)/\(name)/ollama/api/chat", as: user)
            #expect(reply.status == 503)
            #expect(reply.text.contains("DESKTOP_CLIENT_DISCONNECTED"))
        }
        // A share is not a default, and not an agent of one's own.
        #expect(try rig.ask("GET", "/api/ollama/api/chat", as: "bob").status == 503)
        #expect(try rig.ask("GET", "/api/tunnel/agents/desk/ollama/api/chat", as: "bob").status == 503)
        try agent.close()
    }

    @Test("a share of an agent that is gone answers like no agent")
    func agentGone() throws {
        let rig = try Rig()
        let (id, agent) = try rig.connect()
        _ = try shared(rig)
        _ = try rig.ask("DELETE", "/api/tunnel/enrolments/\(id)")
        #expect(try agent.closeCode() == 4403)
        let reply = try rig.ask("GET", "/api/tunnel/agents/ann/desk/ollama/api/chat", as: "bob")
        #expect(reply.status == 503)
        #expect(reply.text.contains("DESKTOP_CLIENT_DISCONNECTED"))
    }

    @Test("ending a share cancels what runs through it, and nothing else")
    func ended() throws {
        let rig = try Rig(loops: 2)
        let (_, agent) = try rig.connect()
        let id = try shared(rig)
        let others = try rig.begin("GET", "/api/tunnel/agents/ann/desk/ollama/api/chat", as: "bob")
        let first = try agent.begin()
        let own = try rig.begin("GET", "/api/ollama/api/chat")
        let second = try agent.begin()
        for asked in [others, own] {
            #expect(try asked.readHead().status == 200)
            #expect(try asked.read(1).count == 1)
        }
        #expect(try rig.ask("DELETE", "/api/tunnel/shares/\(id)").status == 204)
        let reset = try agent.nextReset()
        #expect(reset["stream"]?.number?.int == first)
        #expect(reset["code"]?.string == "cancelled")
        #expect(!((try? others.readToEnd()) ?? []).ends(with: "0\r\n\r\n"))
        try agent.finish(second)
        #expect(try own.readToEnd().ends(with: "0\r\n\r\n"))
        #expect(try rig.ask("GET", "/api/tunnel/agents/ann/desk/ollama/api/chat", as: "bob").status == 503)
    }

    @Test("ending a share before the answer began is told as such")
    func endedEarly() throws {
        let rig = try Rig()
        let (_, agent) = try rig.connect()
        let id = try shared(rig)
        let asked = try rig.begin("GET", "/api/tunnel/agents/ann/desk/ollama/api/chat", as: "bob")
        _ = try agent.nextOpen()
        #expect(try rig.ask("DELETE", "/api/tunnel/shares/\(id)").status == 204)
        #expect(try asked.readHead().status == 403)
    }

    @Test("both sides see what is given and received, and only the owner ends it")
    func listed() throws {
        let rig = try Rig()
        let (_, agent) = try rig.connect()
        let id = try shared(rig)
        let given = try rig.json("GET", "/api/tunnel/shares")
        #expect(given["given"]?[0]?["id"]?.string == id)
        #expect(given["given"]?[0]?["user"]?.string == "bob")
        #expect(given["given"]?[0]?["methods"]?.strings == ["GET"])
        #expect(given["received"] == .array([]))
        let received = try rig.json("GET", "/api/tunnel/shares", as: "bob")
        #expect(received["received"]?[0]?["owner"]?.string == "ann")
        #expect(received["received"]?[0]?["paths"]?.strings == ["/api/chat", "/v1/*"])
        #expect(try rig.json("GET", "/api/tunnel/agents")["agents"]?[0]?["sharedWith"]?.strings == ["bob"])
        let shared = try rig.json("GET", "/api/tunnel/agents", as: "bob")["shared"]?[0]
        #expect(shared?["name"]?.string == "desk")
        #expect(shared?["sharedBy"]?.string == "ann")
        #expect(shared?["connected"]?.bool == true)
        #expect(try rig.ask("DELETE", "/api/tunnel/shares/\(id)", as: "bob").status == 404)
        #expect(try rig.ask("DELETE", "/api/tunnel/shares/\(id)").status == 204)
        #expect(try rig.json("GET", "/api/tunnel/shares", as: "bob")["received"] == .array([]))
        try agent.close()
    }

    @Test("TCP is never shared")
    func tcp() throws {
        let rig = try Rig(["TUNNEL_CONNECT_PERMISSION": "admin"])
        let (_, agent) = try rig.connect()
        _ = try shared(rig, "{\"agent\":\"desk\",\"user\":\"bob\",\"methods\":[\"GET\"],\"paths\":[\"/*\"]}")
        let token = try GatewayUnderTest.token(for: "bob", isAdmin: true)
        for name in ["desk", "ann%2Fdesk"] {
            let reply = try rig.gateway.socket("/api/tunnel/connect/\(name)/22", token: token).reply
            #expect([400, 403, 503].contains(reply.status), "\(reply.status)")
        }
        try agent.close()
    }

    @Test("the same agent is shared with the same user once, and no more than TUNNEL_SHARES_PER_USER are given")
    func limited() throws {
        let rig = try Rig(["TUNNEL_SHARES_PER_USER": "1"])
        let id = try shared(rig)
        let again = try rig.ask("POST", "/api/tunnel/shares", Self.chat)
        #expect(again.status == 409)
        #expect(again.text.contains(id))
        let more = Self.chat.replacing("bob", with: "cat")
        #expect(try rig.ask("POST", "/api/tunnel/shares", more).status == 409)
        #expect(try rig.ask("DELETE", "/api/tunnel/shares/\(id)").status == 204)
        _ = try shared(rig, more)
    }

    @Test("what is no share is refused")
    func badShare() throws {
        let rig = try Rig()
        for body in [
            "{}", "[]", Self.chat.replacing("desk", with: "a/b"), Self.chat.replacing("bob", with: ""),
            Self.chat.replacing("bob", with: "ann"), Self.chat.replacing("[\"GET\"]", with: "[]"),
            Self.chat.replacing("[\"GET\"]", with: "\"GET\""), Self.chat.replacing("GET", with: "CONNECT"),
            Self.chat.replacing("/v1/*", with: "/v1/**"), Self.chat.replacing("/v1/*", with: "/../*"),
            Self.chat.replacing("bob", with: "b\\u0000b"),
        ] {
            #expect(try rig.ask("POST", "/api/tunnel/shares", body).status == 400)
        }
    }
}
