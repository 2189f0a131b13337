package import GatewayHTTP
package import GatewayRuntime
package import GatewayTelemetry

/// A limit on a class of routes: 429 for whoever has used more than a rule allows.
///
/// ``Registrar/rateLimit(_:_:)`` makes one. Single routes are declared with it (`limit:`); as middleware it is on all
/// routes of a plugin; what comes in messages is checked by ``check(_:of:on:)`` and ``begin(_:of:on:)``. All of these use
/// the same allowance. As middleware it belongs behind the check of access, ``Scope/ownRoutes``: users are known from
/// there on.
package struct RateLimit: Middleware {
    let core: RateLimitCore

    /// The response fields that tell of limits, for ``CrossOriginPolicy/responseFields`` where pages shall read them.
    package static var fieldNames: [HeaderName] { RateFields.names }

    /// Plugins call ``Registrar/rateLimit(_:_:)``.
    ///
    /// - Parameter name: Unique in the process: limits of one name count together.
    package init(_ name: String, _ rules: RateRules, limiting: RateLimiting, log: Logger) {
        core = RateLimitCore(name, rules, limiting: limiting, log: log)
    }

    /// What a route that is declared with this limit answers by.
    func around(_ handler: @escaping Handler) -> Handler {
        let limit = self
        return { request in
            try await limit.handle(request) { request in try await handler(request) }
        }
    }

    /// Counts the request, refuses it or has it answered, and tells in the response's fields where its sender stands.
    package func handle(_ request: Request, next: Next) async throws -> Response {
        try await handle(request) { request in try await next(request) }
    }

    private func handle(
        _ request: Request, _ answer: (Request) async throws -> Response
    ) async throws -> Response {
        var check = RateCheck(core, .request, of: RateSubject(of: request), holding: true, now: request.loop.now)
        if !check.runAtOnce() { await check.run() }
        if let refusal = check.refusal {
            guard let render = core.rules.refusal else {
                var fault = refusal.fault
                check.appendFields(to: &fault.fields)
                throw fault
            }
            var response = render(refusal, request)
            response.fields.append(.retryAfter, decimal: refusal.retryAfterSeconds)
            check.appendFields(to: &response.fields)
            return response
        }
        if let lease = check.lease(on: request.loop) { request.accompany(lease) }
        do {
            var response = try await answer(request)
            check.appendFields(to: &response.fields)
            return response
        } catch var fault as GatewayFault {
            check.appendFields(to: &fault.fields)
            throw fault
        }
    }

    /// How often it has refused, by what was used up, since the process started.
    package var violations: [(kind: RateRefusal.Kind, count: Int)] {
        RateRefusal.Kind.allCases.map { ($0, Int(clamping: core.violations[$0]?.value ?? 0)) }
    }

    // MARK: Messages

    /// Counts what somebody is about to use, without waiting where that is possible: with the driver in memory always.
    ///
    /// - Parameter loop: The one the caller is on.
    package func check(_ use: RateUse, of subject: RateSubject, on loop: EventLoop) -> RateVerdict {
        var check = RateCheck(core, use, of: subject, holding: false, now: loop.now)
        guard check.runAtOnce() else { return .undecided(RateQuestion(check)) }
        return check.refusal.map { .refused($0) } ?? .allowed
    }

    /// Counts what somebody is about to use: ``check(_:of:on:)`` for callers that may suspend, such as a
    /// ``WebSocketSession``.
    ///
    /// - Throws: ``RateRefusal``, and then it does not count.
    package func spend(_ use: RateUse, of subject: RateSubject, on loop: EventLoop) async throws(RateRefusal) {
        var check = RateCheck(core, use, of: subject, holding: false, now: loop.now)
        if !check.runAtOnce() { await check.run() }
        if let refusal = check.refusal { throw refusal }
    }

    /// Begins a request that came in a message: counts it and takes a place among its user's concurrent ones.
    ///
    /// - Parameter use: One request, and what else it uses.
    /// - Returns: The place, to be given back by ``RateLease/end()``; `nil` where none is counted.
    /// - Throws: ``RateRefusal``.
    package func begin(
        _ use: RateUse = .request, of subject: RateSubject, on loop: EventLoop
    ) async throws(RateRefusal) -> RateLease? {
        var check = RateCheck(core, use, of: subject, holding: true, now: loop.now)
        if !check.runAtOnce() { await check.run() }
        if let refusal = check.refusal { throw refusal }
        return check.lease(on: loop)
    }
}

/// What came of ``RateLimit/check(_:of:on:)``.
package enum RateVerdict {
    /// It counts, and may be used.
    case allowed
    /// It does not count.
    case refused(RateRefusal)
    /// The facts are with another machine: ask ``RateQuestion/answer()``, and stop reading the socket meanwhile.
    case undecided(RateQuestion)
}

/// A question to another machine that was not sent yet.
package final class RateQuestion {
    private let check: RateCheck

    fileprivate init(_ check: RateCheck) { self.check = check }

    /// Asks.
    ///
    /// - Returns: `nil`: it counts, and may be used.
    package func answer() async -> RateRefusal? {
        var check = check
        await check.run()
        return check.refusal
    }
}

extension Registrar {
    /// A limit of this plugin. What it counts stays when the plugin is made anew with other settings.
    ///
    /// - Parameter name: Unique within the plugin, such as `requests`. Metrics call it by the plugin's name and this.
    package func rateLimit(_ name: String, _ rules: RateRules = RateRules()) -> RateLimit {
        RateLimit("\(plugin.text).\(name)", rules, limiting: limiting, log: log)
    }
}
