import Testing

@testable import GatewayAgent

@Suite("Back-off")
struct BackoffTests {
    @Test("the bound doubles with each failure up to the cap, and begins anew once all is well")
    func bounds() {
        var backoff = Backoff()
        var dice = Dice(1)
        var bounds: [Duration] = []
        for _ in 0..<8 {
            bounds.append(backoff.bound)
            let pause = backoff.next(using: &dice)
            #expect(pause >= .zero && pause <= bounds[bounds.count - 1])
        }
        #expect(bounds == [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000].map { .milliseconds($0) })
        backoff.reset()
        #expect(backoff.bound == .milliseconds(500))
    }

    @Test("a gateway that stays away for a year does not overflow the bound")
    func manyFailures() {
        var backoff = Backoff()
        var dice = Dice(2)
        for _ in 0..<1_000_000 { _ = backoff.next(using: &dice) }
        #expect(backoff.bound == .seconds(30))
    }

    @Test("a thousand agents that fail together come back spread over the whole bound")
    func spread() {
        var dice = Dice(3)
        var tenths = [Int](repeating: 0, count: 10)
        for _ in 0..<1000 {
            var backoff = Backoff()
            for _ in 0..<6 { _ = backoff.next(using: &dice) }
            let pause = backoff.next(using: &dice)
            tenths[min(9, Int(pause / .seconds(3)))] += 1
        }
        #expect(tenths.allSatisfy { $0 > 60 && $0 < 140 }, "\(tenths)")
    }
}

/// The same every time for one seed.
struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
