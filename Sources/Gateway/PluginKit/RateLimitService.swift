package import GatewayBackplane
import GatewayLocks
package import GatewayTelemetry

/// What all limits of the process share: the facts, which outlive every change of settings, and the settings' own rules.
package final class RateLimitService: Sendable {
    /// Where what was used is remembered.
    package let backplane: any Backplane
    private let rules: Guarded<RateTable>

    /// Made by the server, once for the process.
    package init(backplane: any Backplane, settings: RateLimitSettings) {
        self.backplane = backplane
        rules = Guarded(RateTable(settings))
    }

    /// Goes over to other rules. What was used already counts under them.
    package func adopt(_ settings: RateLimitSettings) {
        let next = RateTable(settings)
        rules.withLock { $0 = next }
    }

    var current: RateTable { rules.withLock { $0 } }
}

/// How a plugin's limits come to what they share.
package struct RateLimiting: Sendable {
    /// Of the process.
    package let service: RateLimitService
    /// Refusals by limit and kind.
    package let violations: MetricFamily<Counter>

    /// Made by the server for each plugin that registers.
    package init(service: RateLimitService, violations: MetricFamily<Counter>) {
        self.service = service
        self.violations = violations
    }
}

/// Rules with the texts that tell of them, made once.
final class RateTable: Sendable {
    /// One user's rules.
    final class Entry: Sendable {
        let allowance: RateAllowance
        let requests: [UInt8]
        let concurrent: [UInt8]

        init(_ allowance: RateAllowance) {
            self.allowance = allowance
            requests = allowance.requests.map { RateFields.policy("user", $0) } ?? []
            concurrent = allowance.concurrent.map { RateFields.policy("concurrent", places: $0) } ?? []
        }
    }

    /// The rule for addresses.
    final class Address: Sendable {
        let rule: AddressRule
        let requests: [UInt8]
        let suspicious: [UInt8]

        init(_ rule: AddressRule) {
            self.rule = rule
            requests = RateFields.policy("address", rule.requests)
            suspicious = rule.escalation.map { RateFields.policy("suspicious", $0.suspiciousRate) } ?? []
        }
    }

    private let standard: Entry
    private let named: [(name: String, entry: Entry)]
    let address: Address?
    let addressPrefix: Int

    init(_ settings: RateLimitSettings) {
        standard = Entry(settings.tiers.standard)
        named = settings.tiers.named.map { ($0.key, Entry($0.value)) }
        address = settings.address.map(Address.init)
        addressPrefix = settings.ipv6Prefix
    }

    /// The rules that a plugin brings itself; `nil` if it brings none.
    init?(of rules: RateRules) {
        var tiers: RateTiers?
        if case .tiers(let own) = rules.users { tiers = own }
        var rule: AddressRule?
        if case .rule(let own) = rules.addresses { rule = own }
        guard tiers != nil || rule != nil else { return nil }
        standard = Entry(tiers?.standard ?? RateAllowance())
        named = tiers?.named.map { ($0.key, Entry($0.value)) } ?? []
        address = rule.map(Address.init)
        addressPrefix = 64
    }

    /// The tier's own, or what everybody has. A token's word for a tier counts by its bytes.
    func entry(for tier: String) -> Entry {
        // Plain equality is quick, and takes for equal what only looks so.
        for place in named.indices where named[place].name == tier && named[place].name.isExactly(tier) {
            return named[place].entry
        }
        return standard
    }
}
