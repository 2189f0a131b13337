package import GatewayRuntime

/// The one loop of a command, on a thread of its own.
package enum CommandLoop {
    // Safe: written on the loop before the signal is raised, read by the one who waited for it.
    private final class Result<R: Sendable>: @unchecked Sendable {
        let signal = Signal()
        var value: R?
    }

    /// Runs `body` on a loop and blocks until it has ended; `nil` when there can be no loop.
    package static func run<R: Sendable>(_ body: @escaping @Sendable (EventLoop) async -> R) -> R? {
        guard let loop = try? EventLoop(index: 0, workers: WorkerPool(threads: 2)) else { return nil }
        let result = Result<R>()
        guard Threads.start("loop-0", { loop.run() }) else { return nil }
        loop.submit {
            loop.launch {
                result.value = await body(loop)
                result.signal.raise()
            }
        }
        result.signal.wait()
        loop.stop()
        return result.value
    }
}
