import GatewayBytes
import GatewayLocks

/// Keeps an ``Authenticator`` supplied with the issuer's keys.
///
/// Does no I/O and owns no timer, thread or clock: fetching, saving and time are closures. Its owner fetches when
/// ``nextRefresh(at:)`` is due and calls ``obtainKey(id:)`` for a token with an unknown key; however many ask at once,
/// one fetch runs.
package final class JWKSStore: Sendable {
    /// What the store needs from the world.
    package struct World: Sendable {
        /// Seconds since 1970.
        package var now: @Sendable () -> Double
        /// Fetches without following redirects, within a time-out of its own.
        package var fetch: @Sendable (KeyRequest) async -> KeyResponse
        /// Replaces the file of last good keys: write beside it, then rename. Failures are the owner's to log.
        package var save: @Sendable ([UInt8]) async -> Void
        /// Starts a task that nobody's cancellation ends; on an event loop `Task(executorPreference:)`.
        package var launch: @Sendable (@escaping @Sendable () async -> Void) -> Void

        package init(
            now: @escaping @Sendable () -> Double,
            fetch: @escaping @Sendable (KeyRequest) async -> KeyResponse,
            save: @escaping @Sendable ([UInt8]) async -> Void,
            launch: @escaping @Sendable (@escaping @Sendable () async -> Void) -> Void
        ) {
            self.now = now
            self.fetch = fetch
            self.save = save
            self.launch = launch
        }
    }

    /// How a fetch ended.
    package enum Outcome: Equatable, Sendable {
        /// Keys were found. `notes` say which of them cannot be used and why.
        case fetched(from: String, keys: Int, changed: Bool, notes: [String])
        /// No place had a usable key; one line each. Keys from before stay until they are stale.
        case failed([String])
        /// Too many were waiting already.
        case busy
    }

    private struct State {
        var schedule: JWKSSchedule
        var source: KeySource?
        var keys: [VerificationKey] = []
        var body: [UInt8] = []
        /// When ``keys`` were fetched, possibly by an earlier run.
        var fetchedAt: Double?
        var isFetching = false
        var waiting: [CheckedContinuation<Outcome, Never>] = []
        var last: Outcome?
    }

    private let candidates: [KeySource]
    private let issuer: String?
    private let fixed: [VerificationKey]
    private let limits: JWKSSchedule.Limits
    private let authenticator: Authenticator
    private let world: World
    private let state: Guarded<State>

    /// Gives `authenticator` the operator's own keys, and those of the last run while they are not stale.
    ///
    /// - Parameter saved: The file of last good keys, if there is one.
    package init(
        candidates: [KeySource], issuer: String?, fixed: [VerificationKey], authenticator: Authenticator,
        limits: JWKSSchedule.Limits = JWKSSchedule.Limits(), saved: [UInt8]? = nil, world: World
    ) {
        self.candidates = candidates
        self.issuer = issuer
        self.fixed = fixed
        self.limits = limits
        self.authenticator = authenticator
        self.world = world
        var state = State(schedule: JWKSSchedule(limits: limits))
        let now = world.now()
        if let saved = saved.flatMap({ SavedKeys.decode($0, for: candidates) }),
            let set = try? JWKSet.parse(saved.body),
            // A time in the future would be believed for longer than the limit.
            saved.fetchedAt <= now + 60, now < saved.fetchedAt + limits.stale
        {
            state.keys = set.keys
            state.body = saved.body
            state.source = saved.source
            state.fetchedAt = saved.fetchedAt
        }
        authenticator.replaceKeys(
            KeySet(
                fixed: fixed, published: state.keys,
                publishedUntil: state.fetchedAt.map { $0 + limits.stale } ?? .infinity,
                expectsPublished: !candidates.isEmpty))
        self.state = Guarded(state)
    }

    /// When to call ``refresh()`` next, in seconds since 1970; `nil` when there is nowhere to fetch from.
    package func nextRefresh(at now: Double) -> Double? {
        candidates.isEmpty ? nil : state.withLock { $0.schedule.nextRefresh(at: now) }
    }

    /// How the last fetch ended; `nil` before the first.
    package var lastOutcome: Outcome? { state.withLock { $0.last } }

    /// Callers that wait for a fetch at the moment.
    package var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// The keys in use, as ``init(candidates:issuer:fixed:authenticator:limits:saved:world:)`` takes them, for a store
    /// that takes this one's place; `nil` while there are none.
    package var saved: [UInt8]? {
        state.withLock { state in
            guard let source = state.source, let fetchedAt = state.fetchedAt, !state.keys.isEmpty else { return nil }
            return SavedKeys(body: state.body, source: source, fetchedAt: fetchedAt).encode(for: candidates)
        }
    }

    /// When the keys in use were fetched; `nil` while there are none.
    package var fetchedAt: Double? { state.withLock { $0.fetchedAt } }

    /// Fetches now, or waits for the fetch that is under way.
    @discardableResult
    package func refresh() async -> Outcome {
        guard !candidates.isEmpty else { return .failed([]) }
        return await withCheckedContinuation { join($0) }
    }

    /// Tries to have the key of a refused token fetched, at most once per cool-down, whoever asks.
    ///
    /// - Parameter id: The token's `kid`, or `nil` when it names none.
    /// - Returns: Whether the token deserves another try.
    package func obtainKey(id: String?) async -> Bool {
        let now = world.now()
        if has(id, at: now) { return true }
        let mayWait = state.withLock { $0.isFetching || $0.schedule.mayFetch(forUnknown: id, at: now) }
        guard mayWait, case .fetched = await refresh() else { return false }
        if has(id, at: world.now()) { return true }
        if let id { state.withLock { $0.schedule.remember(unknown: id, at: now) } }
        return false
    }

    /// Whether there is a key of this name, or for `nil` any published key, that is not stale.
    private func has(_ id: String?, at now: Double) -> Bool {
        state.withLock { state in
            guard let fetchedAt = state.fetchedAt, now < fetchedAt + limits.stale else { return false }
            guard let id else { return !state.keys.isEmpty }
            return state.keys.contains { $0.id?.isExactly(id) == true }
        }
    }

    // MARK: One fetch for all

    private func join(_ waiter: CheckedContinuation<Outcome, Never>) {
        enum Part { case wait, lead, leave }
        let part = state.withLock { state -> Part in
            guard state.waiting.count < limits.waiting else { return .leave }
            state.waiting.append(waiter)
            guard !state.isFetching else { return .wait }
            state.isFetching = true
            return .lead
        }
        switch part {
        case .wait: break
        case .leave: waiter.resume(returning: .busy)
        case .lead: world.launch { await self.search() }
        }
    }

    private func search() async {
        let began = world.now()
        let remembered = state.withLock { state in
            state.schedule.began(at: began)
            return state.source
        }
        var search = KeySearch(candidates, remembered: remembered, issuer: issuer)
        var step = search.begin()
        while case .fetch(let request) = step {
            step = search.received(await world.fetch(request))
        }
        switch step {
        case .found(let found): await finish(adopt(found))
        case .failed(let reasons): await finish(giveUp(reasons))
        case .fetch: await finish(giveUp([]))
        }
    }

    private func adopt(_ found: FoundKeys) -> (Outcome, file: [UInt8]?) {
        let now = world.now()
        let changed = state.withLock { state in
            let changed = state.body != found.body
            state.schedule.succeeded(at: now)
            state.source = found.source
            state.keys = found.set.keys
            state.body = found.body
            state.fetchedAt = now
            return changed
        }
        authenticator.replaceKeys(
            KeySet(
                fixed: fixed, published: found.set.keys, publishedUntil: now + limits.stale, expectsPublished: true),
            keepingVerdicts: !changed)
        let file = SavedKeys(body: found.body, source: found.source, fetchedAt: now).encode(for: candidates)
        let outcome = Outcome.fetched(
            from: found.source.url.text, keys: found.set.keys.count, changed: changed, notes: found.set.notes)
        return (outcome, file)
    }

    private func giveUp(_ reasons: [String]) -> (Outcome, file: [UInt8]?) {
        state.withLock { $0.schedule.failed() }
        return (.failed(reasons), nil)
    }

    /// Wakes everybody first: nobody waits for the disk.
    private func finish(_ result: (Outcome, file: [UInt8]?)) async {
        let waiting = state.withLock { state in
            state.isFetching = false
            state.last = result.0
            defer { state.waiting = [] }
            return state.waiting
        }
        for waiter in waiting { waiter.resume(returning: result.0) }
        if let file = result.file { await world.save(file) }
    }
}

extension Authenticator {
    /// ``authenticate(_:now:)``, and when only a key is missing, once more after the issuer was asked for it.
    package func authenticate(
        _ token: [UInt8], fetchingFrom store: JWKSStore?, now: Double
    ) async -> Result<Principal, TokenError> {
        let first = authenticate(token, now: now)
        guard case .failure(let error) = first, error.wantsFreshKeys, let store else { return first }
        guard await store.obtainKey(id: error.wantedKeyID) else { return first }
        return authenticate(token, now: now)
    }
}
