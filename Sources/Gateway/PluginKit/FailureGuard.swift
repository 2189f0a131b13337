import GatewayAuth
package import GatewayBackplane
import GatewayHTTP
import GatewayLocks
package import GatewayRuntime
package import GatewayTelemetry

/// What refused credentials lead to.
package struct FailureRules: Sendable {
    /// `nil`: to nothing.
    package let block: StrikeRule?
    /// Credentials that are checked nevertheless for an address that is blocked.
    package let chances: Rate
    /// Bits of an IPv6 address that stand for one customer.
    package let ipv6Prefix: Int

    /// From the settings.
    package init(block: StrikeRule?, chances: Rate, ipv6Prefix: Int) {
        self.block = block
        self.chances = chances
        self.ipv6Prefix = ipv6Prefix
    }
}

/// Counts credentials that nobody issued, by client address and by the credential's hash, so that guessing is slow.
///
/// Nobody is refused for what others do: a credential that is known to be good is not asked about here, and one that is not
/// known yet is checked at a pace that makes guessing hopeless (docs/decisions/0021). An address behind which a proxy
/// speaks for many is not counted at all. Plugins come here by ``CredentialChecks``.
package final class FailureGuard: Sendable {
    /// A credential, and where it came from.
    package struct Suspect: Sendable {
        fileprivate let digest: TokenDigest
        /// `nil` when nothing may be held against it.
        fileprivate let address: IPAddress?

        /// - Parameter credential: As it was sent.
        package init(_ credential: [UInt8], from client: RequestClient) {
            digest = TokenDigest(of: credential.span)
            address = client.isShared ? nil : client.address
        }
    }

    /// What a block is of: an address, or one credential wherever it comes from.
    package enum Holder: String, Sendable, CaseIterable {
        /// Or the network that a customer has.
        case address
        /// Or a credential of another kind.
        case token
    }

    /// One that holds.
    package struct Block: Equatable, Sendable {
        /// Whose.
        package let of: Holder
        /// Until a credential that is good would be let in, or until the block ends: whole, rounded up.
        package let seconds: Int

        /// What the answer and the audit log call it.
        package static let code = "too_many_failures"

        /// 429, and when to try again.
        ///
        /// - Parameter what: `token`, or whatever was shown, as its owner knows it.
        package func fault(about what: String) -> GatewayFault {
            var fields = HeaderFields()
            fields.append(.retryAfter, decimal: seconds)
            fields.append(.wwwAuthenticate, "Bearer error=\"invalid_token\"")
            let message =
                switch of {
                case .token: "This \(what) was refused too often. Get a new one, which may be used at once."
                case .address:
                    "Too many refused \(what)s came from this address; try again in \(seconds) seconds, or with a new \(what)."
                }
            return GatewayFault(.tooManyRequests, Self.code, message, fields: fields)
        }
    }

    /// How a suspect is to be met.
    package enum Doubt: Equatable, Sendable {
        /// As anybody is.
        case none
        /// It is blocked, and its credential is checked all the same: good, it is let in.
        case lastChance(Block)
        /// It is refused without a look at the credential.
        case blocked(Block)
    }

    /// Credentials of plugins remembered as good, in 64 bytes or so each. Tokens are remembered where they are verified.
    private static let remembered = 8192

    /// One token that is blocked is looked at this often, since the key that it was missing may have come.
    private static let chancesOfToken = Rate.perMinute(1)

    private let rules: Guarded<FailureRules>
    private let backplane: any Backplane
    private let audit: AuditLog
    private let good = Guarded(BoundedCache<TokenDigest, Bool>(capacity: remembered))
    private let begun: [Holder: Counter]
    private let spaces: [Holder: (strikes: BackplaneSpace, chances: BackplaneSpace)]

    /// Made by the server, once for the process.
    ///
    /// - Parameter blocks: Those that began, by holder.
    package init(_ rules: FailureRules, backplane: any Backplane, blocks: MetricFamily<Counter>, audit: AuditLog) {
        self.rules = Guarded(rules)
        self.backplane = backplane
        self.audit = audit
        begun = Holder.allCases.reduce(into: [:]) { $0[$1] = blocks.with($1.rawValue) }
        spaces = Holder.allCases.reduce(into: [:]) {
            $0[$1] = (BackplaneSpace("auth.\($1).strikes"), BackplaneSpace("auth.\($1).chances"))
        }
    }

    /// Goes over to other rules. What was counted stays.
    package func adopt(_ rules: FailureRules) { self.rules.withLock { $0 = rules } }

    /// Whether a plugin found this credential good the last time.
    func knows(_ suspect: Suspect) -> Bool { good.withLock { $0.value(for: suspect.digest) ?? false } }

    func remember(_ suspect: Suspect) { good.withLock { $0.insert(true, for: suspect.digest) } }

    func forget(_ suspect: Suspect) { good.withLock { $0.remove(suspect.digest) } }

    /// How a suspect is to be met. Of one that is blocked, a chance is used up by asking.
    package func doubt(_ suspect: Suspect, now: MonotonicTime) async -> Doubt {
        let rules = rules.withLock { $0 }
        guard let block = rules.block else { return .none }
        var verdict = Doubt.none
        for (holder, key) in keys(of: suspect, rules) {
            guard let spaces = spaces[holder] else { continue }
            let answer = await ask(spaces.strikes, key, .strike(block, adding: 0), now)
            guard let answer, !answer.isGranted else { continue }
            let chances = holder == .token ? Self.chancesOfToken : rules.chances
            let chance = await ask(spaces.chances, key, .take(chances, cost: 1), now)
            guard chance?.isGranted ?? true else {
                let wait = holder == .token ? answer.retryAfter : min(answer.retryAfter, chance?.retryAfter ?? 0)
                return .blocked(Block(of: holder, seconds: Self.seconds(wait)))
            }
            verdict = .lastChance(Block(of: holder, seconds: Self.seconds(answer.retryAfter)))
        }
        return verdict
    }

    /// Counts a credential that nobody issued, and tells of the block that this begins.
    ///
    /// - Parameter holdsAgainstCredential: `false` for one that cost no look at a signature or a store, such as the word
    ///   `undefined`. It is counted for its address only: many may send the same, and each shall be told what it is.
    package func count(_ suspect: Suspect, holdsAgainstCredential: Bool, of request: Request) async {
        let rules = rules.withLock { $0 }
        guard let block = rules.block else { return }
        for (holder, key) in keys(of: suspect, rules) where holder == .address || holdsAgainstCredential {
            guard let space = spaces[holder]?.strikes else { continue }
            let answer = await ask(space, key, .strike(block, adding: 1), request.loop.now)
            guard let answer, !answer.isGranted, answer.count == block.threshold else { continue }
            begun[holder]?.increment()
            tell(holder, request, answer)
        }
    }

    private func keys(of suspect: Suspect, _ rules: FailureRules) -> [(Holder, (high: UInt64, low: UInt64))] {
        let words = suspect.digest.firstWords
        let token = (Holder.token, (high: words.0, low: words.1))
        guard let address = suspect.address else { return [token] }
        return [(.address, address.rateKey(prefix: rules.ipv6Prefix)), token]
    }

    private func ask(
        _ space: BackplaneSpace, _ key: (high: UInt64, low: UInt64), _ operation: BackplaneOperation,
        _ now: MonotonicTime
    ) async -> BackplaneAnswer? {
        var tasks = [BackplaneTask(BackplaneKey(space, key.high, key.low), operation)]
        await backplane.settle(&tasks, now: now.nanoseconds)
        return tasks[0].answer
    }

    private func tell(_ holder: Holder, _ request: Request, _ answer: BackplaneAnswer) {
        let seconds = Self.seconds(answer.retryAfter)
        switch holder {
        case .address: audit.blocked("address blocked for credentials that nobody issued", request, seconds: seconds)
        case .token: audit.blocked("credential blocked for being refused again and again", request, seconds: seconds)
        }
    }

    private static func seconds(_ nanoseconds: UInt64) -> Int {
        max(1, Int(nanoseconds / 1_000_000_000) + (nanoseconds % 1_000_000_000 == 0 ? 0 : 1))
    }
}
