import GatewayBytes
import GatewayHTTP
import GatewayLocks
import GatewayRuntime
import GatewayTelemetry
import GatewayTestSupport
import GatewayTunnel
import Glibc
import PluginKit
import PluginTesting
import Testing
import TunnelPlugin

@testable import GatewayAgent

/// A gateway with the tunnel's own plugin, an agent at it, and a user who may connect.
private final class Tunnelled {
    let gateway: GatewayUnderTest
    private let agent: RunningAgent
    let token: String

    init(_ words: [String]) throws {
        // The right to everything here is the one permission that the tests' tokens can have.
        gateway = try GatewayUnderTest(
            [Tunnel.self],
            settings: ["TUNNEL_AGENT_PERMISSION": "admin", "TUNNEL_CONNECT_PERMISSION": "admin"])
        token = try GatewayUnderTest.token(isAdmin: true)
        let options = try AgentOptions(
            ["--url", "ws://127.0.0.1:\(gateway.port())", "--name", "desk"] + words,
            environment: ["GATEWAY_TOKEN": token], hostName: "")
        agent = try RunningAgent(options, log: .silent)
    }

    deinit {
        agent.stop()
        _ = try? agent.ending()
        agent.stopLoop()
        gateway.stop()
    }

    func connect(
        _ target: String, input: [UInt8], token: String? = nil, endsInput: Bool = true
    ) throws -> (output: [UInt8], ending: Ending?) {
        try ConnectTests.connect(target, at: gateway, input: input, token: token ?? self.token, endsInput: endsInput)
    }

    func untilConnected() throws {
        try #require(
            try eventually {
                try gateway.ask("GET", "/api/ollama/api/version", token: token).status != 503
            })
    }
}

/// Ends both directions at once, and then the connection with the code that the port is.
private struct Closing: Plugin {
    static let name: PluginName = "closing"
    static let summary = "A gateway that ends the connection as a test wants it."

    private final class Socket: WebSocketHandler {
        private let code: UInt16
        init(_ code: UInt16) { self.code = code }

        func opened(_ socket: any WebSocket) {
            socket.send(text: #"{"type":"open"}"#)
            socket.send(binary: Array("last words".utf8))
            socket.send(text: #"{"type":"end"}"#)
        }

        func received(_ message: WebSocketMessage, on socket: any WebSocket) {
            if message.kind == .text { socket.close(CloseCode(rawValue: code), reason: "") }
        }
    }

    init(settings: NoSettings) {}

    func register(with gateway: inout Registrar) {
        var options = WebSocketOptions()
        options.subprotocols = ["tunnel.bytes.v1"]
        gateway.webSocket("/api/tunnel/connect/{agent}/{port}", access: .anyone, options: options) { request in
            Socket(UInt16(request.capture("port") ?? "") ?? 1000)
        }
    }
}

@Suite("gateway connect, through the tunnel's own plugin")
struct ConnectTests {
    /// Runs `gateway connect` with `input` to read; what it wrote, and how it ended.
    fileprivate static func connect(
        _ target: String, at gateway: GatewayUnderTest, input: [UInt8], token: String, endsInput: Bool = true
    ) throws -> (output: [UInt8], ending: Ending?) {
        let options = try ConnectOptions(
            [target, "--url", "http://127.0.0.1:\(gateway.port())"], environment: ["GATEWAY_TOKEN": token])
        let (inputReading, inputWriting) = Self.pipe()
        let (outputReading, outputWriting) = Self.pipe()
        let output = Outcome<[UInt8]>()
        Threads.start("feeder") {
            var done = 0
            while done < input.count {
                let rest = Array(input[done...])
                let count = unsafe write(inputWriting, rest, rest.count)
                guard count > 0 else { break }
                done += count
            }
            if endsInput { close(inputWriting) }
        }
        Threads.start("reader") {
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = unsafe read(outputReading, &chunk, chunk.count)
                guard count > 0 else { break }
                bytes += chunk[..<count]
            }
            output.set(.success(bytes))
        }
        let ending = try LoopThread.with { loop in
            await ConnectRelay.run(options, on: loop, input: inputReading, output: outputWriting)
        }
        close(outputWriting)
        close(inputReading)
        if !endsInput { close(inputWriting) }
        let bytes = try output.value()
        close(outputReading)
        return (bytes, ending)
    }

    private static func pipe() -> (CInt, CInt) {
        var ends: [CInt] = [-1, -1]
        _ = unsafe Glibc.pipe(&ends)
        return (ends[0], ends[1])
    }

