package import GatewayHTTP
package import GatewayUpstream

/// What a handler answers. Framing, date and connection fields are the server's business.
package struct Response {
    /// A final one; 101 stands only with ``ResponseBody/webSocket(_:)``.
    package var status: Status
    /// Without Content-Length, Transfer-Encoding, Connection and Date, which the server writes.
    package var fields: HeaderFields
    /// Dropped by the server where status or method forbid one.
    package var body: ResponseBody

    /// Of its parts; an empty 200 by default.
    package init(status: Status = .ok, fields: HeaderFields = HeaderFields(), body: ResponseBody = .empty) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// Text in UTF-8.
    package static func text(_ text: String, status: Status = .ok) -> Response {
        Response(status: status, fields: ContentTypes.text, body: .bytes(Array(text.utf8)))
    }

    /// Text that is part of the program: costs nothing to send.
    package static func text(literal: StaticString, status: Status = .ok) -> Response {
        Response(status: status, fields: ContentTypes.text, body: .literal(literal))
    }

    /// Bytes that are JSON already.
    package static func json(_ bytes: [UInt8], status: Status = .ok) -> Response {
        Response(status: status, fields: ContentTypes.json, body: .bytes(bytes))
    }

    /// A body that is written while it is sent.
    ///
    /// - Parameters:
    ///   - length: Exact number of bytes, if known; else the body is chunked. A writer that writes less, or throws,
    ///     breaks the framing on purpose: the client must not take a part for the whole.
    ///   - write: Called once, after the head was sent.
    package static func stream(
        status: Status = .ok, fields: HeaderFields = HeaderFields(), length: UInt64? = nil,
        _ write: @escaping (BodyWriter) async throws -> Void
    ) -> Response {
        Response(status: status, fields: fields, body: .stream(length: length, write))
    }
}

/// The forms a response body takes.
package enum ResponseBody {
    /// No bytes: `Content-Length: 0` where a length is due.
    case empty
    /// Bytes of the program itself; nothing is copied or counted.
    case literal(StaticString)
    /// The whole body in memory. Its size is the handler's responsibility.
    case bytes([UInt8])
    /// See ``Response/stream(status:fields:length:_:)``.
    case stream(length: UInt64?, (BodyWriter) async throws -> Void)
    /// Passes an upstream's body on; between plain sockets without copying it.
    case upstream(UpstreamBody)
    /// The connection becomes a WebSocket.
    case webSocket(WebSocketUpgrade)
}

/// Writes a streamed body. Suspends while the client is slower than the writer.
package protocol BodyWriter: AnyObject {
    /// - Throws: `CancellationError` when the client left.
    func write(_ bytes: [UInt8]) async throws
    /// Fields sent after a chunked body. Dropped when the client's protocol or the framing has no place for them.
    func setTrailers(_ fields: HeaderFields)
}

/// The field blocks that most responses share, built once.
package enum ContentTypes {
    /// `text/plain` in UTF-8.
    package static let text = one("text/plain; charset=utf-8")
    /// `application/json`.
    package static let json = one("application/json")
    /// `text/html` in UTF-8.
    package static let html = one("text/html; charset=utf-8")

    private static func one(_ type: StaticString) -> HeaderFields {
        var fields = HeaderFields()
        fields.append(.contentType, type)
        return fields
    }
}
