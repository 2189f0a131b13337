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
        /// By user, the longest connected first.
        var agents: [String: [AgentRecord]] = [:]
        var sessions: [String: AgentRecord] = [:]
        /// The agent that a user chose as the one to ask when none is named.
        var chosen: [String: String] = [:]
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
        contents.withLock { contents in
            var own = contents.agents[record.user] ?? []
            let outcome: Outcome
            if let place = own.firstIndex(where: { $0.name.isExactly(record.name) }) {
                let older = own[place]
                guard older.credential == record.credential else { return .nameTaken }
                contents.sessions[older.session] = nil
                own[place] = record
                outcome = .replacing(older)
            } else {
                guard own.count < limitPerUser, contents.sessions.count < limit else { return .tooMany }
                own.append(record)
                outcome = .listed
            }
            contents.agents[record.user] = own
            contents.sessions[record.session] = record
            return outcome
        }
    }

    /// No effect for one that another has taken the place of.
    func remove(_ record: AgentRecord) {
        contents.withLock { contents in
            guard contents.sessions.removeValue(forKey: record.session) != nil else { return }
            contents.agents[record.user]?.removeAll { $0 === record }
            if contents.agents[record.user]?.isEmpty == true { contents.agents[record.user] = nil }
        }
    }

    func session(_ id: String) -> AgentRecord? { contents.withLock { $0.sessions[id] } }

    /// The longest connected first.
    func agents(of user: String) -> [AgentRecord] { contents.withLock { $0.agents[user] ?? [] } }

    /// All of them, in no order.
    var all: [AgentRecord] { contents.withLock { Array($0.sessions.values) } }

    /// The agent called `name`; without a name the one that the user chose, else the longest connected.
    func find(_ user: String, _ name: String?) -> AgentRecord? {
        contents.withLock { contents in
            let own = contents.agents[user] ?? []
            guard let wanted = name ?? contents.chosen[user] else { return own.first }
            // A choice that is not connected is no reason to answer nothing.
            return own.first { $0.name.isExactly(wanted) } ?? (name == nil ? own.first : nil)
        }
    }

    func chosen(by user: String) -> String? { contents.withLock { $0.chosen[user] } }

    /// - Parameter name: `nil` takes the choice back.
    func choose(_ name: String?, for user: String) { contents.withLock { $0.chosen[user] = name } }
}
