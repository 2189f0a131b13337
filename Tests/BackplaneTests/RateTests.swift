import GatewayBackplane
import Testing

private let second: UInt64 = 1_000_000_000

/// Asks again and again at one moment, as whoever comes next would.
private struct Bucket {
    let rate: Rate
    var fullAt: UInt64 = 0

    mutating func take(_ cost: UInt64 = 1, at now: UInt64) -> Rate.Decision {
        let decision = rate.take(cost, fullAt: fullAt, now: now)
        fullAt = decision.fullAt
        return decision
    }

    /// Units granted before the first refusal.
    mutating func drain(at now: UInt64, most: Int = 10_000) -> Int {
        for taken in 0..<most where !take(at: now).isAllowed { return taken }
        return most
    }
}

@Suite("Rates (GCRA)")
struct RateTests {
    @Test("a burst is granted to the last unit, and the next one is told when to come back")
    func burst() {
        var bucket = Bucket(rate: .perMinute(100))
        for left in (0..<100).reversed() {
            let decision = bucket.take(at: 5 * second)
            #expect(decision.isAllowed)
            #expect(decision.remaining == UInt64(left))
            #expect(decision.retryAfter == 0)
        }
        let refused = bucket.take(at: 5 * second)
        #expect(!refused.isAllowed)
        #expect(refused.remaining == 0)
        #expect(refused.retryAfter == 600_000_000)
        #expect(refused.resetAfter == 60 * second)
    }

    @Test("whoever waits as long as was told is let in, and a nanosecond earlier is not")
    func wait() {
        var bucket = Bucket(rate: .perMinute(100))
        _ = bucket.drain(at: second)
        let wait = bucket.take(at: second).retryAfter
        #expect(!bucket.take(at: second + wait - 1).isAllowed)
        #expect(bucket.take(at: second + wait).isAllowed)
    }

    @Test("units come back evenly, and never more than the burst")
    func refill() {
        var bucket = Bucket(rate: .perMinute(60))
        #expect(bucket.drain(at: second) == 60)
        #expect(bucket.drain(at: 11 * second) == 10)
        #expect(bucket.drain(at: 1000 * second) == 60)
    }

    @Test("no quota loses a unit to rounding", arguments: [1, 3, 7, 11, 61, 997, 1_000_003] as [UInt64])
    func rounding(_ quota: UInt64) {
        let rate = Rate.perMinute(quota)
        var bucket = Bucket(rate: rate)
        let first = bucket.take(at: second)
        #expect(first.remaining == quota - 1)
        let rest = bucket.take(quota - 1, at: second)
        #expect(rest.isAllowed)
        #expect(rest.remaining == 0)
        #expect(!bucket.take(at: second).isAllowed)
        // A nanosecond of grace for what was rounded down.
        #expect(rate.take(0, fullAt: 0, now: second).remaining == quota)
    }

    @Test("a burst below and above the quota is what it says")
    func otherBurst() {
        var narrow = Bucket(rate: Rate(100, per: 60 * second, burst: 5))
        #expect(narrow.drain(at: second) == 5)
        #expect(narrow.drain(at: second + 600_000_000) == 1)
        var wide = Bucket(rate: Rate(1, per: second, burst: 30))
        #expect(wide.drain(at: second) == 30)
        #expect(wide.drain(at: 11 * second) == 10)
    }

    @Test("a cost is taken as a whole or not at all")
    func cost() {
        var bucket = Bucket(rate: Rate(10, per: second))
        #expect(bucket.take(7, at: second).remaining == 3)
        let refused = bucket.take(4, at: second)
        #expect(!refused.isAllowed)
        #expect(refused.remaining == 3)
        #expect(refused.retryAfter == second / 10)
        #expect(bucket.take(3, at: second).isAllowed)
    }

