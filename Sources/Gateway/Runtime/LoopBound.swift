/// What lives on one loop, as any thread may hold it: it is reached by running something there.
@safe package final class LoopBound<Value>: Sendable {
    package let loop: EventLoop
    // Safe: read on `loop` only. It may be let go elsewhere, so a value's deinit must not touch the loop.
    private nonisolated(unsafe) let value: Value

    package init(_ value: Value, on loop: EventLoop) {
        self.loop = loop
        unsafe self.value = value
    }

    /// Runs `work` with the value: now, if the caller is on the loop, else in one of its next turns. One caller's calls
    /// arrive in their order.
    package func run(_ work: @escaping @Sendable (Value) -> Void) {
        if loop.isCurrent { unsafe work(value) } else { loop.submit { unsafe work(self.value) } }
    }

    /// The value, for a caller that is on the loop; `nil` for all others.
    package var here: Value? { loop.isCurrent ? unsafe value : nil }
}
