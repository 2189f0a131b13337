import GatewayTunnel
import PluginKit
import PluginTesting
import Testing

@testable import TunnelPlugin

/// A gateway with the tunnel and a folder of its own.
final class Rig: Sendable {
    let folder: TestFolder
    let gateway: GatewayUnderTest

    init(_ settings: [String: String] = [:], folder: TestFolder? = nil, loops: Int = 1) throws {
        let folder = try folder ?? TestFolder()
        self.folder = folder
        let own = ["STATE_DIRECTORY": folder.path, "TUNNEL_RESUME_GRACE": "0"]
        gateway = try GatewayUnderTest([Tunnel.self], settings: own.merging(settings) { $1 }, loops: loops)
    }

    func ask(
        _ method: String, _ path: String, as user: String = "ann", isAdmin: Bool = false, _ body: String = ""
    ) throws -> Reply {
        try gateway.ask(method, path, token: try GatewayUnderTest.token(for: user, isAdmin: isAdmin), body: body)
    }

    /// An answer that must be JSON, with this status.
    func begin(_ method: String, _ path: String, as user: String = "ann", fields: String = "") throws -> Asked {
        try gateway.begin(method, path, token: try GatewayUnderTest.token(for: user), fields: fields)
    }

    /// The refusal of a socket, with its body.
    func upgrade(_ path: String, token: String? = nil) throws -> Reply {
        try gateway.ask(
            "GET", path, token: token,
            fields: "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
    }

    /// What an agent is told whose credential is not good, without what differs each time.
    func refusal(by credential: String) throws -> String {
        let reply = try upgrade("/api/tunnel/agent/enrolled", token: credential)
        #expect(reply.status == 401)
        return try JSON.parse(reply.body)["error"]?["message"]?.string ?? ""
    }

    func json(
        _ method: String, _ path: String, as user: String = "ann", _ body: String = "", expecting status: Int = 200
    ) throws -> JSON {
        let reply = try ask(method, path, as: user, body)
        #expect(reply.status == status, "\(reply.text)")
        return try JSON.parse(reply.body)
    }

    func enrol(_ name: String = "desk", as user: String = "ann") throws -> (id: String, credential: String) {
        let answer = try json("POST", "/api/tunnel/enrolments", as: user, "{\"name\":\"\(name)\"}", expecting: 201)
        return (try #require(answer["id"]?.string), try #require(answer["credential"]?.string))
    }

    /// An agent that has said hello and was welcomed.
    func agent(_ name: String = "desk", by credential: String) throws -> TestSocket {
        let socket = try gateway.socket("/api/tunnel/agent/enrolled", token: credential)
        #expect(socket.reply.status == 101, "\(socket.reply.head)")
        try socket.send(hello(name))
        guard case .text(let text) = try socket.next(), text.contains("\"welcome\"") else {
            throw NotWelcome()
        }
        return socket
    }

    /// That a GET of `path` comes to this agent, which answers it.
    func expect(
        _ path: String, as user: String = "ann", fields: String = "", reaches agent: TestSocket,
        at target: String = "/x", at location: SourceLocation = #_sourceLocation
    ) throws {
        let asked = try begin("GET", path, as: user, fields: fields)
        let open = try agent.serveOne()
        #expect(open["target"]?.string == target, sourceLocation: location)
        #expect(try asked.readHead().status == 200, sourceLocation: location)
        let rest = try asked.readToEnd()
        #expect(rest.ends(with: "0\r\n\r\n"), "\(String(decoding: rest, as: UTF8.self))", sourceLocation: location)
    }

    struct NotWelcome: Error {}

    /// A new enrolment and its agent.
    func connect(_ name: String = "desk", as user: String = "ann") throws -> (id: String, socket: TestSocket) {
        let (id, credential) = try enrol(name, as: user)
        return (id, try agent(name, by: credential))
    }
}

func hello(_ name: String) -> String {
    "{\"type\":\"hello\",\"version\":1,\"name\":\"\(name)\",\"software\":\"test/1\",\"http\":true,\"ports\":[22]}"
}

extension [UInt8] {
    func ends(with text: String) -> Bool { suffix(text.utf8.count).elementsEqual(text.utf8) }
}

extension TestSocket {
    /// The next stream that the gateway opens.
    func nextOpen() throws -> JSON {
        while case .text(let text) = try next() {
            let json = try JSON.parse(text)
            if json["type"]?.string == "open" { return json }
        }
        throw Rig.NotWelcome()
    }

    /// The code that the gateway closes with, past what it says before.
    func closeCode() throws -> Int? {
        while true {
            switch try next() {
            case .close(let code): return code
            case .end: return nil
            default: continue
            }
        }
    }

    /// Answers a stream with a head, and its end unless the body is to follow.
    func answer(_ stream: Int, ends: Bool) throws {
        try send(
            "{\"type\":\"head\",\"stream\":\(stream),\"status\":200,\"headers\":[[\"content-type\",\"text/plain\"]]}")
        var frame = [UInt8](repeating: 0, count: DataFrame.size)
        let head = DataFrame(stream: UInt32(stream), offset: 0, ends: ends)
        unsafe frame.withUnsafeMutableBytes { unsafe head.write(to: $0) }
        try send(frame + Array("answer".utf8))
    }

    /// Takes a request and begins to answer it.
    func begin() throws -> Int {
        let stream = try #require(try nextOpen()["stream"]?.number?.int)
        try answer(stream, ends: false)
        return stream
    }

    /// Ends an answer that ``begin()`` began.
    func finish(_ stream: Int) throws {
        var frame = [UInt8](repeating: 0, count: DataFrame.size)
        let head = DataFrame(stream: UInt32(stream), offset: UInt64("answer".utf8.count), ends: true)
        unsafe frame.withUnsafeMutableBytes { unsafe head.write(to: $0) }
        try send(frame)
    }

    /// The next stream that the gateway resets.
    func nextReset() throws -> JSON {
        while case .text(let text) = try next() {
            let json = try JSON.parse(text)
            if json["type"]?.string == "reset" { return json }
        }
        throw Rig.NotWelcome()
    }

    /// Serves one request, whole.
    func serveOne() throws -> JSON {
        let open = try nextOpen()
        try answer(try #require(open["stream"]?.number?.int), ends: true)
        return open
    }
}
