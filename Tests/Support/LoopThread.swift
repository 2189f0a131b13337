package import GatewayRuntime

/// An event loop on a thread of its own, for one test. Every wait on it is bounded, so a lost wake-up fails a test
/// instead of hanging the run.
package final class LoopThread: Sendable {
    package struct TimedOut: Error {
        package init() {}
    }

    package let loop: EventLoop
    private let ended = Signal()
    private static let patience = Duration.seconds(60)

    package init(
        index: Int = 0, limits: RuntimeLimits = RuntimeLimits(), workers: WorkerPool = WorkerPool(threads: 2),
        report: @escaping @Sendable (RuntimeReport) -> Void = { _ in }
    ) throws {
        let loop = try EventLoop(index: index, limits: limits, workers: workers, report: report)
        self.loop = loop
        let ended = ended
        Threads.start("test loop") {
            loop.run()
            ended.raise()
        }
    }

    /// Runs `body` as a task of the loop and waits for its outcome.
    package func run<R: Sendable>(_ body: @escaping @Sendable (EventLoop) async throws -> R) throws -> R {
        let outcome = Outcome<R>()
        let loop = loop
        loop.submit {
            loop.launch {
                do { outcome.set(.success(try await body(loop))) } catch { outcome.set(.failure(error)) }
            }
        }
        guard outcome.wait(atMost: Self.patience) else { throw TimedOut() }
        return try outcome.get()
    }

    package func stop() throws {
        loop.stop()
        loop.workers.stop()
        guard ended.wait(atMost: Self.patience) else { throw TimedOut() }
    }

    /// Runs `body` on a loop that lives as long as it does.
    package static func with<R: Sendable>(
        limits: RuntimeLimits = RuntimeLimits(), _ body: @escaping @Sendable (EventLoop) async throws -> R
    ) throws -> R {
        let thread = try LoopThread(limits: limits)
        let result = Result { try thread.run(body) }
        try thread.stop()
        return try result.get()
    }
}

/// A result that one thread sets and another waits for.
package final class Outcome<R: Sendable>: Sendable {
    package init() {}

    private let signal = Signal()
    // Safe: written before the signal is raised, read after it was waited for.
    private nonisolated(unsafe) var result: Result<R, any Error>?

    package func set(_ result: Result<R, any Error>) {
        unsafe self.result = result
        signal.raise()
    }

    package func wait(atMost patience: Duration) -> Bool {
        guard signal.wait(atMost: patience) else { return false }
        // For who asks next: it stays set.
        signal.raise()
        return true
    }

    /// Waits for it; blocks, so never on a loop.
    package func value() throws -> R {
        guard wait(atMost: .seconds(50)) else { throw LoopThread.TimedOut() }
        return try get()
    }

    package func get() throws -> R {
        guard let result = unsafe result else { throw LoopThread.TimedOut() }
        return try result.get()
    }
}
