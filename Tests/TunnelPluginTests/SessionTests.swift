import GatewayTestSupport
import GatewayTunnel
import PluginKit
import PluginTesting
import Testing

@testable import TunnelPlugin

@Suite("Sessions of agents, over real sockets")
struct SessionTests {
    @Test("bodies of both directions pass whole", arguments: [1, 4])
    func bodies(loops: Int) throws {
        let gateway = try makeGateway(loops: loops)
        let agent = TestAgent(gateway)
        try agent.connect()
        for number in 1...8 {
            let sent = String(repeating: "0123456789", count: 3000 * number)
            let asked = try gateway.ask("POST", "/api/chat", body: sent)
            let stream = try agent.next()
            try agent.step { stream.isInputEnded }
            #expect(stream.target == "/api/chat" && stream.bytes.elementsEqual(sent.utf8))
            let answer = pattern(40_000 * number)
            stream.answer(answer)
            try agent.step { !stream.endings.isEmpty }
            #expect(stream.endings == [nil])
            #expect(try asked.readHead().status == 200)
            #expect(try asked.body() == (answer, true))
        }
    }

    @Test("an answer goes on over another carrier, also on another loop, as if nothing had been", arguments: [1, 4])
    func resumption(loops: Int) throws {
        let gateway = try makeGateway(loops: loops)
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.ask("POST", "/api/chat", body: String(repeating: "x", count: 100_000))
        let stream = try agent.next()
        let answer = pattern(300_000)
        stream.answer(ends: false)
        for part in 0..<6 {
            // Once the answer is complete, nobody wants the rest of the request.
            if part == 5 { try agent.step { stream.isInputEnded } }
            stream.write(Array(answer[part * 50_000..<(part + 1) * 50_000]), ends: part == 5)
            // Some is under way when it breaks, and is lost.
            agent.cut()
            try agent.resume(onOtherLoop: loops > 1)
        }
        try agent.step { !stream.endings.isEmpty }
        #expect(stream.endings == [nil] && stream.bytes.count == 100_000 && agent.opened == [1])
        #expect(try asked.body(afterHead: 200) == (answer, true))
        #expect(try gateway.get("/metrics", at: .operations).text.contains("how=\"resumed\"} 6"))
    }

    @Test("a request that the agent never saw is sent again; one that it saw is not", arguments: [1, 4])
    func onceOnly(loops: Int) throws {
        let gateway = try makeGateway(loops: loops)
        let agent = TestAgent(gateway)
        try agent.connect()
        let seen = try gateway.ask(path: "/seen")
        let first = try agent.next()
        let unseen = try gateway.ask(path: "/unseen")
        #expect(try eventually { try gateway.metric("gateway_tunnel_requests_total") == 2 })
        // The opening of the second is under way, or about to be, and is lost with the carrier.
        agent.cut()
        try agent.resume(onOtherLoop: loops > 1)
        let second = try agent.next()
        #expect(agent.opened == [1, 2] && second.target == "/unseen")
        first.answer(Array("one".utf8))
        second.answer(Array("two".utf8))
        try agent.step { !first.endings.isEmpty && !second.endings.isEmpty }
        #expect(try seen.body(afterHead: 200) == (Array("one".utf8), true))
        #expect(try unseen.body(afterHead: 200) == (Array("two".utf8), true))
        #expect(agent.opened == [1, 2])
    }

    @Test("who shows the same credential takes the name over: the session before ends, its requests too")
    func takeover() throws {
        let gateway = try makeGateway(loops: 2)
        let older = TestAgent(gateway)
        try older.connect()
        let asked = try gateway.ask()
        _ = try older.next()
        let newer = TestAgent(gateway)
        try newer.connect()
        #expect(try older.closeCode() == 4408)
        #expect(try asked.refusal() == (503, "AGENT_RECONNECTING"))
        let again = try gateway.ask()
        try newer.next().answer()
        #expect(try again.readHead().status == 200)
        #expect(try gateway.metric("gateway_tunnel_agents") == 1)
        // What was taken over cannot be gone back to.
        let session = try newer.resumption().session
        try older.connect(resuming: try older.resumption())
        #expect(older.welcome?.session != session && older.opened == [1])
    }

    @Test("more agents than a user may have are refused with 4429, and names are each user's own")
    func tooMany() throws {
        let gateway = try makeGateway(["MAX_CONNECTIONS_PER_USER": "1"])
        let first = TestAgent(gateway)
        try first.connect()
        #expect(throws: TestAgent.Ended.self) { try TestAgent(gateway, "other").connect() }
        #expect(try TestAgent(gateway, "other").refusedWith() == 4429)
        try TestAgent(gateway, "desk", of: "bob").connect()
        let asked = try gateway.ask()
        try first.next().answer()
        #expect(try asked.readHead().status == 200)
    }

