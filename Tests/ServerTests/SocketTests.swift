import GatewayRuntime
import PluginKit
import Testing

/// Sends every message back and notes how the socket ended.
private final class Mirror: WebSocketHandler {
    private let ends: Notes<String>
    init(_ ends: Notes<String>) { self.ends = ends }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) {
        if message.kind == .text, message.text == "close" {
            return socket.close(.init(rawValue: 4000), reason: "asked")
        }
        socket.send(message)
    }

    func closed(_ socket: any WebSocket, code: CloseCode, reason: String) { ends.add("\(code.rawValue) \(reason)") }
}

/// Sends pieces until told otherwise.
private final class Flood: WebSocketHandler {
    private let count: Int
    init(_ count: Int) { self.count = count }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) {
        for _ in 0..<count { socket.send(binary: [UInt8](repeating: 7, count: 32 << 10)) }
    }
}

/// Closes with a code when anything comes.
private final class Closer: WebSocketHandler {
    private let code: CloseCode
    init(_ code: CloseCode) { self.code = code }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) { socket.close(code, reason: "done") }
}

/// Answers everything with the same message.
private final class Announcer: WebSocketHandler {
    private let message: PreparedMessage
    init(_ message: PreparedMessage) { self.message = message }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) { socket.send(self.message) }
}

