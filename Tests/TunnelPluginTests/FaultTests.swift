import GatewayTestSupport
import GatewayTunnel
import Glibc
import PluginKit
import PluginTesting
import Testing

@testable import TunnelPlugin

@Suite("What happens at an unlucky moment")
struct FaultTests {
    private func consumer(_ gateway: GatewayUnderTest) throws -> TestSocket {
        let socket = try gateway.socket("/ws", token: try GatewayUnderTest.token(for: "ann"))
        #expect(socket.reply.status == 101)
        return socket
    }

    private func envelope(_ path: String, timeout: Int = 60_000) -> String {
        #"{"type":"request","id":"\#(path)","payload":{"method":"GET","path":"\#(path)","timeout":\#(timeout)}}"#
    }

    @Test("a session that ends between the look-up of its agent and the stream is told as an agent that comes back")
    func endedBeforeOpening() throws {
        let address = try #require(IPAddress("127.0.0.1"))
        try LoopThread.with { loop in
            let link = AgentLink(loop: loop, terms: TunnelTerms()) {}
            let record = AgentRecord(
                user: "ann", credential: .token, session: "s", secret: Secret("s"),
                hello: TunnelHello(name: "desk", software: "", offersHTTP: true, ports: []), connectedAt: 0,
                address: address, link: LoopBound(link, on: loop), breaker: CircuitBreakers().breaker(of: "x"),
                grant: nil)
            link.end(.lost, "the agent's connection broke")
            let head = StreamHTTPRequest(method: "GET", target: "/", fields: HeaderFields(), length: nil)
            let exchange = Exchange.open(.http(head), ends: true, at: record, terms: TunnelTerms(), on: loop)
            do {
                _ = try await exchange.head(until: loop.now + .seconds(20), orElse: .firstByteTimeout)
                Issue.record("nobody could have answered")
            } catch let failure as TunnelFailure {
                let report = failure.report
                #expect(report.status == .serviceUnavailable && report.code == "AGENT_RECONNECTING")
            }
            #expect(link.openStreams == 0)
        }
    }

    @Test("an answer to a consumer whose socket has closed goes nowhere, and the agent serves on", arguments: [1, 2])
    func answerAfterClose(loops: Int) throws {
        let gateway = try makeGateway(loops: loops)
        let agent = TestAgent(gateway)
        try agent.connect()
        do {
            let socket = try consumer(gateway)
            try socket.send(envelope("/api/late"))
            _ = try agent.next()
        }
        #expect(try eventually { try gateway.metric("gateway_tunnel_consumers") == 0 })
        // The agent has not read yet that nobody waits: all of its answer is under way.
        let late = try #require(agent.served[1])
        late.answer(pattern(100_000))
        let asked = try gateway.ask(path: "/next")
        let next = try agent.next()
        #expect(next.target == "/next" && late.endings == [.cancelled])
        next.answer(Array("well".utf8))
        try agent.step { !next.endings.isEmpty }
        #expect(try asked.body(afterHead: 200) == (Array("well".utf8), true))
        #expect(try gateway.metric("gateway_tunnel_agents") == 1)
    }

    @Test("windows that are smaller than the heads of request and answer let both pass, and bodies too")
    func smallWindows() throws {
        let gateway = try makeGateway([
            "TUNNEL_STREAM_WINDOW": "4096", "TUNNEL_AGENT_WINDOW": "4096", "SSH_MAX_CHANNELS": "1",
        ])
        let agent = TestAgent(gateway)
        try agent.connect()
        #expect(agent.welcome?.terms.sessionWindow == 4096)
        let long = String(repeating: "f", count: 6000)
        let sent = String(repeating: "0123456789", count: 2000)
        let asked = try gateway.begin(
            "POST", "/api/ollama/api/chat", token: try GatewayUnderTest.token(for: "ann"),
            fields: "X-Long: \(long)\r\n", body: sent)
        let stream = try agent.next()
        guard case .http(let head) = stream.stream.request else {
            Issue.record("no request of HTTP")
            return
        }
        #expect(head.fields.first(HeaderName(literal: "X-Long")) == long)
        try agent.step { stream.isInputEnded }
        #expect(stream.bytes.elementsEqual(sent.utf8))
        var fields = HeaderFields()
        try fields.append(HeaderName(literal: "X-Answer"), checking: long)
        stream.stream.answer(StreamAnswer(status: .ok, fields: fields))
        let answer = pattern(20_000)
        stream.write(answer, ends: true)
        try agent.step { !stream.endings.isEmpty }
        let reply = try asked.readHead()
        #expect(reply.status == 200 && reply["x-answer"] == long)
        #expect(try asked.body() == (answer, true))
    }

    @Test("what went wrong is told at once to a consumer that rests in the midst of its body")
    func failsMidBody() throws {
        let gateway = try makeGateway()
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.begin(
            "POST", "/api/ollama/api/chat", token: try GatewayUnderTest.token(for: "ann"), body: "x", length: 10)
        let stream = try agent.next()
        try agent.step { !stream.bytes.isEmpty }
        stream.stream.reset(.unreachable, "nobody listens")
        #expect(try asked.readHead().status == 502)
    }

    @Test("a consumer that sends its request slowly is not the model's fault")
    func slowUpload() throws {
        let gateway = try makeGateway(["TUNNEL_FIRST_BYTE_TIMEOUT": "500ms"])
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.begin(
            "POST", "/api/ollama/api/chat", token: try GatewayUnderTest.token(for: "ann"), length: 3)
        let stream = try agent.next()
        for _ in 0..<3 {
            // The subject: together longer than an answer may take to begin.
            usleep(300_000)
            try asked.send("x")
        }
        try agent.step { stream.isInputEnded }
        stream.answer(Array("patient".utf8))
        #expect(try asked.body(afterHead: 200) == (Array("patient".utf8), true))
    }

