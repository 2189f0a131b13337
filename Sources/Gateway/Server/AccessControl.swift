import GatewayAuth
import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTelemetry
import PluginKit

/// Decides who a request comes from and whether that is enough for its route, and writes both into the ``AuditLog``.
final class AccessControl: Sendable {
    let authenticator: Authenticator
    let store: JWKSStore?
    /// Keeps the issuer's keys fresh; `nil` when none are published.
    let refreshing: BackgroundService?
    private let rules: CredentialRules
    private let failures: FailureGuard
    private let results: MetricFamily<Counter>
    let audit: AuditLog

    init(
        settings: AuthSettings, tokens: TokenService, failures: FailureGuard, results: MetricFamily<Counter>,
        audit: AuditLog
    ) {
        authenticator = tokens.authenticator
        store = tokens.store
        refreshing = tokens.service
        self.failures = failures
        self.results = results
        self.audit = audit
        rules = settings.credentialRules
    }

    /// - Parameter metricsToken: METRICS_TOKEN, which is not among what tokens of users are checked by.
    func middleware(for access: Access, metricsToken: Secret?) -> any Middleware {
        AccessMiddleware(control: self, access: access, metricsToken: metricsToken)
    }

    /// Who sent a request, if it carries a token that is good.
    func recognise(_ request: Request) async -> Principal? {
        let hasCredential = (try? findCredential(of: request)) ?? nil
        guard hasCredential != nil else { return nil }
        return try? await identify(request)
    }

    /// Verifies the token of a request.
    ///
    /// - Throws: ``GatewayFault`` 400, 401, 403, 429 or 503 with a reason a person can act on.
    func identify(_ request: Request) async throws -> Principal {
        let credential: Credential?
        do throws(CredentialError) {
            credential = try findCredential(of: request)
        } catch {
            results.with(error.code).increment()
            audit.credentialRefused(error.code, of: nil, request)
            throw Self.fault(error.status, error.code, error.message)
        }
        guard let credential else {
            results.with(TokenError.missing.code).increment()
            throw Self.fault(TokenError.missing)
        }
        let now = Self.now()
        // Who is known is never in doubt, whatever others at the same address do.
        if case .success(let principal) = authenticator.recall(credential.token, now: now) {
            results.with("ok").increment()
            return principal
        }
        return try await verify(credential.token, of: request, now: now)
    }

    /// Checks a token that nothing good is known of.
    private func verify(_ token: [UInt8], of request: Request, now: Double) async throws -> Principal {
        let suspect = FailureGuard.Suspect(token, from: request.client)
        let doubt = await failures.doubt(suspect, now: request.loop.now)
        if case .blocked(let block) = doubt {
            results.with("throttled").increment()
            audit.credentialRefused(
                FailureGuard.Block.code, of: nil, request, [.string("blocked", block.of.rawValue)])
            throw block.fault(about: "token")
        }
        switch await authenticator.authenticate(token, fetchingFrom: store, now: now) {
        case .success(let principal):
            results.with("ok").increment()
            return principal
        case .failure(let error):
            results.with(error.code).increment()
            // 503 is no verdict: the keys cannot be had, of which another line tells.
            if error.status != 503 { audit.credentialRefused(error.code, of: nil, request) }
            guard error.isUnproven else { throw Self.fault(error) }
            await failures.count(suspect, holdsAgainstCredential: error.costsSignature, of: request)
            if case .lastChance(let block) = doubt { throw block.fault(about: "token") }
            throw Self.fault(error)
        }
    }

    /// Verifies a token sent in band, to renew a socket.
    func verify(_ token: [UInt8]) async -> Result<Principal, TokenError> {
        await authenticator.authenticate(token, fetchingFrom: store, now: Self.now())
    }

    static func now() -> Double {
        let (seconds, nanoseconds) = WallClock.read()
        return Double(seconds) + Double(nanoseconds) / 1e9
    }

    private func findCredential(of request: Request) throws(CredentialError) -> Credential? {
        var search = CredentialSearch(rules)
        let bytes = unsafe request.headBytes
        let head = request.head
        if let query = head.queryRange {
            unsafe search.look(inQuery: query.of(bytes).assumingMemoryBound(to: UInt8.self).span)
        }
        for field in head.fields {
            let value = unsafe field.value.of(bytes).assumingMemoryBound(to: UInt8.self)
            if unsafe field.isNamed(.authorization, in: bytes) {
                unsafe search.look(inAuthorization: value.span)
            } else if head.upgradesToWebSocket, unsafe field.isNamed(.secWebSocketProtocol, in: bytes) {
                unsafe search.look(inSubprotocols: value.span)
            } else if unsafe field.isNamed(.cookie, in: bytes) {
                unsafe search.look(inCookie: value.span)
            }
        }
        let origin = Array((request.header(.origin) ?? "").utf8)
        let own = Array("\(request.isSecureForClient ? "https" : "http")://\(request.externalHost)".utf8)
        return try search.result(
            isWebSocket: head.upgradesToWebSocket, isSafeMethod: request.method.isSafe, origin: origin.span,
            ownOrigin: own.span)
    }

    static func fault(_ error: TokenError) -> GatewayFault {
        var fault = fault(error.status, error.code, error.message)
        if let challenge = error.challenge { try? fault.fields.append(.wwwAuthenticate, checking: challenge) }
        return fault
    }

    private static func fault(_ status: Int, _ code: String, _ message: String) -> GatewayFault {
        var fields = HeaderFields()
        if status == 503 { fields.append(.retryAfter, "5") }
        return GatewayFault(Status(code: status) ?? .unauthorized, code, message, fields: fields)
    }
}

extension TokenError {
    /// Whether it was found out by looking at a signature, or for a key to look with.
    fileprivate var costsSignature: Bool { check == .signature || check == .key }
}

/// Lets a request through only with enough rights.
private struct AccessMiddleware: Middleware {
    let control: AccessControl
    let access: Access
    let metricsToken: Secret?

    func handle(_ request: Request, next: Next) async throws -> Response {
        switch access {
        case .anyone: break
        case .signedIn: request.principal = try await control.identify(request)
        case .admin: request.principal = try await admin(request)
        case .operators:
            if !isScraper(request) { request.principal = try await admin(request) }
            request.isOperator = true
        case .anyoneRecognised:
            if isScraper(request) {
                request.isOperator = true
            } else {
                request.principal = await control.recognise(request)
                request.isOperator = request.principal?.isAdmin == true
            }
        }
        return try await answer(request, next)
    }

    /// Goes on, and tells what a user may not and which sockets are opened: plugins need not.
    private func answer(_ request: Request, _ next: Next) async throws -> Response {
        do {
            let response = try await next(request)
            if response.status == .switchingProtocols, let user = request.principal?.subject {
                control.audit.note("socket let in", by: user, request)
            }
            return response
        } catch let fault as GatewayFault where fault.status == .forbidden {
            control.audit.refusal(
                "request refused", of: request.principal?.subject, request, .string("reason", fault.code))
            throw fault
        }
    }

    private func admin(_ request: Request) async throws -> Principal {
        let principal = try await control.identify(request)
        guard principal.isAdmin else {
            control.audit.refusal(
                "request refused", of: principal.subject, request, .string("reason", "admin_required"))
            throw GatewayFault(.forbidden, "admin_required", "This needs a token with the admin permission.")
        }
        return principal
    }

    private func isScraper(_ request: Request) -> Bool {
        guard let metricsToken, let sent = request.header(.authorization), sent.hasPrefix("Bearer ") else {
            return false
        }
        return metricsToken.equals(Array(sent.utf8.dropFirst(7)))
    }
}
