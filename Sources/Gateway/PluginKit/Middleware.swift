/// Answers a request. Runs on the request's loop.
package typealias Handler = @Sendable (Request) async throws -> Response

/// Stands between the server and handlers: may answer itself, change the request's context, or change the response.
///
/// ```
///      request ──▶ A ──▶ B ──▶ handler
///     response ◀── A ◀── B ◀──────┘
/// ```
package protocol Middleware: Sendable {
    /// Called for each request in its scope, on the request's loop. Requests run at the same time on several loops, so
    /// what
    /// a middleware stores is `Sendable`.
    ///
    /// Call `next` once to go on, or not at all to answer here. A refusal from further in arrives as a thrown
    /// ``GatewayFault``, not as a response: catch it to see it, and throw it on.
    ///
    /// - Throws: ``GatewayFault`` to refuse. Any other error becomes a 500 whose reason is in the log only.
    func handle(_ request: Request, next: Next) async throws -> Response
}

/// The rest of the chain behind a middleware.
package struct Next: Sendable {
    private let chain: Chain
    private let index: Int

    init(chain: Chain, index: Int) {
        self.chain = chain
        self.index = index
    }

    /// Runs what is behind: further middleware, then the handler.
    ///
    /// - Throws: ``GatewayFault`` or `CancellationError`. Any other error has become the fault it is answered with, so that
    ///   what a middleware adds to faults is on every response.
    @inline(__always)
    package func callAsFunction(_ request: Request) async throws -> Response {
        do {
            guard index < chain.middleware.count else { return try await chain.handler(request) }
            return try await chain.middleware[index].handle(request, next: Next(chain: chain, index: index + 1))
        } catch {
            throw error is GatewayFault || error is CancellationError ? error : GatewayFault(unexpected: error)
        }
    }
}

/// A handler and the middleware around it, outermost first. Made once per route.
package final class Chain: Sendable {
    let middleware: [any Middleware]
    /// What answers at the end.
    package let handler: Handler

    /// - Parameter middleware: Outermost first.
    package init(middleware: [any Middleware], handler: @escaping Handler) {
        self.middleware = middleware
        isPlain = middleware.isEmpty
        self.handler = handler
    }

    /// The same middleware around another handler: for requests that are refused before they have a route.
    package func ending(in handler: @escaping Handler) -> Chain { Chain(middleware: middleware, handler: handler) }

    /// Whether nothing stands around the handler. Whoever answers calls it itself then: every async call costs a frame,
    /// so the common one is saved.
    package let isPlain: Bool

    /// Answers a request. On its loop.
    ///
    /// - Throws: What middleware and handler throw.
    @inline(__always)
    package func run(_ request: Request) async throws -> Response {
        try await Next(chain: self, index: 0)(request)
    }
}

/// Which requests a middleware sees. Always written: "whatever comes later" is a trap.
package enum Scope: Hashable, Sendable {
    /// Every request of every plugin, also those that find no route.
    case everyRequest
    /// The routes of the plugin that registers it, once access was granted.
    case ownRoutes
    /// The same, before access is asked for: sees refusals too.
    case ownRoutesBeforeAccess
    /// Routes whose path starts with this.
    case path(String)
}
