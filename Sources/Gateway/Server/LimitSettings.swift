import GatewayBackplane
package import GatewayConfig
import GatewayRuntime
package import PluginKit

/// What the limits of all plugins are, and what refused tokens lead to.
package struct LimitSettings: Settings {
    package let rates: RateLimitSettings
    let failures: FailureRules
    let audit: AuditLimits
    let backplane: MemoryBackplane.Limits

    package init(from env: inout SettingsReader) {
        rates = RateLimitSettings(from: &env)
        let threshold = env.optional(
            exactly: "BRUTE_FORCE_THRESHOLD", default: 5, in: 0...100_000,
            "Tokens that are not the issuer's, and other credentials that nobody issued, from one address or one of them "
                + "again and again, within BRUTE_FORCE_WINDOW, after which the address or the token is blocked: 429. "
                + "Expired tokens and revoked enrolments do not count, nor do addresses that speak for many, such as a "
                + "proxy's. 0: nothing is blocked.")
        let window: Duration = env.optional(
            exactly: "BRUTE_FORCE_WINDOW", default: .seconds(300), in: .seconds(1) ... .seconds(86400),
            bare: .milliseconds, "How long such tokens add up, from the first one.")
        let hold: Duration = env.optional(
            exactly: "BRUTE_FORCE_BLOCK_DURATION", default: .seconds(3600), in: .seconds(1) ... .seconds(604_800),
            bare: .milliseconds, "How long a block lasts.")
        let chances = env.optional(
            exactly: "AUTH_FAILURES_PER_MINUTE", default: 60, in: 1...100_000,
            "Tokens a minute that are still checked for a blocked address, so that users behind it who are not known yet "
                + "get in. Users who are known always do.")
        failures = FailureRules(
            block: threshold == 0
                ? nil
                : StrikeRule(
                    threshold: UInt64(threshold), window: window.wholeNanoseconds, hold: hold.wholeNanoseconds),
            chances: .perMinute(UInt64(chances)), ipv6Prefix: rates.ipv6Prefix)
        audit = Self.audit(&env, ipv6Prefix: rates.ipv6Prefix)
        backplane = MemoryBackplane.Limits(
            keys: env.optional(
                exactly: "BACKPLANE_KEYS", default: 65536, in: 1024...16_777_216,
                "Users, addresses and tokens that limits remember, each once for every rule, in 80 bytes at most. Beyond "
                    + "that, whoever would be forgotten first is forgotten early."),
            leases: env.optional(
                exactly: "BACKPLANE_LEASES", default: 65536, in: 1024...16_777_216,
                "Concurrent requests that limits count at once. One more is answered 429."))
    }

    private static func audit(_ env: inout SettingsReader, ipv6Prefix: Int) -> AuditLimits {
        let perSource = env.optional(
            exactly: "AUDIT_LINES_PER_SOURCE", default: 60, in: 1...1_000_000,
            "Lines a minute of the audit log about one user, or about those at one address who proved nothing. Others are "
                + "left out, counted, and told as `suppressed` in the next line about the same user or address.")
        let altogether = env.optional(
            exactly: "AUDIT_LINES_PER_MINUTE", default: 1200, in: 1...10_000_000,
            "Lines a minute of the audit log about all users, and as many again about all others, so that nobody can fill "
                + "the disk, nor hide what users do.")
        return AuditLimits(
            perSource: .perMinute(UInt64(perSource)), altogether: .perMinute(UInt64(altogether)), ipv6Prefix: ipv6Prefix
        )
    }
}
