import GatewayTunnel
import PluginKit
import PluginTesting
import Testing

@testable import TunnelPlugin

@Suite("Agents and consumers that do what they should not")
struct HostileTests {
    private func data(_ stream: UInt32, at offset: UInt64, _ bytes: [UInt8], ends: Bool = false) -> [UInt8] {
        var prefix = [UInt8](repeating: 0, count: DataFrame.size)
        unsafe prefix.withUnsafeMutableBytes {
            unsafe DataFrame(stream: stream, offset: offset, ends: ends).write(to: $0)
        }
        return prefix + bytes
    }

    private func helloText(_ name: String = "desk") -> String {
        let hello = TunnelHello(name: name, software: "", offersHTTP: true, ports: [])
        return String(decoding: TunnelMessage.hello(hello).text, as: UTF8.self)
    }

    @Test("bytes before the hello, text that is none, and another message first are answered 1002")
    func beforeHello() throws {
        let gateway = try makeGateway()
        let token = try GatewayUnderTest.token(for: "ann", isAdmin: true)
        for first in 0..<4 {
            let socket = try gateway.socket("/api/tunnel/agent", token: token)
            switch first {
            case 0: try socket.send(data(1, at: 0, [1]))
            case 1: try socket.send("{}")
            case 2: try socket.send("{\"type\":\"drain\"}")
            default: try socket.send(helloText("no name"))
            }
            #expect(try socket.next() == .close(1002))
        }
        #expect(try gateway.metric("gateway_tunnel_agents") == 0)
    }

    @Test("what no session under way may say ends it with 1002, and its requests", arguments: [0, 1, 2, 3])
    func violations(kind: Int) throws {
        let gateway = try makeGateway(loops: 2)
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.ask()
        _ = try agent.next()
        // On another loop than the session's too.
        agent.cut()
        try agent.resume(onOtherLoop: true)
        switch kind {
        case 0: try agent.say(helloText())
        case 1: try agent.say(data(1, at: 0, [1]))
        case 2: try agent.say("{\"type\":\"reset\",\"stream\":77,\"code\":\"broken\",\"message\":\"\"}")
        default: try agent.say("{\"type\":\"window\",\"stream\":1,\"consumed\":5}")
        }
        #expect(try agent.closeCode() == 1002)
        #expect(try asked.refusal() == (503, "AGENT_RECONNECTING"))
        #expect(try eventually { try gateway.metric("gateway_tunnel_agents") == 0 })
    }

    @Test("an agent that lies about how far it came loses that stream, and nothing else", arguments: [0, 1])
    func lies(kind: Int) throws {
        let gateway = try makeGateway()
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.ask()
        let stream = try agent.next()
        stream.answer(Array("begun".utf8), ends: false)
        #expect(try asked.readHead().status == 200)
        let other = try gateway.ask()
        let honest = try agent.next()
        var lie = try agent.resumption()
        switch kind {
        case 0: lie.positions[0].received = 1 << 40
        default:
            // As if it had never seen what it has answered.
            lie.newest = 0
            lie.positions.removeFirst()
        }
        agent.cut()
        try agent.connect(resuming: lie)
        try agent.step { !stream.endings.isEmpty }
        #expect(try !asked.body().isWhole)
        honest.answer(Array("kept".utf8))
        #expect(try other.body(afterHead: 200) == (Array("kept".utf8), true))
    }

    @Test("another user's agent is not there, whatever name it is called by")
    func others() throws {
        let gateway = try makeGateway(["TUNNEL_RESUME_GRACE": "0"])
        let agent = TestAgent(gateway)
        try agent.connect()
        for name in ["desk", "ann/desk"] {
            #expect(try gateway.ask(as: "eve", agent: name).refusal().status == 503)
        }
        #expect(agent.opened.isEmpty)
    }

    @Test("a token without the right to be an agent is refused before the upgrade")
    func posing() throws {
        let gateway = try makeGateway()
        let socket = try gateway.socket("/api/tunnel/agent", token: try GatewayUnderTest.token(for: "ann"))
        #expect(socket.reply.status == 403)
    }

