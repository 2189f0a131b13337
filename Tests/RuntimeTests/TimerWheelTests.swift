import Testing

@testable import GatewayRuntime

@Suite("Timer wheel")
struct TimerWheelTests {
    /// A wheel, its clock in milliseconds, and what fired.
    private final class Bench: TimerTarget {
        var wheel: TimerWheel
        var clock: UInt64 = 1_000
        private(set) var fired: [UInt32] = []

        init() { wheel = TimerWheel(now: Self.time(1_000)) }

        func timerFired(tag: UInt32) { fired.append(tag) }

        static func time(_ milliseconds: UInt64) -> MonotonicTime {
            MonotonicTime(nanoseconds: milliseconds * 1_000_000)
        }

        /// - Parameter delay: Milliseconds from now.
        @discardableResult
        func set(_ delay: UInt64, tag: UInt32) -> TimerToken {
            wheel.set(Self.time(clock + delay), target: self, tag: tag)
        }

        func pass(_ milliseconds: UInt64) {
            clock += milliseconds
            wheel.advance(to: Self.time(clock))
            while let (target, tag) = wheel.popDue() { target.timerFired(tag: tag) }
        }
    }

    @Test(
        "a timer fires at its time or up to two ticks later, on every wheel",
        arguments: [0, 1, 4, 100, 1_019, 1_020, 1_023, 1_024, 1_028, 60_000, 262_139, 262_144, 262_148, 3_600_000]
            as [UInt64])
    func firesOnce(_ delay: UInt64) {
        let bench = Bench()
        bench.set(delay, tag: 7)
        if delay > 0 { bench.pass(delay - 1) }
        #expect(bench.fired.isEmpty)
        bench.pass(9)
        #expect(bench.fired == [7])
        #expect(bench.wheel.count == 0)
        #expect(bench.wheel.nextDue == nil)
    }

    @Test("timers of different times fire in their order, also when all are due at once")
    func order() {
        let bench = Bench()
        for (tag, delay) in ([400_000, 8, 90_000, 1_100, 300, 16] as [UInt64]).enumerated() {
            bench.set(delay, tag: UInt32(tag))
        }
        bench.pass(500_000)
        #expect(bench.fired == [1, 5, 4, 3, 2, 0])
    }

    @Test("a cancelled timer never fires", arguments: [0, 500, 5_000, 500_000] as [UInt64])
    func cancel(_ delay: UInt64) {
        let bench = Bench()
        let token = bench.set(delay, tag: 1)
        bench.set(delay, tag: 2)
        bench.wheel.cancel(token)
        bench.pass(delay + 10)
        #expect(bench.fired == [2])
    }

    @Test("a timer that is due already can still be cancelled by one before it")
    func cancelWhileDue() {
        let bench = Bench()
        bench.set(1, tag: 1)
        let second = bench.set(20, tag: 2)
        bench.set(40, tag: 3)
        bench.wheel.advance(to: Bench.time(bench.clock + 100))
        #expect(bench.wheel.popDue()?.tag == 1)
        bench.wheel.cancel(second)
        #expect(bench.wheel.popDue()?.tag == 3)
        #expect(bench.wheel.popDue() == nil)
        #expect(bench.wheel.count == 0)
    }

    @Test("what is due and last can be cancelled, and what comes due later still fires")
    func cancelLastDue() {
        let bench = Bench()
        let token = bench.set(1, tag: 1)
        bench.set(100, tag: 2)
        bench.wheel.advance(to: Bench.time(bench.clock + 50))
        bench.wheel.cancel(token)
        bench.pass(200)
        #expect(bench.fired == [2])
    }

    @Test("a token of a timer that fired does not cancel the one that took its place")
    func staleToken() {
        let bench = Bench()
        let stale = bench.set(1, tag: 1)
        bench.pass(10)
        let fresh = bench.set(100, tag: 2)
        bench.wheel.cancel(stale)
        #expect(bench.wheel.count == 1)
        bench.wheel.cancel(fresh)
        bench.wheel.cancel(fresh)
        bench.wheel.cancel(.none)
        #expect(bench.wheel.count == 0)
    }

