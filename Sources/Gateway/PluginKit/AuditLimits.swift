import GatewayAuth
package import GatewayBackplane
import GatewayHTTP

/// How many lines the audit log has. All of them are small, but anybody can cause some.
package struct AuditLimits: Sendable {
    /// Lines about one user, or about those at one address who proved nothing (AUDIT_LINES_PER_SOURCE).
    package var perSource: Rate
    /// Lines about all users, and as many again about all others (AUDIT_LINES_PER_MINUTE): strangers cannot hide what users
    /// do.
    package var altogether: Rate
    /// Bits of an IPv6 address that stand for one customer (RATE_LIMIT_IPV6_PREFIX).
    package var ipv6Prefix: Int
    /// Users and addresses of which is remembered what they have used. One that is forgotten begins anew.
    package let sources = 4096

    /// From the settings.
    package init(perSource: Rate, altogether: Rate, ipv6Prefix: Int = 64) {
        self.perSource = perSource
        self.altogether = altogether
        self.ipv6Prefix = ipv6Prefix
    }
}

/// About whom a line is.
enum AuditSource {
    /// One who proved it.
    case user(String)
    /// Anybody else.
    case address(IPAddress)

    fileprivate var isUser: Bool {
        if case .user = self { true } else { false }
    }

    fileprivate func key(_ ipv6Prefix: Int) -> AuditThrottle.Key {
        switch self {
        case .user(let name):
            let words = TokenDigest(of: Array(name.utf8).span).firstWords
            return AuditThrottle.Key(isUser: true, high: words.0, low: words.1)
        case .address(let address):
            let words = address.rateKey(prefix: ipv6Prefix)
            return AuditThrottle.Key(isUser: false, high: words.high, low: words.low)
        }
    }
}

/// Decides which lines are written. Has no clock.
struct AuditThrottle: Sendable {
    fileprivate struct Key: Hashable, Sendable {
        let isUser: Bool
        let high: UInt64
        let low: UInt64
    }

    private struct Use: Sendable {
        /// When all that was written will have come back.
        var fullAt: UInt64 = 0
        /// Left out since the last that was written.
        var suppressed = 0
    }

    private var sources: BoundedCache<Key, Use>
    private var users: UInt64 = 0
    private var strangers: UInt64 = 0

    init(sources: Int) { self.sources = BoundedCache(capacity: sources) }

    /// - Parameters:
    ///   - isOwn: Whether the line counts against its source; `false` leaves the limit on all of them.
    ///   - now: In nanoseconds.
    /// - Returns: How many lines about the same source were left out since the last; `nil` if this one is left out too.
    mutating func admit(_ source: AuditSource, _ limits: AuditLimits, isOwn: Bool = true, now: UInt64) -> Int? {
        let key = source.key(limits.ipv6Prefix)
        var use = sources.value(for: key) ?? Use()
        let own = limits.perSource.take(isOwn ? 1 : 0, fullAt: use.fullAt, now: now)
        // What its own limit refuses takes nothing from the others.
        let all = limits.altogether.take(own.isAllowed ? 1 : 0, fullAt: source.isUser ? users : strangers, now: now)
        guard own.isAllowed, all.isAllowed else {
            use.suppressed += 1
            sources.insert(use, for: key)
            return nil
        }
        if source.isUser { users = all.fullAt } else { strangers = all.fullAt }
        sources.insert(Use(fullAt: own.fullAt), for: key)
        return use.suppressed
    }
}
