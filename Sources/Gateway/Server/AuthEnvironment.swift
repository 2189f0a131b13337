package import GatewayAuth
import GatewayBytes
package import GatewayConfig

/// What the environment says about tokens: reads ``AuthSettings``.
package struct AuthEnvironment: Settings {
    package let settings: AuthSettings

    package init(from env: inout SettingsReader) {
        var auth = AuthSettings()
        auth.domain = env.optional(
            exactly: "SUPABASE_AUTH_DOMAIN", example: "your-domain.supabase.co",
            "The project's host. Published keys are looked for there after SUPABASE_JWKS_URL and the issuer.")
        auth.issuer = env.optional(
            exactly: "SUPABASE_AUTH_ISSUER", example: "https://your-domain.supabase.co/auth/v1",
            "What a token's `iss` must be. Discovery of published keys starts there.")
        auth.audiences = env.optional(
            exactly: "SUPABASE_AUTH_AUDIENCE", default: [], example: "authenticated",
            "What a token's `aud` must name; of several values one is enough.")
        auth.keySetURL = env.optional(
            exactly: "SUPABASE_JWKS_URL", example: "https://your-domain.supabase.co/auth/v1/.well-known/jwks.json",
            "Where the issuer publishes its keys; asked before anything is discovered. https, or http to this machine.")
        auth.secret = env.optional(
            exactly: "SUPABASE_JWT_SECRET",
            "The secret of HS256, HS384 and HS512 tokens, beside or in place of published keys.")
        auth.allowsAnyAudience = env.optional(
            exactly: "AUTH_ALLOW_ANY_AUDIENCE", default: false,
            "Lets the gateway start with a key but without an issuer or an audience; what is not set is not checked.")
        auth.cookieName = env.optional(
            exactly: "AUTH_COOKIE", "The cookie that may carry a token. Unset, cookies are not looked at.")
        auth.allowedOrigins = env.optional(
            exactly: "ALLOWED_ORIGINS", default: [], example: "https://app.example.com",
            "Web origins besides the gateway's own that may open sockets and use the cookie; `https://*.example.com` "
                + "is every subdomain. Empty: pages of any origin may open sockets, since those need a token, and the "
                + "cookie counts from the gateway's own origin only.")
        auth.warnBefore = env.seconds(
            "AUTH_WARN_BEFORE", default: 60, in: 0...3600,
            "How long before its token expires a socket is told, so that it can renew it.")
        auth.allowedRoles = env.optional(
            exactly: "AUTH_ALLOW_ROLES", default: [],
            "Which of the roles `anon` and `service_role` are let in. Unset, both are refused.")
        auth.tierClaims = env.optional(
            exactly: "AUTH_TIER_CLAIMS", default: AuthSettings.usualTierClaims,
            "Which claims name the user's tier, the first that is there; `claim.member` is a member of one. Never one that "
                + "users write themselves, such as `user_metadata`. None there: `free`.")
        auth.clockSkew = env.seconds(
            "AUTH_CLOCK_SKEW", default: 5, in: 0...300,
            "How far the issuer's clock may run ahead: tolerance for `nbf` and `iat`. `exp` is exact.")
        auth.cacheSize = env.optional(
            exactly: "AUTH_CACHE_SIZE", default: 8192, in: 0...1_000_000,
            "Verified tokens remembered, so that a token costs one signature check and not one for each request.")
        auth.keyRefresh = env.seconds(
            "JWKS_REFRESH", default: 600, in: 60...86400,
            "How often the issuer's keys are fetched.")
        auth.keyStaleLimit = env.seconds(
            "JWKS_STALE_LIMIT", default: 86400, in: 60...2_592_000,
            "How long the last good keys are used while the issuer cannot be reached.")
        auth.keyCoolDown = env.seconds(
            "JWKS_COOLDOWN", default: 30, in: 1...3600,
            "Least time between two fetches because a token names an unknown key.")
        settings = auth
    }
}

extension SettingsReader {
    /// A duration whose bare number counts in seconds, as GatewayAuth takes it.
    fileprivate mutating func seconds(
        _ name: String, default fallback: Int, in range: ClosedRange<Int>, _ documentation: String
    ) -> Double {
        let duration: Duration = optional(
            exactly: name, default: .seconds(fallback),
            in: .seconds(range.lowerBound) ... .seconds(range.upperBound), bare: .seconds, documentation)
        let (seconds, attoseconds) = duration.components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
