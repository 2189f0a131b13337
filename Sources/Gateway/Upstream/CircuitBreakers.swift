package import GatewayConfig
import GatewayLocks
package import GatewayRuntime
package import GatewayTelemetry

/// What `CIRCUIT_BREAKER_*` can say.
package struct CircuitBreakerSettings: Settings {
    package let rule: CircuitBreakerRule

    package init(from env: inout SettingsReader) {
        var rule = CircuitBreakerRule()
        rule.failures = env.optional(
            exactly: "CIRCUIT_BREAKER_FAILURES", default: rule.failures, in: 0...1000,
            "Failed requests to a service in a row after which it counts as down, and requests to it are answered 503 "
                + "without asking it. 0 never does.")
        rule.openTime = env.optional(
            exactly: "CIRCUIT_BREAKER_OPEN_TIME", default: rule.openTime, in: .milliseconds(10) ... .seconds(3600),
            bare: .milliseconds, "How long it is left alone before a request tries it again.")
        rule.successes = env.optional(
            exactly: "CIRCUIT_BREAKER_SUCCESSES", default: rule.successes, in: 1...100,
            "Tries in a row that must succeed before all requests go to it again. One that fails starts the time anew.")
        rule.probes = env.optional(
            exactly: "CIRCUIT_BREAKER_PROBES", default: rule.probes, in: 1...1000,
            "Requests that may try it at the same time; others are answered 503 meanwhile.")
        self.rule = rule
    }
}

/// All circuit breakers of the process, by the names of their services.
///
/// A breaker lives as long as somebody holds it, so that a service which is gone is not listed for ever; whoever asks for
/// a name that is held gets the one that is there, with what it knows.
package final class CircuitBreakers: Sendable {
    private struct Entry {
        weak var breaker: CircuitBreaker?
    }

    /// Breakers that are listed and have metrics. One that is asked for beyond them works, unlisted and by itself.
    package static let limit = 1024

    private let rules: CircuitBreakerRules
    private let log: Logger
    private let limit: Int
    private let entries = Guarded<[String: Entry]>([:])

    package init(_ rule: CircuitBreakerRule = CircuitBreakerRule(), log: Logger = .silent, limit: Int = limit) {
        rules = CircuitBreakerRules(rule)
        self.log = log
        self.limit = limit
    }

    /// What all breakers go by, from their next change on.
    package var rule: CircuitBreakerRule {
        get { rules.value }
        set { rules.value = newValue }
    }

    /// The breaker of a service.
    ///
    /// - Parameter name: Becomes a label, so it is the operator's or a person's who signed in, never a request's:
    ///   `proxy:/api`.
    package func breaker(of name: String) -> CircuitBreaker {
        let outcome = entries.withLock { entries -> (breaker: CircuitBreaker, isListed: Bool) in
            if let known = entries[name]?.breaker { return (known, true) }
            if entries.count >= limit { entries = entries.filter { $0.value.breaker != nil } }
            let made = CircuitBreaker(name: name, rules: rules, log: log)
            guard entries.count < limit else { return (made, false) }
            entries[name] = Entry(breaker: made)
            return (made, true)
        }
        if !outcome.isListed {
            log.warn("circuit breaker not listed: too many", .string("service", name), .int("limit", limit))
        }
        return outcome.breaker
    }

    private var all: [CircuitBreaker] {
        entries.withLock { $0.values.compactMap(\.breaker) }.sorted { $0.name < $1.name }
    }

    /// How each stands, by name.
    package func reports(at now: MonotonicTime = .read()) -> [CircuitBreaker.Report] { all.map { $0.report(at: now) } }

    /// What is looked up when metrics are asked for.
    package var samples: [MetricSample] { reports().flatMap(\.samples) }
}

/// The rule, where every breaker looks it up.
final class CircuitBreakerRules: Sendable {
    private let rule: Guarded<CircuitBreakerRule>

    init(_ rule: CircuitBreakerRule) { self.rule = Guarded(rule) }

    var value: CircuitBreakerRule {
        get { rule.withLock { $0 } }
        set { rule.withLock { $0 = newValue } }
    }
}

extension CircuitBreaker.Report {
    fileprivate var samples: [MetricSample] {
        func transitions(to phase: CircuitBreaker.Phase, _ count: Int) -> MetricSample {
            MetricSample(
                "circuit_breaker_transitions_total", "How often a circuit breaker changed, by what it became.",
                kind: .counter, labels: [("service", name), ("to", phase.rawValue)], value: Double(count))
        }
        let service = [("service", name)]
        return [
            MetricSample(
                "circuit_breaker_state", "0 closed, 1 open, 2 half-open.", labels: service, value: phase.number),
            MetricSample(
                "circuit_breaker_rejections_total", "Requests that a circuit breaker did not let through.",
                kind: .counter, labels: service, value: Double(totals.refused)),
            transitions(to: .open, totals.opened), transitions(to: .halfOpen, totals.halfOpened),
            transitions(to: .closed, totals.closed),
        ]
    }
}

extension CircuitBreaker.Phase {
    /// The encoding of `circuit_breaker_state`.
    fileprivate var number: Double {
        switch self {
        case .closed: 0
        case .open: 1
        case .halfOpen: 2
        }
    }
}