    @Test("bytes pass both ways, many times every window, and half-close passes too")
    func bothWays() throws {
        let up = pattern(2 << 20)
        let down = pattern(3 << 20, seed: 9)
        let received = Guarded<[UInt8]>([])
        let server = try Neighbour { talk in
            let bytes = talk.readToEnd()
            received.withLock { $0 = bytes }
            try talk.write(down)
        }
        let tunnelled = try Tunnelled(["--forward", "\(server.port)"])
        try tunnelled.untilConnected()
        let (output, ending) = try tunnelled.connect("desk:\(server.port)", input: up)
        #expect(ending == nil)
        #expect(received.withLock { $0 } == up && output == down)
    }

    @Test("a server that speaks first and ends first is heard to its end")
    func serverFirst() throws {
        let server = try Neighbour { talk in
            try talk.write("SSH-2.0-x\r\n")
            _ = try talk.read(5)
            try talk.write("bye")
        }
        let tunnelled = try Tunnelled(["--forward", "\(server.port)"])
        try tunnelled.untilConnected()
        let (output, ending) = try tunnelled.connect("desk:\(server.port)", input: Array("hello".utf8))
        #expect(ending == nil && String(decoding: output, as: UTF8.self) == "SSH-2.0-x\r\nbye")
    }

    @Test("what is sent after the server has finished arrives whole")
    func uploadAfterEnd() throws {
        let up = pattern(3 << 20)
        let received = Guarded<[UInt8]?>(nil)
        let server = try Neighbour { talk in
            try talk.write("last words")
            talk.finishSending()
            let bytes = talk.readToEnd()
            received.withLock { $0 = bytes }
        }
        let tunnelled = try Tunnelled(["--forward", "\(server.port)"])
        try tunnelled.untilConnected()
        let (output, ending) = try tunnelled.connect("desk:\(server.port)", input: up)
        #expect(ending == nil && String(decoding: output, as: UTF8.self) == "last words")
        #expect(eventually { received.withLock { $0 != nil } })
        #expect(received.withLock { $0 } == up)
    }

    @Test("only a gateway that says so has passed everything on", arguments: [(1000, nil), (1012, 74), (4404, 74)])
    func wholeOrNot(_ code: UInt16, _ exitCode: Int32?) throws {
        let gateway = try GatewayUnderTest([Closing.self])
        defer { gateway.stop() }
        let (output, ending) = try Self.connect(
            "desk:\(code)", at: gateway, input: Array("on its way".utf8), token: try GatewayUnderTest.token())
        #expect(ending?.exitCode == exitCode && String(decoding: output, as: UTF8.self) == "last words")
    }

    @Test("what cannot be connected is said with a code of its own, and nothing on standard output")
    func refusals() throws {
        let server = try Neighbour { _ in }
        let port = server.port
        _ = consume server
        let tunnelled = try Tunnelled(["--forward", "\(port)"])
        try tunnelled.untilConnected()
        let consumer = try GatewayUnderTest.token()
        for (target, token, code) in [
            ("desk:\(port)", nil, 69 as Int32), ("desk:\(port ^ 1)", nil, 77), ("nobody:\(port)", nil, 69),
            ("desk:\(port)", consumer, 77), ("desk:\(port)", "nonsense", 77),
        ] {
            let (output, ending) = try tunnelled.connect(target, input: [], token: token)
            #expect(ending?.exitCode == code, "\(target): \(ending?.message ?? "")")
            #expect(output.isEmpty)
        }
    }

    @Test("a server that breaks off breaks the connection")
    func broken() throws {
        let server = try Neighbour { talk in
            _ = try talk.read(1)
            talk.reset()
        }
        let tunnelled = try Tunnelled(["--forward", "\(server.port)"])
        try tunnelled.untilConnected()
        let (_, ending) = try tunnelled.connect("desk:\(server.port)", input: [1], endsInput: false)
        #expect(ending?.exitCode == 74)
    }

    @Test("a gateway that is not there is unavailable")
    func noGateway() throws {
        let options = try ConnectOptions(
            ["desk:22", "--url", "http://127.0.0.1:1"], environment: ["GATEWAY_TOKEN": "t"])
        let ending = try LoopThread.with { loop in
            await ConnectRelay.run(options, on: loop, input: 0, output: 1)
        }
        #expect(ending?.exitCode == 69)
    }

    @Test("requests of a user's go through the plugin to the agent's server")
    func requests() throws {
        let model = try Neighbour.answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        let tunnelled = try Tunnelled(["--local", model.url])
        try tunnelled.untilConnected()
        let reply = try tunnelled.gateway.ask(
            "POST", "/api/ollama/api/chat", token: tunnelled.token, body: "{\"a\":1}")
        #expect(reply.status == 200 && reply.text == "ok")
        let refused = try tunnelled.gateway.ask("POST", "/api/ollama/api/pull", token: tunnelled.token, body: "{}")
        #expect(refused.status == 403 && refused.text.contains("--allow pull"))
    }
}
