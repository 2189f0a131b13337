/// Refuses request bodies that are larger than the limit: one whose length is declared before any of it is read, one
/// that is chunked as soon as it has grown too long.
///
/// HTTP_MAX_BODY still holds for every route; this is for those that need less.
package struct BodyLimit: Middleware {
    /// Most bytes of a body; exactly as many still pass.
    package let limit: ByteCount

    /// - Parameter limit: Most bytes of a body. Those of chunks count, their framing does not.
    package init(_ limit: ByteCount) { self.limit = limit }

    package func handle(_ request: Request, next: Next) async throws -> Response {
        if let declared = request.body.declaredLength, declared > UInt64(limit.bytes) {
            throw GatewayFault.contentTooLarge(limit: limit.bytes)
        }
        request.body.restrict(to: limit.bytes)
        return try await next(request)
    }
}
