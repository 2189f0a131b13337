import Synchronization

/// Which of a metric's cells the calling thread counts in.
///
/// A thread that entered a shard is alone there, so it counts with a plain load and store, on a cache line that no
/// other core writes. All other threads share one shard and pay for atomic additions.
package enum MetricShard {
    static let thread = unsafe ThreadNumber(onExit: { number in
        MetricShard.release(Int(bitPattern: number))
    })

    private static let taken = Monitor<Set<Int>>([])

    /// Gives the calling thread the shard of event loop `index`, counted from zero, until it ends or leaves.
    ///
    /// - Returns: False if another live thread has that shard; the caller then counts in the shared one.
    @discardableResult
    package static func enter(_ index: Int) -> Bool {
        precondition(index >= 0, "event loops are counted from zero")
        leave()
        guard taken.withLock({ $0.insert(index + 1).inserted }) else { return false }
        thread.set(index + 1)
        return true
    }

    /// Puts the calling thread back into the shared shard.
    package static func leave() {
        let number = thread.value
        guard number != 0 else { return }
        thread.set(0)
        release(number)
    }

    private static func release(_ number: Int) {
        taken.withLock { _ = $0.remove(number) }
    }
}

/// Counters side by side, once per shard, each shard on cache lines of its own.
@safe final class MetricCells: @unchecked Sendable {
    // Safe: the pointer never changes, and what it points to are atomics that live as long as this object.
    private let base: UnsafeMutablePointer<Atomic<UInt64>>
    private let shards: Int
    private let stride: Int
    private let thread = MetricShard.thread

    /// 4 KiB per shard.
    static let capacity = 512

    /// - Parameter loops: How many shards there are besides the shared one.
    init(capacity: Int = MetricCells.capacity, loops: Int) {
        let perCacheLine = 8
        shards = loops + 1
        stride = (capacity + perCacheLine - 1) / perCacheLine * perCacheLine
        let memory = UnsafeMutableRawPointer.allocate(byteCount: shards * stride * 8, alignment: 64)
        unsafe base = memory.bindMemory(to: Atomic<UInt64>.self, capacity: shards * stride)
        for index in 0..<shards * stride { unsafe (base + index).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe base.deinitialize(count: shards * stride)
        unsafe base.deallocate()
    }

    /// Adds to the calling thread's cell. Wraps around, so adding the two's complement subtracts.
    @inline(__always)
    func add(_ amount: UInt64, at index: Int) {
        let shard = thread.value
        guard shard != 0, shard < shards else {
            unsafe base[index].wrappingAdd(amount, ordering: .relaxed)
            return
        }
        let cell = unsafe base + (shard * stride + index)
        unsafe cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    /// Replaces the calling thread's share.
    func storeShare(_ value: UInt64, at index: Int) {
        let shard = thread.value
        let offset = shard < shards ? shard * stride : 0
        unsafe base[offset + index].store(value, ordering: .relaxed)
    }

    /// Replaces the whole, which lives in the shared shard.
    func storeWhole(_ value: UInt64, at index: Int) { unsafe base[index].store(value, ordering: .relaxed) }

    /// The sum over all shards, as of about now.
    func sum(at index: Int) -> UInt64 {
        var sum: UInt64 = 0
        for shard in 0..<shards { sum &+= unsafe base[shard * stride + index].load(ordering: .relaxed) }
        return sum
    }
}

/// Hands out neighbouring cells, and makes room for more.
final class MetricCellAllocator: Sendable {
    private struct State {
        var current: MetricCells?
        var used = 0
    }

    private let loops: Int
    private let state = Monitor(State())

    init(loops: Int) { self.loops = loops }

    /// - Parameter count: At most ``MetricCells/capacity``.
    func take(_ count: Int) -> (cells: MetricCells, index: Int) {
        precondition(count <= MetricCells.capacity, "a metric larger than a slab of cells")
        return state.withLock { state in
            if let cells = state.current, state.used + count <= MetricCells.capacity {
                defer { state.used += count }
                return (cells, state.used)
            }
            let cells = MetricCells(loops: loops)
            (state.current, state.used) = (cells, count)
            return (cells, 0)
        }
    }
}
