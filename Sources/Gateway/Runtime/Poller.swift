import CLinux
import Glibc

/// What the kernel says of a descriptor, and what a channel asks to be told.
package struct Readiness: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static var readable: Readiness { Readiness(rawValue: EPOLLIN.rawValue) }
    package static var writable: Readiness { Readiness(rawValue: EPOLLOUT.rawValue) }
    /// The peer sent its end of stream; it may still read.
    package static var peerFinished: Readiness { Readiness(rawValue: EPOLLRDHUP.rawValue) }
    /// Both directions are gone, or the socket failed: either bit or both. Always reported; see ``isHungUp``.
    package static var hungUp: Readiness { Readiness(rawValue: EPOLLHUP.rawValue | EPOLLERR.rawValue) }

    /// Whether any bit of ``hungUp`` is set.
    @inline(__always) package var isHungUp: Bool { !isDisjoint(with: .hungUp) }

    /// Report changes, not states: for relayed streams.
    package static var edgeTriggered: Readiness { Readiness(rawValue: EPOLLET.rawValue) }
}

/// One epoll instance and its event array. The only file that knows epoll: another mechanism would replace this one.
@safe struct Poller: ~Copyable {
    private let descriptor: CInt
    private let events: UnsafeMutablePointer<epoll_event>
    private let capacity: Int

    /// - Parameter capacity: Most events taken from the kernel in one turn.
    static func make(capacity: Int) throws(SystemError) -> Poller {
        let descriptor = epoll_create1(CInt(EPOLL_CLOEXEC))
        guard descriptor >= 0 else { throw SystemError("epoll_create1") }
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

    func add(_ target: CInt, _ interest: Readiness, generation: UInt32) throws(SystemError) {
        try control(EPOLL_CTL_ADD, target, interest, generation)
    }

    func change(_ target: CInt, _ interest: Readiness, generation: UInt32) throws(SystemError) {
        try control(EPOLL_CTL_MOD, target, interest, generation)
    }

    /// Needed only for a descriptor that stays open: closing one removes it.
    func remove(_ target: CInt) {
        var event = unsafe epoll_event()
        _ = unsafe epoll_ctl(descriptor, EPOLL_CTL_DEL, target, &event)
    }

    private func control(
        _ operation: CInt, _ target: CInt, _ interest: Readiness, _ generation: UInt32
    ) throws(SystemError) {
        var event = unsafe epoll_event()
        unsafe event.events = interest.rawValue
        unsafe event.data.u64 = UInt64(UInt32(bitPattern: target)) | UInt64(generation) << 32
        guard unsafe epoll_ctl(descriptor, operation, target, &event) == 0 else { throw SystemError("epoll_ctl") }
    }

    /// Waits for events; returns how many there are. A signal counts as none.
    ///
    /// - Parameter timeout: Nanoseconds, rounded up to the kernel's milliseconds; `nil` waits for ever.
    func wait(timeout: UInt64?) -> Int {
        let milliseconds: CInt
        if let timeout {
            milliseconds = CInt(truncatingIfNeeded: min((timeout &+ 999_999) / 1_000_000, 60_000))
        } else {
            milliseconds = -1
        }
        return Int(max(0, unsafe epoll_wait(descriptor, events, CInt(capacity), milliseconds)))
    }

    @inline(__always)
    func event(_ index: Int) -> (descriptor: CInt, generation: UInt32, readiness: Readiness) {
        let event = unsafe events[index]
        let data = unsafe event.data.u64
        return (
            CInt(bitPattern: UInt32(truncatingIfNeeded: data)), UInt32(truncatingIfNeeded: data >> 32),
            Readiness(rawValue: unsafe event.events)
        )
    }
}
