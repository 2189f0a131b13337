/// The body of a request, read as it arrives; TCP itself slows the sender down while nobody reads.
package final class RequestBody {
    /// Not weak: a weak reference would make every retain of the connection take the slow way. The connection lets go
    /// of it by ``end()``.
    private var source: (any RequestBodySource)?
    /// The smallest of the limits that middleware set, and what was read towards it.
    private var limit = Int.max
    private var received = 0

    /// Made by the server.
    package init(source: any RequestBodySource) { self.source = source }

    /// The request was answered: whoever kept this body must not read those that follow on the connection.
    package func end() { source = nil }

    /// The same for the next request on the connection; this one is over.
    func succeeded() -> RequestBody {
        guard let source else { return self }
        self.source = nil
        return RequestBody(source: source)
    }

    /// The next bytes, at most what one receive brought; `nil` at the end.
    ///
    /// - Throws: ``GatewayFault`` 400 when the framing is broken, 408 when the sender makes no progress, 413 beyond the
    ///   route's limit; `CancellationError` when the client left or the request was answered.
    package func next() async throws -> [UInt8]? {
        guard let source else { throw CancellationError() }
        let chunk = try await source.nextBodyChunk()
        received += chunk?.count ?? 0
        guard received <= limit else { throw GatewayFault.contentTooLarge(limit: limit) }
        return chunk
    }

    /// Lets no more than `limit` bytes of this request's body through: ``next()`` throws 413 beyond. The smallest limit
    /// holds.
    package func restrict(to limit: Int) { self.limit = min(limit, self.limit) }

    /// Makes the body that of the connection's next request.
    func recycle() {
        limit = .max
        received = 0
    }

    /// The whole body, if it is small.
    ///
    /// - Throws: 413 when it is larger than `limit` bytes, and what ``next()`` throws.
    package func collect(limit: Int) async throws -> [UInt8] {
        var whole: [UInt8] = []
        while let chunk = try await next() {
            guard whole.count + chunk.count <= limit else { throw GatewayFault.contentTooLarge(limit: limit) }
            whole.append(contentsOf: chunk)
        }
        return whole
    }

    /// Declared by Content-Length; `nil` when chunked.
    package var declaredLength: UInt64? { source.flatMap { $0.declaredBodyLength } }
}

/// Where a body's bytes come from: the connection.
package protocol RequestBodySource: AnyObject {
    /// The next bytes, `nil` at the end. One reader at a time, on the connection's loop.
    ///
    /// - Throws: What ``RequestBody/next()`` does, the route's limit aside.
    func nextBodyChunk() async throws -> [UInt8]?
    /// Content-Length, in bytes; `nil` when chunked.
    var declaredBodyLength: UInt64? { get }
}
