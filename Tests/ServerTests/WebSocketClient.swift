import PluginKit
import Testing

/// The client's end of a WebSocket, frame by frame.
final class SocketClient {
    let wire: Client
    let answer: Answer

    /// What the server sent.
    enum Frame: Equatable {
        case text(String)
        case binary([UInt8])
        case ping([UInt8])
        case pong([UInt8])
        case close(Int?, String)
        /// The connection ended.
        case end
    }

    init(
        _ gateway: TestGateway, _ path: String = "/socket", fields: [String] = [], then frames: [UInt8] = [],
        receiveBuffer: Int32? = nil
    ) throws {
        wire = try Client(
            port: gateway.port(of: .main), isSecure: gateway.carriage == .tls, receiveBuffer: receiveBuffer)
        wire.gateway = gateway
        let head = fields.reduce("GET \(path) HTTP/1.1\r\nHost: x\r\n") { $0 + $1 + "\r\n" }
        try wire.send(Array((head + webSocketFields).utf8) + frames)
        answer = try wire.answer()
    }

    /// A masked frame as a client must send it.
    static func frame(_ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true) -> [UInt8] {
        var output = OutputBuffer(capacity: payload.count + 16)
        FrameWriter.append(opcode, payload, isFinal: isFinal, mask: 0x1234_5678, to: &output)
        return unsafe output.withUnsafeBytes { unsafe Array($0) }
    }

    static func close(_ code: Int, _ reason: String = "") -> [UInt8] {
        frame(.close, [UInt8(code >> 8), UInt8(code & 255)] + Array(reason.utf8))
    }

    func send(_ text: String) throws { try wire.send(Self.frame(.text, Array(text.utf8))) }
    func send(_ frame: [UInt8]) throws { try wire.send(frame) }

    /// The next frame; a fragmented message is not expected.
    func next() throws -> Frame {
        let head = try wire.read(2)
        guard head.count == 2 else { return .end }
        var length = Int(head[1])
        #expect(length < 128, "a server must not mask")
        if length == 126 { length = try wire.read(2).reduce(0) { $0 << 8 | Int($1) } }
        if length == 127 { length = try wire.read(8).reduce(0) { $0 << 8 | Int($1) } }
        let payload = try wire.read(length)
        #expect(payload.count == length)
        switch head[0] {
        case 0x81: return .text(String(decoding: payload, as: UTF8.self))
        case 0x82: return .binary(payload)
        case 0x89: return .ping(payload)
        case 0x8A: return .pong(payload)
        case 0x88 where payload.count >= 2:
            return .close(Int(payload[0]) << 8 | Int(payload[1]), String(decoding: payload.dropFirst(2), as: UTF8.self))
        case 0x88: return .close(nil, "")
        default:
            Issue.record("unexpected frame \(head[0])")
            return .end
        }
    }

    /// The next frame that is no ping.
    func nextMessage() throws -> Frame {
        while true {
            let frame = try next()
            if case .ping = frame { continue }
            return frame
        }
    }

    /// The code of the close frame, whatever comes before it; `nil` when the connection ends without one.
    func closeCode() throws -> Int? {
        while true {
            switch try next() {
            case .close(let code, _): return code
            case .end: return nil
            default: continue
            }
        }
    }
}
