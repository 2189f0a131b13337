package import GatewayBytes

/// What the environment says about tokens. Plain values with their defaults; reading them is the program's part.
package struct AuthSettings: Sendable {
    /// `SUPABASE_AUTH_DOMAIN`: the project's host, such as `abc.supabase.co`; its keys are looked for there.
    package var domain: String?
    /// `SUPABASE_AUTH_ISSUER`: what `iss` must say, and where discovery begins.
    package var issuer: String?
    /// `SUPABASE_AUTH_AUDIENCE`: what `aud` must name; several separated by commas, any of them will do.
    package var audiences: [String] = []
    /// `SUPABASE_JWKS_URL`: where the issuer's keys are; https, or http to loopback.
    package var keySetURL: String?
    /// `SUPABASE_JWT_SECRET`: the HMAC secret, beside or instead of published keys.
    package var secret: Secret?
    /// `AUTH_ALLOW_ANY_AUDIENCE`: start without an issuer or audience; what is unset is not checked.
    package var allowsAnyAudience = false
    /// `AUTH_COOKIE`: the cookie that may carry a token. Unset, no cookie is looked at.
    package var cookieName: String?
    /// `ALLOWED_ORIGINS`: origins besides the request's own that may use the cookie.
    package var allowedOrigins: [String] = []
    /// `AUTH_WARN_BEFORE`: how long before a socket's token ends its client is told, in seconds; 0 to 3600.
    package var warnBefore: Double = 60
    /// `AUTH_ALLOW_ROLES`: roles to let in although they are refused by default (`anon`, `service_role`).
    package var allowedRoles: [String] = []
    /// `AUTH_TIER_CLAIMS`: which claims name the user's tier, the first that is there.
    package var tierClaims = Self.usualTierClaims
    /// `AUTH_CLOCK_SKEW`: how far the issuer's clock may run ahead, in seconds, for `nbf` and `iat`; 0 to 300.
    package var clockSkew: Double = 5
    /// `AUTH_CACHE_SIZE`: good tokens remembered; 0 to 1 000 000.
    package var cacheSize = 8192
    /// `JWKS_REFRESH`: how often keys are fetched, in seconds; 60 to 86 400.
    package var keyRefresh: Double = 600
    /// `JWKS_STALE_LIMIT`: how long keys are believed when the issuer is down, in seconds; 60 to 2 592 000.
    package var keyStaleLimit: Double = 86400
    /// `JWKS_COOLDOWN`: the least time between two fetches for unknown keys, in seconds; 1 to 3600.
    package var keyCoolDown: Double = 30

    package init() {}

    package static let usualTierClaims = [Principal.namespace + "tier", "tier", "app_metadata.tier"]

    /// In Supabase every user writes his own.
    private static let writtenByUsers = ["user_metadata", "raw_user_meta_data"]

    /// The file of last good keys, inside the state directory.
    package static let savedKeysName = "jwks.json"

    /// Whether there is anything to verify tokens with. Without it every token is refused.
    package var isConfigured: Bool { secret != nil || !keySources.isEmpty }

    /// Where keys are looked for, in order.
    package var keySources: [KeySource] {
        KeySource.candidates(keySetURL: keySetURL.flatMap(KeyURL.init), issuer: issuer, domain: domain)
    }

    /// Everything that must stop the start, one sentence each.
    package var problems: [String] {
        var problems: [String] = []
        if let keySetURL, KeyURL(keySetURL) == nil {
            problems.append(
                "SUPABASE_JWKS_URL must be an https URL (http only to this machine), not \(quoted(keySetURL)).")
        }
        if let domain, KeySource.domainURL(domain) == nil {
            problems.append("SUPABASE_AUTH_DOMAIN must be a host name, not \(quoted(domain)).")
        }
        if let secret {
            do throws(KeyError) { _ = try VerificationKey.secret(secret) } catch {
                problems.append("SUPABASE_JWT_SECRET cannot be used: \(error.message).")
            }
        }
        for role in allowedRoles where !TokenPolicy.publicRoles.contains(where: { $0.isExactly(role) }) {
            let choices = TokenPolicy.publicRoles.joined(separator: " and ")
            problems.append("AUTH_ALLOW_ROLES may name \(choices), not \(quoted(role)).")
        }
        for claim in tierClaims where Self.writtenByUsers.contains(where: { claim.hasPrefix($0) }) {
            problems.append("AUTH_TIER_CLAIMS must not name \(quoted(claim)), which users write themselves.")
        }
        if hasKey, !allowsAnyAudience {
            let missing = [
                issuer == nil ? "SUPABASE_AUTH_ISSUER" : nil, audiences.isEmpty ? "SUPABASE_AUTH_AUDIENCE" : nil,
            ].compactMap(\.self)
            if !missing.isEmpty {
                problems.append(
                    "A key for tokens is configured without \(missing.joined(separator: " and ")). Set it, or set "
                        + "AUTH_ALLOW_ANY_AUDIENCE=true to take tokens made for anybody.")
            }
        }
        return problems
    }

    /// What works, but should be known.
    package var warnings: [String] {
        var warnings: [String] = []
        if !isConfigured { warnings.append("No key for tokens is configured, so every token is refused.") }
        let fixed = (try? fixedKeys()) ?? []
        warnings += fixed.compactMap(\.weakness)
        if allowsAnyAudience, audiences.isEmpty { warnings.append("Tokens are taken whatever their audience.") }
        return warnings
    }

    private var hasKey: Bool { secret != nil || keySetURL != nil || domain != nil }

    package var policy: TokenPolicy {
        TokenPolicy(
            issuer: issuer, audiences: audiences, clockSkew: clockSkew,
            refusedRoles: TokenPolicy.publicRoles.filter { role in !allowedRoles.contains { $0.isExactly(role) } },
            tierClaims: tierClaims)
    }

    package var credentialRules: CredentialRules {
        CredentialRules(cookieName: cookieName, allowedOrigins: allowedOrigins)
    }

    package var scheduleLimits: JWKSSchedule.Limits {
        JWKSSchedule.Limits(refresh: keyRefresh, stale: keyStaleLimit, coolDown: keyCoolDown)
    }

    package func fixedKeys() throws(KeyError) -> [VerificationKey] {
        guard let secret else { return [] }
        return [try .secret(secret)]
    }

    package func authenticator() -> Authenticator {
        Authenticator(policy: policy, limits: Authenticator.Limits(remembered: cacheSize))
    }

    /// The store that feeds `authenticator`; also without any published keys, since it hands over the fixed ones.
    package func keyStore(
        for authenticator: Authenticator, saved: [UInt8]?, world: JWKSStore.World
    ) throws(KeyError) -> JWKSStore {
        JWKSStore(
            candidates: keySources, issuer: issuer, fixed: try fixedKeys(), authenticator: authenticator,
            limits: scheduleLimits, saved: saved, world: world)
    }
}
