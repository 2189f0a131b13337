package import GatewayAuth
import GatewayBytes
package import GatewayConfig

/// What the environment says about tokens: reads ``AuthSettings``.
package struct AuthEnvironment: Settings {
    package let settings: AuthSettings
    let failuresPerMinute: Int

    package init(from env: inout SettingsReader) {
        var auth = AuthSettings()
        auth.domain = env.optional(
            exactly: "SUPABASE_AUTH_DOMAIN", example: "your-domain.supabase.co",
            "The project's host. Its published keys are looked for there.")
        auth.issuer = env.optional(
            exactly: "SUPABASE_AUTH_ISSUER", example: "https://your-domain.supabase.co/auth/v1",
            "What a token's `iss` must be; discovery of published keys starts there.")
        auth.audiences = env.optional(
            exactly: "SUPABASE_AUTH_AUDIENCE", default: [], example: "authenticated",
            "What a token's `aud` must name; of several any one.")
        auth.keySetURL = env.optional(
            exactly: "SUPABASE_JWKS_URL", example: "https://your-domain.supabase.co/auth/v1/.well-known/jwks.json",
            "Where the issuer's keys are published, if discovery does not find them. https, or http to loopback.")
        auth.secret = env.optional(
            exactly: "SUPABASE_JWT_SECRET", "The HMAC secret of HS256 tokens, beside or instead of published keys.")
        auth.allowsAnyAudience = env.optional(
            exactly: "AUTH_ALLOW_ANY_AUDIENCE", default: false,
            "Start without an issuer or an audience; what is not set is not checked.")
        auth.cookieName = env.optional(
            exactly: "AUTH_COOKIE", "The cookie that may carry a token. Unset, cookies are not looked at.")
        auth.allowedOrigins = env.optional(
            exactly: "ALLOWED_ORIGINS", default: [], example: "https://app.example.com",
            "Origins that may open sockets and use the cookie, such as https://app.example.com or https://*.example.com. Empty: any origin may open a socket, since it needs a token; a cookie counts only from the gateway's own origin.")
        auth.warnBefore = env.optional(
            exactly: "AUTH_WARN_BEFORE", default: Duration.seconds(60), in: .zero ... .seconds(3600), bare: .seconds,
            "How long before its token expires a socket is told.").inSeconds
        auth.allowedRoles = env.optional(
            exactly: "AUTH_ALLOW_ROLES", default: [],
            "Roles let in although they are refused by default: `anon`, `service_role`.")
        auth.clockSkew = env.optional(
            exactly: "AUTH_CLOCK_SKEW", default: Duration.seconds(5), in: .zero ... .seconds(300), bare: .seconds,
            "How far the issuer's clock may run ahead.").inSeconds
        auth.cacheSize = env.optional(
            exactly: "AUTH_CACHE_SIZE", default: 8192, in: 0...1_000_000, "Verified tokens remembered until they expire.")
        auth.keyRefresh = env.optional(
            exactly: "JWKS_REFRESH", default: Duration.seconds(600), in: .seconds(60) ... .seconds(86400), bare: .seconds,
            "How often the issuer's keys are fetched.").inSeconds
        auth.keyStaleLimit = env.optional(
            exactly: "JWKS_STALE_LIMIT", default: Duration.seconds(86400), in: .seconds(60) ... .seconds(2_592_000),
            bare: .seconds, "How long the last good keys are used while the issuer cannot be reached.").inSeconds
        auth.keyCoolDown = env.optional(
            exactly: "JWKS_COOLDOWN", default: Duration.seconds(30), in: .seconds(1) ... .seconds(3600), bare: .seconds,
            "Least time between two fetches because of unknown keys.").inSeconds
        failuresPerMinute = env.optional(
            exactly: "AUTH_FAILURES_PER_MINUTE", default: 60, in: 0...100_000,
            "Refused tokens from one address within a minute after which it is answered 429. 0 turns this off.")
        settings = auth
    }
}

extension Duration {
    var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
