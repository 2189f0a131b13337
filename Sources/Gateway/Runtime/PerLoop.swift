import GatewayLocks

/// State that each loop has for itself: caches, pools. No locks, because each value stays on one loop.
@safe package final class PerLoop<Value>: Sendable {
    private final class Box {
        let value: Value
        init(_ value: Value) { self.value = value }
    }

    // Safe: each element is made, used and read by the loop of its index only, until nobody can ask for any of them.
    private nonisolated(unsafe) let boxes: UnsafeMutablePointer<Box?>
    private let count: Int
    private let make: @Sendable (EventLoop) -> Value
    /// Loops that have a value.
    private let holders = Guarded<[EventLoop]>([])

    /// - Parameters:
    ///   - count: Number of loops.
    ///   - make: Builds a loop's value when it is first asked for, on that loop.
    package init(count: Int, make: @escaping @Sendable (EventLoop) -> Value) {
        self.count = count
        self.make = make
        unsafe boxes = .allocate(capacity: count)
        unsafe boxes.initialize(repeating: nil, count: count)
    }

    deinit {
        unsafe boxes.deinitialize(count: count)
        unsafe boxes.deallocate()
    }

    /// The value of `loop`; call it on that loop.
    package func value(on loop: EventLoop) -> Value {
        precondition(loop.index < count && loop.isCurrent, "per-loop state asked for off its loop")
        if let box = unsafe boxes[loop.index] { return box.value }
        let box = Box(make(loop))
        unsafe boxes[loop.index] = box
        holders.withLock { $0.append(loop) }
        return box.value
    }

    /// Runs `work` on every loop that has a value, with that value: how something that happens on one loop reaches what
    /// lives on the others. Returns when all of them have run it.
    ///
    /// One caller's calls arrive in their order everywhere; those of several may cross. Awaiting each is what keeps a busy
    /// caller from filling other loops' inboxes. When the caller is cancelled it returns at once, and `work` runs all the
    /// same.
    ///
    /// - Parameter origin: The loop that the caller is on.
    package func forEach(from origin: EventLoop, _ work: @escaping @Sendable (Value) -> Void) async {
        precondition(origin.isCurrent, "per-loop state told something from off the loop")
        var answers: [LoopWait] = []
        for loop in holders.withLock({ $0 }) {
            if loop === origin {
                work(value(on: loop))
                continue
            }
            // Safe: touched on `origin` only.
            nonisolated(unsafe) let answer = LoopWait()
            unsafe answers.append(answer)
            loop.submit {
                work(self.value(on: loop))
                origin.submit { unsafe answer.wake() }
            }
        }
        for answer in answers { _ = await answer.run(on: origin) }
    }
}
