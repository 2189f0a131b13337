/// Opens a WebSocket and sends the same message again and again; the reply must be that message.
struct WebSocketExchange: Exchange {
    let opening: [UInt8]
    let request: [UInt8]

    private let message: [UInt8]
    private let opcode: WebSocketFrame.Opcode
    private let deflate: Bool
    private let sentPayload: Int
    private let frameLimit: Int
    /// A compressed reply that was inflated and found right. Without takeover the next one should have the same bytes,
    /// and comparing costs less than inflating, so the load generator does not become the bottleneck.
    private var knownReply: [UInt8]?

    init(host: String, path: String, token: String?, message: [UInt8], isText: Bool, deflate: Bool) throws(Fault) {
        self.message = message
        self.deflate = deflate
        opcode = isText ? .text : .binary
        frameLimit = message.count + message.count / 100 + 1024
        let payload = deflate ? try Deflate.compress(message) : message
        sentPayload = payload.count
        request = WebSocketFrame.masked(opcode, compressed: deflate, payload)
        opening = Handshake.request(host: host, path: path, token: token, deflate: deflate)
    }

    func accept(_ input: Span<UInt8>) throws(Fault) -> Int? { try Handshake.accept(input, deflate: deflate) }

    mutating func digest(_ input: Span<UInt8>, _ progress: inout Progress) throws(Fault) -> Event {
        guard let frame = try WebSocketFrame.parse(input, limit: frameLimit) else { return .incomplete }
        let payload = input.extracting(frame.payload)
        switch frame.opcode {
        case opcode:
            try check(payload, isCompressed: frame.isCompressed)
            return .reply(byteCount: frame.byteCount)
        case .ping:
            let answer = WebSocketFrame.masked(.pong, copy(payload))
            return .aside(byteCount: frame.byteCount, answer: answer)
        case .pong:
            return .aside(byteCount: frame.byteCount, answer: [])
        case .close:
            throw Fault("the server closed with code \(Self.closeCode(payload))")
        case .text, .binary:
            throw Fault("a reply is \(frame.opcode) and not \(opcode)")
        }
    }

    private mutating func check(_ payload: Span<UInt8>, isCompressed: Bool) throws(Fault) {
        guard isCompressed == deflate else {
            throw Fault(deflate ? "a reply is not compressed" : "a reply is compressed, unasked")
        }
        guard deflate else {
            guard areEqual(payload, message.span) else { throw Fault("a reply is not the message that was sent") }
            return
        }
        if let knownReply, areEqual(payload, knownReply.span) { return }
        let bytes = copy(payload)
        guard try Deflate.expand(bytes, limit: message.count) == message else {
            throw Fault("a reply inflates to something else than was sent")
        }
        knownReply = bytes
    }

    private func copy(_ bytes: Span<UInt8>) -> [UInt8] { bytes.indices.map { bytes[$0] } }

    private static func closeCode(_ payload: Span<UInt8>) -> Int {
        payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : 1005
    }

    var facts: [(String, Int)] {
        [
            ("messageBytes", message.count), ("requestPayloadBytes", sentPayload),
            ("replyPayloadBytes", deflate ? knownReply?.count ?? 0 : message.count),
        ]
    }
}

/// The opening handshake (RFC 6455 §4.1, RFC 7692 §7.1).
private enum Handshake {
    /// The key of RFC 6455 §1.3 and the answer it names: a benchmark needs no fresh key and no SHA-1.
    private static let key = "dGhlIHNhbXBsZSBub25jZQ=="
    private static let answer = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    private static let parameters = ["server_no_context_takeover", "client_no_context_takeover"]

    static func request(host: String, path: String, token: String?, deflate: Bool) -> [UInt8] {
        let query = token.map { (path.contains("?") ? "&" : "?") + "token=\($0)" } ?? ""
        var lines = [
            "GET \(path)\(query) HTTP/1.1", "Host: \(host)", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: \(key)",
        ]
        if deflate {
            lines.append("Sec-WebSocket-Extensions: permessage-deflate; " + parameters.joined(separator: "; "))
        }
        return Array((lines + ["", ""]).joined(separator: "\r\n").utf8)
    }

    static func accept(_ input: Span<UInt8>, deflate: Bool) throws(Fault) -> Int? {
        guard let head = try ReplyHead.parse(input) else { return nil }
        let text = String(decoding: (0..<head.byteCount).map { input[$0] }, as: UTF8.self)
        guard head.status == 101 else { throw Fault("the upgrade was answered with status \(head.status)") }
        guard value(of: "upgrade", in: text).lowercased() == "websocket",
            value(of: "sec-websocket-accept", in: text) == answer
        else { throw Fault("the upgrade was answered with a wrong Upgrade or Sec-WebSocket-Accept") }
        let agreed = value(of: "sec-websocket-extensions", in: text)
        guard deflate == agreed.contains("permessage-deflate"), !deflate || parameters.allSatisfy(agreed.contains)
        else {
            throw Fault(
                "asked for \(deflate ? "deflate without takeover" : "no extension"), the server agreed '\(agreed)'")
        }
        return head.byteCount
    }

    private static func value(of name: String, in head: String) -> String {
        for line in head.split(separator: "\r\n").dropFirst() {
            guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == name else { continue }
            return String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        return ""
    }
}
