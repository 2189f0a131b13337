import GatewayBackplane
import GatewayBytes
package import GatewayConfig
import GatewayRuntime

/// The rules that operators set, for every plugin that uses them.
package struct RateLimitSettings: Settings {
    /// By the token's tier.
    package let tiers: RateTiers
    /// `nil`: addresses are not limited.
    package let address: AddressRule?
    /// Bits of an IPv6 address that stand for one customer.
    package let ipv6Prefix: Int

    /// Reads them.
    package init(from env: inout SettingsReader) {
        let requests = env.optional(
            exactly: "RATE_LIMIT_REQUESTS_PER_MINUTE", default: 100, in: 0...10_000_000,
            "Requests a minute that a user may send to routes with this limit, all of them at once if none was sent for a "
                + "minute. Then 429 until one has come back. 0: no limit.")
        let concurrent = env.optional(
            exactly: "RATE_LIMIT_MAX_CONCURRENT", default: 3, in: 0...1_000_000,
            "Requests of a user that are answered at once on routes with this limit; one more is answered 429. 0: no "
                + "limit.")
        let messages = env.optional(
            exactly: "RATE_LIMIT_MESSAGES_PER_MINUTE", default: 0, in: 0...100_000_000,
            "WebSocket messages a minute that a user may send where a plugin limits them. 0: no limit.")
        let bytes: ByteCount = env.optional(
            exactly: "RATE_LIMIT_BYTES_PER_MINUTE", default: .zero, in: .zero ... .gibibytes(1024), bare: .bytes,
            "Bytes a minute that a user may send where a plugin limits them. 0: no limit.")
        let standard = RateAllowance(
            requests: Self.perMinute(requests), concurrent: concurrent == 0 ? nil : concurrent,
            messages: Self.perMinute(messages), bytes: Self.perMinute(bytes.bytes))
        let named = env.optional(
            exactly: "RATE_LIMIT_TIERS", type: "list of tiers, separated by commas", default: TierList.usual,
            example: "premium=300/5,enterprise=1000/10",
            "What users of other tiers may send, as `tier=requests a minute/at once`, 0 for no limit. Every other tier, and "
                + "`free`, has RATE_LIMIT_REQUESTS_PER_MINUTE and RATE_LIMIT_MAX_CONCURRENT. The token says who is on "
                + "which: AUTH_TIER_CLAIMS."
        ) { (text) throws(SettingError) in try TierList(text) }
        tiers = RateTiers(standard, named: named.allowances(after: standard))
        address = Self.address(&env)
        ipv6Prefix = env.optional(
            exactly: "RATE_LIMIT_IPV6_PREFIX", default: 64, in: 32...128,
            "Bits of an IPv6 address that stand for one customer, wherever addresses are counted. Of an IPv4 address all "
                + "do.")
    }

    private static func address(_ env: inout SettingsReader) -> AddressRule? {
        let requests = env.optional(
            exactly: "RATE_LIMIT_ADDRESS_PER_MINUTE", default: 200, in: 0...10_000_000,
            "Requests a minute from one client address to routes with this limit. An address that speaks for many, such "
                + "as a proxy's, is not limited. 0: no limit.")
        let countsUsers = env.optional(
            exactly: "RATE_LIMIT_ADDRESS_COUNTS_USERS", default: false,
            "Whether requests with a verified token count too. Then all users behind one address share what it may send."
        )
        let suspiciousAfter = env.optional(
            exactly: "RATE_LIMIT_SUSPICIOUS_AFTER", default: 5, in: 1...1_000_000,
            "Seconds with a refusal, within RATE_LIMIT_VIOLATION_WINDOW, that make an address suspicious.")
        let suspicious = env.optional(
            exactly: "RATE_LIMIT_SUSPICIOUS_PER_MINUTE", default: 10, in: 1...10_000_000,
            "Requests a minute from a suspicious address.")
        let blockAfter = env.optional(
            exactly: "RATE_LIMIT_BLOCK_AFTER", default: 10, in: 1...1_000_000,
            "Seconds with a refusal that block an address. Tokens that verify are let in nevertheless.")
        let window: Duration = env.optional(
            exactly: "RATE_LIMIT_VIOLATION_WINDOW", default: .seconds(300), in: .seconds(1) ... .seconds(86400),
            bare: .milliseconds, "How long refusals add up, from the first one.")
        let hold: Duration = env.optional(
            exactly: "RATE_LIMIT_BLOCK_DURATION", default: .seconds(3600), in: .seconds(1) ... .seconds(604_800),
            bare: .milliseconds, "How long a blocked address stays blocked.")
        guard let rate = perMinute(requests), let suspiciousRate = perMinute(suspicious) else { return nil }
        return AddressRule(
            rate, whom: countsUsers ? .everybody : .strangers,
            escalation: AddressRule.Escalation(
                suspiciousAfter: suspiciousAfter, suspiciousRate: suspiciousRate,
                block: StrikeRule(
                    threshold: UInt64(blockAfter), window: window.wholeNanoseconds, hold: hold.wholeNanoseconds)))
    }

    fileprivate static func perMinute(_ quota: Int) -> Rate? { quota > 0 ? .perMinute(UInt64(quota)) : nil }
}

/// `premium=300/5,enterprise=1000/10`.
private struct TierList: CustomStringConvertible {
    private let tiers: [(name: String, requests: Int, concurrent: Int)]

    /// Most tiers: each request is compared with all of them.
    private static let limit = 32

    static let usual = TierList([("premium", 300, 5), ("enterprise", 1000, 10)])

    private init(_ tiers: [(name: String, requests: Int, concurrent: Int)]) { self.tiers = tiers }

    init(_ text: String) throws(SettingError) {
        var tiers: [(name: String, requests: Int, concurrent: Int)] = []
        for part in settingElements(of: text) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false).map { trimmed($0) }
            let numbers = (sides.last ?? "").split(separator: "/", omittingEmptySubsequences: false)
                .map { Int(trimmed($0)) }
            guard sides.count == 2, !sides[0].isEmpty, !sides[0].contains(where: \.isWhitespace), numbers.count == 2,
                let requests = numbers[0], let concurrent = numbers[1], 0...10_000_000 ~= requests,
                0...1_000_000 ~= concurrent
            else { throw SettingError("element \(tiers.count + 1) is not a tier; write premium=300/5") }
            guard !tiers.contains(where: { $0.name.isExactly(sides[0]) }) else {
                throw SettingError("the tier of element \(tiers.count + 1) is there already")
            }
            tiers.append((sides[0], requests, concurrent))
        }
        guard tiers.count <= Self.limit else { throw SettingError("more than \(Self.limit) tiers") }
        self.tiers = tiers
    }

    /// In everything else they are like the others.
    func allowances(after standard: RateAllowance) -> [String: RateAllowance] {
        tiers.reduce(into: [:]) { allowances, tier in
            var allowance = standard
            allowance.requests = RateLimitSettings.perMinute(tier.requests)
            allowance.concurrent = tier.concurrent == 0 ? nil : tier.concurrent
            allowances[tier.name] = allowance
        }
    }

    var description: String { tiers.map { "\($0.name)=\($0.requests)/\($0.concurrent)" }.joined(separator: ",") }
}
