import GatewayBytes
package import GatewayHTTP

/// An error on its way to a client: status, a code for programs, a message a person can act on.
///
/// Rendered as `{"error":{"code","message"},"requestId"}` unless the plugin's guide promises another shape.
package struct GatewayFault: Error, Sendable {
    package enum Source: Sendable { case client, gateway, upstream }

    package let status: Status
    /// Stable, lower case with underscores: `token_expired`.
    package let code: String
    package let message: String
    package let source: Source
    /// Sent with the error, such as `Retry-After`.
    package var fields: HeaderFields
    /// What is behind a fault that nobody expected: for the log, never for the client.
    package private(set) var cause: (any Error)?

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

    /// An error that nobody expected is a 500 without detail.
    package init(unexpected error: any Error) {
        self.init(
            .internalServerError, "internal", "The gateway failed to answer; its log knows this request id.",
            source: .gateway)
        cause = error
    }

    package static func notFound(_ message: String = "Nothing is served at this path.") -> GatewayFault {
        GatewayFault(.notFound, "not_found", message)
    }

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
        }
        var fields = fields
        fields.append(.contentType, "application/json")
        return Response(status: status, fields: fields, body: .bytes(json.bytes))
    }
}
