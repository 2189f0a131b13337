import PluginKit

/// Carries requests of one route to its upstreams and the answers back.
final class Forwarding: Sendable {
    let route: ProxyRoute
    let group: UpstreamGroup
    private let breaker: CircuitBreaker
    let origins: OriginPolicy
    let upstream: UpstreamClient
    let metrics: ProxyMetrics
    let log: Logger
    let requiresToken: Bool
    let compressesSockets: Bool
    let socketBuffer: Int
    private let retries: Int
    private let budget: RetryBudget

    init(
        route: ProxyRoute, group: UpstreamGroup, settings: ProxySettings, origins: OriginPolicy,
        upstream: UpstreamClient, breaker: CircuitBreaker, metrics: ProxyMetrics, log: Logger
    ) {
        self.route = route
        self.group = group
        self.breaker = breaker
        self.origins = origins
        self.upstream = upstream
        self.metrics = metrics
        self.log = log
        requiresToken = settings.requiresToken
        compressesSockets = settings.compressesSockets
        socketBuffer = settings.socketBuffer.bytes
        retries = settings.retries
        budget = RetryBudget(percent: settings.retryBudget)
    }

    func answer(_ request: Request) async throws -> Response {
        guard !request.head.upgradesToWebSocket else { return try await openSocket(request) }
        guard Self.isForwarded(request.method) else {
            throw GatewayFault(.notImplemented, "method_not_forwarded", "This method is not forwarded.")
        }
        let left = Self.forwardsLeft(of: request)
        if left == 0 { return Self.ownOptions }
        var fields = try ForwardedFields.of(request)
        if let left { try fields.set(.maxForwards, checking: String(left - 1)) }
        let body = Self.body(of: request)
        let forwarded = fields
        return try await ask(request, .request) { url, lease in
            let asked = UpstreamRequest(request.method, url, destination: .operator, fields: forwarded, body: body)
            return response(try await upstream.send(asked), to: request, lease)
        }
    }

    /// How many more times an OPTIONS request may be forwarded; `nil` when it does not say. For other methods that are
    /// forwarded the field has no meaning (RFC 9110 §7.6.2).
    private static func forwardsLeft(of request: Request) -> Int? {
        guard request.method == .options, let text = request.header(.maxForwards), let left = Int(text), left >= 0
        else { return nil }
        return left
    }

    /// The answer of the last recipient that Max-Forwards allows: what this route would forward.
    private static var ownOptions: Response {
        var fields = HeaderFields()
        fields.append(.allow, "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")
        return Response(status: .noContent, fields: fields)
    }

    /// TRACE would show the upstream's view, credentials included, and CONNECT is for forward proxies.
    static func isForwarded(_ method: Method) -> Bool {
        switch method {
        case .get, .head, .post, .put, .delete, .options, .patch: true
        case .connect, .trace, .other: false
        }
    }

    private static func body(of request: Request) -> UpstreamRequest.Body {
        guard request.head.framing != .none else { return .none }
        guard request.head.framing.hasBody else { return .bytes([]) }
        let body = request.body
        return .stream(length: body.declaredLength) { try await body.next() }
    }

    // MARK: Choosing and trying again

    /// Asks an upstream by `send`, and others after it as far as that is safe and the budget allows.
    ///
    /// The breaker is the route's, and what it counts are requests: one that any upstream answers is a success. So it
    /// opens when asking is of no use, and which upstream to ask stays the group's business.
    ///
    /// - Throws: ``GatewayFault`` for the last upstream that failed, or because all are known to.
    @inline(__always)
    func ask(
        _ request: Request, _ work: UpstreamGroup.Work,
        _ send: (HTTPURL, UpstreamLease) async throws -> Response
    ) async throws -> Response {
        let pass = try enter(at: request.loop.now)
        let (path, query) = Self.target(of: request)
        budget.earn()
        var tried: UInt32 = 0
        var left = retries
        while let lease = group.lease(work, except: tried, at: request.loop.now.nanoseconds) {
            let url = try url(lease.target, path, query)
            do {
                let answer = try await send(url, lease)
                if Self.isFailure(answer.status) { pass.failed(at: request.loop.now) } else { pass.succeeded() }
                return answer
            } catch let error as UpstreamError {
                let fault = failed(error, of: lease, request)
                tried |= lease.bit
                guard left > 0, group.members.count > tried.nonzeroBitCount, Self.mayRepeat(request, after: error),
                    spendRetry()
                else {
                    if Self.isUpstreamsFault(error) { pass.failed(at: request.loop.now) }
                    throw fault
                }
                left -= 1
            }
        }
        throw GatewayFault(.badGateway, "upstream_unreachable", "No upstream can be reached.", source: .upstream)
    }

