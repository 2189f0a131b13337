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
        return box.value
    }
}
