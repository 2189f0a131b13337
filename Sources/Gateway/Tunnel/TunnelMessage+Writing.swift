import GatewayBytes
import GatewayHTTP

extension TunnelMessage {
    /// The message as it is sent.
    package var text: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            switch self {
            case .hello(let hello): hello.write(to: &json)
            case .welcome(let welcome): welcome.write(to: &json)
            case .resumed(let positions):
                json.member("type", "resumed")
                positions.write(to: &json)
            case .open(let stream, let request, let ends): Self.write(stream, request, ends, to: &json)
            case .head(let stream, let answer): Self.write(stream, answer, to: &json)
            case .window(let stream, let consumed, let ended):
                json.member("type", "window")
                json.member("stream", stream)
                json.member("consumed", consumed)
                if ended { json.member("end", true) }
            case .reset(let stream, let reason, let message):
                json.member("type", "reset")
                json.member("stream", stream)
                json.member("code", reason.rawValue)
                json.member("message", message)
            case .drain: json.member("type", "drain")
            case .other(let type, let value): Self.write(type, value, to: &json)
            }
        }
        return json.bytes
    }

    private static func write(
        _ stream: UInt32, _ request: StreamRequest, _ ends: Bool, to json: inout JSONWriter
    ) {
        json.member("type", "open")
        json.member("stream", stream)
        switch request {
        case .http(let request):
            json.member("kind", "http")
            json.member("method", request.method)
            json.member("target", request.target)
            request.fields.write(to: &json)
            if let length = request.length { json.member("length", length) }
            if ends { json.member("end", true) }
        case .tcp(let port):
            json.member("kind", "tcp")
            json.member("port", port)
        }
    }

    private static func write(_ stream: UInt32, _ answer: StreamAnswer, to json: inout JSONWriter) {
        json.member("type", "head")
        json.member("stream", stream)
        json.member("status", answer.status.code)
        answer.fields.write(to: &json)
        if let length = answer.length { json.member("length", length) }
    }

    private static func write(_ type: String, _ value: JSON, to json: inout JSONWriter) {
        json.member("type", type)
        for (name, value) in value.object?.members ?? [] where name != "type" { json.member(name, value) }
    }
}

extension TunnelHello {
    fileprivate func write(to json: inout JSONWriter) {
        json.member("type", "hello")
        json.member("version", TunnelProtocol.version)
        json.member("name", name)
        json.member("software", software)
        json.member("http", offersHTTP)
        json.key("ports")
        json.array { json in
            for port in ports { json.value(port) }
        }
        guard let resumption else { return }
        json.key("resume")
        json.object { json in
            json.member("session", resumption.session)
            json.member("secret", resumption.secret.text)
            json.member("newest", resumption.newest)
            resumption.positions.write(to: &json)
        }
    }
}

extension TunnelWelcome {
    fileprivate func write(to json: inout JSONWriter) {
        json.member("type", "welcome")
        json.member("version", TunnelProtocol.version)
        json.member("session", session)
        json.member("secret", secret.text)
        json.member("streamWindow", terms.streamWindow)
        json.member("sessionWindow", terms.sessionWindow)
        json.member("dataFrame", terms.dataFrame)
        json.member("streams", terms.streams)
        json.member("resumeGrace", terms.resumeGrace)
    }
}

extension [StreamPosition] {
    fileprivate func write(to json: inout JSONWriter) {
        json.key("streams")
        json.array { json in
            for position in self {
                json.object { json in
                    json.member("stream", position.stream)
                    json.member("head", position.hasHead)
                    json.member("received", position.received)
                    json.member("end", position.ended)
                    json.member("consumed", position.consumed)
                }
            }
        }
    }
}

extension HeaderFields {
    fileprivate func write(to json: inout JSONWriter) {
        json.key("headers")
        json.array { json in
            forEach { name, value in
                json.array { json in
                    json.value(name.description)
                    json.value(value)
                }
            }
        }
    }
}

extension Secret {
    /// For the one message that hands it over.
    fileprivate var text: String { unsafe withBytes { unsafe String(decoding: $0, as: UTF8.self) } }
}