    @Test("a cost beyond the burst passes when nothing is used, and is paid off before anything else")
    func debt() {
        var bucket = Bucket(rate: Rate(10, per: second))
        #expect(bucket.take(30, at: second).isAllowed)
        let next = bucket.take(at: second)
        #expect(!next.isAllowed)
        #expect(next.retryAfter == 2 * second + second / 10)
        #expect(bucket.take(at: second + next.retryAfter).isAllowed)

        var used = Bucket(rate: Rate(10, per: second))
        _ = used.take(at: second)
        let refused = used.take(30, at: second)
        #expect(!refused.isAllowed)
        #expect(refused.retryAfter == second / 10)
    }

    @Test("asking for nothing uses nothing")
    func question() {
        var bucket = Bucket(rate: Rate(3, per: second))
        for _ in 0..<10 { #expect(bucket.take(0, at: second).remaining == 3) }
        #expect(bucket.drain(at: second) == 3)
        #expect(bucket.take(0, at: second).remaining == 0)
    }

    @Test("a clock that stands still or goes back gives nothing back, and takes nothing")
    func clock() {
        var bucket = Bucket(rate: Rate(10, per: second))
        #expect(bucket.drain(at: 100 * second) == 10)
        #expect(!bucket.take(at: 99 * second).isAllowed)
        #expect(!bucket.take(at: 0).isAllowed)
        #expect(bucket.take(at: 101 * second).isAllowed)
    }

    @Test("the largest numbers saturate")
    func overflow() {
        let slow = Rate(1, per: .max)
        #expect(slow.window < .max)
        var bucket = Bucket(rate: slow)
        #expect(bucket.take(.max, at: .max).isAllowed)
        #expect(!bucket.take(at: 0).isAllowed)
        var fast = Bucket(rate: Rate(.max, per: second, burst: .max))
        #expect(fast.rate.quota == second)
        #expect(fast.take(.max - 1, at: 0).isAllowed)
        #expect(Rate(0, per: 0, burst: 0) == Rate(1, per: 1, burst: 1))
    }

    @Test("what was used under one rate counts under the next")
    func changed() {
        var bucket = Bucket(rate: .perMinute(60))
        _ = bucket.take(30, at: second)
        #expect(Rate.perMinute(120).take(0, fullAt: bucket.fullAt, now: second).remaining == 60)
        #expect(Rate.perMinute(2).take(0, fullAt: bucket.fullAt, now: second).remaining == 1)
    }
}

@Suite("Strikes")
struct StrikeTests {
    private let rule = StrikeRule(threshold: 3, window: 10 * second, hold: 60 * second)

    @Test("strikes add up within a window that begins with the first, and the last one begins the block")
    func block() {
        var record = rule.add(1, to: nil, now: second)
        #expect(record == StrikeRule.Record(count: 1, until: 11 * second))
        record = rule.add(1, to: record, now: 5 * second)
        #expect(record == StrikeRule.Record(count: 2, until: 11 * second))
        record = rule.add(1, to: record, now: 6 * second)
        #expect(record == StrikeRule.Record(count: 3, until: 66 * second))
    }

    @Test("a block ends when it was said to, whatever comes meanwhile")
    func end() {
        let blocked = rule.add(3, to: nil, now: 0)
        let more = rule.add(5, to: blocked, now: 30 * second)
        #expect(more == StrikeRule.Record(count: 8, until: 60 * second))
        #expect(rule.add(0, to: more, now: 60 * second) == nil)
        #expect(rule.add(1, to: more, now: 60 * second)?.count == 1)
    }

    @Test("strikes of another window are forgotten")
    func window() {
        let record = rule.add(2, to: nil, now: 0)
        #expect(rule.add(1, to: record, now: 10 * second)?.count == 1)
    }

    @Test("asking changes nothing")
    func question() {
        #expect(rule.add(0, to: nil, now: second) == nil)
        let record = rule.add(1, to: nil, now: second)
        #expect(rule.add(0, to: record, now: 2 * second) == record)
    }

    @Test("the largest numbers saturate")
    func overflow() {
        let rule = StrikeRule(threshold: 0, window: .max, hold: .max)
        #expect(rule.threshold == 1)
        let record = rule.add(.max, to: nil, now: 5)
        #expect(record == StrikeRule.Record(count: .max, until: .max))
        #expect(rule.add(.max, to: record, now: 6)?.count == .max)
    }
}
