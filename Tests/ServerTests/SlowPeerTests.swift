import Glibc
import PluginKit
import Testing

@testable import GatewayServer

/// Sends one large message, then does as it is told.
private final class Large: WebSocketHandler {
    static let count = 6 << 20
    private let closes: Bool
    init(closes: Bool) { self.closes = closes }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) {
        guard message.kind == .text, message.text == "go" else {
            socket.send(message)
            return
        }
        socket.send(binary: [UInt8](repeating: 7, count: Self.count))
        if closes { socket.close(.normal, reason: "") }
    }
}

@Suite("Peers that are slow, and take what they get")
struct SlowPeerTests {
    /// Reads the large message piece by piece: about three seconds, more than twice what the settings below allow.
    private static func readSlowly(_ client: SocketClient) throws -> Int {
        // Ten bytes of head.
        var left = Large.count + 10
        while left > 0 {
            let got = try client.wire.read(min(left, 100_000))
            guard !got.isEmpty else { break }
            left -= got.count
            usleep(50_000)
        }
        return Large.count + 10 - left
    }

    @Test("a socket is closed behind what its peer still takes")
    func close() throws {
        let gateway = try TestGateway(["CLOSE_TIMEOUT": "1200", "COMPRESSION_ENABLED": "false"]) { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Large(closes: true) }
        }
        let client = try SocketClient(gateway, receiveBuffer: 64 << 10)
        try client.send("go")
        #expect(try Self.readSlowly(client) == Large.count + 10)
        #expect(try client.next() == .close(1000, ""))
        try client.send(SocketClient.close(1000))
        #expect(try client.next() == .end)
    }

    @Test("a peer is not dead that has not come to the ping yet")
    func heartbeat() throws {
        let settings = [
            "PING_INTERVAL": "300", "PONG_TIMEOUT": "1200", "MAX_MISSED_PONGS": "1", "COMPRESSION_ENABLED": "false",
        ]
        let gateway = try TestGateway(settings) { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Large(closes: false) }
        }
        let client = try SocketClient(gateway, receiveBuffer: 64 << 10)
        try client.send("go")
        #expect(try Self.readSlowly(client) == Large.count + 10)
        guard case .ping(let payload) = try client.next() else {
            Issue.record("no ping")
            return
        }
        try client.send(SocketClient.frame(.pong, payload))
        try client.send("still here")
        #expect(try client.nextMessage() == .text("still here"))
    }

    @Test("one that takes nothing is, whatever waits for it")
    func dead() throws {
        let settings = [
            "PING_INTERVAL": "50", "PONG_TIMEOUT": "50", "MAX_MISSED_PONGS": "2", "CLOSE_TIMEOUT": "100",
            "COMPRESSION_ENABLED": "false",
        ]
        let gateway = try TestGateway(settings) { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Large(closes: false) }
        }
        let client = try SocketClient(gateway, receiveBuffer: 64 << 10)
        try client.send("go")
        #expect(gateway.awaitQuiet())
        withExtendedLifetime(client) {}
    }

    @Test("a ping is answered behind a message larger than what may pile up")
    func pingBehindLarge() throws {
        let settings = ["WEBSOCKET_SEND_BUFFER": "64KiB", "COMPRESSION_ENABLED": "false"]
        let gateway = try TestGateway(settings) { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Large(closes: false) }
        }
        let client = try SocketClient(gateway, receiveBuffer: 64 << 10)
        try client.send("go")
        _ = try client.wire.read(2)
        try client.send(SocketClient.frame(.ping, [5]))
        #expect(try client.wire.read(Large.count + 8).count == Large.count + 8)
        #expect(try client.next() == .pong([5]))
    }

    @Test(
        "a client that sends its request meanwhile, or fails to, has no more time to take the response",
        arguments: [true, false])
    func bothWays(_ sends: Bool) throws {
        let ended = Notes<String>()
        let settings = ["HTTP_SEND_BUFFER": "64KiB", "HTTP_WRITE_TIMEOUT": "300", "HTTP_BODY_TIMEOUT": "150"]
        let gateway = try TestGateway(settings) { gateway in
            gateway.post("/both") { request in
                let body = request.body
                request.loop.launch { for _ in 0..<10 { _ = try? await body.next() } }
                return .stream { writer in
                    do {
                        while true { try await writer.write([UInt8](repeating: 0x61, count: 64 << 10)) }
                    } catch {
                        ended.add("\(type(of: error))")
                        throw error
                    }
                }
            }
        }
        let client = try gateway.connect()
        try client.send("POST /both HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        for _ in 0..<(sends ? 10 : 0) {
            // A reset may come first.
            guard (try? client.send("x")) != nil else { break }
            usleep(20_000)
        }
        #expect(ended.awaitNext())
        #expect(ended.all == ["CancellationError"])
        #expect(gateway.awaitQuiet())
    }
}
