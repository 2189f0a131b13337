import CLinux
import GatewayLocks
import Glibc

/// Threads for work that blocks or is heavy: name look-ups, files, key parsing.
///
/// Bounded both ways: a fixed number of threads, started when first needed, and a queue that refuses when full.
package final class WorkerPool: Sendable {
    /// The queue is full: the process is asked for more blocking work than it can do.
    package struct Busy: Error, Sendable {
        package init() {}
    }

    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var head = 0
        var threads = 0
        var idle = 0
        var stopped = false

        var count: Int { waiting.count - head }

        /// Whether one more thread is worth starting for one more piece of work; counts it if so.
        mutating func claimThread(limit: Int) -> Bool {
            guard !stopped, idle <= count, threads < limit else { return false }
            threads += 1
            return true
        }

        mutating func next() -> Step {
            guard count > 0 else {
                if stopped { return .end }
                idle += 1
                return .wait
            }
            let work = waiting[head]
            head += 1
            // Now and then, so that neither the array nor what finished work holds on to grows under steady load.
            if head == waiting.count || head >= 64 {
                waiting.removeFirst(head)
                head = 0
            }
            return .work(work)
        }
    }

    private enum Step {
        case work(@Sendable () -> Void)
        case wait
        case end
    }

    private let name: String
    private let threadLimit: Int
    private let queueLimit: Int
    private let state = Guarded(State())
    private let signal = Signal()

    /// - Parameters:
    ///   - threads: Most threads, at least one.
    ///   - queue: Most pieces of work that wait for a thread.
    ///   - name: Of the threads. One thread does what it is given in the order of asking.
    package init(threads: Int = 4, queue: Int = 1024, name: String = "worker") {
        self.name = name
        threadLimit = max(1, threads)
        queueLimit = max(1, queue)
    }

    /// Runs `work` on a worker thread.
    ///
    /// - Returns: Whether it was taken; `false` when the queue is full, the pool has stopped, or no thread can be had.
    package func submit(_ work: @escaping @Sendable () -> Void) -> Bool {
        if state.withLock({ $0.claimThread(limit: threadLimit) }), !Threads.start(name, { self.work() }) {
            let anyLeft = state.withLock { state in
                state.threads -= 1
                return state.threads > 0
            }
            guard anyLeft else { return false }
        }
        let outcome = state.withLock { state -> (taken: Bool, wake: Bool) in
            guard !state.stopped, state.count < queueLimit else { return (false, false) }
            state.waiting.append(work)
            return (true, state.idle > 0)
        }
        if outcome.wake { signal.raise() }
        return outcome.taken
    }

    /// Runs `work` on a worker thread while the calling thread, which is no loop's, waits for it.
    ///
    /// - Returns: `nil` when it took longer than `patience`; it goes on then.
    /// - Throws: ``Busy`` when it was not taken, else what `work` throws.
    package func wait<R: Sendable>(
        atMost patience: Duration, for work: @escaping @Sendable () throws -> R
    ) throws -> R? {
        let outcome = Guarded<Result<R, any Error>?>(nil)
        let done = Signal()
        let taken = submit {
            let result = Result { try work() }
            outcome.withLock { $0 = result }
            done.raise()
        }
        guard taken else { throw Busy() }
        guard done.wait(atMost: patience) else { return nil }
        return try outcome.withLock { $0 }?.get()
    }

    /// Takes no more work and ends the threads once the queue is empty.
    package func stop() {
        let idle = state.withLock { state in
            state.stopped = true
            return state.idle
        }
        for _ in 0..<idle { signal.raise() }
    }

    private func work() {
        while true {
            switch state.withLock({ $0.next() }) {
            case .work(let work): work()
            case .wait:
                signal.wait()
                state.withLock { $0.idle -= 1 }
            case .end: return
            }
        }
    }
}

extension EventLoop {
    /// Runs blocking or heavy `work` on a worker thread and resumes on this loop.
    ///
    /// - Parameters:
    ///   - name: What the work is, for logs.
    ///   - pool: Whose threads; the process's own by default.
    /// - Throws: ``WorkerPool/Busy`` when the queue is full, else what `work` throws.
    package func offload<R: Sendable>(
        _ name: StaticString, to pool: WorkerPool? = nil, _ work: @escaping @Sendable () throws -> R
    ) async throws -> R {
        let outcome: Result<R, any Error> = unsafe await withUnsafeContinuation { continuation in
            let taken = (pool ?? workers).submit {
                let outcome = Result { try work() }
                // By the loop's inbox: a worker may be done before the task is suspended, and the thread sanitizer does
                // not see how the runtime hands over then.
                self.submit { unsafe continuation.resume(returning: outcome) }
            }
            if !taken { unsafe continuation.resume(returning: .failure(WorkerPool.Busy())) }
        }
        return try outcome.get()
    }
}
