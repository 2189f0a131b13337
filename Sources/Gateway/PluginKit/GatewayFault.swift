package import GatewayBytes
package import GatewayHTTP
import GatewayRuntime
import GatewayUpstream

/// An error on its way to a client: status, a code for programs, a message a person can act on.
///
/// Rendered as `{"error":{"code","message"},"requestId"}` unless the plugin's guide promises another shape.
package struct GatewayFault: Error, Sendable {
    /// Whose doing it was, for logs and metrics; clients are not told.
    package enum Source: Sendable { case client, gateway, upstream }

    /// What the client is answered; 400 or above.
    package let status: Status
    /// Stable, lower case with underscores: `token_expired`.
    package let code: String
    /// One or two sentences: what is wrong and what to do. Shown to strangers, so no names from behind the gateway.
    package let message: String
    /// Whose doing it was.
    package let source: Source
    /// Sent with the error, such as `Retry-After`.
    package var fields: HeaderFields
    /// Members of the answer beside `error` and `requestId`, for clients that a guide promises them.
    package var details: [(name: String, value: JSON)] = []
    /// The error of another kind that a plugin let through: for the log, never for the client.
    package private(set) var cause: (any Error)?

    /// Throw it from a handler or middleware; the server answers it.
    ///
    /// - Parameters:
    ///   - code: Stable, for programs.
    ///   - message: For a person who has never seen this gateway.
    package init(
        _ status: Status, _ code: String, _ message: String, source: Source = .client,
        fields: HeaderFields = HeaderFields()
    ) {
        self.status = status
        self.code = code
        self.message = message
        self.source = source
        self.fields = fields
    }

    /// The fault that is answered for an error which a plugin let through: told to the client without detail.
    package init(unexpected error: any Error) {
        switch error {
        case let error as UpstreamError: self.init(error)
        case let error as CircuitOpen: self.init(error)
        case is WorkerPool.Busy:
            self.init(.serviceUnavailable, "busy", "The gateway is busy. Try again.", source: .gateway)
        default:
            self.init(
                .internalServerError, "internal", "The gateway failed to answer; its log knows this request id.",
                source: .gateway)
        }
        cause = error
    }

    /// 404.
    package static func notFound(_ message: String = "Nothing is served at this path.") -> GatewayFault {
        GatewayFault(.notFound, "not_found", message)
    }

    /// 413.
    ///
    /// - Parameter limit: In bytes.
    package static func contentTooLarge(limit: Int) -> GatewayFault {
        GatewayFault(
            .contentTooLarge, "content_too_large", "The request body is larger than the \(limit) bytes allowed here.")
    }

    /// The error as its response.
    package func response(requestID: RequestID) -> Response {
        var json = JSONWriter()
        json.object { json in
            json.key("error")
            json.object { error in
                error.member("code", code)
                error.member("message", message)
            }
            json.member("requestId", requestID.description)
            for detail in details { json.member(detail.name, detail.value) }
        }
        var fields = fields
        fields.append(.contentType, "application/json")
        return Response(status: status, fields: fields, body: .bytes(json.bytes))
    }
}

extension GatewayFault: CustomStringConvertible {
    /// For logs: `502 not_ok: The answer was 404 Not Found.`
    package var description: String { "\(status.code) \(code): \(message)" }
}
