import PluginKit

/// `POST /echo`: the request's body is the response's, and the head leaves before the body is complete.
enum EchoedBody {
    static func answer(_ request: Request) async throws -> Response {
        let body = request.body
        // The head waits for the first bytes: a client that expects `100 Continue` must be invited before the final
        // head, not after it, and a body that is none from its start can still be answered with its own status.
        let first = try await body.next()
        return .stream(fields: fields(contentType: request.header(.contentType)), length: body.declaredLength) {
            writer in
            if let first { try await writer.write(first) }
            while let chunk = try await body.next() { try await writer.write(chunk) }
        }
    }

    static func fields(contentType: String?) -> HeaderFields {
        var fields = HeaderFields()
        // A parsed value holds no control character, which is all that could be refused here.
        if let contentType { try? fields.append(.contentType, checking: contentType) }
        if fields.isEmpty { fields.append(.contentType, "application/octet-stream") }
        // Somebody else's bytes under this host: a browser must not take them for a page.
        fields.append(.xContentTypeOptions, "nosniff")
        return fields
    }
}
