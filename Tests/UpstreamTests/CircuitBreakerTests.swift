import GatewayBytes
import GatewayConfig
import GatewayRuntime
import GatewayTelemetry
import GatewayTestSupport
import Synchronization
import Testing

@testable import GatewayUpstream

private let second: UInt64 = 1_000_000_000

private func moment(_ seconds: UInt64) -> MonotonicTime { MonotonicTime(nanoseconds: seconds * second) }

private func rule(_ failures: Int = 3, successes: Int = 2, probes: Int = 1) -> CircuitBreakerRule {
    var rule = CircuitBreakerRule()
    rule.failures = failures
    rule.openTime = .seconds(60)
    rule.successes = successes
    rule.probes = probes
    return rule
}

/// A state in a class, since `#expect` cannot call what changes a value.
private final class Watched {
    var state = CircuitBreakerState()
    let rule: CircuitBreakerRule

    init(_ rule: CircuitBreakerRule) { self.rule = rule }

    /// Opened at the first second.
    static func opened(_ rule: CircuitBreakerRule) -> Watched {
        let watched = Watched(rule)
        for _ in 0..<rule.failures { watched.failed(at: 1) }
        return watched
    }

    func admit(at seconds: UInt64) -> CircuitBreakerState.Admission { state.admit(at: seconds * second, rule) }
    func succeeded(in epoch: UInt64? = nil) { state.succeeded(in: epoch ?? state.epoch, rule) }
    func failed(at seconds: UInt64, in epoch: UInt64? = nil) {
        state.failed(in: epoch ?? state.epoch, at: seconds * second, rule)
    }
    func gaveUp() { state.gaveUp(in: state.epoch) }
    var phase: CircuitBreakerState.Phase { state.phase }
}

@Suite("What is known about one service")
struct CircuitBreakerStateTests {
    @Test("failures in a row open, and only in a row")
    func inARow() {
        let state = Watched(rule(3))
        for _ in 0..<2 { state.failed(at: 1) }
        state.succeeded()
        for _ in 0..<2 { state.failed(at: 1) }
        #expect(state.phase == .closed(failures: 2))
        #expect(state.admit(at: 1) == .passes)
        state.failed(at: 1)
        #expect(state.phase == .open(until: 61 * second))
    }

    @Test("while it is open it refuses and says for how long, to the last nanosecond")
    func open() {
        let state = Watched.opened(rule())
        #expect(state.admit(at: 1) == .refused(after: 60 * second))
        #expect(state.state.admit(at: 61 * second - 1, state.rule) == .refused(after: 1))
        #expect(state.admit(at: 61) == .probes)
    }

    @Test("as many try it at once as may, and others are refused", arguments: [1, 2, 5])
    func probes(_ limit: Int) {
        let state = Watched.opened(rule(probes: limit))
        for _ in 0..<limit { #expect(state.admit(at: 61) == .probes) }
        #expect(state.admit(at: 61) == .refused(after: second))
        state.gaveUp()
        #expect(state.admit(at: 61) == .probes)
        #expect(state.admit(at: 61) == .refused(after: second))
    }

    @Test("successes in a row close it, one failure opens it anew")
    func verdicts() {
        let state = Watched.opened(rule(successes: 2))
        #expect(state.admit(at: 61) == .probes)
        state.succeeded()
        #expect(state.phase == .halfOpen(successes: 1, probes: 0))
        #expect(state.admit(at: 62) == .probes)
        state.failed(at: 63)
        #expect(state.phase == .open(until: 123 * second))
        for _ in 0..<2 {
            #expect(state.admit(at: 123) == .probes)
            state.succeeded()
        }
        #expect(state.state.isQuiet)
        #expect(state.admit(at: 123) == .passes)
    }

    @Test("what was on its way when it opened changes nothing, then or later")
    func stragglers() {
        let state = Watched(rule(1))
        state.failed(at: 1)
        state.succeeded(in: 0)
        state.failed(at: 30, in: 0)
        #expect(state.phase == .open(until: 61 * second))
        #expect(state.admit(at: 61) == .probes)
        let trying = state.state.epoch
        state.succeeded(in: 0)
        state.failed(at: 62, in: 0)
        #expect(state.phase == .halfOpen(successes: 0, probes: 1))
        state.failed(at: 62)
        state.state.gaveUp(in: trying)
        state.succeeded(in: trying)
        #expect(state.phase == .open(until: 122 * second))
    }

    @Test("a rule of zero failures never opens, and closes what was open")
    func never() {
        let state = Watched(rule(0))
        for _ in 0..<99 { state.failed(at: 0) }
        #expect(state.state.isQuiet)
        let open = Watched.opened(rule(2))
        #expect(open.state.admit(at: second, rule(0)) == .passes)
        #expect(open.state.isQuiet)
    }
}

@Suite("A circuit breaker")
struct CircuitBreakerTests {
    private func opened(_ breakers: CircuitBreakers, _ name: String = "proxy:/api") throws -> CircuitBreaker {
        let breaker = breakers.breaker(of: name)
        for _ in 0..<breakers.rule.failures { try breaker.enter(at: moment(1)).failed(at: moment(1)) }
        return breaker
    }

