import Synchronization

/// Connections to upstreams of the whole process, idle ones and WebSockets included, against UPSTREAM_MAX_CONNECTIONS:
/// with MAX_CONNECTIONS it bounds the descriptors that are needed.
final class UpstreamCapacity: Sendable {
    private let inUse = Atomic<Int>(0)
    private let most: Atomic<Int>

    init(limit: Int) { most = Atomic(limit) }

    /// May be changed at any time; what is open stays.
    var limit: Int {
        get { most.load(ordering: .relaxed) }
        set { most.store(newValue, ordering: .relaxed) }
    }

    /// Leave to open one connection, or `nil` when all are open.
    func take() -> UpstreamPermit? {
        guard inUse.wrappingAdd(1, ordering: .relaxed).newValue <= limit else {
            giveBack()
            return nil
        }
        return UpstreamPermit(from: self)
    }

    fileprivate func giveBack() { inUse.wrappingSubtract(1, ordering: .relaxed) }
}

/// Leave to have one connection open. Whoever owns the connection holds it, and lets go of it when the connection closes.
final class UpstreamPermit {
    private let capacity: UpstreamCapacity

    fileprivate init(from capacity: UpstreamCapacity) { self.capacity = capacity }

    deinit { capacity.giveBack() }
}