    @Test("a timer can be cancelled and set again, earlier or later")
    func reset() {
        let bench = Bench()
        bench.wheel.cancel(bench.set(10, tag: 1))
        bench.set(5_000, tag: 2)
        bench.wheel.cancel(bench.set(100_000, tag: 3))
        bench.set(40, tag: 4)
        bench.pass(50)
        #expect(bench.fired == [4])
        bench.pass(5_000)
        #expect(bench.fired == [4, 2])
    }

    @Test("a wait longer than the wheels reach is cut into several")
    func farFuture() {
        let bench = Bench()
        let days: UInt64 = 3 * 86_400_000
        bench.set(days, tag: 1)
        let never = bench.wheel.set(.distantFuture, target: bench, tag: 2)
        bench.pass(days - 100)
        #expect(bench.fired.isEmpty)
        bench.pass(200)
        #expect(bench.fired == [1])
        bench.wheel.cancel(never)
        #expect(bench.wheel.count == 0)
    }

    @Test("a deadline in the past fires at the next tick")
    func past() {
        let bench = Bench()
        _ = bench.wheel.set(MonotonicTime(nanoseconds: 0), target: bench, tag: 1)
        bench.pass(4)
        #expect(bench.fired == [1])
    }

    @Test("the wheel keeps its targets alive until they fire or are cancelled, and no longer")
    func lifetime() {
        var wheel = TimerWheel(now: Bench.time(0))
        weak var seen: Bench?
        let token: TimerToken
        do {
            let bench = Bench()
            seen = bench
            token = wheel.set(Bench.time(10), target: bench, tag: 0)
        }
        #expect(seen != nil)
        wheel.cancel(token)
        #expect(seen == nil)
    }

    @Test(
        "against a plain list, random timers fire in the same order and never early",
        arguments: 1...8 as ClosedRange<UInt64>)
    func randomized(_ seed: UInt64) {
        var random = Lehmer(seed)
        let bench = Bench()
        var expected: [UInt32: UInt64] = [:]
        var tokens: [UInt32: TimerToken] = [:]
        var tag: UInt32 = 0
        for _ in 0..<2_000 {
            switch random.below(10) {
            case 0..<5:
                let delay = random.below([8, 1_100, 300_000, 80_000_000][Int(random.below(4))])
                expected[tag] = bench.clock + delay
                tokens[tag] = bench.set(delay, tag: tag)
                tag += 1
            case 5:
                guard let victim = expected.keys.min(), let token = tokens[victim] else { continue }
                bench.wheel.cancel(token)
                expected[victim] = nil
            default:
                check(bench, &expected, after: random.below([3, 50, 5_000, 10_000_000][Int(random.below(4))]))
            }
        }
        check(bench, &expected, after: 200_000_000)
        #expect(expected.isEmpty)
        #expect(bench.wheel.count == 0)
    }

    private func check(_ bench: Bench, _ expected: inout [UInt32: UInt64], after milliseconds: UInt64) {
        if let next = bench.wheel.nextDue, let earliest = expected.values.min() {
            #expect(next.nanoseconds <= Bench.time(earliest + 8).nanoseconds)
        }
        let before = bench.fired.count
        bench.pass(milliseconds)
        let fired = bench.fired[before...]
        var last: UInt64 = 0
        for tag in fired {
            guard let due = expected.removeValue(forKey: tag) else {
                Issue.record("timer \(tag) fired twice or after it was cancelled")
                continue
            }
            #expect(due <= bench.clock)
            #expect(due / 4 >= last)
            last = due / 4
        }
        #expect(expected.values.allSatisfy { $0 + 8 > bench.clock })
    }

    @Test("waking whenever the wheel asks fires each timer within two ticks of its time")
    func nextDue() {
        let bench = Bench()
        let delays: [UInt64] = [3, 900, 1_030, 70_000, 262_200, 300_000]
        for delay in delays { bench.set(delay, tag: UInt32(delay)) }
        let start = bench.clock
        var firedAt: [UInt64] = []
        while let due = bench.wheel.nextDue {
            let count = bench.fired.count
            bench.pass(due.nanoseconds / 1_000_000 - bench.clock)
            if bench.fired.count > count { firedAt.append(bench.clock - start) }
        }
        #expect(bench.fired == delays.map { UInt32($0) })
        for (at, delay) in zip(firedAt, delays) { #expect((delay...delay + 8).contains(at)) }
    }
}

/// A small repeatable source of numbers.
struct Lehmer {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func below(_ bound: UInt64) -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state % bound
    }
}