    @Test("what refuses names the service and when to come back, in whole seconds")
    func refusal() throws {
        let breaker = try opened(CircuitBreakers(rule(2)))
        let refused = #expect(throws: CircuitOpen.self) { try breaker.enter(at: moment(2)) }
        #expect(refused == CircuitOpen(service: "proxy:/api", retryAfter: .seconds(59)))
        #expect(refused?.retryAfterSeconds == 59)
        #expect(CircuitOpen(service: "", retryAfter: .milliseconds(1)).retryAfterSeconds == 1)
        #expect(CircuitOpen(service: "", retryAfter: .milliseconds(1001)).retryAfterSeconds == 2)
        #expect(CircuitOpen(service: "", retryAfter: .zero).retryAfterSeconds == 1)
    }

    @Test("of many threads that come when the time is over, as many try it as may", arguments: [1, 3])
    func probesOfManyThreads(_ limit: Int) throws {
        let breakers = CircuitBreakers(rule(2, successes: 1000, probes: limit))
        let breaker = try opened(breakers)
        let pool = WorkerPool(threads: 4, queue: 4096)
        defer { pool.stop() }
        let under = Atomic<Int>(0)
        let most = Atomic<Int>(0)
        let admitted = Atomic<Int>(0)
        let done = Countdown(400)
        for number in 0..<400 {
            let taken = pool.submit {
                if let pass = try? breaker.enter(at: moment(100)) {
                    let now = under.wrappingAdd(1, ordering: .relaxed).newValue
                    most.max(now, ordering: .relaxed)
                    admitted.wrappingAdd(1, ordering: .relaxed)
                    under.wrappingSubtract(1, ordering: .relaxed)
                    // Some give up without an outcome.
                    if number % 3 != 0 { pass.succeeded() }
                }
                done.finishOne()
            }
            #expect(taken)
        }
        #expect(done.wait(atMost: .seconds(30)))
        #expect(1...limit ~= most.load(ordering: .relaxed))
        let report = breaker.report(at: moment(100))
        #expect(report.phase == .halfOpen)
        #expect(report.totals.refused + admitted.load(ordering: .relaxed) == 400)
        #expect(report.totals.succeeded == report.successCount)
        // Every place is free again.
        for _ in 0..<limit { #expect(throws: Never.self) { try breaker.enter(at: moment(100)).succeeded() } }
    }

    @Test("all loops agree: what several threads count in a row is counted once each")
    func failuresOfManyThreads() throws {
        let breakers = CircuitBreakers(rule(300))
        let breaker = breakers.breaker(of: "shared")
        let pool = WorkerPool(threads: 4, queue: 4096)
        defer { pool.stop() }
        let done = Countdown(299)
        for _ in 0..<299 {
            let taken = pool.submit {
                (try? breaker.enter(at: moment(1)))?.failed(at: moment(1))
                done.finishOne()
            }
            #expect(taken)
        }
        #expect(done.wait(atMost: .seconds(30)))
        #expect(breaker.report(at: moment(1)).phase == .closed)
        #expect(breaker.report(at: moment(1)).failureCount == 299)
        try breaker.enter(at: moment(1)).failed(at: moment(1))
        #expect(breaker.report(at: moment(1)).phase == .open)
    }

    @Test("a pass that is dropped has no outcome, and its place is free again")
    func dropped() throws {
        let breaker = try opened(CircuitBreakers(rule(2)))
        for _ in 0..<3 {
            var pass: CircuitPass? = try breaker.enter(at: moment(61))
            #expect(pass != nil)
            #expect(throws: CircuitOpen.self) { try breaker.enter(at: moment(61)) }
            pass = nil
        }
        let report = breaker.report(at: moment(61))
        #expect((report.phase, report.successCount) == (.halfOpen, 0))
        #expect((report.totals.succeeded, report.totals.failed) == (0, 2))
    }

    @Test("a pass that tries counts once, whatever it is told after")
    func once() throws {
        let breaker = try opened(CircuitBreakers(rule(2, successes: 2)))
        let pass = try breaker.enter(at: moment(61))
        pass.succeeded()
        pass.succeeded()
        pass.failed(at: moment(61))
        #expect(breaker.report(at: moment(61)).phase == .halfOpen)
        #expect(breaker.report(at: moment(61)).successCount == 1)
    }

    @Test("a report tells the phase, what was counted and when it ends")
    func reports() throws {
        let breaker = try opened(CircuitBreakers(rule(2, successes: 2)), "a")
        #expect(throws: CircuitOpen.self) { try breaker.enter(at: moment(2)) }
        let open = breaker.report(at: moment(2))
        #expect((open.phase, open.failureCount, open.successCount, open.openUntil) == (.open, 2, 0, moment(61)))
        #expect((open.totals.failed, open.totals.refused, open.totals.opened, open.totals.requests) == (2, 1, 1, 3))
        // Nobody has tried it, and it would let somebody.
        #expect(breaker.report(at: moment(61)).phase == .halfOpen)
        for _ in 0..<2 { try breaker.enter(at: moment(61)).succeeded() }
        for _ in 0..<3 { try breaker.enter(at: moment(62)).succeeded() }
        let closed = breaker.report(at: moment(62))
        #expect((closed.phase, closed.failureCount, closed.successCount, closed.openUntil) == (.closed, 0, 0, nil))
        #expect((closed.totals.succeeded, closed.totals.halfOpened, closed.totals.closed) == (5, 1, 1))
    }

    @Test("each change is logged once, with the service's name")
    func logged() throws {
        let memory = MemoryLog()
        let logs = LogSystem(level: .info, format: .json, sink: LogSink(limit: .mebibytes(1)) { memory.write($0) })
        logs.sink.start()
        let breaker = try opened(CircuitBreakers(rule(2, successes: 1), log: logs.logger("breakers")), "tunnel:laptop")
        #expect(throws: CircuitOpen.self) { try breaker.enter(at: moment(2)) }
        try breaker.enter(at: moment(61)).succeeded()
        #expect(logs.sink.stop(atMost: .seconds(20)))
        let phrases = ["circuit opened", "circuit half open", "circuit closed"]
        #expect(memory.lines.count == phrases.count)
        for (line, phrase) in zip(memory.lines, phrases) {
            #expect(line.contains(phrase) && line.contains("tunnel:laptop"))
        }
    }
}

@Suite("All circuit breakers of the process")
struct CircuitBreakersTests {
    @Test("a name that somebody holds is one breaker; one that nobody holds is forgotten")
    func names() throws {
        let breakers = CircuitBreakers(rule(1))
        var held: CircuitBreaker? = breakers.breaker(of: "a")
        try held?.enter(at: moment(1)).failed(at: moment(1))
        #expect(breakers.breaker(of: "a") === held)
        #expect(breakers.reports(at: moment(1)).map(\.name) == ["a"])
        held = nil
        #expect(breakers.reports(at: moment(1)).isEmpty)
        #expect(breakers.breaker(of: "a").report(at: moment(1)).phase == .closed)
    }

