package import GatewayRuntime

/// The one loop of a command, on a thread of its own.
package enum CommandLoop {
    // Safe: written on the loop's thread before it raises the signal, read by the one who waited for that.
    private final class Result<R: Sendable>: @unchecked Sendable {
        let signal = Signal()
        var value: R?
    }

    /// Runs `body` on a loop and blocks until it has ended; `nil` when there can be no loop.
    package static func run<R: Sendable>(_ body: @escaping @Sendable (EventLoop) async -> R) -> R? {
        guard let loop = try? EventLoop(index: 0, workers: WorkerPool(threads: 2)) else { return nil }
        let result = Result<R>()
        let hasStarted = Threads.start("loop-0") {
            loop.run()
            result.signal.raise()
        }
        guard hasStarted else { return nil }
        loop.submit {
            loop.launch {
                result.value = await body(loop)
                // What was written last still leaves with the loop's last turn.
                loop.stop()
            }
        }
        result.signal.wait()
        return result.value
    }
}