    @Test("a wrong secret, or another user with the right one, begins a session of its own")
    func wrongSecret() throws {
        let gateway = try makeGateway()
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.ask()
        let stream = try agent.next()
        let thief = TestAgent(gateway, of: "eve")
        try thief.connect(resuming: try agent.resumption())
        #expect(thief.welcome != nil && thief.welcome?.session != agent.welcome?.session)
        stream.answer(Array("mine".utf8))
        #expect(try asked.body(afterHead: 200) == (Array("mine".utf8), true))

        let waiting = try gateway.ask()
        _ = try agent.next()
        let session = agent.welcome?.session
        try agent.connect(resuming: try agent.resumption(secret: Secret("guessed")))
        #expect(agent.welcome?.session != session)
        #expect(try waiting.refusal() == (503, "AGENT_RECONNECTING"))
    }

    @Test("an agent that says goodbye is not waited for: its name is free and its requests are told, at once")
    func goodbye() throws {
        let gateway = try makeGateway(["TUNNEL_RESUME_GRACE": "300s"])
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.ask()
        _ = try agent.next()
        try agent.sayGoodbye()
        #expect(try asked.refusal() == (503, "AGENT_RECONNECTING"))
        #expect(try eventually { try gateway.metric("gateway_tunnel_agents") == 0 })
    }

    @Test("an agent that does not come back in time is gone: its requests are told, and the next hear why")
    func graceOver() throws {
        let gateway = try makeGateway(["TUNNEL_RESUME_GRACE": "1s"])
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.ask()
        _ = try agent.next()
        agent.cut()
        #expect(try asked.refusal() == (503, "AGENT_RECONNECTING"))
        #expect(try eventually { try gateway.metric("gateway_tunnel_agents") == 0 })
        #expect(try eventually { try gateway.ask().refusal() == (503, "DESKTOP_CLIENT_DISCONNECTED") })
        let session = agent.welcome?.session
        try agent.connect(resuming: try agent.resumption())
        #expect(agent.welcome?.session != session)
    }

    @Test("a gateway that ends says so, and ends once the answers under way are complete")
    func drain() throws {
        let gateway = try makeGateway(loops: 2)
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.ask()
        let stream = try agent.next()
        stream.answer(Array("begun".utf8), ends: false)
        let stopped = Outcome<Bool>()
        Threads.start("stop") { stopped.set(.success(gateway.stop())) }
        try agent.step { !agent.others.isEmpty }
        guard case .drain? = agent.others.first else { return #expect(Bool(false), "not told to drain") }
        stream.write(Array(", ended".utf8), ends: true)
        #expect(try asked.body(afterHead: 200) == (Array("begun, ended".utf8), true))
        #expect(try agent.closeCode() == 1001)
        #expect(stopped.wait(atMost: .seconds(20)))
        #expect(try stopped.get())
    }

    @Test("a model that fails five times is left alone, and the agent is not asked")
    func breaker() throws {
        let gateway = try makeGateway(["CIRCUIT_BREAKER_OPEN_TIME": "1h"])
        let agent = TestAgent(gateway)
        try agent.connect()
        for _ in 0..<5 {
            let asked = try gateway.ask()
            try agent.next().stream.reset(.unreachable, "no model")
            #expect(try asked.refusal() == (502, "LLM_UNREACHABLE"))
        }
        let reply = try gateway.get("/api/ollama/api/tags", token: try GatewayUnderTest.token(for: "ann"))
        #expect(reply.status == 503 && reply.text.contains("CIRCUIT_OPEN"))
        #expect(try #require(reply["retry-after"].flatMap { Int($0) }) > 3000)
        #expect(agent.opened.count == 5)
    }

    @Test("a consumer that has left is told to the agent at once")
    func left() throws {
        let gateway = try makeGateway(loops: 2)
        let agent = TestAgent(gateway)
        try agent.connect()
        for answers in [false, true] {
            var asked: Asked? = try gateway.ask()
            let stream = try agent.next()
            if answers { stream.answer(Array("begun".utf8), ends: false) }
            if answers { #expect(try asked?.readHead().status == 200) }
            asked = nil
            try agent.step { !stream.endings.isEmpty }
            #expect(stream.endings == [.cancelled])
        }
    }
}

extension TestAgent {
    /// The code that the hello is answered with.
    func refusedWith() throws -> Int? {
        do {
            try connect()
            return nil
        } catch let end as Ended {
            if case .close(let code) = end.frame { return code }
            return nil
        }
    }
}

extension Asked {
    func body(afterHead status: Int) throws -> ([UInt8], Bool) {
        let head = try readHead()
        guard head.status == status else { return (Array(head.head.utf8), false) }
        return try body()
    }
}

extension GatewayUnderTest {
    func ask(path: String) throws -> Asked { try ask("GET", path) }
}
