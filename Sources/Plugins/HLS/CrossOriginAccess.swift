import PluginKit

/// Lets pages of any site play what is served here, errors included. Never with credentials: nothing here depends on
/// a cookie, and `*` with credentials would lend every page the viewer's.
struct CrossOriginAccess: Middleware {
    func handle(_ request: Request, next: Next) async throws -> Response {
        do {
            var response = try await next(request)
            response.fields.append(contentsOf: Self.fields)
            return response
        } catch var fault as GatewayFault {
            fault.fields.append(contentsOf: Self.fields)
            fault.fields.append(.cacheControl, "no-store")
            throw fault
        }
    }

    private static let fields: HeaderFields = {
        var fields = HeaderFields()
        fields.append(.accessControlAllowOrigin, "*")
        fields.append(.accessControlExposeHeaders, "Content-Length, Content-Range, Accept-Ranges, ETag, X-Request-Id")
        // For pages that isolate themselves (COEP) and still want to embed a stream.
        fields.append(.crossOriginResourcePolicy, "cross-origin")
        return fields
    }()

    /// The answer to a preflight, which is asked before the viewer rule: a page must be able to read a refusal.
    static func preflight() -> Response { Response(status: .noContent, fields: preflightFields) }

    private static let preflightFields: HeaderFields = {
        var fields = HeaderFields()
        fields.append(.accessControlAllowMethods, "GET, HEAD, OPTIONS")
        fields.append(
            .accessControlAllowHeaders, "Range, Authorization, If-Range, If-None-Match, If-Modified-Since")
        fields.append(.accessControlMaxAge, "86400")
        return fields
    }()
}
