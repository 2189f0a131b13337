import GatewayLocks
package import GatewayRuntime
import GatewayTelemetry
import Synchronization

/// Refuses requests to a service that is known to be down, at once and for all loops, until one that tries it succeeds.
///
/// What a failure is, its user says: no connection, no answer, an answer that means the same. An answer that blames the
/// request is a success here, and a caller that left has no outcome. While all is well a request costs a load of one word
/// and a count.
///
/// ```swift
/// let pass = try breaker.enter(at: loop.now)
/// do {
///     let answer = try await ask()
///     pass.succeeded()
/// } catch let error as UpstreamError {
///     pass.failed(at: loop.now)
///     throw error
/// }
/// ```
package final class CircuitBreaker: Sendable {
    package enum Phase: String, Sendable, CaseIterable { case closed, open, halfOpen = "half-open" }

    /// How it stands.
    package struct Report: Equatable, Sendable {
        package let name: String
        package let phase: Phase
        /// In a row, while it is closed; those that opened it, while it is not.
        package let failureCount: Int
        /// In a row, while it is half-open.
        package let successCount: Int
        /// When it may be tried again; `nil` unless it is open.
        package let openUntil: MonotonicTime?
        package let totals: Totals
    }

    /// Since it was made.
    package struct Totals: Equatable, Sendable {
        package var succeeded = 0
        package var failed = 0
        package var refused = 0
        /// How often it went over to each phase.
        package var opened = 0
        package var halfOpened = 0
        package var closed = 0

        /// Those that were let in and have an outcome, and those that were not let in.
        package var requests: Int { succeeded + failed + refused }
    }

    private struct Known {
        var state = CircuitBreakerState()
        var totals = Totals()
        /// Those that opened it.
        var failures = 0
    }

    /// How the registry calls it, and the label of its metrics.
    package let name: String
    private let rules: CircuitBreakerRules
    private let log: Logger
    private let known = Guarded(Known())
    /// What a request reads: the epoch, and in the lowest bit whether there is more to look at, under the lock.
    private let word = Atomic<UInt64>(0)
    /// The usual outcome, counted without the lock.
    private let quietSuccesses = Atomic<Int>(0)

    init(name: String, rules: CircuitBreakerRules, log: Logger) {
        self.name = name
        self.rules = rules
        self.log = log
    }

    // MARK: Requests

    /// Lets a request in.
    ///
    /// - Returns: A pass that its outcome is told to, or that is dropped if there is none.
    /// - Throws: ``CircuitOpen``, at once, when it is not worth asking.
    package func enter(at now: MonotonicTime) throws(CircuitOpen) -> CircuitPass {
        let word = word.load(ordering: .relaxed)
        guard word & 1 != 0 else { return CircuitPass(breaker: self, epoch: word >> 1, probe: nil) }
        let rule = rules.value
        let (admission, epoch) = change { known -> (CircuitBreakerState.Admission, UInt64) in
            let admission = known.state.admit(at: now.nanoseconds, rule)
            if case .refused = admission { known.totals.refused += 1 }
            return (admission, known.state.epoch)
        }
        switch admission {
        case .passes: return CircuitPass(breaker: self, epoch: epoch, probe: nil)
        case .probes: return CircuitPass(breaker: self, epoch: epoch, probe: CircuitProbe(self, epoch))
        case .refused(let after): throw CircuitOpen(service: name, retryAfter: .nanoseconds(Int64(clamping: after)))
        }
    }

    fileprivate func succeeded(in epoch: UInt64) {
        guard word.load(ordering: .relaxed) & 1 != 0 else {
            quietSuccesses.wrappingAdd(1, ordering: .relaxed)
            return
        }
        let rule = rules.value
        change { known in
            known.totals.succeeded += 1
            known.state.succeeded(in: epoch, rule)
        }
    }

    fileprivate func failed(in epoch: UInt64, at now: MonotonicTime) {
        let rule = rules.value
        change { known in
            known.totals.failed += 1
            let before = known.state.phase
            known.state.failed(in: epoch, at: now.nanoseconds, rule)
            if case .closed(let failures) = before { known.failures = failures + 1 }
        }
    }

    fileprivate func gaveUp(in epoch: UInt64) { change { $0.state.gaveUp(in: epoch) } }

    /// Every change of the state goes through here: it is shown to those who take no lock, counted and logged.
    @discardableResult
    private func change<R>(_ body: (inout Known) -> R) -> R {
        let (result, entered, failures) = known.withLock { known -> (R, Phase?, Int) in
            let epoch = known.state.epoch
            let result = body(&known)
            word.store(known.state.epoch << 1 | (known.state.isQuiet ? 0 : 1), ordering: .relaxed)
            guard known.state.epoch != epoch else { return (result, nil, 0) }
            let phase = known.state.phase.name
            known.totals.count(phase)
            return (result, phase, known.failures)
        }
        if let entered { tell(entered, failures) }
        return result
    }

    private func tell(_ phase: Phase, _ failures: Int) {
        switch phase {
        case .open:
            log.warn(
                "circuit opened", .string("service", name), .int("failures", failures),
                .milliseconds("for", rules.value.openTime))
        case .halfOpen: log.info("circuit half open", .string("service", name))
        case .closed: log.info("circuit closed", .string("service", name))
        }
    }

    // MARK: Reports

    /// - Parameter now: One whose time is over counts as half-open, though nobody has tried it yet.
    package func report(at now: MonotonicTime = .read()) -> Report {
        let (state, failures, counted) = known.withLock { ($0.state, $0.failures, $0.totals) }
        var totals = counted
        totals.succeeded += quietSuccesses.load(ordering: .relaxed)
        var (phase, until) = (state.phase.name, MonotonicTime?.none)
        var (failed, successes) = (failures, 0)
        switch state.phase {
        case .closed(let failures): failed = failures
        case .open(let time) where time <= now.nanoseconds: phase = .halfOpen
        case .open(let time): until = MonotonicTime(nanoseconds: time)
        case .halfOpen(let count, _): successes = count
        }
        return Report(
            name: name, phase: phase, failureCount: failed, successCount: successes, openUntil: until, totals: totals)
    }
}

