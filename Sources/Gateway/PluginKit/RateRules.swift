package import GatewayBackplane

/// What one user, or one tier of users, may do. `nil` is no limit.
package struct RateAllowance: Equatable, Sendable {
    /// Requests, whether they come by HTTP or in a WebSocket's messages.
    package var requests: Rate?
    /// Requests that are being answered at once, over all replicas.
    package var concurrent: Int?
    /// Messages on WebSockets.
    package var messages: Rate?
    /// Bytes of those messages, or of whatever else the plugin counts.
    package var bytes: Rate?

    /// Nothing is limited that is not named.
    package init(
        requests: Rate? = nil, concurrent: Int? = nil, messages: Rate? = nil, bytes: Rate? = nil
    ) {
        self.requests = requests
        self.concurrent = concurrent
        self.messages = messages
        self.bytes = bytes
    }
}

/// What users may do by the tier that their token names.
package struct RateTiers: Equatable, Sendable {
    /// For every tier that is not among ``named``.
    package var standard: RateAllowance
    /// By the tier's name, exactly.
    package var named: [String: RateAllowance]

    /// One allowance for all unless tiers are named.
    package init(_ standard: RateAllowance, named: [String: RateAllowance] = [:]) {
        self.standard = standard
        self.named = named
    }
}

/// What one client address may do: an IPv4 address, or the network that RATE_LIMIT_IPV6_PREFIX says a customer has.
///
/// Asked about established addresses only (``RequestClient/isShared``): a proxy that speaks for many is never limited.
package struct AddressRule: Equatable, Sendable {
    /// Whose requests count.
    package enum Whom: Sendable {
        /// Requests without a verified token. Users have an allowance of their own, wherever they are.
        case strangers
        /// All, so that users behind one address share what it may do.
        case everybody
    }

    /// What becomes of strangers who go on after having been refused.
    package struct Escalation: Equatable, Sendable {
        /// Violations after which ``suspiciousRate`` holds as well.
        package var suspiciousAfter: Int
        /// For an address with that many.
        package var suspiciousRate: Rate
        /// Violations that block, when they are counted, and how long it lasts. A refusal is a violation, at most one a
        /// second: a page that loads too much at once is not an attack.
        package var block: StrikeRule

        /// The three steps.
        package init(suspiciousAfter: Int, suspiciousRate: Rate, block: StrikeRule) {
            self.suspiciousAfter = suspiciousAfter
            self.suspiciousRate = suspiciousRate
            self.block = block
        }
    }

    /// Requests.
    package var requests: Rate
    /// Whose.
    package var whom: Whom
    /// `nil`: a refusal has no consequence. A block refuses strangers only, as everybody behind one address would pay
    /// for one of them.
    package var escalation: Escalation?

    /// A rate, for strangers, without consequences unless said otherwise.
    package init(_ requests: Rate, whom: Whom = .strangers, escalation: Escalation? = nil) {
        self.requests = requests
        self.whom = whom
        self.escalation = escalation
    }
}

/// The rules of one ``RateLimit``: of a class of routes.
package struct RateRules: Sendable {
    /// Where the rule for users comes from.
    package enum Users: Sendable {
        /// RATE_LIMIT_REQUESTS_PER_MINUTE, RATE_LIMIT_MAX_CONCURRENT and their relatives, as they are at the moment.
        case settings
        /// The plugin's own.
        case tiers(RateTiers)
        /// No limit.
        case unlimited
    }

    /// Where the rule for addresses comes from.
    package enum Addresses: Sendable {
        /// RATE_LIMIT_ADDRESS_PER_MINUTE and its relatives, as they are at the moment.
        case settings
        /// The plugin's own.
        case rule(AddressRule)
        /// No limit.
        case unlimited
    }

    /// For requests with a verified token.
    package var users: Users
    /// For requests from established addresses.
    package var addresses: Addresses
    /// What a refused request is answered instead of the gateway's error, where the plugin's guide promises another
    /// shape. The fields that tell of limits are added to it.
    package var refusal: (@Sendable (RateRefusal, Request) -> Response)?

    /// The settings' rule for users, and none for addresses, unless said otherwise.
    package init(
        users: Users = .settings, addresses: Addresses = .unlimited,
        refusal: (@Sendable (RateRefusal, Request) -> Response)? = nil
    ) {
        self.users = users
        self.addresses = addresses
        self.refusal = refusal
    }
}

/// What somebody is about to use.
package struct RateUse: Equatable, Sendable {
    /// Requests, however they come.
    package var requests: UInt64
    /// Messages of a WebSocket.
    package var messages: UInt64
    /// Bytes.
    package var bytes: UInt64

    /// Nothing but what is named.
    package init(requests: UInt64 = 0, messages: UInt64 = 0, bytes: UInt64 = 0) {
        self.requests = requests
        self.messages = messages
        self.bytes = bytes
    }

    /// One request.
    package static let request = RateUse(requests: 1)
}

/// Why something was refused, and for how long.
package struct RateRefusal: Error, Equatable, Sendable {
    /// What there was too much of.
    package enum Kind: String, Sendable, CaseIterable {
        /// Requests.
        case requests
        /// Requests at once.
        case concurrent
        /// Messages of a WebSocket.
        case messages
        /// Bytes.
        case bytes
        /// Violations: the address is blocked.
        case blocked
    }

    /// What there was too much of.
    package let kind: Kind
    /// Whether it is held against the user, or against the address.
    package let isOfUser: Bool
    /// Units of the rule that refused.
    package let limit: UInt64
    /// How long to wait: earlier the same is refused again. For ``Kind/concurrent``, of which nobody knows, a second.
    package let retryAfter: Duration
    /// How long until everything may be used again.
    package let resetAfter: Duration
    /// The user's tier; `nil` for an address.
    package let tier: String?

    /// ``retryAfter`` in whole seconds, rounded up, as Retry-After says it.
    package var retryAfterSeconds: Int { RateFields.seconds(retryAfter.wholeNanoseconds) }

    /// What a client is told.
    package var message: String {
        let wait = retryAfterSeconds == 1 ? "a second" : "\(retryAfterSeconds) seconds"
        return switch kind {
        case .requests: "Too many requests: \(limit) are allowed here at once. Try again in \(wait)."
        case .concurrent: "Too many requests at a time: \(limit) are allowed. Try again when one is answered."
        case .messages: "Too many messages: \(limit) are allowed here at once. Try again in \(wait)."
        case .bytes: "Too much data: \(limit) bytes are allowed here at once. Try again in \(wait)."
        case .blocked: "This address went on after being refused and is blocked. Try again in \(wait)."
        }
    }
}
