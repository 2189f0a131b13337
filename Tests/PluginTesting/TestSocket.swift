import PluginKit

/// The client's end of a WebSocket. Calls block until the gateway has answered, twenty seconds at most.
package final class TestSocket {
    /// What the gateway sent.
    package enum Frame: Equatable {
        case text(String)
        case binary([UInt8])
        case close(Int?)
        /// The connection ended.
        case end
    }

    private let wire: Wire
    /// The answer to the opening handshake: 101, or a refusal.
    package let reply: Reply

    init(port: UInt16, path: String, token: String?) throws {
        wire = try Wire(port: port)
        let authorization = token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        let handshake =
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        try wire.send(Array("GET \(path) HTTP/1.1\r\nHost: test\r\n\(authorization)\(handshake)\r\n".utf8))
        reply = try wire.readHead()
    }

    /// Sends a text message.
    package func send(_ text: String) throws { try send(.text, Array(text.utf8)) }

    /// Sends several at once, so that one read finds them all.
    package func send(_ texts: [String]) throws {
        try wire.send(texts.flatMap { Self.frame(.text, Array($0.utf8)) })
    }

    /// Sends a binary message.
    package func send(_ bytes: [UInt8]) throws { try send(.binary, bytes) }

    /// Starts the closing handshake.
    package func close(_ code: Int = 1000) throws { try send(.close, [UInt8(code >> 8), UInt8(code & 255)]) }

    private func send(_ opcode: Opcode, _ payload: [UInt8]) throws { try wire.send(Self.frame(opcode, payload)) }

    private static func frame(_ opcode: Opcode, _ payload: [UInt8]) -> [UInt8] {
        var output = OutputBuffer(capacity: payload.count + 16)
        FrameWriter.append(opcode, payload, mask: 0x1234_5678, to: &output)
        return unsafe output.withUnsafeBytes { unsafe Array($0) }
    }

    /// The next message or close frame; pings are passed over.
    package func next() throws -> Frame {
        while true {
            let head = try wire.read(2)
            guard head.count == 2 else { return .end }
            var length = Int(head[1])
            if length == 126 { length = try wire.read(2).reduce(0) { $0 << 8 | Int($1) } }
            if length == 127 { length = try wire.read(8).reduce(0) { $0 << 8 | Int($1) } }
            let payload = try wire.read(length)
            switch head[0] & 0x0F {
            case 1: return .text(String(decoding: payload, as: UTF8.self))
            case 2: return .binary(payload)
            case 8: return .close(payload.count < 2 ? nil : Int(payload[0]) << 8 | Int(payload[1]))
            default: continue
            }
        }
    }
}
