import GatewayRuntime

/// When a service counts as down, and how it is found to be up again.
package struct CircuitBreakerRule: Hashable, Sendable {
    /// Failures in a row that open; zero never does.
    package var failures = 5
    package var openTime = Duration.seconds(60)
    /// Successes in a row that close again.
    package var successes = 2
    /// Requests at once that try a service which may be up again.
    package var probes = 1

    package init() {}
}

/// What is known about one service. The caller owns the clock: monotonic nanoseconds everywhere.
///
/// ```
///            failures in a row             time is over
///   closed ──────────────────────▶ open ─────────────────▶ half-open
///     ▲                              ▲     one failure         │
///     │                              └─────────────────────────┤
///     └───────────────────── successes in a row ───────────────┘
/// ```
struct CircuitBreakerState {
    enum Phase: Equatable {
        case closed(failures: Int)
        case open(until: UInt64)
        case halfOpen(successes: Int, probes: Int)
    }

    enum Admission: Equatable {
        case passes
        /// It counts against ``CircuitBreakerRule/probes`` until its outcome is told, or that it has none.
        case probes
        /// - Parameter after: Nanoseconds until it is worth asking again.
        case refused(after: UInt64)
    }

    private(set) var phase = Phase.closed(failures: 0)
    /// Counts the changes of phase. An outcome counts in the phase that let the request in, and in no later one: what was
    /// on its way when it opened says nothing new.
    private(set) var epoch: UInt64 = 0

    /// Nothing to remember: the usual case, which takes no lock.
    var isQuiet: Bool { phase == .closed(failures: 0) }

    private mutating func enter(_ phase: Phase) {
        self.phase = phase
        epoch &+= 1
    }

    /// While others try, it is soon known.
    private static let soon: UInt64 = 1_000_000_000

    mutating func admit(at now: UInt64, _ rule: CircuitBreakerRule) -> Admission {
        guard rule.failures > 0 else {
            // It was switched off.
            if !isQuiet { enter(.closed(failures: 0)) }
            return .passes
        }
        switch phase {
        case .closed: return .passes
        case .open(let until) where now < until: return .refused(after: until - now)
        case .open:
            enter(.halfOpen(successes: 0, probes: 1))
            return .probes
        case .halfOpen(let successes, let probes):
            guard probes < max(1, rule.probes) else { return .refused(after: Self.soon) }
            phase = .halfOpen(successes: successes, probes: probes + 1)
            return .probes
        }
    }

    /// A request that was let in at `epoch` was answered.
    mutating func succeeded(in epoch: UInt64, _ rule: CircuitBreakerRule) {
        guard epoch == self.epoch else { return }
        switch phase {
        case .closed: phase = .closed(failures: 0)
        case .open: break
        case .halfOpen(let successes, let probes):
            guard successes + 1 < rule.successes else { return enter(.closed(failures: 0)) }
            phase = .halfOpen(successes: successes + 1, probes: probes - 1)
        }
    }

    /// A request that was let in at `epoch` failed.
    mutating func failed(in epoch: UInt64, at now: UInt64, _ rule: CircuitBreakerRule) {
        guard epoch == self.epoch, rule.failures > 0 else { return }
        if case .closed(let failures) = phase, failures + 1 < rule.failures {
            phase = .closed(failures: failures + 1)
            return
        }
        enter(.open(until: (MonotonicTime(nanoseconds: now) + rule.openTime).nanoseconds))
    }

    /// A request that was let in to try has no outcome: its client left, or it never reached the service.
    mutating func gaveUp(in epoch: UInt64) {
        guard epoch == self.epoch, case .halfOpen(let successes, let probes) = phase else { return }
        phase = .halfOpen(successes: successes, probes: probes - 1)
    }
}