    @Test("the end of a request is progress like any part of it")
    func slowEnd() throws {
        let gateway = try makeGateway(["TUNNEL_FIRST_BYTE_TIMEOUT": "500ms"])
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.begin(
            "POST", "/api/ollama/api/chat", token: try GatewayUnderTest.token(for: "ann"),
            fields: "Transfer-Encoding: chunked\r\n")
        let stream = try agent.next()
        stream.consumes = false
        try asked.send("1\r\nx\r\n")
        try agent.step { !stream.bytes.isEmpty }
        // The subject: longer than an answer may take to begin.
        usleep(750_000)
        // Asked well ahead of that end, it is the first whose time is over; both clocks are one loop's.
        let other = try gateway.ask()
        let whole = try agent.next()
        usleep(200_000)
        try asked.send("0\r\n\r\n")
        try agent.step { stream.isInputEnded }
        try agent.step { !whole.endings.isEmpty || !stream.endings.isEmpty }
        #expect(whole.endings == [.cancelled] && stream.endings.isEmpty)
        #expect(try other.readHead().status == 504)
        #expect(try asked.readHead().status == 504)
    }

    @Test("a consumer that leaves with all that was declared is answered, though the agent never said that it was all")
    func leavesWithEverything() throws {
        let gateway = try makeGateway()
        let agent = TestAgent(gateway)
        try agent.connect()
        do {
            let asked = try gateway.ask()
            let stream = try agent.next()
            stream.stream.answer(StreamAnswer(status: .ok, length: 5))
            stream.write(Array("whole".utf8), ends: false)
            #expect(try asked.readHead()["content-length"] == "5")
            #expect(try asked.read(5) == Array("whole".utf8))
        }
        try agent.step { agent.served.values.contains { $0.endings == [.cancelled] } }
        #expect(try gateway.metric("gateway_tunnel_answered_total") == 1)
    }

    @Test("an answer that ends before all that was declared is a failure, and its consumer does not take it for whole")
    func endsShort() throws {
        let gateway = try makeGateway()
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.ask()
        let stream = try agent.next()
        stream.stream.answer(StreamAnswer(status: .ok, length: 5))
        stream.write(Array("half".utf8), ends: true)
        #expect(try asked.readHead()["content-length"] == "5")
        #expect(try asked.readToEnd() == Array("half".utf8))
        #expect(try gateway.metric("gateway_tunnel_answered_total") == 0)
        #expect(try gateway.metric(#"gateway_tunnel_failures_total{code="LLM_ANSWER_BROKEN"}"#) == 1)
    }

    @Test("an envelope's answer that is not as long as declared is a failure too", arguments: [4, 6])
    func wrongLength(_ count: Int) throws {
        let gateway = try makeGateway()
        let agent = TestAgent(gateway)
        try agent.connect()
        let socket = try consumer(gateway)
        try socket.send(envelope("/api/tags"))
        let stream = try agent.next()
        stream.stream.answer(StreamAnswer(status: .ok, length: 5))
        stream.write(pattern(count), ends: true)
        guard case .text(let text) = try socket.next() else {
            Issue.record("no answer")
            return
        }
        #expect(text.contains("LLM_ANSWER_BROKEN"))
    }

    @Test(
        "a grace of less than a second is told as one, and no grace as none",
        arguments: [("0", 0), ("1", 1), ("999ms", 1), ("1s", 1), ("1001ms", 2)])
    func shortGrace(setting: String, seconds: Int) throws {
        let gateway = try makeGateway(["TUNNEL_RESUME_GRACE": setting])
        let agent = TestAgent(gateway)
        try agent.connect()
        #expect(agent.welcome?.terms.resumeGrace == seconds)
    }

    @Test("without any grace a request ends with its carrier, and the agent begins anew")
    func noGrace() throws {
        let gateway = try makeGateway(["TUNNEL_RESUME_GRACE": "0"])
        let agent = TestAgent(gateway)
        try agent.connect()
        let asked = try gateway.ask()
        _ = try agent.next()
        let session = agent.welcome?.session
        agent.cut()
        #expect(try asked.refusal() == (503, "AGENT_RECONNECTING"))
        try agent.connect(resuming: try agent.resumption())
        #expect(agent.welcome?.session != session)
    }

    @Test("a caller's own time ends its request while the agent is on its way back, which then never works on it")
    func callerTimesOutMeanwhile() throws {
        let gateway = try makeGateway(["TUNNEL_CONNECT_TIMEOUT": "5m"])
        let agent = TestAgent(gateway)
        try agent.connect()
        agent.cut()
        let admin = try GatewayUnderTest.token(for: "ann", isAdmin: true)
        #expect(
            try eventually {
                try gateway.get("/api/tunnel/agents", token: admin).text.contains("\"reconnecting\":true")
            })
        let socket = try consumer(gateway)
        try socket.send(envelope("/api/impatient", timeout: 100))
        guard case .text(let text) = try socket.next() else {
            Issue.record("no answer")
            return
        }
        #expect(text.contains("LLM_REQUEST_TIMEOUT") && text.contains("TUNNEL_007"))
        try agent.resume()
        try socket.send(envelope("/api/patient"))
        try agent.step { agent.served.values.contains { $0.target == "/api/patient" } }
        let others = agent.served.values.filter { $0.target != "/api/patient" }
        #expect(others.allSatisfy { $0.endings == [.cancelled] }, "\(others.map { ($0.target, $0.endings) })")
        agent.served.values.first { $0.target == "/api/patient" }?.answer(Array("well".utf8))
        guard case .text(let answer) = try socket.next() else {
            Issue.record("no answer")
            return
        }
        #expect(answer.contains("well"))
    }
}