extension CircuitBreakerState.Phase {
    fileprivate var name: CircuitBreaker.Phase {
        switch self {
        case .closed: .closed
        case .open: .open
        case .halfOpen: .halfOpen
        }
    }
}

extension CircuitBreaker.Totals {
    fileprivate mutating func count(_ phase: CircuitBreaker.Phase) {
        switch phase {
        case .closed: closed += 1
        case .open: opened += 1
        case .halfOpen: halfOpened += 1
        }
    }
}

/// A service is known to be down: ask again later.
package struct CircuitOpen: Error, Equatable, Sendable {
    package let service: String
    package let retryAfter: Duration

    /// For `Retry-After`: whole seconds, at least one.
    package var retryAfterSeconds: Int {
        let (seconds, attoseconds) = retryAfter.components
        return max(1, Int(clamping: seconds) + (attoseconds > 0 ? 1 : 0))
    }
}

/// One request's way through a breaker. Tell it the outcome once, or drop it when there is none.
package struct CircuitPass: Sendable {
    fileprivate let breaker: CircuitBreaker
    fileprivate let epoch: UInt64
    fileprivate let probe: CircuitProbe?

    /// The service answered, if only to say what is wrong with the request.
    package func succeeded() {
        guard probe?.end() ?? true else { return }
        breaker.succeeded(in: epoch)
    }

    /// The service did not answer, or says that it cannot.
    package func failed(at now: MonotonicTime) {
        guard probe?.end() ?? true else { return }
        breaker.failed(in: epoch, at: now)
    }
}

/// The place of one request that tries a service; free again when it has an outcome, or when nobody holds it any more.
fileprivate final class CircuitProbe: Sendable {
    private let breaker: CircuitBreaker
    private let epoch: UInt64
    private let isOver = Atomic<Bool>(false)

    init(_ breaker: CircuitBreaker, _ epoch: UInt64) {
        self.breaker = breaker
        self.epoch = epoch
    }

    deinit {
        if end() { breaker.gaveUp(in: epoch) }
    }

    /// - Returns: Whether this is the first end of it.
    func end() -> Bool { !isOver.exchange(true, ordering: .relaxed) }
}
