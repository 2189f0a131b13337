import CLinux
import Glibc
import Synchronization

/// Threads for work that blocks or is heavy: name look-ups, files, key parsing.
///
/// Bounded both ways: a fixed number of threads, started when first needed, and a queue that refuses when full.
package final class WorkerPool: Sendable {
    /// The queue is full: the process is asked for more blocking work than it can do.
    package struct Busy: Error, Sendable {}

    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var head = 0
        var threads = 0
        var idle = 0
        var stopped = false

        var count: Int { waiting.count - head }
    }

    private let threadLimit: Int
    private let queueLimit: Int
    private let state = Mutex(State())
    private let signal = Signal()

    /// - Parameters:
    ///   - threads: Most threads, at least one.
    ///   - queue: Most pieces of work that wait for a thread.
    package init(threads: Int = 4, queue: Int = 1024) {
        threadLimit = max(1, threads)
        queueLimit = max(1, queue)
    }

    /// Runs `work` on a worker thread.
    ///
    /// - Returns: Whether it was taken; `false` when the queue is full or the pool has stopped.
    package func submit(_ work: @escaping @Sendable () -> Void) -> Bool {
        let outcome = state.withLock { state -> (taken: Bool, start: Bool) in
            guard !state.stopped, state.count < queueLimit else { return (false, false) }
            state.waiting.append(work)
            guard state.idle < state.count, state.threads < threadLimit else { return (true, false) }
            state.threads += 1
            return (true, true)
        }
        guard outcome.taken else { return false }
        if outcome.start { Threads.start("worker") { self.work() } }
        signal.raise()
        return true
    }

    /// Takes no more work and ends the threads once their current piece is done.
    package func stop() {
        let threads = state.withLock { state in
            state.stopped = true
            return state.threads
        }
        for _ in 0..<threads { signal.raise() }
    }

    private func work() {
        while true {
            let next = state.withLock { state -> (work: (@Sendable () -> Void)?, stopped: Bool) in
                guard state.count > 0 else {
                    if state.stopped { return (nil, true) }
                    state.idle += 1
                    return (nil, false)
                }
                let work = state.waiting[state.head]
                state.head += 1
                if state.head == state.waiting.count {
                    state.waiting.removeAll(keepingCapacity: true)
                    state.head = 0
                }
                return (work, false)
            }
            if next.stopped { return }
            if let work = next.work {
                work()
                continue
            }
            signal.wait()
            state.withLock { $0.idle -= 1 }
        }
    }
}

extension EventLoop {
    /// Runs blocking or heavy `work` on a worker thread and resumes on this loop.
    ///
    /// - Parameter name: What the work is, for logs.
    /// - Throws: ``WorkerPool/Busy`` when the queue is full, else what `work` throws.
    package func offload<R: Sendable>(
        _ name: StaticString, _ work: @escaping @Sendable () throws -> R
    ) async throws -> R {
        let outcome: Result<R, any Error> = unsafe await withUnsafeContinuation { continuation in
            let taken = workers.submit { unsafe continuation.resume(returning: Result { try work() }) }
            if !taken { unsafe continuation.resume(returning: .failure(WorkerPool.Busy())) }
        }
        return try outcome.get()
    }
}
