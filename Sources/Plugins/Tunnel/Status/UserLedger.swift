import PluginKit

/// What the agents of each user have carried, also those that have left.
///
/// Nothing is counted here: agents that are connected are asked, and their last figures are kept when they go. A user
/// without an agent is forgotten when there are more of them than ``limit``, the longest gone first.
final class UserLedger: Sendable {
    /// The traffic of one user, or of all.
    struct Figures: Equatable, Sendable {
        /// Agents connected now.
        var agents = 0
        var requests = 0
        /// Streams that ended before they were complete.
        var failures = 0
        var bytesToAgents = 0
        var bytesFromAgents = 0
        /// Answers that have begun, and how long their heads took, added up.
        var answers = 0
        var answerMicroseconds = 0
        /// When the newest answer began, in seconds since 1970; 0 if there was none.
        var newestAnswer = 0

        mutating func add(_ traffic: AgentTraffic) {
            requests += traffic.requests.value
            failures += traffic.failures.value
            bytesToAgents += traffic.bytesToAgent.value
            bytesFromAgents += traffic.bytesFromAgent.value
            answers += traffic.answers.value
            answerMicroseconds += traffic.answerMicroseconds.value
            newestAnswer = max(newestAnswer, traffic.newestAnswer.value)
        }

        mutating func add(_ other: Figures) {
            agents += other.agents
            requests += other.requests
            failures += other.failures
            bytesToAgents += other.bytesToAgents
            bytesFromAgents += other.bytesFromAgents
            answers += other.answers
            answerMicroseconds += other.answerMicroseconds
            newestAnswer = max(newestAnswer, other.newestAnswer)
        }
    }

    private struct Account {
        var gone = Figures()
        var connected: [AgentTraffic] = []
        /// The turn at which its last agent left.
        var idleSince = 0

        var figures: Figures {
            var figures = gone
            figures.agents = connected.count
            for traffic in connected { figures.add(traffic) }
            return figures
        }
    }

    private struct Contents {
        var accounts: [String: Account] = [:]
        /// Accounts without an agent, the longest idle first. Places of those that have come back since are passed over.
        var idle: [(user: String, since: Int)] = []
        var idleCount = 0
        var turn = 0
        /// Of users that are forgotten, so that totals do not shrink.
        var forgotten = Figures()
    }

    private let contents = Guarded(Contents())
    private let limit: Int

    /// - Parameter limit: Users without an agent that are remembered.
    init(limit: Int) { self.limit = limit }

    func joined(_ user: String, _ traffic: AgentTraffic) {
        contents.withLock { contents in
            if contents.accounts[user]?.connected.isEmpty == true { contents.idleCount -= 1 }
            contents.accounts[user, default: Account()].connected.append(traffic)
        }
    }

    /// The agent has gone for good: what it counted is kept.
    func left(_ user: String, _ traffic: AgentTraffic) {
        contents.withLock { contents in
            guard var account = contents.accounts[user],
                let place = account.connected.firstIndex(where: { $0 === traffic })
            else { return }
            account.connected.remove(at: place)
            account.gone.add(traffic)
            if account.connected.isEmpty {
                contents.turn += 1
                account.idleSince = contents.turn
                contents.idle.append((user, contents.turn))
                contents.idleCount += 1
            }
            contents.accounts[user] = account
            Self.forget(beyond: limit, in: &contents)
        }
    }

    private static func forget(beyond limit: Int, in contents: inout Contents) {
        var place = 0
        while contents.idleCount > limit, place < contents.idle.count {
            let (user, since) = contents.idle[place]
            place += 1
            guard let account = contents.accounts[user], account.connected.isEmpty, account.idleSince == since else {
                continue
            }
            contents.forgotten.add(account.gone)
            contents.accounts[user] = nil
            contents.idleCount -= 1
        }
        contents.idle.removeFirst(place)
        guard contents.idle.count > 2 * limit + 16 else { return }
        let accounts = contents.accounts
        contents.idle.removeAll { entry in
            accounts[entry.user].map { !$0.connected.isEmpty || $0.idleSince != entry.since } ?? true
        }
    }

    /// All zero for a user who is not known.
    func figures(of user: String) -> Figures { contents.withLock { $0.accounts[user]?.figures ?? Figures() } }

    /// Of all users, ever.
    var total: Figures {
        contents.withLock { contents in
            var total = contents.forgotten
            for account in contents.accounts.values { total.add(account.figures) }
            return total
        }
    }

    /// Users with an agent now.
    var activeUsers: Int { contents.withLock { $0.accounts.count - $0.idleCount } }

    /// Users that are remembered.
    var count: Int { contents.withLock { $0.accounts.count } }

    /// Places in the line of those to forget; a user may have left several behind.
    var placesInLine: Int { contents.withLock { $0.idle.count } }

    /// Those with most requests first.
    func busiest(_ limit: Int) -> [(user: String, figures: Figures)] {
        let all = contents.withLock { $0.accounts.mapValues(\.figures) }
        let sorted = all.sorted { left, right in
            (right.value.requests, right.value.agents, left.key) < (left.value.requests, left.value.agents, right.key)
        }
        return sorted.prefix(limit).map { ($0.key, $0.value) }
    }
}
