/// One task asleep on a loop: woken by its timer or by cancellation, whichever comes first.
private final class Sleeper: TimerTarget {
    var waiter: Waiter?

    func timerFired(tag: UInt32) { waiter.wake() }
}

extension EventLoop {
    /// Suspends the caller, which must run on this loop, for at least `duration`.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    package func sleep(_ duration: Duration) async throws {
        try Task.checkCancellation()
        let sleeper = Sleeper()
        // Safe: the sleeper is touched on this loop only; cancellation from elsewhere comes by submission.
        nonisolated(unsafe) let shared = sleeper
        let timer = setTimer(at: now + duration, for: sleeper)
        defer { cancelTimer(timer) }
        await withTaskCancellationHandler {
            await suspend { waiter in
                sleeper.waiter = waiter
                if Task.isCancelled { sleeper.waiter.wake() }
            }
        } onCancel: {
            submit { unsafe shared.waiter.wake() }
        }
        try Task.checkCancellation()
    }
}
