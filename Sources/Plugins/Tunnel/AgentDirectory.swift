import GatewayTunnel
import PluginKit

/// Who is connected, of all users, on all loops.
final class AgentDirectory: Sendable {
    /// What became of an agent that asks to be listed.
    enum Outcome {
        case listed
        /// It takes the place of this one, whose session is to be ended.
        case replacing(AgentRecord)
        case nameTaken
        case tooMany
    }

    private struct Contents {
        /// By the bytes of the user's name, the longest connected first.
        var agents: [[UInt8]: [AgentRecord]] = [:]
        var sessions: [String: AgentRecord] = [:]
    }

    private let contents = Guarded(Contents())
    private let limit: Int
    private let limitPerUser: Int

    init(limit: Int, perUser: Int) {
        self.limit = limit
        limitPerUser = perUser
    }

    var count: Int { contents.withLock { $0.sessions.count } }

    func add(_ record: AgentRecord) -> Outcome {
        let user = Array(record.user.utf8)
        return contents.withLock { contents in
            var own = contents.agents[user] ?? []
            let outcome: Outcome
            if let place = own.firstIndex(where: { $0.name.isExactly(record.name) }) {
                let older = own[place]
                // One whose enrolment was revoked is on its way out, on its own loop.
                let isGone = older.grant?.isRevoked == true
                guard isGone || older.credential == record.credential else { return .nameTaken }
                contents.sessions[older.session] = nil
                own[place] = record
                outcome = .replacing(older)
            } else {
                guard own.count < limitPerUser, contents.sessions.count < limit else { return .tooMany }
                own.append(record)
                outcome = .listed
            }
            contents.agents[user] = own
            contents.sessions[record.session] = record
            return outcome
        }
    }

    /// No effect for one that another has taken the place of.
    ///
    /// - Returns: Whether it was listed.
    func remove(_ record: AgentRecord) -> Bool {
        let user = Array(record.user.utf8)
        return contents.withLock { contents in
            guard contents.sessions.removeValue(forKey: record.session) != nil else { return false }
            contents.agents[user]?.removeAll { $0 === record }
            if contents.agents[user]?.isEmpty == true { contents.agents[user] = nil }
            return true
        }
    }

    func session(_ id: String) -> AgentRecord? { contents.withLock { $0.sessions[id] } }

    /// The longest connected first.
    func agents(of user: String) -> [AgentRecord] { contents.withLock { $0.agents[Array(user.utf8)] ?? [] } }

    /// All of them, in no order.
    var all: [AgentRecord] { contents.withLock { Array($0.sessions.values) } }

    func find(_ user: String, _ name: String) -> AgentRecord? {
        agents(of: user).first { $0.name.isExactly(name) }
    }
}
