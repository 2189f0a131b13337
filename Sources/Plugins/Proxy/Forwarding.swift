import PluginKit

/// Carries requests of one route to its upstream and the answers back.
struct Forwarding: Sendable {
    let route: ProxyRoute
    let upstream: UpstreamClient
    let failures: MetricFamily<Counter>
    let log: Logger

    func answer(_ request: Request) async throws -> Response {
        if Self.forwardsLeft(of: request) == 0 { return Self.ownOptions }
        let forwarded = try forwarded(request)
        do {
            let answer = try await upstream.send(forwarded)
            return response(answer, to: request.method)
        } catch let error as UpstreamError {
            let fault = GatewayFault(error)
            failures.with(fault.code).increment()
            log.warn(
                "upstream failed", .string("route", route.description), .string("reason", error.description),
                .request(request.id))
            throw fault
        }
    }

    private func forwarded(_ request: Request) throws -> UpstreamRequest {
        guard !request.head.upgradesToWebSocket else {
            throw GatewayFault(
                .notImplemented, "websocket_not_forwarded", "WebSockets are not forwarded to this upstream yet.",
                source: .gateway)
        }
        guard Self.isForwarded(request.method) else {
            throw GatewayFault(.notImplemented, "method_not_forwarded", "This method is not forwarded.")
        }
        var forwarded = UpstreamRequest(
            request.method, try url(of: request), destination: .operator, fields: try ForwardedFields.of(request))
        if let left = Self.forwardsLeft(of: request) {
            try forwarded.fields.set(.maxForwards, checking: String(left - 1))
        }
        forwarded.body = Self.body(of: request)
        return forwarded
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

    private func url(of request: Request) throws -> HTTPURL {
        let asSent = unsafe Array(request.head.path(in: request.headBytes))
        let path = request.normalisedPath ?? asSent
        let query = request.head.queryRange.map { unsafe Array($0.of(request.headBytes)) } ?? []
        do throws(HTTPURLError) {
            // The token was for the gateway, and upstreams write URLs to their logs.
            return try route.url(path: path, query: QueryToken.strip(query.span))
        } catch {
            throw GatewayFault(.badRequest, "bad_target", "The request target cannot be forwarded: \(error).")
        }
    }

    private static func body(of request: Request) -> UpstreamRequest.Body {
        guard request.head.framing != .none else { return .none }
        guard request.head.framing.hasBody else { return .bytes([]) }
        let body = request.body
        return .stream(length: body.declaredLength) { try await body.next() }
    }

    private func response(_ answer: UpstreamResponse, to method: Method) -> Response {
        var fields = answer.endToEndFields
        // Where else the upstream can be reached is of no use to those outside.
        fields.remove(.altSvc)
        if let location = answer.header(.location), let ours = route.location(location) {
            try? fields.set(.location, checking: ours)
        }
        guard method == .head || answer.status == .notModified else {
            return Response(status: answer.status, fields: fields, body: .upstream(answer.body))
        }
        // The length is that of a body which is not sent; the server leaves an undeclared one undeclared.
        let body: ResponseBody = answer.declaredLength.map { .stream(length: $0) { _ in } } ?? .empty
        return Response(status: answer.status, fields: fields, body: body)
    }
}
