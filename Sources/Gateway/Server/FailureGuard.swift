import GatewayAuth
import GatewayBackplane
import GatewayHTTP
import GatewayLocks
import GatewayRuntime
import GatewayTelemetry
import PluginKit

/// What refused tokens lead to.
struct FailureRules: Sendable {
    /// `nil`: to nothing.
    let block: StrikeRule?
    /// Tokens that are checked nevertheless for an address that is blocked.
    let chances: Rate
    let ipv6Prefix: Int
}

/// Counts tokens that are not the issuer's, by client address and by the token's hash, so that guessing is slow.
///
/// Nobody is refused for what others do: a token that is known to be good is not asked about here, and one that is not
/// known yet is checked at a pace that makes guessing hopeless (docs/decisions/0021). An address behind which a proxy
/// speaks for many is not counted at all.
final class FailureGuard: Sendable {
    /// A token of which nothing good is known, and where it came from.
    struct Suspect: Sendable {
        fileprivate let digest: TokenDigest
        /// `nil` when nothing may be held against it.
        fileprivate let address: IPAddress?

        init(token: [UInt8], client: RequestClient) {
            digest = TokenDigest(of: token.span)
            address = client.isShared ? nil : client.address
        }
    }

    enum Holder: String, Sendable, CaseIterable { case address, token }

    struct Block: Equatable, Sendable {
        let of: Holder
        /// Until a token that verifies would be let in, or until the block ends: whole, rounded up.
        let seconds: Int
    }

    /// How a suspect is to be met.
    enum Doubt: Equatable, Sendable {
        case none
        /// It is blocked, and its token is checked all the same: good, it is let in.
        case lastChance(Block)
        /// It is refused without a look at the token.
        case blocked(Block)
    }

    /// One token that is blocked is looked at this often, since the key that it was missing may have come.
    private static let chancesOfToken = Rate.perMinute(1)

    private let rules: Guarded<FailureRules>
    private let backplane: any Backplane
    private let log: Logger
    private let begun: [Holder: Counter]
    private let spaces: [Holder: (strikes: BackplaneSpace, chances: BackplaneSpace)]

    init(_ rules: FailureRules, backplane: any Backplane, blocks: MetricFamily<Counter>, log: Logger) {
        self.rules = Guarded(rules)
        self.backplane = backplane
        self.log = log
        begun = Holder.allCases.reduce(into: [:]) { $0[$1] = blocks.with($1.rawValue) }
        spaces = Holder.allCases.reduce(into: [:]) {
            $0[$1] = (BackplaneSpace("auth.\($1).strikes"), BackplaneSpace("auth.\($1).chances"))
        }
    }

    /// Goes over to other rules. What was counted stays.
    func adopt(_ rules: FailureRules) { self.rules.withLock { $0 = rules } }

    /// How a suspect is to be met.
    func doubt(_ suspect: Suspect, now: MonotonicTime) async -> Doubt {
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

    /// Counts a token that is not the issuer's.
    ///
    /// - Parameter error: What is wrong with it. One that cost no look at a signature, such as the word `undefined`, is
    ///   counted for its address only: many may send the same, and each shall be told what it is.
    func count(_ suspect: Suspect, _ error: TokenError, now: MonotonicTime) async {
        guard error.isUnproven else { return }
        let costsSignature = error.check == .signature || error.check == .key
        let rules = rules.withLock { $0 }
        guard let block = rules.block else { return }
        for (holder, key) in keys(of: suspect, rules) where holder == .address || costsSignature {
            guard let space = spaces[holder]?.strikes else { continue }
            let answer = await ask(space, key, .strike(block, adding: 1), now)
            guard let answer, !answer.isGranted, answer.count == block.threshold else { continue }
            begun[holder]?.increment()
            tell(holder, suspect, answer)
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

    private func tell(_ holder: Holder, _ suspect: Suspect, _ answer: BackplaneAnswer) {
        let address = LogField.string("address", suspect.address?.description ?? "shared")
        let seconds = LogField.int("seconds", Self.seconds(answer.retryAfter))
        switch holder {
        case .address: log.warn("address blocked for tokens that are not the issuer's", address, seconds)
        case .token: log.warn("token blocked for having been refused again and again", address, seconds)
        }
    }

    private static func seconds(_ nanoseconds: UInt64) -> Int {
        max(1, Int(nanoseconds / 1_000_000_000) + (nanoseconds % 1_000_000_000 == 0 ? 0 : 1))
    }
}
