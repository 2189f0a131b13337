package import GatewayTelemetry

/// What a plugin finds out about a credential of its own kind.
package enum CredentialVerdict<Value> {
    /// It lets its owner in. Nothing is written: the plugin knows what was allowed.
    case good(Value)
    /// Nothing shows that it was ever issued: what somebody sends who guesses. Counts against the address and against
    /// the credential, whoever sends it.
    case unknown(GatewayFault)
    /// It does not even look like one, and nothing was looked up. Counts against the address only: many send the same.
    case malformed(GatewayFault)
    /// It was issued and has ended, or is not for this. Nobody guessed it, so it counts as nothing: a machine whose
    /// credential was taken back shall hear so each time it asks, and not lock out those beside it.
    case refused(GatewayFault, of: String?, details: [LogField] = [])
}

/// Protects credentials that a plugin checks itself, as tokens are protected: guesses are counted by address and by
/// credential, blocks answer 429 with Retry-After, refusals are counted and stand in the audit log.
///
/// Both count together: who guesses tokens is blocked here too. See docs/decisions/0028.
package struct CredentialChecks: Sendable {
    private let failures: FailureGuard
    private let audit: AuditLog
    private let results: MetricFamily<Counter>

    /// Made by the server for each plugin that registers.
    ///
    /// - Parameter results: Checks by outcome.
    package init(failures: FailureGuard, audit: AuditLog, results: MetricFamily<Counter>) {
        self.failures = failures
        self.audit = audit
        self.results = results
    }

    /// Has `verify` look at a credential, unless it may not be looked at.
    ///
    /// One that was good before is always looked at, whatever others at the same address do.
    ///
    /// - Parameters:
    ///   - credential: As it was sent. Only its hash is remembered.
    ///   - verify: Called once at most. What it throws is thrown on, and counts as nothing: a store that is busy is nobody's
    ///     guess.
    /// - Returns: What it found, for a good one.
    /// - Throws: The fault of its verdict, which is also told and counted by its code; or 429.
    package func check<Value>(
        _ credential: [UInt8], of request: Request, _ verify: () async throws -> CredentialVerdict<Value>
    ) async throws -> Value {
        let suspect = FailureGuard.Suspect(credential, from: request.client)
        let doubt: FailureGuard.Doubt =
            failures.knows(suspect) ? .none : await failures.doubt(suspect, now: request.loop.now)
        if case .blocked(let block) = doubt { throw throttled(block, request) }
        switch try await verify() {
        case .good(let value):
            failures.remember(suspect)
            results.with("ok").increment()
            return value
        case .refused(let fault, let user, let details):
            failures.forget(suspect)
            refuse(fault, user, request, details)
            throw fault
        case .unknown(let fault): throw await count(suspect, fault, isLookedUp: true, doubt, request)
        case .malformed(let fault): throw await count(suspect, fault, isLookedUp: false, doubt, request)
        }
    }

    private func count(
        _ suspect: FailureGuard.Suspect, _ fault: GatewayFault, isLookedUp: Bool, _ doubt: FailureGuard.Doubt,
        _ request: Request
    ) async -> GatewayFault {
        failures.forget(suspect)
        refuse(fault, nil, request, [])
        await failures.count(suspect, holdsAgainstCredential: isLookedUp, of: request)
        if case .lastChance(let block) = doubt { return block.fault(about: "credential") }
        return fault
    }

    private func refuse(_ fault: GatewayFault, _ user: String?, _ request: Request, _ details: [LogField]) {
        results.with(fault.code).increment()
        audit.credentialRefused(fault.code, of: user, request, details)
    }

    private func throttled(_ block: FailureGuard.Block, _ request: Request) -> GatewayFault {
        results.with("throttled").increment()
        audit.credentialRefused(FailureGuard.Block.code, of: nil, request, [.string("blocked", block.of.rawValue)])
        return block.fault(about: "credential")
    }
}
