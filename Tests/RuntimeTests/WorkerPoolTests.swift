import GatewayLocks
import Testing

@testable import GatewayRuntime

@Suite("Worker pool")
struct WorkerPoolTests {
    @Test("all work is done, by no more threads than allowed")
    func threadLimit() throws {
        let pool = WorkerPool(threads: 3, queue: 10_000)
        let running = Guarded((now: 0, most: 0))
        let done = Countdown(2_000)
        for _ in 0..<2_000 {
            let taken = pool.submit {
                running.withLock {
                    $0.now += 1
                    $0.most = max($0.most, $0.now)
                }
                Threads.sleep(.microseconds(10))  // so that one thread cannot do it all by itself
                running.withLock { $0.now -= 1 }
                done.finishOne()
            }
            #expect(taken)
        }
        #expect(done.wait(atMost: .seconds(60)))
        #expect(running.withLock { $0.most } <= 3)
        pool.stop()
    }

    @Test("a thread that may block waits for what work returns or throws, and no longer than it wants to")
    func waited() throws {
        struct Failed: Error {}
        let pool = WorkerPool(threads: 1, queue: 1)
        #expect(try pool.wait(atMost: .seconds(60)) { 7 } == 7)
        #expect(throws: Failed.self) { try pool.wait(atMost: .seconds(60)) { throw Failed() } }
        let (gate, done) = (Signal(), Signal())
        let late: Void? = try pool.wait(atMost: .milliseconds(1)) {
            gate.wait()
            done.raise()
        }
        #expect(late == nil)
        gate.raise()
        #expect(done.wait(atMost: .seconds(60)))
        pool.stop()
        #expect(throws: WorkerPool.Busy.self) { try pool.wait(atMost: .seconds(60)) {} }
    }

    @Test("one thread does what it is given in the order of asking")
    func order() {
        let pool = WorkerPool(threads: 1, queue: 1000)
        let seen = Guarded<[Int]>([])
        let done = Countdown(1000)
        for number in 0..<1000 {
            let taken = pool.submit {
                seen.withLock { $0.append(number) }
                done.finishOne()
            }
            #expect(taken)
        }
        #expect(done.wait(atMost: .seconds(60)))
        #expect(seen.withLock { $0 } == Array(0..<1000))
        pool.stop()
    }

    @Test("a full queue refuses, and takes again when there is room")
    func busy() throws {
        let pool = WorkerPool(threads: 1, queue: 2)
        let started = Signal()
        let gate = Signal()
        let done = Countdown(3)
        #expect(
            pool.submit {
                started.raise()
                gate.wait()
                done.finishOne()
            })
        #expect(started.wait(atMost: .seconds(60)))
        #expect(pool.submit { done.finishOne() })
        #expect(pool.submit { done.finishOne() })
        #expect(!pool.submit { Issue.record("ran although it was refused") })
        gate.raise()
        #expect(done.wait(atMost: .seconds(60)))
        let again = Signal()
        #expect(pool.submit { again.raise() })
        #expect(again.wait(atMost: .seconds(60)))
        pool.stop()
    }

    @Test("stopping finishes what was queued and takes nothing more")
    func stop() throws {
        let pool = WorkerPool(threads: 1, queue: 100)
        let started = Signal()
        let gate = Signal()
        let done = Countdown(10)
        _ = pool.submit {
            started.raise()
            gate.wait()
        }
        #expect(started.wait(atMost: .seconds(60)))
        for _ in 0..<10 { #expect(pool.submit { done.finishOne() }) }
        pool.stop()
        #expect(!pool.submit {})
        gate.raise()
        #expect(done.wait(atMost: .seconds(60)))
    }

    @Test("a stopped pool lets its threads and itself go")
    func lifetime() throws {
        weak var seen: WorkerPool?
        let ended = Signal()
        do {
            let pool = WorkerPool(threads: 2)
            seen = pool
            let token = Token { ended.raise() }
            _ = pool.submit { token.use() }
            pool.stop()
        }
        // What the work held is released with it.
        #expect(ended.wait(atMost: .seconds(60)))
        var tries = 0
        while seen != nil, tries < 10_000 {
            Threads.sleep(.milliseconds(1))
            tries += 1
        }
        #expect(seen == nil)
    }

    @Test("under steady load finished work is released, though the queue is never empty")
    func steadyLoad() throws {
        let pool = WorkerPool(threads: 1, queue: 1_000)
        let alive = Guarded(0)
        let rounds = Countdown(5_000)
        @Sendable func again(_ left: Int) {
            alive.withLock { $0 += 1 }
            let token = Token { alive.withLock { $0 -= 1 } }
            _ = pool.submit {
                token.use()
                if left > 0 { again(left - 1) }
                rounds.finishOne()
            }
        }
        // Two chains keep at least one piece waiting at any time.
        again(2_499)
        again(2_499)
        #expect(rounds.wait(atMost: .seconds(60)))
        #expect(alive.withLock { $0 } < 200)
        pool.stop()
    }
}

@Suite("Signal and countdown")
struct CountdownTests {
    @Test("a countdown waits for all, and says when not all came")
    func countdown() {
        let countdown = Countdown(3)
        countdown.finishOne()
        countdown.finishOne()
        #expect(!countdown.wait(atMost: .zero))
        let whole = Countdown(2)
        whole.finishOne()
        Threads.start("finisher") { whole.finishOne() }
        #expect(whole.wait(atMost: .seconds(60)))
        #expect(Countdown(0).wait(atMost: .zero))
    }

    @Test("a patience without end is no overflow")
    func endless() {
        let signal = Signal()
        signal.raise()
        #expect(signal.wait(atMost: .seconds(Int64.max)))
        let countdown = Countdown(1)
        countdown.finishOne()
        #expect(countdown.wait(atMost: .seconds(Int64.max)))
    }

    @Test("raises are counted")
    func counted() {
        let signal = Signal()
        signal.raise()
        signal.raise()
        #expect(signal.wait(atMost: .zero))
        #expect(signal.wait(atMost: .zero))
        #expect(!signal.wait(atMost: .zero))
    }
}
