import GatewayBytes
import GatewayLocks
import GatewayTestSupport
import Glibc
import Testing

@testable import GatewayRuntime

private func isIsolated(isolation: isolated (any Actor)? = #isolation) -> Bool { isolation != nil }

/// An asynchronous function without isolation of its own, as every handler is.
private func isolationAroundTurn(of loop: EventLoop) async -> [Bool] {
    let before = isIsolated()
    await loop.nextTurn()
    return [before, isIsolated()]
}

@Suite("Event loop")
struct EventLoopTests {
    /// Numbers in the order in which they came, from any thread.
    private final class Journal: Sendable {
        private let entries = Guarded<[Int]>([])
        func add(_ entry: Int) { entries.withLock { $0.append(entry) } }
        var all: [Int] { entries.withLock { $0 } }
    }

    @Test("work submitted from one thread runs in order, on the loop's thread")
    func submitOrder() throws {
        let thread = try LoopThread()
        let journal = Journal()
        let strays = Journal()
        let done = Signal()
        for number in 0..<1_000 {
            thread.loop.submit {
                if !thread.loop.isCurrent { strays.add(number) }
                journal.add(number)
                if number == 999 { done.raise() }
            }
        }
        #expect(done.wait(atMost: .seconds(60)))
        #expect(journal.all == Array(0..<1_000))
        #expect(strays.all.isEmpty)
        try thread.stop()
    }

    @Test("work submitted before the loop runs is not lost")
    func submitBeforeRun() throws {
        let loop = try EventLoop(index: 0, workers: WorkerPool())
        let done = Signal()
        loop.submit { done.raise() }
        Threads.start("late loop") { loop.run() }
        #expect(done.wait(atMost: .seconds(60)))
        loop.stop()
    }

    @Test("a launched task is isolated to its loop, and so is all that it awaits, before and after it was suspended")
    func launchIsIsolated() throws {
        let thread = try LoopThread()
        let answer = Outcome<[Bool]>()
        let loop = thread.loop
        loop.submit { loop.launch { answer.set(.success([isIsolated()] + (await isolationAroundTurn(of: loop)))) } }
        #expect(try answer.value() == [true, true, true])
        try thread.stop()
    }

    @Test("many threads submit at once and nothing is lost")
    func submitStorm() throws {
        let thread = try LoopThread()
        let journal = Journal()
        let done = Countdown(8_000)
        for start in 0..<8 {
            Threads.start("storm") {
                for number in 0..<1_000 {
                    thread.loop.submit {
                        journal.add(start * 1_000 + number)
                        done.finishOne()
                    }
                }
            }
        }
        #expect(done.wait(atMost: .seconds(60)))
        let all = journal.all
        #expect(Set(all).count == 8_000)
        for start in 0..<8 {
            let own = all.filter { $0 / 1_000 == start }
            #expect(own == own.sorted())
        }
        try thread.stop()
    }

    @Test("a launched task stays on the loop's thread, across sleep, yield and offload")
    func staysOnLoop() throws {
        let strays = try LoopThread.with { loop in
            var strays: [String] = []
            if !loop.isCurrent { strays.append("start") }
            try await loop.sleep(.milliseconds(1))
            if !loop.isCurrent { strays.append("sleep") }
            await Task.yield()
            if !loop.isCurrent { strays.append("yield") }
            let elsewhere = try await loop.offload("test") { EventLoop.current == nil }
            if !loop.isCurrent { strays.append("offload") }
            if !elsewhere { strays.append("worker") }
            await loop.nextTurn()
            if !loop.isCurrent { strays.append("turn") }
            return strays
        }
        #expect(strays == [])
    }

    @Test("offloaded work that throws throws on the loop")
    func offloadThrows() throws {
        struct Broken: Error {}
        #expect(throws: Broken.self) {
            try LoopThread.with { loop in try await loop.offload("test") { throw Broken() } }
        }
    }

    @Test("offloading to a pool that has stopped throws Busy")
    func offloadBusy() throws {
        #expect(throws: WorkerPool.Busy.self) {
            try LoopThread.with { loop in
                loop.workers.stop()
                try await loop.offload("test") {}
            }
        }
    }

    @Test("a cancelled sleeper wakes at once, whoever cancels it", arguments: [false, true])
    func sleepCancelled(_ fromElsewhere: Bool) throws {
        let outcome = try LoopThread.with { loop in
            var wasCancelled = false
            let done = LoopWait()
            let task = loop.launch {
                do { try await loop.sleep(.seconds(3600)) } catch { wasCancelled = error is CancellationError }
                done.wake()
            }
            while loop.timerCount == 0 { await loop.nextTurn() }
            if fromElsewhere { Threads.start("canceller") { task.cancel() } } else { task.cancel() }
            _ = await done.run(on: loop)
            return (wasCancelled, loop.timerCount)
        }
        #expect(outcome.0)
        #expect(outcome.1 == 0)
    }

    @Test("a sleep in a task that is cancelled already does not suspend")
    func sleepWhenCancelled() throws {
        let threw = try LoopThread.with { loop in
            let done = LoopWait()
            var threw = false
            let task = loop.launch {
                do { try await loop.sleep(.seconds(3600)) } catch { threw = true }
                done.wake()
            }
            task.cancel()
            _ = await done.run(on: loop)
            return threw
        }
        #expect(threw)
    }

    @Test("sleep lasts at least as long as asked")
    func sleepLasts() throws {
        let (asked, slept) = try LoopThread.with { loop in
            let before = MonotonicTime.read()
            try await loop.sleep(.milliseconds(25))
            return (Duration.milliseconds(25).wholeNanoseconds, MonotonicTime.read().nanoseconds(since: before))
        }
        #expect(slept >= asked)
    }

    @Test("a wait ends once: woken early, late, or by the first of two")
    func waits() throws {
        let outcomes = try LoopThread.with { loop in
            let early = LoopWait()
            early.wake()
            early.wake()
            let first = await early.run(on: loop)
            let late = LoopWait()
            let second = await late.run(on: loop, until: loop.now + .milliseconds(5))
            late.wake()
            return (first, second, late.isOver)
        }
        #expect(outcomes.0 == .woken)
        #expect(outcomes.1 == .late)
        #expect(outcomes.2)
    }

    @Test("callSoon calls later, in order, and what is called may call again")
    func callSoon() throws {
        final class Chain: TimerTarget {
            let loop: EventLoop
            let done = LoopWait()
            var tags: [UInt32] = []
            init(_ loop: EventLoop) { self.loop = loop }
            func timerFired(tag: UInt32) {
                tags.append(tag)
                if tag == 2 { loop.callSoon(self, tag: 9) }
                if tag == 9 { done.wake() }
            }
        }
        let tags = try LoopThread.with { loop in
            let chain = Chain(loop)
            loop.callSoon(chain, tag: 1)
            loop.callSoon(chain, tag: 2)
            let synchronous = chain.tags
            _ = await chain.done.run(on: loop)
            return synchronous + chain.tags
        }
        #expect(tags == [1, 2, 9])
    }

    @Test("a task that wakes itself for ever does not keep others from their turn")
    func fairness() throws {
        let reached = try LoopThread.with { loop in
            var goOn = true
            let spinner = loop.launch { while goOn { await Task.yield() } }
            // The subject: a timer has its turn although the spinner always wants one.
            try await loop.sleep(.milliseconds(20))
            goOn = false
            await spinner.value
            return true
        }
        #expect(reached)
    }

    @Test("stop ends run, even under a task that never rests, and lets the loop go")
    func stop() throws {
        let gone = Signal()
        do {
            let token = Token { gone.raise() }
            let thread = try LoopThread { _ in token.use() }
            try thread.run { loop in
                // It ends with the loop: nobody resumes it any more.
                loop.launch { while !Task.isCancelled { await Task.yield() } }.cancel()
            }
            try thread.stop()
        }
        #expect(gone.wait(atMost: .seconds(60)))
    }

    @Test("a turn that blocks is reported")
    func slowTurn() throws {
        let reported = Signal()
        var limits = RuntimeLimits()
        limits.slowTurn = .milliseconds(1)
        let thread = try LoopThread(limits: limits) { report in
            if case .slowTurn(loop: 0, milliseconds: let spent) = report, spent >= 1 { reported.raise() }
        }
        thread.loop.submit { Threads.sleep(.milliseconds(10)) }
        #expect(reported.wait(atMost: .seconds(60)))
        try thread.stop()
    }

    @Test("memory claimed by one large write is given back", arguments: Leaving.allCases)
    func outputShrinks(_ leaving: Leaving) throws {
        let outcome = try LoopThread.with { loop in
            let writer = Writer()
            loop.corkOutput(of: writer)
            loop.output.append([UInt8](repeating: 1, count: 8 << 20))
            let large = loop.output.capacity
            switch leaving {
            case .withTheRest: loop.flushCorks()
            case .alone: loop.flushOutput(of: writer)
            }
            return (large, loop.output.capacity, writer.sent, writer.isCorked)
        }
        #expect(outcome.0 >= 8 << 20)
        #expect(outcome.1 <= 1 << 20)
        #expect(outcome.2 == 8 << 20)
        #expect(!outcome.3)
    }

    enum Leaving: CaseIterable, Sendable { case withTheRest, alone }

    private final class Writer: Corked {
        var isCorked = false
        private(set) var sent = 0

        func sendCorked(_ bytes: UnsafeRawBufferPointer) { sent += bytes.count }
    }
}

/// Tells when nobody holds it any more.
final class Token: Sendable {
    private let onEnd: @Sendable () -> Void
    init(_ onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }
    func use() {}
    deinit { onEnd() }
}
