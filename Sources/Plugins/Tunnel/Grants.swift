import PluginKit

/// A right that can be taken back while it is used: an enrolment, or a share.
///
/// Whoever is about to use one takes its grant *before* looking in the store, and says what shall happen when it is
/// revoked. So either the store is asked after the revocation, or the grant is there to be told: no use slips through.
final class Grant: Sendable {
    private struct State {
        var isRevoked = false
        var uses: [ObjectIdentifier: @Sendable () -> Void] = [:]
    }

    private let state = Guarded(State())
    private let onEnd: @Sendable () -> Void

    init(onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }

    deinit { onEnd() }

    var isRevoked: Bool { state.withLock { $0.isRevoked } }

    /// Remembers a use until ``forget(_:)``.
    ///
    /// - Parameters:
    ///   - name: Of what uses it.
    ///   - end: Run once when the grant is revoked, on the revoker's thread; now, if it was.
    func use(as name: ObjectIdentifier, endingBy end: @escaping @Sendable () -> Void) {
        let isOver = state.withLock { state in
            if !state.isRevoked { state.uses[name] = end }
            return state.isRevoked
        }
        if isOver { end() }
    }

    func forget(_ name: ObjectIdentifier) { state.withLock { $0.uses[name] = nil } }

    func revoke() {
        let uses = state.withLock { state in
            defer { state = State(isRevoked: true) }
            return Array(state.uses.values)
        }
        for end in uses { end() }
    }
}

/// The grants of one store that are in use in this process, and whether what is remembered of it is still true.
///
/// Of the store, not of one instance of the plugin: a reload makes the plugin anew while sessions of the one before go on,
/// and what is revoked here ends there too.
final class GrantsInUse: Sendable {
    /// One for each folder, which is the same as long as a gateway lives.
    private static let places = Guarded<[String: GrantsInUse]>([:])

    /// The grants of the store in `folder`.
    static func ofStore(in folder: String) -> GrantsInUse {
        places.withLock { places in
            let grants = places[folder] ?? GrantsInUse()
            places[folder] = grants
            return grants
        }
    }

    enum Key: Hashable, Sendable {
        case enrolment(String)
        /// By their bytes: texts that only look alike are different users.
        case share(owner: [UInt8], agent: [UInt8], consumer: [UInt8])

        init(_ parties: ShareParties) {
            self = .share(
                owner: Array(parties.owner.utf8), agent: Array(parties.agent.utf8),
                consumer: Array(parties.consumer.utf8))
        }
    }

    private struct Entry {
        /// Tells entries of one key apart without touching the grant, whose last reference must not go under the lock.
        let number: UInt64
        weak var grant: Grant?
    }

    private struct State {
        var grants: [Key: Entry] = [:]
        var made: UInt64 = 0
        var version: UInt64 = 0
    }

    private let state = Guarded(State())

    var count: Int { state.withLock { $0.grants.count } }

    /// Changes whenever something in a store may have: what was remembered before is not to be believed.
    var version: UInt64 { state.withLock { $0.version } }

    func storeChanged() { state.withLock { $0.version += 1 } }

    /// The grant for `key`, shared by all who use it now.
    func grant(for key: Key) -> Grant {
        state.withLock { state in
            if let grant = state.grants[key]?.grant { return grant }
            state.made += 1
            let number = state.made
            let grant = Grant { [weak self] in self?.tidy(key, number) }
            state.grants[key] = Entry(number: number, grant: grant)
            return grant
        }
    }

    /// Another may have taken the place meanwhile.
    private func tidy(_ key: Key, _ number: UInt64) {
        state.withLock { state in
            if state.grants[key]?.number == number { state.grants[key] = nil }
        }
    }

    /// Ends all uses. After the store has forgotten the right: whoever asks it from now on hears that.
    func revoke(_ key: Key) {
        let grant = state.withLock { state in
            state.version += 1
            return state.grants.removeValue(forKey: key)?.grant
        }
        grant?.revoke()
    }
}

/// Facts of the store that are asked for again and again. Forgets all of them when one changes, which is seldom.
final class RememberedFacts<Key: Hashable & Sendable, Fact: Sendable>: Sendable {
    private struct State {
        var facts: BoundedCache<Key, Fact>
        var version: UInt64
    }

    private let state: Guarded<State>
    private let grants: GrantsInUse

    init(_ capacity: Int, in grants: GrantsInUse) {
        self.grants = grants
        state = Guarded(State(facts: BoundedCache(capacity: capacity), version: grants.version))
    }

    /// The fact for `key`, from the store if it is not known.
    func fact(
        for key: Key, _ load: () async throws(TunnelStoreError) -> Fact
    ) async throws(TunnelStoreError) -> Fact {
        let version = grants.version
        let known = state.withLock { state in
            if state.version != version {
                state.facts.removeAll()
                state.version = version
            }
            return state.facts.value(for: key)
        }
        if let known { return known }
        let fact = try await load()
        // What was read while something changed may be of before.
        guard grants.version == version else { return fact }
        state.withLock { state in
            if state.version == version { state.facts.insert(fact, for: key) }
        }
        return fact
    }
}
