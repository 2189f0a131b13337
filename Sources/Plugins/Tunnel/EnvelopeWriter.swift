import GatewayTunnel
import PluginKit

/// Writes answers in the form their request was asked in.
struct EnvelopeWriter {
    let id: String
    private let isOlderForm: Bool
    private let timesAreText: Bool

    init(id: String, isOlderForm: Bool, timesAreText: Bool) {
        self.id = id
        self.isOlderForm = isOlderForm
        self.timesAreText = timesAreText
    }

    /// The whole answer in one message.
    func answer(_ answer: StreamAnswer, body: [UInt8], latency: Int) -> String {
        guard !isOlderForm else {
            return write("http_response") { json in
                json.member("status", answer.status.code)
                Self.write(answer.fields, to: &json)
                Self.write(body: body, to: &json)
            }
        }
        return write("response") { json in
            json.key("payload")
            json.object { json in
                json.member("statusCode", answer.status.code)
                Self.write(answer.fields, to: &json)
                Self.write(body: body, to: &json)
                json.member("latency", latency)
            }
        }
    }

    func start(_ answer: StreamAnswer) -> String {
        write("response_start") { json in
            json.key("payload")
            json.object { json in
                json.member("statusCode", answer.status.code)
                Self.write(answer.fields, to: &json)
            }
        }
    }

    func chunk(_ body: [UInt8]) -> String {
        write("response_chunk") { json in
            json.key("payload")
            json.object { Self.write(body: body, to: &$0) }
        }
    }

    func end(latency: Int) -> String {
        write("response_end") { json in
            json.key("payload")
            json.object { $0.member("latency", latency) }
        }
    }

    func failure(_ report: TunnelFailure.Report) -> String {
        write("error") { json in
            guard !isOlderForm else {
                json.member("error", report.message)
                return json.member("code", report.code)
            }
            json.key("error")
            json.object { error in
                error.member("code", report.tunnelCode)
                error.member("category", Self.category(report.tunnelCode))
                error.member("message", "\(report.code): \(report.message)")
                error.member("userMessage", report.message)
                error.member("suggestion", Self.suggestion(report.tunnelCode))
                if let seconds = report.retryAfter { error.member("retryAfter", seconds) }
            }
        }
    }

    /// What the originals said to text that is none of theirs.
    static let invalid = #"{"type":"error","error":"Invalid message format","code":"TUNNEL_010"}"#

    /// What the originals said of a limit.
    static func limited(_ refusal: RateRefusal, id: String? = nil) -> String {
        var json = JSONWriter()
        json.object { json in
            json.member("type", "error")
            if let id {
                json.member("id", id)
                json.member("requestId", id)
            }
            json.member("error", "Rate limit exceeded")
            json.member("code", "TUNNEL_005")
            json.member("message", refusal.message)
            json.member("retryAfter", refusal.retryAfterSeconds)
        }
        return json.text
    }

    /// The answer to a JSON ping: everything it said, as a pong.
    static func pong(_ ping: JSON) -> String {
        var json = JSONWriter()
        json.object { json in
            json.member("type", "pong")
            for name in ["id", "requestId"] {
                if let value = ping[name] { json.member(name, value) }
            }
            if ping["timestamp"]?.string != nil {
                json.member("timestamp", Times.text())
            } else {
                json.member("timestamp", Times.milliseconds())
            }
        }
        return json.text
    }

    private func write(_ type: String, _ members: (inout JSONWriter) -> Void) -> String {
        var json = JSONWriter()
        json.object { json in
            json.member("type", type)
            json.member("id", id)
            if !isOlderForm { json.member("requestId", id) }
            if timesAreText {
                json.member("timestamp", Times.text())
            } else {
                json.member("timestamp", Times.milliseconds())
            }
            members(&json)
        }
        return json.text
    }

    private static func write(_ fields: HeaderFields, to json: inout JSONWriter) {
        var merged = JSONObject()
        fields.forEach { name, value in
            let name = name.description.lowercased()
            if let before = merged[name]?.string {
                merged[name] = .string(before + ", " + value)
            } else {
                merged[name] = .string(value)
            }
        }
        json.key("headers")
        json.value(.object(merged))
    }

    /// Text where it is text, else base64, which `bodyEncoding` says then.
    private static func write(body: [UInt8], to json: inout JSONWriter) {
        if let text = String(validating: body, as: UTF8.self) {
            json.member("body", text)
        } else {
            json.member("body", Base64.encode(body))
            json.member("bodyEncoding", "base64")
        }
    }

    private static func category(_ code: String) -> String {
        switch code {
        case "TUNNEL_001": "network"
        case "TUNNEL_002", "TUNNEL_003": "authentication"
        case "TUNNEL_005": "rate_limit"
        case "TUNNEL_006": "queue"
        case "TUNNEL_007": "timeout"
        case "TUNNEL_009": "protocol"
        case "TUNNEL_010": "configuration"
        default: "server"
        }
    }

    private static func suggestion(_ code: String) -> String {
        switch code {
        case "TUNNEL_001", "TUNNEL_006": "Try again in a moment."
        case "TUNNEL_002", "TUNNEL_003": "Sign in again."
        case "TUNNEL_004": "Start the desktop client, and the model server beside it."
        case "TUNNEL_005": "Send fewer requests, or wait as long as retryAfter says."
        case "TUNNEL_007": "Try a smaller model, or give more time."
        case "TUNNEL_009": "Ask for the answer as a stream."
        default: "Check the request."
        }
    }
}

/// Cuts a stream of text where characters end: a message holds whole ones.
struct TextPieces {
    private var rest: [UInt8] = []

    /// Everything so far up to the last whole character.
    mutating func add(_ bytes: [UInt8]) -> [UInt8] {
        var whole = rest + bytes
        let cut = Self.incompleteTail(of: whole)
        rest = Array(whole.suffix(cut))
        whole.removeLast(cut)
        return whole
    }

    /// What no further bytes have completed.
    mutating func finish() -> [UInt8] {
        defer { rest = [] }
        return rest
    }

    /// Bytes at the end that begin a character and do not complete it (RFC 3629 §3).
    private static func incompleteTail(of bytes: [UInt8]) -> Int {
        for back in 1...3 where back <= bytes.count {
            let byte = bytes[bytes.count - back]
            if byte & 0xC0 == 0x80 { continue }
            let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return length > back ? back : 0
        }
        return 0
    }
}
