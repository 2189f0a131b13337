import GatewayTunnel
import PluginKit
import PluginTesting

@testable import TunnelPlugin

/// A gateway with the tunnel, where who is an admin may be an agent.
func makeGateway(_ settings: [String: String] = [:], loops: Int = 1) throws -> GatewayUnderTest {
    let own = [
        "TUNNEL_AGENT_PERMISSION": "admin", "TUNNEL_CONNECT_PERMISSION": "admin", "TUNNEL_RESUME_GRACE": "20s",
        "TUNNEL_STORE": "none",
    ]
    return try GatewayUnderTest([Tunnel.self], settings: own.merging(settings) { $1 }, loops: loops)
}

/// An agent in this thread: it does nothing but when it is told to take a step.
final class TestAgent: TunnelCarrier {
    struct Ended: Error {
        let frame: TestSocket.Frame
    }

    let name: String
    private let gateway: GatewayUnderTest
    private let user: String
    private(set) var session: TunnelSession?
    private(set) var welcome: TunnelWelcome?
    private(set) var served: [UInt32: ServedStream] = [:]
    /// Streams opened, one that is opened again twice.
    private(set) var opened: [UInt32] = []
    /// Messages that are not the session's.
    private(set) var others: [TunnelMessage] = []
    private var socket: TestSocket?
    private(set) var loop: String?

    init(_ gateway: GatewayUnderTest, _ name: String = "desk", of user: String = "ann") {
        self.gateway = gateway
        self.name = name
        self.user = user
    }

    // A stream and its end hold each other until it has finished.
    deinit { session?.end(.lost, "the test is over") }

    /// Connects, says hello and reads the answer.
    ///
    /// - Parameter other: Whether on another loop than before.
    func connect(resuming resumption: TunnelHello.Resumption? = nil, onOtherLoop other: Bool = false) throws {
        let socket = try open(onOtherLoop: other)
        self.socket = socket
        loop = socket.reply.loop
        let hello = TunnelHello(
            name: name, software: "test", offersHTTP: true, ports: [22], resumption: resumption)
        try socket.send(String(decoding: TunnelMessage.hello(hello).text, as: UTF8.self))
        let frame = try socket.next()
        guard case .text(let text) = frame else { throw Ended(frame: frame) }
        switch try TunnelMessage(Array(text.utf8)) {
        case .welcome(let welcome): begin(welcome)
        case .resumed(let positions): session?.resume(on: self, positions: positions)
        default: throw Ended(frame: frame)
        }
    }

    private func open(onOtherLoop other: Bool) throws -> TestSocket {
        let token = try GatewayUnderTest.token(for: user, isAdmin: true)
        var sameLoop: [TestSocket] = []
        for _ in 0..<60 {
            let socket = try gateway.socket("/api/tunnel/agent", token: token)
            guard socket.reply.status == 101 else { throw Ended(frame: .text(socket.reply.head)) }
            if !other || socket.reply.loop != loop { return socket }
            sameLoop.append(socket)
        }
        throw Ended(frame: .text("all connections came to one loop"))
    }

    private func begin(_ welcome: TunnelWelcome) {
        self.welcome = welcome
        session?.end(.lost, "another session")
        served = [:]
        let session = TunnelSession(role: .agent, terms: welcome.terms) { [weak self] stream in
            let end = ServedStream(stream)
            self?.served[stream.id] = end
            self?.opened.append(stream.id)
            return end
        }
        self.session = session
        session.attach(self)
    }

    /// What a hello says of the session that was cut.
    func resumption(secret: Secret? = nil, newest: UInt32? = nil) throws -> TunnelHello.Resumption {
        guard let session, let welcome else { throw Ended(frame: .end) }
        return TunnelHello.Resumption(
            session: welcome.session, secret: secret ?? welcome.secret, newest: newest ?? session.newest,
            positions: session.positions)
    }

    /// The connection breaks; nobody says goodbye.
    func cut() {
        session?.detach()
        socket = nil
    }

    /// The agent ends, and says so.
    func sayGoodbye() throws {
        session?.detach()
        try socket?.close(1000)
        socket = nil
    }

    func resume(onOtherLoop other: Bool = false) throws {
        try connect(resuming: try resumption(), onOtherLoop: other)
    }