    private func enter(at now: MonotonicTime) throws(GatewayFault) -> CircuitPass {
        do throws(CircuitOpen) {
            return try breaker.enter(at: now)
        } catch {
            let fault = GatewayFault(error)
            metrics.failures.with(fault.code).increment()
            throw fault
        }
    }

    private func spendRetry() -> Bool {
        let isSpent = budget.spend()
        (isSpent ? metrics.retries : metrics.retriesRefused).increment()
        return isSpent
    }

    /// Whether another upstream may get the request: nothing of it was sent, or it changes nothing to send it twice and
    /// there is no body that is gone.
    static func mayRepeat(_ request: Request, after error: UpstreamError) -> Bool {
        mayRepeat(request.method, hasBody: request.head.framing.hasBody, after: error)
    }

    static func mayRepeat(_ method: Method, hasBody: Bool, after error: UpstreamError) -> Bool {
        if error.isBeforeRequest { return true }
        guard case .closedBeforeAnswer = error else { return false }
        return method.isIdempotent && !hasBody
    }

    private func failed(_ error: UpstreamError, of lease: UpstreamLease, _ request: Request) -> GatewayFault {
        if Self.isUpstreamsFault(error) { lease.failed(at: request.loop.now.nanoseconds) }
        let fault = GatewayFault(error)
        metrics.failures.with(fault.code).increment()
        log.warn(
            "upstream failed", .string("route", route.name), .string("upstream", lease.target.description),
            .string("reason", error.description), .request(request.id))
        return fault
    }

    /// Whether it says something about the upstream, and not about the request or this gateway's own limits.
    static func isUpstreamsFault(_ error: UpstreamError) -> Bool {
        switch error {
        case .nameNotFound, .nameLookupFailed, .connectFailed, .connectTimedOut, .cipher, .firstByteTimedOut,
            .idleTimedOut, .closedBeforeAnswer, .malformed, .bodyIncomplete, .upgradeFailed:
            true
        case .destinationRefused, .bodyTooLarge, .tooManyWaiting, .tooManyConnections, .unsendable: false
        }
    }

    // MARK: URL

    private static func target(of request: Request) -> (path: [UInt8], query: [UInt8]) {
        let head = request.head
        let asSent = unsafe Array(head.path(in: request.headBytes))
        let query = head.queryRange.map { unsafe Array($0.of(request.headBytes)) } ?? []
        // The token was for the gateway, and upstreams write URLs to their logs.
        return (request.normalisedPath ?? asSent, QueryToken.strip(query.span))
    }

    private func url(_ target: ProxyTarget, _ path: [UInt8], _ query: [UInt8]) throws -> HTTPURL {
        do throws(HTTPURLError) {
            return try target.url(path: path, below: route.prefix, query: query)
        } catch {
            throw GatewayFault(.badRequest, "bad_target", "The request target cannot be forwarded: \(error).")
        }
    }

    // MARK: Answer

    /// The upstream's answer as ours; the lease lasts until its body is over.
    func response(_ answer: UpstreamResponse, to request: Request, _ lease: UpstreamLease) -> Response {
        report(answer.status, to: lease, at: request.loop.now.nanoseconds)
        answer.body.hold(lease)
        var fields = answer.endToEndFields
        // Where else the upstream can be reached is of no use to those outside.
        fields.remove(.altSvc)
        if let location = answer.header(.location),
            let ours = lease.target.location(location, below: route.prefix)
        {
            try? fields.set(.location, checking: ours)
        }
        guard request.method == .head || answer.status == .notModified else {
            return Response(status: answer.status, fields: fields, body: .upstream(answer.body))
        }
        // The length is that of a body which is not sent; the server leaves an undeclared one undeclared.
        let body: ResponseBody = answer.declaredLength.map { .stream(length: $0) { _ in } } ?? .empty
        return Response(status: answer.status, fields: fields, body: body)
    }

    private func report(_ status: Status, to lease: UpstreamLease, at now: UInt64) {
        if Self.isFailure(status) { lease.failed(at: now) } else { lease.succeeded(at: now) }
    }

    /// What a server says that cannot reach its own, or has too much to do. Others blame the request, or one page.
    static func isFailure(_ status: Status) -> Bool {
        switch status.code {
        case 502, 503, 504: true
        default: false
        }
    }
}
