import GatewayTunnel
import PluginKit

/// The agent that a request goes to.
struct FoundAgent: Sendable {
    let record: AgentRecord
    /// What lets somebody else than the owner ask it; revoked while the request runs, it ends it.
    let grant: Grant?
}

/// Decides which agent a consumer asks, and whether it may.
final class AgentFinder: Sendable {
    private let directory: AgentDirectory
    private let store: any TunnelStore
    private let grants: GrantsInUse
    private let choices: RememberedFacts<[UInt8], String?>
    private let shares: RememberedFacts<GrantsInUse.Key, AgentShare?>
    /// How long after the start agents may be on their way back.
    private let grace: Duration
    private let started = MonotonicTime.read()

    init(directory: AgentDirectory, store: any TunnelStore, grants: GrantsInUse, grace: Duration) {
        self.directory = directory
        self.store = store
        self.grants = grants
        self.grace = grace
        choices = RememberedFacts(TunnelStoreLimits.remembered, in: grants)
        shares = RememberedFacts(TunnelStoreLimits.remembered, in: grants)
    }

    /// The agent to ask.
    ///
    /// - Parameter name: What the consumer called it: `desk`, or `owner/desk` for one that was shared; `nil` for the
    ///   user's default.
    /// - Throws: `noAgent`, or `reconnecting` while agents may be on their way back after a start; what a share forbids.
    func find(
        _ user: String, _ name: String?, for request: StreamRequest
    ) async throws(TunnelFailure) -> FoundAgent {
        let found: FoundAgent
        if let name, let slash = name.lastIndex(of: "/") {
            let owner = String(name[..<slash])
            let agent = String(name[name.index(after: slash)...])
            found = try await find(agent, of: owner, for: user, request)
        } else {
            found = FoundAgent(record: try await own(user, name), grant: nil)
        }
        guard found.record.offers(request) else { throw .reset(.refused, "This agent does not offer that.") }
        return found
    }

    // MARK: One's own

    private func own(_ user: String, _ name: String?) async throws(TunnelFailure) -> AgentRecord {
        let agent: AgentRecord? =
            if let name { directory.find(user, name) } else { await standard(of: user) }
        guard let agent else { throw absent }
        return agent
    }

    /// The agent that is asked when none is named: the one that the user chose, else the longest connected.
    func standard(of user: String) async -> AgentRecord? {
        let agents = directory.agents(of: user)
        guard agents.count > 1, let chosen = await choice(of: user) else { return agents.first }
        // A choice that is not connected is no reason to answer nothing.
        return agents.first { $0.name.isExactly(chosen) } ?? agents.first
    }

    /// A store that does not answer is no reason either.
    private func choice(of user: String) async -> String? {
        let chosen = try? await choices.fact(for: Array(user.utf8)) { () throws(TunnelStoreError) in
            try await store.chosenAgent(of: user)
        }
        return chosen ?? nil
    }

    private var absent: TunnelFailure { MonotonicTime.read() < started + grace ? .reconnecting : .noAgent }

    // MARK: Another's

    private func find(
        _ name: String, of owner: String, for user: String, _ request: StreamRequest
    ) async throws(TunnelFailure) -> FoundAgent {
        if owner.isExactly(user) { return FoundAgent(record: try await own(user, name), grant: nil) }
        guard case .http(let head) = request else { throw .reset(.refused, "TCP connections are not shared.") }
        let parties = ShareParties(owner: owner, agent: name, consumer: user)
        let key = GrantsInUse.Key(parties)
        // Before the look-up: see ``Grant``.
        let grant = grants.grant(for: key)
        guard let share = try await share(of: parties, key) else { throw .noAgent }
        guard share.rule.allows(head.method, head.target) else { throw .shareForbids }
        guard let agent = directory.find(owner, name) else { throw absent }
        return FoundAgent(record: agent, grant: grant)
    }

    private func share(of parties: ShareParties, _ key: GrantsInUse.Key) async throws(TunnelFailure) -> AgentShare? {
        do throws(TunnelStoreError) {
            return try await shares.fact(for: key) { () throws(TunnelStoreError) in
                try await store.share(of: parties)
            }
        } catch {
            if case .unavailable = error { return nil }
            throw .storeSilent
        }
    }
}
