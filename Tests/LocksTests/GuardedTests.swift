import GatewayLocks
import GatewayRuntime
import Testing

@Suite("A guarded value")
struct GuardedTests {
    struct Refused: Error, Equatable {}

    @Test("is changed by one thread at a time, and seen whole by the others")
    func exclusion() {
        let pair = Guarded((left: 0, right: 0))
        let torn = Guarded(0)
        let done = Countdown(3)
        for _ in 0..<3 {
            Threads.start("test") {
                for _ in 0..<10_000 {
                    let isTorn = pair.withLock { pair in
                        defer {
                            pair.left += 1
                            pair.right += 1
                        }
                        return pair.left != pair.right
                    }
                    if isTorn { torn.withLock { $0 += 1 } }
                }
                done.finishOne()
            }
        }
        #expect(done.wait(atMost: .seconds(60)))
        #expect(pair.withLock { $0.left } == 30_000)
        #expect(torn.withLock { $0 } == 0)
    }

    @Test("keeps what was done before an error, passes the error on, and can be had again")
    func errors() {
        let value = Guarded(1)
        #expect(throws: Refused()) {
            try value.withLock { value throws(Refused) in
                value = 2
                throw Refused()
            }
        }
        #expect(value.withLock { $0 } == 2)
    }

    @Test("goes with its lock")
    func release() {
        final class Held: Sendable {}
        weak var left: Held?
        do {
            let value = Guarded(Held())
            left = value.withLock { $0 }
            #expect(left != nil)
        }
        #expect(left == nil)
    }
}
