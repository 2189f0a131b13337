package import GatewayTunnel
package import PluginKit

/// What a consumer says over its WebSocket: the guide's envelope, and the forms that came before it.
///
/// ```json
/// {"type":"request","requestId":"1","payload":{"method":"POST","path":"/api/chat","headers":{},"body":"…","stream":true}}
/// {"type":"http_request","id":"1","method":"GET","path":"/api/tags","headers":{}}
/// {"type":"ping","id":"2","timestamp":1765000000000}
/// {"type":"cancel","requestId":"1"}
/// ```
package enum Envelope {
    case request(EnvelopeRequest)
    case ping(JSON)
    case cancel(id: String)
    case close
    /// A pong, or a type nobody knows.
    case ignored

    private static let limits = JSONLimits(size: .mebibytes(64), depth: 32, values: 100_000)

    /// - Throws: ``EnvelopeError`` for what is no envelope.
    package init(_ text: [UInt8]) throws(EnvelopeError) {
        guard let json = try? JSON.parse(text, limits: Self.limits), json.object != nil else { throw .noEnvelope }
        guard let type = json["type"]?.string else { throw .noEnvelope }
        switch type {
        case "request", "http_request":
            self = .request(try EnvelopeRequest(json, isOlderForm: type == "http_request"))
        case "ping": self = .ping(json)
        case "cancel":
            guard let id = Self.id(of: json) else { throw .noEnvelope }
            self = .cancel(id: id)
        case "close": self = .close
        default: self = .ignored
        }
    }

    /// `requestId`, or `id`; a number is taken as it is written.
    static func id(of json: JSON) -> String? {
        for name in ["requestId", "id"] {
            if let text = json[name]?.string, !text.isEmpty, text.utf8.count <= 128 { return text }
            if let number = json[name]?.number { return number.text }
        }
        return nil
    }
}

/// Why an envelope cannot be served.
package enum EnvelopeError: Error, Equatable {
    case noEnvelope
    /// A request, whose `requestId` is known, with this wrong.
    case badRequest(id: String?, isOlderForm: Bool, String)
}

/// A request in an envelope.
package struct EnvelopeRequest {
    /// `nil` when the consumer gave none: the answer then has one of the gateway's.
    let id: String?
    /// `http_request`, which is answered by `http_response`.
    let isOlderForm: Bool
    package let head: StreamHTTPRequest
    let body: [UInt8]
    /// Whether the answer is wanted piece by piece.
    let streams: Bool
    /// How long the whole may take.
    let timeout: Duration?
    /// The agent to ask.
    let agent: String?
    /// Whether the consumer writes times as numbers or, like this, as text.
    let timesAreText: Bool

    init(_ json: JSON, isOlderForm: Bool) throws(EnvelopeError) {
        let id = Envelope.id(of: json)
        func wrong(_ what: String) -> EnvelopeError { .badRequest(id: id, isOlderForm: isOlderForm, what) }
        let payload = json["payload"]?.object == nil ? json : json["payload"] ?? json
        self.id = id
        self.isOlderForm = isOlderForm
        timesAreText = json["timestamp"]?.string != nil
        guard let path = payload["path"]?.string else { throw wrong("payload.path is missing") }
        let method = (payload["method"]?.string ?? "GET").uppercased()
        guard Self.methods.contains(method) else { throw wrong("payload.method is none that is forwarded") }
        guard let body = Self.body(payload) else { throw wrong("payload.body is not what bodyEncoding says") }
        guard let fields = Self.fields(payload["headers"]) else { throw wrong("payload.headers cannot be sent") }
        guard let target = Self.target(path) else { throw wrong("payload.path cannot be forwarded") }
        self.body = body
        head = StreamHTTPRequest(
            method: method, target: target, fields: fields, length: body.isEmpty ? nil : UInt64(body.count))
        streams = payload["stream"]?.bool ?? json["stream"]?.bool ?? false
        timeout = (payload["timeout"]?.number?.double).flatMap {
            $0 > 0 ? .milliseconds(Int64(min($0, 86_400_000))) : nil
        }
        agent = payload["agent"]?.string ?? json["agent"]?.string
    }

    private static let methods: Set = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

    /// Text as it is, base64 where `bodyEncoding` says so, and other JSON written out.
    private static func body(_ payload: JSON) -> [UInt8]? {
        switch payload["body"] {
        case nil, .null: return []
        case .string(let text):
            switch payload["bodyEncoding"]?.string {
            case nil, "utf8", "utf-8": return Array(text.utf8)
            case "base64": return Base64.decode(text)
            default: return nil
            }
        case let json?:
            var writer = JSONWriter()
            writer.value(json)
            return writer.bytes
        }
    }

    private static func fields(_ json: JSON?) -> HeaderFields? {
        var fields = HeaderFields()
        guard let json, !json.isNull else { return fields }
        guard let members = json.object?.members, members.count <= TunnelProtocol.fields else { return nil }
        for (name, value) in members {
            guard let name = HeaderName(name), let text = value.string ?? value.number?.text else { return nil }
            guard !name.isHopByHop, !ConsumerRequests.isWithheld(name) else { continue }
            guard (try? fields.append(name, checking: text)) != nil else { return nil }
        }
        return fields
    }

    /// The path as the model server knows it, without the prefix that HTTP consumers use.
    private static func target(_ path: String) -> String? {
        let (bare, query) =
            path.utf8.firstIndex(of: UInt8(ascii: "?")).map { (path[..<$0], path[$0...]) } ?? (path[...], "")
        guard
            let normal = unsafe try? Array(bare.utf8).withUnsafeBytes({ unsafe try PathNormaliser.normalise($0) })
        else { return nil }
        var rest = normal[...]
        for prefix in ["/api/ollama/", "/ollama/"] where rest.starts(with: prefix.utf8) {
            rest = rest.dropFirst(prefix.utf8.count - 1)
            break
        }
        guard TunnelPath.isForwardable(rest), query.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return nil
        }
        return String(decoding: rest, as: UTF8.self) + query
    }
}
