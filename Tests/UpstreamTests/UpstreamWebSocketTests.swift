import GatewayHTTP
import GatewayLocks
import GatewayTestSupport
import Testing

@testable import GatewayRuntime
@testable import GatewayUpstream
@testable import GatewayWebSocket

@Suite("WebSockets to upstreams (RFC 6455 §4.1)")
struct UpstreamWebSocketTests {
    /// What the gateway's end of a socket was told.
    private final class Ear: UpstreamWebSocketHandler {
        var heard: [String] = []
        var end: String?
        var pauses: UpstreamWebSocket?

        func upstreamSaid(_ kind: MessageKind, _ payload: UnsafeRawBufferPointer) {
            heard.append(unsafe String(decoding: payload, as: UTF8.self))
            pauses?.pause()
        }
        func upstreamDrained() {}
        func upstreamEnded(_ code: CloseCode, reason: String) { end = "\(code) \(reason)" }
    }

    /// Reads the handshake and answers it, `extra` fields included.
    private static func accept(_ peer: ScriptedPeer, _ extra: String = "", accept: String? = nil) throws -> String {
        let head = try peer.readHead()
        let line = try #require(head.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") })
        let key = String(line.dropFirst("Sec-WebSocket-Key: ".count))
        try peer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
                + "Sec-WebSocket-Accept: \(accept ?? HandshakeKey.accept(for: key))\r\n\(extra)\r\n")
        return head
    }

    private static func open(
        _ rig: Rig, _ url: String, _ subprotocols: [String] = [], compresses: Bool = false
    ) async throws -> UpstreamUpgrade {
        try await rig.client.openWebSocket(
            try rig.request(.get, url), subprotocols: subprotocols, offersCompression: compresses)
    }

    private static func socket(_ rig: Rig, _ url: String, _ subprotocols: [String] = []) async throws
        -> UpstreamWebSocket
    {
        guard case .opened(let socket) = try await open(rig, url, subprotocols) else { throw ScriptedPeer.Gone() }
        return socket
    }

    /// A frame of the server's, unmasked.
    private static func frame(_ opcode: UInt8, _ payload: [UInt8]) -> [UInt8] {
        [0x80 | opcode, UInt8(payload.count)] + payload
    }

    private static func text(_ text: String) -> [UInt8] { frame(1, Array(text.utf8)) }

    @Test("what comes with the answer is delivered once somebody listens, in order")
    func early() throws {
        let server = try ScriptedServer { peer, _ in
            _ = try Self.accept(peer, "Sec-WebSocket-Protocol: b\r\nSet-Cookie: a=1\r\n")
            try peer.write(Self.text("one") + Self.text("two"))
            _ = peer.waitForEnd()
        }
        let outcome = try Rig.with { rig in
            let socket = try await Self.socket(rig, server.url(), ["a", "b"])
            let ear = Ear()
            for _ in 0..<20 { await rig.loop.nextTurn() }
            let before = ear.heard
            socket.start(ear)
            try await rig.until { ear.heard.count == 2 }
            socket.close(.normal)
            return (before, ear.heard, socket.subprotocol, socket.fields.description)
        }
        #expect(outcome.0 == [] && outcome.1 == ["one", "two"])
        #expect(outcome.2 == "b")
        #expect(outcome.3 == "Set-Cookie: a=1\r\n")
    }

    @Test("a listener that rests while the upstream resets the connection hears the rest when it goes on")
    func resetWhileHeld() throws {
        let (isHeard, isReset) = (Signal(), Signal())
        let server = try ScriptedServer { peer, _ in
            _ = try Self.accept(peer)
            try peer.write(Self.text("one") + Self.text("two") + Self.frame(8, [0x03, 0xE8]))
            isHeard.wait()
            peer.reset()
            isReset.raise()
        }
        let outcome = try Rig.with { rig in
            let socket = try await Self.socket(rig, server.url())
            let ear = Ear()
            ear.pauses = socket
            socket.start(ear)
            try await rig.until { ear.heard.count == 1 }
            isHeard.raise()
            _ = try await rig.loop.offload("test") { isReset.wait(atMost: .seconds(50)) }
            await rig.turn()
            let before = (ear.heard, ear.end)
            ear.pauses = nil
            socket.resume()
            try await rig.until { ear.end != nil && socket.isClosed }
            return (before.0, before.1, ear.heard, ear.end)
        }
        #expect(outcome.0 == ["one"] && outcome.1 == nil)
        #expect(outcome.2 == ["one", "two"] && outcome.3 == "\(CloseCode.normal) ")
    }

    @Test("a handshake asks for what it should, once each")
    func request() throws {
        let head = Outcome<String>()
        let server = try ScriptedServer { peer, _ in
            head.set(.success(try Self.accept(peer)))
            _ = peer.waitForEnd()
        }
        try Rig.with { rig in
            guard case .opened(let socket) = try await Self.open(rig, server.url("/x?y"), ["a", "b"], compresses: true)
            else { throw ScriptedPeer.Gone() }
            #expect(!socket.isCompressed)
            socket.close(.normal)
        }
        let lines = try head.value().split(separator: "\r\n")
        #expect(lines.first == "GET /x?y HTTP/1.1")
        for line in ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"] {
            #expect(lines.count { $0 == line } == 1, "\(line)")
        }
        #expect(lines.contains("Sec-WebSocket-Protocol: a, b"))
        #expect(lines.contains { $0.hasPrefix("Sec-WebSocket-Extensions: permessage-deflate") })
        #expect(!lines.contains { $0.hasPrefix("Content-Length") })
    }

    @Test(
        "a 101 that does not answer what was asked is refused, and the connection ends",
        arguments: [
            "Sec-WebSocket-Protocol: c\r\n", "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n",
            "Sec-WebSocket-Extensions: permessage-deflate\r\n", "Sec-WebSocket-Extensions: other\r\n", "",
        ])
    func notAsked(_ extra: String) throws {
        let ended = Counted()
        let server = try ScriptedServer { peer, _ in
            _ = try Self.accept(peer, extra, accept: extra.isEmpty ? "AAAAAAAAAAAAAAAAAAAAAAAAAAA=" : nil)
            _ = peer.waitForEnd()
            ended.next()
        }
        let outcome = try Rig.with { rig in
            let failure = await rig.failure { _ = try await Self.open(rig, server.url(), ["a", "b"]) }
            try await rig.until { ended.value == 1 }
            return failure
        }
        #expect(outcome.name == "upgradeFailed")
    }

    @Test("another answer than 101 is handed over, body and all", arguments: [200, 302, 401, 403, 426, 503])
    func refused(_ status: Int) throws {
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            try peer.write("HTTP/1.1 \(status) No\r\nContent-Length: 4\r\nX-Why: so\r\n\r\nbody")
            _ = peer.waitForEnd()
        }
        try Rig.with { rig in
            guard case .refused(let answer) = try await Self.open(rig, server.url()) else { throw ScriptedPeer.Gone() }
            #expect(answer.status.code == status)
            #expect(answer.header(HeaderName("X-Why") ?? .via) == "so")
            #expect(try await answer.body.collect(limit: 10) == Array("body".utf8))
        }
    }

    @Test("each frame is masked with a key of its own")
    func masked() throws {
        let keys = Guarded<[[UInt8]]>([])
        let server = try ScriptedServer { peer, _ in
            _ = try Self.accept(peer)
            for _ in 0..<5 {
                let frame = try peer.read(2 + 4 + 3)
                #expect(frame[..<2] == [0x82, 0x83])
                #expect((0..<3).map { frame[6 + $0] ^ frame[2 + $0] } == [1, 2, 3])
                keys.withLock { $0.append(Array(frame[2..<6])) }
            }
            try peer.write(Self.frame(8, [0x03, 0xE8]))
            _ = peer.waitForEnd()
        }
        try Rig.with { rig in
            let socket = try await Self.socket(rig, server.url())
            let ear = Ear()
            socket.start(ear)
            for _ in 0..<5 {
                let bytes: [UInt8] = [1, 2, 3]
                unsafe bytes.withUnsafeBytes { unsafe socket.send(.binary, $0) }
            }
            try await rig.until { ear.end != nil }
        }
        #expect(Set(keys.withLock { $0 }).count == 5)
    }

    @Test(
        "how the upstream ends is told, and answered in kind",
        arguments: [
            ([0x88, 5, 0x0F, 0xA1, 0x62, 0x79, 0x65], "4001 bye", [0x0F, 0xA1]), ([0x88, 0], "1005 ", []),
            ([0x81, 0x80, 0, 0, 0, 0], "1006 server frame masked", [0x03, 0xEA]),
            ([0x81, 1, 0xFF], "1006 text is not UTF-8", [0x03, 0xEF]),
            ([0xC1, 1, 0x61], "1006 reserved bits set", [0x03, 0xEA]),
        ] as [([UInt8], String, [UInt8])])
    func ends(_ frame: [UInt8], _ told: String, _ answer: [UInt8]) throws {
        let closed = Guarded<[UInt8]?>(nil)
        let server = try ScriptedServer { peer, _ in
            _ = try Self.accept(peer)
            try peer.write(frame)
            let head = try peer.read(6)
            let payload = try peer.read(Int(head[1] & 0x7F))
            closed.withLock { $0 = head[0] == 0x88 ? payload.indices.map { payload[$0] ^ head[2 + $0 % 4] } : nil }
        }
        let end = try Rig.with { rig in
            let socket = try await Self.socket(rig, server.url())
            let ear = Ear()
            socket.start(ear)
            try await rig.until { ear.end != nil && closed.withLock { $0 } != nil }
            return ear.end
        }
        #expect(end == told)
        #expect(closed.withLock { $0 }?.prefix(2) == answer[...])
    }

    @Test("an upstream that goes without a word is told as 1006", arguments: [true, false])
    func vanishes(_ resets: Bool) throws {
        let server = try ScriptedServer { peer, _ in
            _ = try Self.accept(peer)
            if resets { peer.reset() }
        }
        let end = try Rig.with { rig in
            let ear = Ear()
            try await Self.socket(rig, server.url()).start(ear)
            try await rig.until { ear.end != nil }
            return ear.end
        }
        #expect(end == "1006 ")
    }

    @Test("an upstream that does not finish a message is told so, and counts as lost")
    func unfinished() throws {
        let farewell = Guarded<[UInt8]>([])
        let server = try ScriptedServer { peer, _ in
            _ = try Self.accept(peer)
            try peer.write([0x01, 4] + Array("half".utf8) + Self.frame(9, []))
            // A pong of 6 bytes, and then the head of a close frame.
            let bytes = try peer.read(12)
            farewell.withLock { $0 = bytes }
            _ = peer.waitForEnd()
        }
        let end = try Rig.with(sockets: UpstreamSocketSettings(messageTimeout: .milliseconds(50))) { rig in
            let socket = try await Self.socket(rig, server.url())
            let ear = Ear()
            socket.start(ear)
            try await rig.until { ear.end != nil }
            try await rig.until { !farewell.withLock { $0.isEmpty } }
            return ear.end
        }
        #expect(end == "1006 stalled")
        let seen = farewell.withLock { $0 }
        #expect(seen[0] == 0x8A && seen[6] == 0x88)
    }

    @Test("a code that no frame may carry is sent as 1011")
    func unsendableCode() throws {
        let code = Guarded<[UInt8]>([])
        let server = try ScriptedServer { peer, _ in
            _ = try Self.accept(peer)
            let frame = try peer.read(8)
            code.withLock { $0 = [frame[6] ^ frame[2], frame[7] ^ frame[3]] }
            _ = peer.waitForEnd()
        }
        try Rig.with { rig in
            let socket = try await Self.socket(rig, server.url())
            socket.close(CloseCode(rawValue: 1015))
            try await rig.until { !code.withLock { $0.isEmpty } }
        }
        #expect(code.withLock { $0 } == [3, 0xF3])
    }

    @Test("a socket counts among the connections to upstreams until it has closed")
    func capacity() throws {
        let server = try ScriptedServer { peer, _ in
            _ = try Self.accept(peer)
            _ = peer.waitForEnd()
        }
        let other = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            try peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
            _ = peer.waitForEnd()
        }
        let outcome = try Rig.with(["UPSTREAM_MAX_CONNECTIONS": "1"]) { rig in
            let socket = try await Self.socket(rig, server.url())
            let full = await rig.failure { _ = try await rig.send(.get, other.url()) }
            let ear = Ear()
            socket.start(ear)
            socket.close(.normal)
            try await rig.until { socket.isClosed }
            return (full.name, try await rig.text(.get, other.url()))
        }
        #expect(outcome.0 == "tooManyConnections")
        #expect(outcome.1 == "x")
    }

    @Test("while it is paused nothing is delivered, and nothing is lost")
    func pause() throws {
        let server = try ScriptedServer { peer, _ in
            _ = try Self.accept(peer)
            for number in 0..<20 { try peer.write(Self.text("\(number)")) }
            _ = peer.waitForEnd()
        }
        let heard = try Rig.with { rig in
            let socket = try await Self.socket(rig, server.url())
            let ear = Ear()
            ear.pauses = socket
            socket.start(ear)
            for count in 1...20 {
                try await rig.until { ear.heard.count >= count }
                for _ in 0..<3 { await rig.loop.nextTurn() }
                #expect(ear.heard.count == count)
                socket.resume()
            }
            ear.pauses = nil
            socket.close(.normal)
            return ear.heard
        }
        #expect(heard == (0..<20).map { "\($0)" })
    }

    @Test("pings are answered, and a close without a code goes out as one")
    func pings() throws {
        let answers = Guarded<[[UInt8]]>([])
        let server = try ScriptedServer { peer, _ in
            _ = try Self.accept(peer)
            try peer.write(Self.frame(9, [7]) + Self.text("go"))
            for length in [7, 6] {
                let frame = try peer.read(length)
                answers.withLock { $0.append(frame) }
            }
        }
        try Rig.with { rig in
            let socket = try await Self.socket(rig, server.url())
            let ear = Ear()
            socket.start(ear)
            try await rig.until { ear.heard == ["go"] }
            socket.close(nil)
            try await rig.until { answers.withLock { $0.count } == 2 }
        }
        let seen = answers.withLock { $0 }
        #expect(seen[0][..<2] == [0x8A, 0x81] && seen[0][6] ^ seen[0][2] == 7)
        #expect(seen[1][..<2] == [0x88, 0x80])
    }
}
