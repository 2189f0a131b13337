import PluginKit
import Synchronization

/// The upstreams of one route, and who of them gets the next request. Shared by all loops.
///
/// The one with the fewest requests under way is asked, whoever comes first from a random place on among equals. Taking
/// turns would hand a slow server as much as a fast one; this hands each what it finishes, and random starts keep loops
/// and replicas from all choosing the same. Sockets are counted apart: a hundred idle ones are no reason to send
/// requests elsewhere.
final class UpstreamGroup: Sendable {
    enum Work { case request, socket }

    let members: [UpstreamMember]
    private let rule: OutlierRule
    private let states: Guarded<[OutlierState]>
    private let dice: Atomic<UInt64>

    init(_ members: [UpstreamMember], rule: OutlierRule) {
        precondition(1...ProxyRoutes.upstreamLimit ~= members.count, "a group has 1 through 32 upstreams")
        self.members = members
        self.rule = rule
        states = Guarded(Array(repeating: OutlierState(), count: members.count))
        dice = Atomic(UInt64.random(in: .min ... .max))
    }

    // MARK: Choosing

    /// Chooses an upstream for one piece of work, which counts until the lease is let go.
    ///
    /// - Parameters:
    ///   - tried: A bit for each member that is not to be asked again.
    ///   - now: Monotonic nanoseconds.
    /// - Returns: `nil` when all have been tried. Never because all fail: then anyone is better than none.
    func lease(_ work: Work, except tried: UInt32 = 0, at now: UInt64) -> UpstreamLease? {
        var refused = tried
        while let place = least(work, except: refused, at: now) {
            let member = members[place]
            guard member.isOut, member.beginTrial() else { return UpstreamLease(self, place, work) }
            // Another loop has begun the trial meanwhile.
            refused |= 1 << UInt32(place)
        }
        return least(work, except: tried, at: nil).map { UpstreamLease(self, $0, work) }
    }

    /// - Parameter now: `nil` to look at those too that are ejected.
    private func least(_ work: Work, except tried: UInt32, at now: UInt64?) -> Int? {
        let count = members.count
        var best: (place: Int, load: Int)?
        let start = count == 1 ? 0 : Int(truncatingIfNeeded: roll() % UInt64(count))
        for step in 0..<count {
            let place = start + step < count ? start + step : start + step - count
            guard tried & (1 << UInt32(place)) == 0 else { continue }
            if let now, !members[place].isAvailable(at: now) { continue }
            let load = members[place].load(of: work)
            if best.map({ load < $0.load }) ?? true { best = (place, load) }
        }
        return best?.place
    }

    /// SplitMix64 over a shared counter: nothing secret hangs on it.
    private func roll() -> UInt64 {
        var mixed = dice.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    // MARK: Outcomes

    func failed(_ place: Int, at now: UInt64) {
        let member = members[place]
        let isEjected = states.withLock { states in
            let out = states.count { $0.isOut } + (states[place].isOut ? 0 : 1)
            let isEjected = states[place].failed(at: now, rule, mayEject: out <= states.count / 2)
            member.publish(states[place])
            return isEjected
        }
        guard isEjected else { return }
        member.metrics.ejections.increment()
        member.show(isEjected: true)
    }

    func succeeded(_ place: Int, at now: UInt64) {
        let member = members[place]
        // The usual case takes no lock.
        guard member.hasFailed else { return }
        let isBack = states.withLock { states in
            let isBack = states[place].succeeded(at: now)
            member.publish(states[place])
            return isBack
        }
        if isBack { member.show(isEjected: false) }
    }

    /// How many fail: ejected, or would be if there were others.
    var failing: Int {
        let threshold = max(1, rule.failures)
        return states.withLock { states in states.count { $0.isOut || $0.failures >= threshold } }
    }
}

/// One upstream of a group: what all loops read at each choice.
final class UpstreamMember: Sendable {
    struct Metrics: Sendable {
        var requests = Counter.unregistered
        var ejections = Counter.unregistered
        var ejected = Gauge.unregistered
    }

    let target: ProxyTarget
    let metrics: Metrics
    private let requests = Atomic<Int>(0)
    private let sockets = Atomic<Int>(0)
    /// Copies of what the group's states say.
    private let ejectedUntil = Atomic<UInt64>(0)
    private let failures = Atomic<Int>(0)
    /// Back from an ejection it gets one request, and more only once that is answered.
    private let isOnTrial = Atomic<Bool>(false)
    /// Counted in its gauge, which a member made from other settings may share, or nobody after it.
    private let isShown = Atomic<Bool>(false)

    init(_ target: ProxyTarget, metrics: Metrics = Metrics()) {
        self.target = target
        self.metrics = metrics
    }

    deinit { show(isEjected: false) }

    fileprivate func show(isEjected: Bool) {
        guard isShown.exchange(isEjected, ordering: .relaxed) != isEjected else { return }
        if isEjected { metrics.ejected.add() } else { metrics.ejected.subtract() }
    }

    var isOut: Bool { ejectedUntil.load(ordering: .relaxed) != 0 }
    var hasFailed: Bool { failures.load(ordering: .relaxed) != 0 || isOut }

    func isAvailable(at now: UInt64) -> Bool {
        let until = ejectedUntil.load(ordering: .relaxed)
        return until == 0 || (now >= until && !isOnTrial.load(ordering: .relaxed))
    }

    func load(of work: UpstreamGroup.Work) -> Int {
        switch work {
        case .request: requests.load(ordering: .relaxed)
        case .socket: sockets.load(ordering: .relaxed)
        }
    }

    /// - Returns: Whether somebody else is trying it already.
    fileprivate func beginTrial() -> Bool { isOnTrial.exchange(true, ordering: .relaxed) }

    fileprivate func publish(_ state: OutlierState) {
        failures.store(state.failures, ordering: .relaxed)
        ejectedUntil.store(state.ejectedUntil, ordering: .relaxed)
        // There is a verdict, whoever brought it. A socket that was the trial may stay open for days.
        isOnTrial.store(false, ordering: .relaxed)
    }

    fileprivate func begin(_ work: UpstreamGroup.Work) {
        metrics.requests.increment()
        count(1, work)
    }

    fileprivate func end(_ work: UpstreamGroup.Work) {
        count(-1, work)
        isOnTrial.store(false, ordering: .relaxed)
    }

    private func count(_ change: Int, _ work: UpstreamGroup.Work) {
        switch work {
        case .request: requests.wrappingAdd(change, ordering: .relaxed)
        case .socket: sockets.wrappingAdd(change, ordering: .relaxed)
        }
    }
}

/// One piece of work that an upstream has; counted until it is let go.
final class UpstreamLease {
    private let group: UpstreamGroup
    private let place: Int
    private let work: UpstreamGroup.Work

    fileprivate init(_ group: UpstreamGroup, _ place: Int, _ work: UpstreamGroup.Work) {
        self.group = group
        self.place = place
        self.work = work
        group.members[place].begin(work)
    }

    deinit { group.members[place].end(work) }

    var target: ProxyTarget { group.members[place].target }
    /// For `except:` of the next choice.
    var bit: UInt32 { 1 << UInt32(place) }

    func succeeded(at now: UInt64) { group.succeeded(place, at: now) }
    func failed(at now: UInt64) { group.failed(place, at: now) }
}