@Suite("WebSockets through the whole gateway")
struct SocketTests {
    private func mirror(_ settings: [String: String?] = [:], over carriage: Carriage = .plain, ends: Notes<String>)
        throws
        -> TestGateway
    {
        try TestGateway(settings, over: carriage) { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Mirror(ends) }
        }
    }

    @Test(
        "messages, fragments and interleaved pings, whole and byte by byte", arguments: Carriage.allCases,
        [true, false])
    func messages(_ carriage: Carriage, whole: Bool) throws {
        let gateway = try mirror(over: carriage, ends: Notes())
        let client = try SocketClient(gateway)
        #expect(client.answer["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        let frames =
            SocketClient.frame(.text, Array("hello".utf8)) + SocketClient.frame(.text, Array("Gr".utf8), isFinal: false)
            + SocketClient.frame(.ping, [1, 2]) + SocketClient.frame(.continuation, Array("üße".utf8))
            + SocketClient.frame(.binary, [UInt8](repeating: 9, count: 70_000))
        if whole { try client.send(frames) } else { for byte in frames.prefix(400) { try client.send([byte]) } }
        if !whole { try client.send(Array(frames.dropFirst(400))) }
        #expect(try client.next() == .text("hello"))
        #expect(try client.next() == .pong([1, 2]))
        #expect(try client.next() == .text("Grüße"))
        #expect(try client.next() == .binary([UInt8](repeating: 9, count: 70_000)))
    }

    @Test("frames sent together with the handshake are read after it, in order", arguments: Carriage.allCases)
    func earlyFrames(_ carriage: Carriage) throws {
        let gateway = try mirror(over: carriage, ends: Notes())
        let client = try SocketClient(
            gateway, then: SocketClient.frame(.text, Array("one".utf8)) + SocketClient.frame(.text, Array("two".utf8)))
        try client.send("three")
        for expected in ["one", "two", "three"] { #expect(try client.next() == .text(expected)) }
    }

    @Test("the client closes: its code comes back, and the server ends the connection")
    func clientCloses() throws {
        let ends = Notes<String>()
        let gateway = try mirror(ends: ends)
        defer { gateway.stop() }
        let client = try SocketClient(gateway)
        try client.send(SocketClient.close(3000, "bye") + SocketClient.frame(.text, Array("after".utf8)))
        #expect(try client.next() == .close(3000, ""))
        #expect(try client.next() == .end)
        #expect(ends.awaitNext())
        #expect(ends.all == ["3000 bye"])
    }

    @Test("an empty close frame is answered with an empty one")
    func emptyClose() throws {
        let ends = Notes<String>()
        let gateway = try mirror(ends: ends)
        defer { gateway.stop() }
        let client = try SocketClient(gateway)
        try client.send(SocketClient.frame(.close, []))
        #expect(try client.next() == .close(nil, ""))
        #expect(try client.next() == .end)
        #expect(ends.awaitNext())
        #expect(ends.all == ["1005 "])
    }

    @Test(
        "a plugin that closes with a code no frame may carry is told in the log, and the peer gets 1011",
        arguments: [0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65535] as [UInt16])
    func unsendableCode(_ code: UInt16) throws {
        let gateway = try TestGateway { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Closer(CloseCode(rawValue: code)) }
        }
        let client = try SocketClient(gateway)
        try client.send("go")
        #expect(try client.next() == .close(1011, "done"))
        try client.send(SocketClient.close(1011))
        #expect(try client.next() == .end)
        #expect(gateway.log.contains("\"code\":\(code)"))
    }

    @Test("a plugin that closes without a code sends an empty close frame")
    func withoutCode() throws {
        let gateway = try TestGateway { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Closer(.withoutCode) }
        }
        let client = try SocketClient(gateway)
        try client.send("go")
        #expect(try client.next() == .close(nil, ""))
        #expect(!gateway.log.contains("must not be sent"))
    }

    @Test(
        "a message that is not finished closes with 1008, pings or not",
        arguments: [
            SocketClient.frame(.text, Array("half".utf8), isFinal: false),
            Array(SocketClient.frame(.text, Array("half".utf8)).dropLast(2)), [0x81],
        ])
    func unfinished(_ part: [UInt8]) throws {
        let ends = Notes<String>()
        let gateway = try mirror(["MESSAGE_TIMEOUT": "50"], ends: ends)
        defer { gateway.stop() }
        let client = try SocketClient(gateway)
        try client.send("whole")
        #expect(try client.next() == .text("whole"))
        try client.send(SocketClient.frame(.ping, [1]) + part)
        #expect(try client.next() == .pong([1]))
        #expect(try client.next() == .close(1008, "message not finished in time"))
        #expect(ends.awaitNext())
        #expect(ends.all == ["1008 message not finished in time"])
    }

    @Test("one prepared message serves sockets that compress and those that do not")
    func prepared() throws {
        let text = String(repeating: "all the same ", count: 400)
        let message = PreparedMessage(.text, Array(text.utf8))
        let gateway = try TestGateway { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Announcer(message) }
        }
        let plain = try SocketClient(gateway)
        try plain.send("go")
        #expect(try plain.next() == .text(text))
        for window in ["15", "10"] {
            let compressed = try SocketClient(
                gateway,
                fields: ["Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=\(window)"])
            try compressed.send("go")
            // Text with the bit of the extension, and much shorter.
            let head = try compressed.wire.read(2)
            #expect(head[0] == 0xC1 && head[1] < 127)
        }
        #expect(try gateway.metric("gateway_websocket_messages_sent_total") == 3)
    }

    @Test("the server closes: it waits for the answer, ignores data, keeps its own code, then ends the connection")
    func serverCloses() throws {
        let ends = Notes<String>()
        let gateway = try mirror(ends: ends)
        defer { gateway.stop() }
        let client = try SocketClient(gateway)
        try client.send("close")
        #expect(try client.next() == .close(4000, "asked"))
        try client.send("ignored")
        try client.send(SocketClient.close(1000))
        #expect(try client.next() == .end)
        #expect(ends.awaitNext())
        #expect(ends.all == ["4000 asked"])
    }

    @Test("a peer that does not answer the close frame is cut off")
    func unansweredClose() throws {
        let ends = Notes<String>()
        let gateway = try mirror(["CLOSE_TIMEOUT": "100"], ends: ends)
        let client = try SocketClient(gateway)
        try client.send("close")
        #expect(try client.next() == .close(4000, "asked"))
        #expect(ends.awaitNext())
        #expect(gateway.awaitQuiet())
        withExtendedLifetime(client) {}
    }

    @Test("a connection that breaks is 1006 to the handler", arguments: [true, false])
    func broken(byReset: Bool) throws {
        let ends = Notes<String>()
        let gateway = try mirror(ends: ends)
        do {
            let client = try SocketClient(gateway)
            if byReset { client.wire.reset() }
        }
        #expect(ends.awaitNext())
        #expect(ends.all == ["1006 "])
        #expect(gateway.awaitQuiet())
    }

    @Test(
        "limits and violations close with their code",
        arguments: [
            (SocketClient.frame(.binary, [UInt8](repeating: 0, count: 1100)), 1009),
            (
                SocketClient.frame(.binary, [UInt8](repeating: 0, count: 1000), isFinal: false)
                    + SocketClient.frame(.continuation, [UInt8](repeating: 0, count: 1000)), 1009
            ),
            (
                SocketClient.frame(.binary, [], isFinal: false) + SocketClient.frame(.continuation, [], isFinal: false)
                    + SocketClient.frame(.continuation, [], isFinal: false)
                    + SocketClient.frame(.continuation, [], isFinal: false), 1008
            ),
            (SocketClient.frame(.text, [0xFF]), 1007),
            (SocketClient.frame(.continuation, []), 1002),
            ([0x81, 0x01, 0x61], 1002),
            (SocketClient.frame(.close, [3]), 1002),
        ] as [([UInt8], Int)])
    func limits(_ frames: [UInt8], code: Int) throws {
        let ends = Notes<String>()
        let gateway = try mirror(
            ["MAX_FRAME_SIZE": "1KiB", "MAX_MESSAGE_SIZE": "1KiB", "MAX_FRAGMENTS": "3"], ends: ends)
        let client = try SocketClient(gateway)
        try client.send(frames)
        #expect(try client.closeCode() == code)
        #expect(try client.next() == .end)
        #expect(ends.awaitNext())
        #expect(ends.all[0].hasPrefix("\(code) "))
    }

    @Test("a silent peer gets pings and is closed with 1001 after the allowed misses")
    func heartbeat() throws {
        let ends = Notes<String>()
        let gateway = try mirror(
            ["PING_INTERVAL": "50", "PONG_TIMEOUT": "50", "MAX_MISSED_PONGS": "3", "CLOSE_TIMEOUT": "100"], ends: ends)
        let client = try SocketClient(gateway)
        var pings = 0
        while case .ping = try client.next() { pings += 1 }
        #expect(pings == 3)
        #expect(ends.awaitNext())
        #expect(ends.all == ["1001 Connection timeout"])
        #expect(gateway.awaitQuiet())
    }

    @Test("a peer that answers pings stays, and its round trip is measured")
    func aliveHeartbeat() throws {
        let ends = Notes<String>()
        let gateway = try mirror(["PING_INTERVAL": "20", "PONG_TIMEOUT": "10000"], ends: ends)
        let client = try SocketClient(gateway)
        for _ in 0..<10 {
            guard case .ping(let payload) = try client.next() else { Issue.record("no ping"); break }
            try client.send(SocketClient.frame(.pong, payload))
        }
        try client.send("still here")
        #expect(try client.nextMessage() == .text("still here"))
        #expect(try gateway.metric("gateway_websocket_pongs_received_total") ?? 0 >= 10)
        #expect(ends.all.isEmpty)
    }

    @Test("a plugin that stops reading does not make its peer look dead")
    func pausedHeartbeat() throws {
        let paused = Notes<Int>()
        let gate = Gate()
        let gateway = try TestGateway(["PING_INTERVAL": "30", "PONG_TIMEOUT": "20", "MAX_MISSED_PONGS": "2"]) {
            gateway in
            gateway.webSocket("/socket", access: .anyone) { session in
                // More messages wait than a session takes: it stops reading.
                try await gate.pass(on: session.socket.loop)
                var count = 0
                while count < 40, await session.next() != nil { count += 1 }
                try await session.send("\(count)")
                paused.add(count)
            }
        }
        let client = try SocketClient(gateway)
        for number in 0..<40 { try client.send("\(number)") }
        #expect(gate.awaitArrival())
        // Longer than it takes to be found dead: that many pings come unanswered.
        for _ in 0..<8 { guard case .ping = try client.next() else { Issue.record("no ping"); break } }
        gate.open()
        #expect(try client.nextMessage() == .text("40"))
        #expect(try client.nextMessage() == .close(1000, ""))
    }

    @Test("a slow consumer is closed with 1013")
    func slowConsumerCloses() throws {
        let gateway = try TestGateway(
            ["WEBSOCKET_SEND_BUFFER": "64KiB", "COMPRESSION_ENABLED": "false", "CLOSE_TIMEOUT": "60s"]
        ) { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Flood(2000) }
        }
        let client = try SocketClient(gateway, receiveBuffer: 4096)
        try client.send("go")
        #expect(try client.closeCode() == 1013)
        try client.send(SocketClient.close(1013))
        #expect(try client.next() == .end)
    }

    @Test("a slow consumer loses messages, is told how many and where, and keeps its control frames")
    func slowConsumerDrops() throws {
        let total = 2000
        let gateway = try TestGateway(["COMPRESSION_ENABLED": "false"]) { gateway in
            var options = WebSocketOptions()
            options.slowConsumer = .drop(limit: 64 << 10)
            gateway.webSocket("/socket", access: .anyone, options: options) { _ in Flood(total) }
        }
        let client = try SocketClient(gateway, receiveBuffer: 4096)
        try client.send(SocketClient.frame(.text, Array("go".utf8)) + SocketClient.frame(.ping, [5]))
        var received = 0
        var dropped = 0
        var hasPong = false
        while received + dropped < total || !hasPong {
            switch try client.next() {
            case .binary: received += 1
            case .pong(let payload): hasPong = payload == [5]
            case .text(let notice):
                #expect(notice.hasPrefix("{\"type\":\"dropped\",\"messages\":"))
                dropped += Int(notice.filter(\.isNumber)) ?? 0
            case let other:
                Issue.record("\(other)")
                return
            }
        }
        #expect(dropped > 0)
        #expect(received + dropped == total)
        #expect(try gateway.metric("gateway_websocket_messages_dropped_total") == Double(dropped))
    }

    @Test("a peer that floods pings and reads nothing is cut off")
    func pingFlood() throws {
        let gateway = try mirror(["WEBSOCKET_SEND_BUFFER": "16KiB"], ends: Notes())
        let client = try SocketClient(gateway, receiveBuffer: 4096)
        let pings = [UInt8]((0..<500).flatMap { _ in SocketClient.frame(.ping, [UInt8](repeating: 1, count: 125)) })
        var isCut = false
        for _ in 0..<2000 {
            do { try client.send(pings) } catch {
                isCut = true
                break
            }
        }
        #expect(isCut)
        #expect(gateway.awaitQuiet())
    }

    @Test("several tasks of one session may send to a slow peer, and its task is cancelled when the peer leaves")
    func session() throws {
        let ends = Notes<String>()
        let gate = Gate()
        let gateway = try TestGateway { gateway in
            gateway.webSocket("/socket", access: .anyone) { session in
                do {
                    _ = await session.next()
                    try await gate.pass(on: session.socket.loop)
                } catch {
                    ends.add("\(type(of: error))")
                    throw error
                }
            }
        }
        do {
            let client = try SocketClient(gateway)
            try client.send("go")
            #expect(gate.awaitArrival())
        }
        #expect(ends.awaitNext())
        #expect(ends.all == ["CancellationError"])
    }

    @Test("a client that leaves while its token is checked leaves no socket behind")
    func leavesBeforeUpgrade() throws {
        let gate = Gate()
        let gateway = try TestGateway { gateway in
            gateway.use(Waiting(gate: gate), on: .everyRequest)
            gateway.webSocket("/socket", access: .anyone) { _ in Silence() }
        }
        do {
            let client = try gateway.connect()
            try client.send(get("/socket").replacingEnd(with: webSocketFields))
            #expect(gate.awaitArrival())
            client.reset()
        }
        #expect(gateway.awaitQuiet())
        gate.open()
        #expect(try gateway.metric("gateway_websocket_open") ?? 0 == 0)
        #expect(gateway.stop())
    }
}

/// Waits without minding cancellation.
private struct Waiting: Middleware {
    let gate: Gate

    func handle(_ request: Request, next: Next) async throws -> Response {
        if request.head.upgradesToWebSocket { try? await gate.pass(on: request.loop) }
        return try await next(request)
    }
}