    /// Takes the next message.
    func step() throws {
        guard let socket, let session else { throw Ended(frame: .end) }
        switch try socket.next() {
        case .text(let text):
            if let other = try session.receive(text: Array(text.utf8)) { others.append(other) }
        case .binary(let bytes): unsafe try bytes.withUnsafeBytes { unsafe try session.receive(binary: $0) }
        case let end: throw Ended(frame: end)
        }
        session.pump()
    }

    /// Takes messages until `condition` holds.
    func step(until condition: () -> Bool) throws {
        while !condition() { try step() }
    }

    /// The next stream that is opened.
    func next() throws -> ServedStream {
        let count = opened.count
        try step { opened.count > count }
        guard let id = opened.last, let stream = served[id] else { throw Ended(frame: .end) }
        return stream
    }

    /// The code that the gateway closes with.
    func closeCode() throws -> Int? {
        do {
            while true { try step() }
        } catch let end as Ended {
            if case .close(let code) = end.frame { return code }
            return nil
        }
    }

    /// Sends what no agent should.
    func say(_ text: String) throws { try socket?.send(text) }
    func say(_ bytes: [UInt8]) throws { try socket?.send(bytes) }

    // MARK: TunnelCarrier

    var unsentBytes: Int { 0 }

    func send(text: [UInt8]) { try? socket?.send(String(decoding: text, as: UTF8.self)) }

    func send(binary: UnsafeRawBufferPointer) { unsafe try? socket?.send(Array(binary)) }
}

/// A stream at the agent: takes whatever comes, and writes as there is credit.
final class ServedStream: TunnelStreamHandler {
    let stream: TunnelStream
    private(set) var bytes: [UInt8] = []
    private(set) var isInputEnded = false
    private(set) var endings: [TunnelReset?] = []
    var consumes = true
    private var rest: ArraySlice<UInt8> = []
    private var endsAfter = false

    init(_ stream: TunnelStream) { self.stream = stream }

    var target: String {
        if case .http(let request) = stream.request { request.target } else { "" }
    }

    /// The head of an answer, some of its body, and its end.
    func answer(_ bytes: [UInt8] = [], ends: Bool = true, status: Status = .ok) {
        stream.answer(StreamAnswer(status: status))
        write(bytes, ends: ends)
    }

    func write(_ bytes: [UInt8], ends: Bool) {
        rest += bytes
        endsAfter = endsAfter || ends
        roomGrew()
    }

    func answered(_ answer: StreamAnswer) {}

    func received(_ bytes: UnsafeRawBufferPointer) {
        unsafe self.bytes.append(contentsOf: bytes)
        if consumes { stream.consume(bytes.count) }
    }

    func inputEnded() { isInputEnded = true }

    func roomGrew() {
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe stream.write($0) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
        if endsAfter { stream.end() }
    }

    func finished(_ reason: TunnelReset?, message: String) { endings.append(reason) }
}

extension GatewayUnderTest {
    /// A consumer's request to an agent, whose answer is read later.
    func ask(
        _ method: String = "GET", _ path: String = "/api/tags", as user: String = "ann", body: String = "",
        agent: String = "desk"
    ) throws -> Asked {
        try begin(
            method, "/api/ollama" + path, token: try Self.token(for: user),
            fields: "X-Tunnel-Agent: \(agent)\r\n", body: body)
    }
}

extension Asked {
    /// The body without its chunks' framing, and whether it came to its end.
    func body() throws -> (bytes: [UInt8], isWhole: Bool) {
        var rest = try readToEnd()[...]
        var body: [UInt8] = []
        while let end = rest.firstIndex(of: 13) {
            guard let count = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16) else { break }
            if count == 0 { return (body, true) }
            rest = rest[end...].dropFirst(2)
            body += rest.prefix(count)
            rest = rest.dropFirst(count + 2)
        }
        return (body, false)
    }

    /// Status and error code of a refusal.
    func refusal() throws -> (status: Int, code: String?) {
        let reply = try readHead()
        let text = String(decoding: try readToEnd(), as: UTF8.self)
        let json = try? JSON.parse(Array(text.utf8))
        return (reply.status, json?["error"]?["code"]?.string)
    }
}

/// Bytes whose order and completeness show.
func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }
