import GatewayBytes
import GatewayLocks

/// Turns token bytes into a ``Principal``, from any thread.
///
/// Verdicts are remembered by the token's hash: good ones until the token ends, bad signatures for a few seconds, so
/// neither a reconnecting fleet nor a guessing stranger buys a signature check per request. Has no clock; `now` is
/// always seconds since 1970.
package final class Authenticator: Sendable {
    package struct Limits: Sendable {
        /// Good tokens remembered. About half a KiB each.
        package var remembered: Int
        /// Tokens with a bad signature remembered.
        package var refused: Int
        /// Seconds a bad signature is remembered.
        package var refusedFor: Double
        package var token: TokenLimits

        package init(
            remembered: Int = 8192, refused: Int = 2048, refusedFor: Double = 10, token: TokenLimits = TokenLimits()
        ) {
            self.remembered = remembered
            self.refused = refused
            self.refusedFor = refusedFor
            self.token = token
        }
    }

    package let policy: TokenPolicy
    private let limits: Limits

    private struct State {
        var keys: KeySet
        /// Changes with the keys, so a verdict by old keys cannot be remembered among the new.
        var generation = 0
        var good: BoundedCache<TokenDigest, VerifiedToken>
        var bad: BoundedCache<TokenDigest, Double>
    }

    private let state: Guarded<State>

    package init(policy: TokenPolicy, keys: KeySet = .empty, limits: Limits = Limits()) {
        self.policy = policy
        self.limits = limits
        state = Guarded(
            State(
                keys: keys, good: BoundedCache(capacity: limits.remembered),
                bad: BoundedCache(capacity: limits.refused)))
    }

    package var keys: KeySet { state.withLock { $0.keys } }

    /// Verdicts remembered at the moment, for metrics and tests.
    package var rememberedCount: Int { state.withLock { $0.good.count + $0.bad.count } }

    /// Takes effect for the next token.
    ///
    /// - Parameter keepingVerdicts: Only when these are the same keys, fetched again. Otherwise every remembered verdict
    ///   is forgotten, since its key may be gone.
    package func replaceKeys(_ keys: KeySet, keepingVerdicts: Bool = false) {
        state.withLock {
            $0.keys = keys
            guard !keepingVerdicts else { return }
            $0.generation += 1
            $0.good.removeAll()
            $0.bad.removeAll()
        }
    }

    /// Checks one token. Never blocks on the network: for ``TokenError/wantsFreshKeys`` the caller may have the issuer's
    /// keys fetched and ask once more; see ``authenticate(_:fetchingFrom:now:)``.
    package func authenticate(_ token: Span<UInt8>, now: Double) -> Result<Principal, TokenError> {
        guard !token.isEmpty else { return .failure(.missing) }
        guard token.count <= limits.token.size.bytes else { return .failure(.tooLarge(limit: limits.token.size)) }
        let digest = TokenDigest(of: token)
        switch remembered(digest, now: now) {
        case .verdict(let verdict): return verdict
        case .nothing(let keys, let generation):
            var inspection = TokenInspection(keys: keys, policy: policy, limits: limits.token, now: now)
            let bytes = unsafe token.withUnsafeBufferPointer { unsafe Array($0) }
            do throws(TokenError) {
                let verified = try inspection.inspect(bytes)
                remember(verified, digest, generation: generation)
                return .success(verified.principal)
            } catch {
                if error == .badSignature { refuse(digest, until: now + limits.refusedFor, generation: generation) }
                return .failure(error)
            }
        }
    }

    /// The verdict that is remembered of a token, without checking anything; `nil` of one that is not known.
    package func recall(_ token: [UInt8], now: Double) -> Result<Principal, TokenError>? {
        guard !token.isEmpty, token.count <= limits.token.size.bytes else { return nil }
        guard case .verdict(let verdict) = remembered(TokenDigest(of: token.span), now: now) else { return nil }
        return verdict
    }

    package func authenticate(_ token: [UInt8], now: Double) -> Result<Principal, TokenError> {
        authenticate(token.span, now: now)
    }

    /// Runs every check on a token and says which passed and which failed.
    package func explain(_ token: [UInt8], now: Double) -> TokenExplanation {
        var inspection = TokenInspection(
            keys: keys, policy: policy, limits: limits.token, now: now, explaining: true)
        do throws(TokenError) {
            let verified = try inspection.inspect(token)
            return TokenExplanation(passed: inspection.passed ?? [], failure: nil, principal: verified.principal)
        } catch {
            return TokenExplanation(passed: inspection.passed ?? [], failure: error, principal: nil)
        }
    }

    // MARK: Memory

    private enum Memory {
        case verdict(Result<Principal, TokenError>)
        case nothing(KeySet, generation: Int)
    }

    private func remembered(_ digest: TokenDigest, now: Double) -> Memory {
        state.withLock { state in
            if let known = state.good.value(for: digest) {
                if now < known.rememberUntil { return .verdict(.success(known.principal)) }
                state.good.remove(digest)
            } else if let until = state.bad.value(for: digest) {
                if now < until { return .verdict(.failure(.badSignature)) }
                state.bad.remove(digest)
            }
            return .nothing(state.keys, generation: state.generation)
        }
    }

    private func remember(_ verified: VerifiedToken, _ digest: TokenDigest, generation: Int) {
        state.withLock {
            guard $0.generation == generation else { return }
            $0.good.insert(verified, for: digest)
        }
    }

    private func refuse(_ digest: TokenDigest, until: Double, generation: Int) {
        state.withLock {
            guard $0.generation == generation else { return }
            $0.bad.insert(until, for: digest)
        }
    }
}
