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

    private func end(_ outcome: Outcome) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        waiter.wake()
    }

    /// Suspends the caller, which must run on `loop`. Once. Returns at once if it was woken before, or is cancelled.
    package func run(on loop: EventLoop, until deadline: MonotonicTime = .distantFuture) async -> Outcome {
        let timer = deadline == .distantFuture ? .none : loop.setTimer(at: deadline, for: self, tag: Tag.deadline)
        defer { loop.cancelTimer(timer) }
        // Safe: touched on the loop only; cancellation from another thread comes by submission.
        nonisolated(unsafe) let shared = self
        await withTaskCancellationHandler {
            guard unsafe shared.outcome == nil else { return }
            await suspend { waiter in
                // Looked at again: this closure has lost its isolation, so that other work of the loop, the waking
                // itself perhaps, may run before it gets here.
                if unsafe shared.outcome == nil { unsafe shared.waiter = waiter } else { waiter.resume() }
            }
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