    @Test("beyond the limit a breaker works unlisted, and names that are free make room")
    func limit() throws {
        let breakers = CircuitBreakers(rule(1), limit: 2)
        var held = ["b", "a"].map { breakers.breaker(of: $0) }
        let third = breakers.breaker(of: "c")
        try third.enter(at: moment(1)).failed(at: moment(1))
        #expect(throws: CircuitOpen.self) { try third.enter(at: moment(1)) }
        #expect(breakers.reports(at: moment(1)).map(\.name) == ["a", "b"])
        held.removeFirst()
        held.append(breakers.breaker(of: "d"))
        #expect(breakers.reports(at: moment(1)).map(\.name) == ["a", "d"])
    }

    @Test("another rule counts from the next request on, for those that are open too")
    func changedRule() throws {
        let breakers = CircuitBreakers(rule(1))
        let breaker = breakers.breaker(of: "a")
        try breaker.enter(at: moment(1)).failed(at: moment(1))
        breakers.rule = rule(0)
        #expect(throws: Never.self) { try breaker.enter(at: moment(2)) }
        #expect(breaker.report(at: moment(2)).phase == .closed)
    }

    @Test("metrics tell the state by number, changes and refusals by service")
    func metrics() throws {
        let breakers = CircuitBreakers(rule(1, successes: 1))
        let held = ["closed", "open", "trying"].map { breakers.breaker(of: $0) }
        let now = MonotonicTime.read()
        try held[1].enter(at: now).failed(at: now)
        #expect(throws: CircuitOpen.self) { try held[1].enter(at: now) }
        let longAgo = MonotonicTime(nanoseconds: 1)
        breakers.rule.openTime = .nanoseconds(1)
        try held[2].enter(at: longAgo).failed(at: longAgo)
        func value(_ name: String, _ labels: String...) -> Double? {
            breakers.samples.first { $0.name == name && $0.labels.map(\.1) == labels }?.value
        }
        #expect(value("circuit_breaker_state", "closed") == 0)
        #expect(value("circuit_breaker_state", "open") == 1)
        #expect(value("circuit_breaker_state", "trying") == 2)
        #expect(value("circuit_breaker_rejections_total", "open") == 1)
        #expect(value("circuit_breaker_rejections_total", "closed") == 0)
        #expect(value("circuit_breaker_transitions_total", "open", "open") == 1)
        #expect(value("circuit_breaker_transitions_total", "open", "closed") == 0)
        #expect(value("circuit_breaker_transitions_total", "closed", "half-open") == 0)
    }

    @Test("settings have the promised defaults, and ranges")
    func settings() {
        func read(_ environment: [String: String]) -> (rule: CircuitBreakerRule, problems: Int) {
            var reader = SettingsReader(environment: environment)
            let settings = CircuitBreakerSettings(from: &reader)
            return (settings.rule, reader.problems.count)
        }
        let standard = read([:]).rule
        #expect((standard.failures, standard.openTime, standard.successes, standard.probes) == (5, .seconds(60), 2, 1))
        let other = read([
            "CIRCUIT_BREAKER_FAILURES": "0", "CIRCUIT_BREAKER_OPEN_TIME": "250", "CIRCUIT_BREAKER_SUCCESSES": "1",
            "CIRCUIT_BREAKER_PROBES": "3",
        ])
        #expect((other.rule.failures, other.rule.openTime, other.rule.successes) == (0, .milliseconds(250), 1))
        #expect((other.rule.probes, other.problems) == (3, 0))
        #expect(read(["CIRCUIT_BREAKER_PROBES": "0", "CIRCUIT_BREAKER_SUCCESSES": "0"]).problems == 2)
    }
}
