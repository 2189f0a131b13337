/// One suspension of a task on a loop: it ends by ``wake()``, by its deadline or by cancellation, whichever comes first.
package final class LoopWait: TimerTarget {
    package enum Outcome: Sendable { case woken, late, cancelled }

    private var waiter: Waiter?
    private var outcome: Outcome?

    package init() {}

    /// Waking has no effect any more: whoever hands something over must look for somebody else.
    package var isOver: Bool { outcome != nil }

    package func wake() { end(.woken) }

    package func timerFired(tag: UInt32) { end(tag == Tag.cancelled ? .cancelled : .late) }

    private enum Tag {
        static let deadline: UInt32 = 0
        static let cancelled: UInt32 = 1
    }

    /// It may have been woken on the way here.
    private func begin(_ waiter: Waiter) {
        if outcome == nil { self.waiter = waiter } else { waiter.resume() }
    }

    private func end(_ outcome: Outcome) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        waiter.wake()
    }

    /// Suspends the caller, which must run on `loop`. Once. Returns at once if it was woken before, or is cancelled.
    package func run(on loop: EventLoop, until deadline: MonotonicTime = .distantFuture) async -> Outcome {
        guard outcome == nil else { return outcome ?? .woken }
        let timer = deadline == .distantFuture ? .none : loop.setTimer(at: deadline, for: self, tag: Tag.deadline)
        defer { loop.cancelTimer(timer) }
        // Safe: touched on the loop only; cancellation from another thread comes by submission.
        nonisolated(unsafe) let shared = self
        let isolation = #isolation
        await withTaskCancellationHandler {
            // Named so that this closure stays on the caller's actor: leaving it is a suspension of its own.
            _ = isolation
            await suspend(isolation: isolation) { unsafe shared.begin($0) }
        } onCancel: {
            // Not here: the canceller holds the task's own lock, which resuming the task takes too.
            if loop.isCurrent {
                unsafe loop.callSoon(shared, tag: Tag.cancelled)
            } else {
                loop.submit { unsafe shared.end(.cancelled) }
            }
        }
        return outcome ?? .woken
    }
}
