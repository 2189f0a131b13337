extension EventLoop {
    /// Suspends the caller, which must run on this loop, for at least `duration`.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    package func sleep(_ duration: Duration) async throws {
        try Task.checkCancellation()
        // The turn may have begun a while ago.
        _ = await LoopWait().run(on: self, until: .read() + duration)
        try Task.checkCancellation()
    }

    /// Suspends the caller, which must run on this loop, until the loop has looked at its other events: for work that
    /// could go on without ever having to wait.
    package func nextTurn() async {
        let turn = LoopWait()
        callSoon(turn, tag: 0)
        _ = await turn.run(on: self)
    }
}
