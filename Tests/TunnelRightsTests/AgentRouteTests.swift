import PluginKit
import PluginTesting
import Testing

@testable import TunnelPlugin

@Suite("Several agents")
struct AgentRouteTests {
    @Test("the longest connected is asked, until the user chooses another, durably")
    func chosen() throws {
        let folder = try TestFolder()
        let first = try Rig(folder: folder)
        let (desk, lap) = (try first.enrol("desk").credential, try first.enrol("lap").credential)
        let (older, newer) = (try first.agent("desk", by: desk), try first.agent("lap", by: lap))
        #expect(
            try first.json("GET", "/api/tunnel/agents/default") == .object(["name": .null, "asked": .string("desk")]))
        try first.expect("/api/ollama/x", reaches: older)
        let answer = try first.json("PUT", "/api/tunnel/agents/default", "{\"name\":\"lap\"}")
        #expect(answer == .object(["name": .string("lap"), "asked": .string("lap")]))
        try first.expect("/api/ollama/x", reaches: newer)
        #expect(first.gateway.stop())

        let second = try Rig(folder: folder)
        let again = (try second.agent("desk", by: desk), try second.agent("lap", by: lap))
        try second.expect("/api/ollama/x", reaches: again.1)
        #expect(try second.ask("DELETE", "/api/tunnel/agents/default").status == 204)
        try second.expect("/api/ollama/x", reaches: again.0)
    }

    @Test("a choice that is not connected leaves the longest connected")
    func absent() throws {
        let rig = try Rig()
        let (_, desk) = try rig.connect("desk")
        let (_, lap) = try rig.connect("lap")
        _ = try rig.json("PUT", "/api/tunnel/agents/default", "{\"name\":\"elsewhere\"}")
        try rig.expect("/api/ollama/x", reaches: desk)
        #expect(
            try rig.json("GET", "/api/tunnel/agents/default")
                == .object(["name": .string("elsewhere"), "asked": .string("desk")]))
        try lap.close()
    }

    @Test("one is named by path or by field")
    func named() throws {
        let rig = try Rig()
        let (_, desk) = try rig.connect("desk")
        let (_, lap) = try rig.connect("lap")
        try rig.expect("/api/tunnel/agents/lap/ollama/x", reaches: lap)
        try rig.expect("/api/ollama/x", fields: "X-Tunnel-Agent: lap\r\n", reaches: lap)
        try rig.expect("/api/ollama/x", fields: "X-Tunnel-Agent: desk\r\n", reaches: desk)
        try rig.expect("/api/ollama/x", fields: "X-Tunnel-Agent: ann/desk\r\n", reaches: desk)
        #expect(try rig.ask("GET", "/api/tunnel/agents/none/ollama/x").status == 503)
    }

    @Test("the list says of each what it is, does and offers")
    func listed() throws {
        let rig = try Rig()
        let (id, desk) = try rig.connect("desk")
        _ = try rig.enrol("away")
        try rig.expect("/api/ollama/x", reaches: desk)
        let agents = try rig.json("GET", "/api/tunnel/agents")["agents"]?.array ?? []
        try #require(agents.count == 2)
        let connected = agents[0]
        #expect(connected["name"]?.string == "desk")
        #expect(connected["connected"]?.bool == true)
        #expect(connected["reconnecting"]?.bool == false)
        #expect(connected["since"]?.string?.hasSuffix("Z") == true)
        #expect(connected["software"]?.string == "test/1")
        #expect(connected["enrolment"]?.string == id)
        #expect(connected["offers"] == .object(["http": .bool(true), "ports": .array([.number(JSONNumber(22))])]))
        #expect(connected["requests"]?.number?.int == 1)
        #expect(connected["failures"]?.number?.int == 0)
        #expect((connected["bytesFromAgent"]?.number?.int ?? 0) > 0)
        #expect((connected["bytesToAgent"]?.number?.int ?? 0) > 0)
        #expect(connected["default"]?.bool == true)
        #expect(connected["sharedWith"] == .array([]))
        #expect(agents[1]["name"]?.string == "away")
        #expect(agents[1]["connected"]?.bool == false)
        #expect(try rig.json("GET", "/api/tunnel/agents", as: "bob")["agents"] == .array([]))
    }

    @Test("a name that is none is not chosen")
    func badChoice() throws {
        let rig = try Rig()
        for body in ["", "{}", "{\"name\":\"a/b\"}", "{\"name\":null}"] {
            #expect(try rig.ask("PUT", "/api/tunnel/agents/default", body).status == 400)
        }
    }
}

@Suite("Companion routes of the guide's clients")
struct CompanionRouteTests {
    private let body = "{\"tunnelId\":\"t1\",\"localPort\":11434}"

    @Test("registering says whether an agent is connected, in the guide's shape")
    func register() throws {
        let rig = try Rig()
        let refusal = try rig.ask("POST", "/api/tunnel/register", body)
        #expect(refusal.status == 503)
        #expect(refusal.text.contains("DESKTOP_CLIENT_DISCONNECTED"))
        let (_, agent) = try rig.connect()
        let answer = try rig.json(
            "POST", "/api/tunnel/register", "{\"tunnelId\":\"t1\",\"localPort\":1,\"serverPort\":2}")
        #expect(answer["success"]?.bool == true)
        #expect(answer["userId"]?.string == "ann")
        #expect(answer["tunnelId"]?.string == "t1")
        #expect(answer["localPort"]?.number?.int == 1)
        #expect(answer["serverPort"]?.number?.int == 2)
        #expect(answer["message"]?.string?.isEmpty == false)
        #expect(try rig.json("POST", "/api/tunnel/unregister", "{\"tunnelId\":\"t1\"}")["success"]?.bool == true)
        try rig.expect("/api/ollama/x", reaches: agent)
    }

    @Test("what is no registration is refused")
    func badRegistration() throws {
        let rig = try Rig()
        for body in [
            "{}", "{\"tunnelId\":\"t1\"}", "{\"tunnelId\":\"\",\"localPort\":1}",
            "{\"tunnelId\":\"t\",\"localPort\":0}",
            "{\"tunnelId\":\"t\",\"localPort\":65536}", "{\"tunnelId\":\"t\",\"localPort\":1,\"serverPort\":\"x\"}",
        ] {
            #expect(try rig.ask("POST", "/api/tunnel/register", body).status == 400)
        }
    }

    @Test("a user's tunnel is told to the user and to admins")
    func health() throws {
        let rig = try Rig()
        #expect(try rig.json("GET", "/api/tunnel/health/ann")["status"]?.string == "disconnected")
        let (_, agent) = try rig.connect()
        let own = try rig.json("GET", "/api/tunnel/health/ann")
        #expect(own["status"]?.string == "connected")
        #expect(own["userId"]?.string == "ann")
        #expect(try rig.ask("GET", "/api/tunnel/health/ann", as: "bob").status == 403)
        #expect(try rig.ask("GET", "/api/tunnel/health/ann", as: "root", isAdmin: true).status == 200)
        #expect(try rig.json("GET", "/api/tunnel/health/a%7Cb", as: "a|b")["userId"]?.string == "a|b")
        try agent.close()
    }

    @Test("the bridge's status follows the agent")
    func bridge() throws {
        let rig = try Rig()
        let before = try rig.json("GET", "/api/ollama/bridge/status")
        #expect(
            before == .object(["status": .string("disconnected"), "message": .string("Desktop client not connected")]))
        let (_, agent) = try rig.connect()
        let now = try rig.json("GET", "/api/ollama/bridge/status")
        #expect(now == .object(["status": .string("connected"), "message": .string("Desktop client connected")]))
        try agent.close()
    }
}
