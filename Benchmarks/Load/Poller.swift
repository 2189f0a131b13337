import CLinux
import Glibc

/// One epoll instance and its event array.
@safe struct Poller: ~Copyable {
    private let descriptor: CInt
    private let events: UnsafeMutablePointer<epoll_event>
    private let capacity: Int

    static func make(capacity: Int) throws(Fault) -> Poller {
        let descriptor = epoll_create1(CInt(EPOLL_CLOEXEC))
        guard descriptor >= 0 else { throw Fault(call: "epoll_create1") }
        return Poller(descriptor: descriptor, capacity: capacity)
    }

    private init(descriptor: CInt, capacity: Int) {
        self.descriptor = descriptor
        self.capacity = capacity
        unsafe events = .allocate(capacity: capacity)
        unsafe events.initialize(repeating: epoll_event(), count: capacity)
    }

    deinit {
        unsafe events.deallocate()
        _ = close(descriptor)
    }

    /// Level-triggered; `tag` comes back with each event of `target`.
    func add(_ target: CInt, tag: Int) throws(Fault) {
        try control(EPOLL_CTL_ADD, target, tag, writable: false)
    }

    func change(_ target: CInt, tag: Int, writable: Bool) throws(Fault) {
        try control(EPOLL_CTL_MOD, target, tag, writable: writable)
    }

    private func control(_ operation: CInt, _ target: CInt, _ tag: Int, writable: Bool) throws(Fault) {
        var event = unsafe epoll_event()
        unsafe event.events = EPOLLIN.rawValue | (writable ? EPOLLOUT.rawValue : 0)
        unsafe event.data.u64 = UInt64(tag)
        guard unsafe epoll_ctl(descriptor, operation, target, &event) == 0 else { throw Fault(call: "epoll_ctl") }
    }

    /// How many events there are; a signal or a time-out counts as none.
    func wait(milliseconds: Int) -> Int {
        Int(max(0, unsafe epoll_wait(descriptor, events, CInt(capacity), CInt(milliseconds))))
    }

    @inline(__always)
    func event(_ index: Int) -> (tag: Int, readable: Bool, writable: Bool) {
        let (flags, tag) = unsafe (events[index].events, events[index].data.u64)
        // A hang-up or an error is found by reading.
        return (Int(tag), flags & ~EPOLLOUT.rawValue != 0, flags & EPOLLOUT.rawValue != 0)
    }
}