    @Test("a model that takes no more of an envelope's body does not keep its consumer for ever")
    func deafModel() throws {
        let gateway = try makeGateway(["TUNNEL_STREAM_WINDOW": "4096"])
        let agent = TestAgent(gateway)
        try agent.connect()
        let consumer = try gateway.socket("/ws", token: try GatewayUnderTest.token(for: "ann"))
        #expect(consumer.reply.status == 101)
        let body = String(repeating: "x", count: 20_000)
        try consumer.send(
            #"{"type":"request","id":"1","payload":{"method":"POST","path":"/api/chat","timeout":300,"body":"\#(body)"}}"#
        )
        let stream = try agent.next()
        stream.consumes = false
        guard case .text(let text) = try consumer.next() else { return #expect(Bool(false), "no answer") }
        #expect(text.contains("TUNNEL_007"))
        try agent.step { !stream.endings.isEmpty }
        #expect(stream.endings == [.cancelled])
    }

    /// A consumer whose port at the agent has been reached.
    private struct PortUnderTest {
        let gateway: GatewayUnderTest
        let agent: TestAgent
        let stream: ServedStream
        let consumer: TestSocket

        /// - Parameters:
        ///   - bytes: What the port says at once, and whether that is all.
        ///   - consumes: Whether it takes what it is sent.
        init(
            _ settings: [String: String] = [:], loops: Int = 1, saying bytes: [UInt8] = [], ends: Bool = false,
            consumes: Bool = true
        ) throws {
            gateway = try makeGateway(settings, loops: loops)
            agent = TestAgent(gateway)
            try agent.connect()
            consumer = try gateway.socket(
                "/api/tunnel/connect/desk/22", token: try GatewayUnderTest.token(for: "ann", isAdmin: true))
            stream = try agent.next()
            stream.consumes = consumes
            stream.answer(bytes, ends: ends)
            #expect(try consumer.next() == .text(#"{"type":"open"}"#))
        }
    }

    @Test("a path, query or fields that no agent takes are refused, and cost no agent its session")
    func largeHeads() throws {
        let limits = ["HTTP_MAX_FIELDS": "1000", "HTTP_MAX_HEAD": "96KiB", "HTTP_MAX_FIELD_LINE": "64KiB"]
        let gateway = try makeGateway(limits)
        let agent = TestAgent(gateway)
        try agent.connect()
        let consumer = try gateway.socket("/ws", token: try GatewayUnderTest.token(for: "ann"))
        let long = String(repeating: "x", count: 140_000)
        for members in [#""path":"/api/tags?\#(long)""#, #""path":"/api/tags","headers":{"x-a":"\#(long)"}"#] {
            try consumer.send(#"{"type":"request","id":"1","payload":{\#(members)}}"#)
            guard case .text(let text) = try consumer.next() else { return #expect(Bool(false), "no answer") }
            #expect(text.contains("REQUEST_HEAD_TOO_LARGE"), "\(text.prefix(200))")
        }
        // Each of these bytes becomes two.
        let quotes = "X-A: \(String(repeating: "\"", count: 40_000))\r\n"
        for fields in [(0..<300).map { "X-\($0): 1\r\n" }.joined(), quotes + quotes] {
            let asked = try gateway.begin(
                "GET", "/api/ollama/api/tags", token: try GatewayUnderTest.token(for: "ann"), fields: fields)
            #expect(try asked.refusal() == (431, "REQUEST_HEAD_TOO_LARGE"))
        }
        let asked = try gateway.ask()
        try agent.next().answer(Array("well".utf8))
        #expect(try asked.body(afterHead: 200) == (Array("well".utf8), true))
        #expect(agent.opened == [1])
    }

    @Test("a consumer of bytes whose new token lacks the right is let go")
    func lesserToken() throws {
        let port = try PortUnderTest()
        try port.consumer.send(#"{"type":"auth","token":"\#(try GatewayUnderTest.token(for: "ann"))"}"#)
        guard case .text(let text) = try port.consumer.next() else { return #expect(Bool(false), "no answer") }
        #expect(text.contains("auth_renewed"))
        port.stream.write([1], ends: false)
        #expect(try port.consumer.next() == .close(4403))
        try port.agent.step { !port.stream.endings.isEmpty }
        #expect(port.stream.endings == [.cancelled])
    }

    @Test("a silent consumer of bytes, whose port has ended its direction, hears that the agent has left")
    func agentLeavesHalfClosed() throws {
        let port = try PortUnderTest(ends: true)
        #expect(try port.consumer.next() == .text(#"{"type":"end"}"#))
        try port.agent.sayGoodbye()
        #expect(try port.consumer.next() == .close(4404))
    }

    @Test("a consumer of bytes sends more at once than the window of its stream holds")
    func largeMessage() throws {
        let port = try PortUnderTest(["TUNNEL_STREAM_WINDOW": "4096"])
        try port.consumer.send(pattern(200_000))
        try port.agent.step { port.stream.bytes.count >= 200_000 }
        #expect(port.stream.bytes == pattern(200_000))
    }

    @Test("a consumer of bytes hears of what the agent did not take, though both directions have ended")
    func undelivered() throws {
        let port = try PortUnderTest(ends: true, consumes: false)
        try port.consumer.send(pattern(1000))
        try port.consumer.send(#"{"type":"end"}"#)
        #expect(try port.consumer.next() == .text(#"{"type":"end"}"#))
        try port.agent.step { port.stream.isInputEnded }
        port.stream.stream.reset(.broken, "the port broke off")
        #expect(try port.consumer.next() == .close(4502))
    }

    @Test("requests without an id have ids of their own, though they come at once")
    func idless() throws {
        let gateway = try makeGateway()
        let agent = TestAgent(gateway)
        try agent.connect()
        let consumer = try gateway.socket("/ws", token: try GatewayUnderTest.token(for: "ann"))
        #expect(consumer.reply.status == 101)
        let request = #"{"type":"request","payload":{"method":"GET","path":"/api/tags"}}"#
        try consumer.send([request, request])
        for _ in 0..<2 { try agent.next().answer(Array("{}".utf8)) }
        for _ in 0..<2 {
            guard case .text(let text) = try consumer.next() else { return #expect(Bool(false), "no answer") }
            #expect(!text.contains("DUPLICATE_REQUEST_ID"))
        }
    }

    @Test("a consumer of bytes that ends its direction and leaves is gone at the agent too")
    func halfClosedAndGone() throws {
        var port: PortUnderTest? = try PortUnderTest(loops: 2)
        try port?.consumer.send(#"{"type":"end"}"#)
        let (agent, stream) = try #require(port.map { ($0.agent, $0.stream) })
        try agent.step { stream.isInputEnded }
        port = nil
        try agent.step { !stream.endings.isEmpty }
        #expect(stream.endings == [.cancelled])
    }

    @Test("bytes that a port has not taken yet outlive the end of both directions")
    func lastBytes() throws {
        let port = try PortUnderTest(loops: 2, saying: Array("bye".utf8), ends: true, consumes: false)
        let (agent, stream, consumer) = (port.agent, port.stream, port.consumer)
        #expect(try consumer.next() == .binary(Array("bye".utf8)))
        #expect(try consumer.next() == .text(#"{"type":"end"}"#))
        try consumer.send(pattern(1000))
        try consumer.send(#"{"type":"end"}"#)
        try agent.step { stream.isInputEnded }
        // Had it been cancelled, the news would come before the answer to this.
        let asked = try port.gateway.ask()
        try agent.next().answer(Array("x".utf8))
        _ = try asked.body(afterHead: 200)
        #expect(stream.bytes == pattern(1000) && stream.endings.isEmpty)
        stream.stream.consume(1000)
        #expect(try consumer.next() == .close(1000))
        #expect(stream.endings == [nil])
    }

    @Test("an agent that floods from another loop than its session's is slowed down, not stored")
    func flood() throws {
        let gateway = try makeGateway(loops: 4)
        let agent = TestAgent(gateway)
        try agent.connect()
        agent.cut()
        try agent.resume(onOtherLoop: true)
        let filler = "{\"type\":\"later\",\"filler\":\"\(String(repeating: "x", count: 100_000))\"}"
        for _ in 0..<100 { try agent.say(filler) }
        let asked = try gateway.ask()
        try agent.next().answer(Array("after".utf8))
        #expect(try asked.body(afterHead: 200) == (Array("after".utf8), true))
    }

    @Test("what an agent says of an answer's framing is not passed on")
    func framing() throws {
        let gateway = try makeGateway()
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.ask()
        _ = try agent.next()
        try agent.say(
            #"{"type":"head","stream":1,"status":200,"headers":[["content-length","3"],["set-cookie","a=1"],["x-a","b"]]}"#
        )
        try agent.say(data(1, at: 0, Array("longer".utf8), ends: true))
        let head = try asked.readHead()
        #expect(head["content-length"] == nil && head["set-cookie"] == nil && head["x-a"] == "b")
        #expect(try asked.body() == (Array("longer".utf8), true))
    }
}
