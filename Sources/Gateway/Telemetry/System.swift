// The only file of this module that talks to the system: the wall clock, write(2), one thread, one lock, one key.
import Glibc

extension WallTime {
    /// What the system's clock says now. Costs a vDSO call; loops pass their cached time instead.
    package static func now() -> WallTime {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(seconds: Int64(time.tv_sec), nanoseconds: Int(time.tv_nsec))
    }
}

/// Writes all of `bytes` to a descriptor, waiting where the other end is slow.
///
/// - Returns: False if the descriptor is broken; some bytes may have been written.
func writeFully(_ bytes: Span<UInt8>, to descriptor: Int32) -> Bool {
    var done = 0
    while done < bytes.count {
        let wrote = unsafe bytes.withUnsafeBytes { raw in
            unsafe write(descriptor, raw.baseAddress.map { unsafe $0 + done }, raw.count - done)
        }
        if wrote >= 0 {
            done += wrote
        } else if errno == EAGAIN {
            // A terminal or pipe that somebody else made non-blocking.
            var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            _ = unsafe poll(&waiting, 1, -1)
        } else if errno != EINTR {
            return false
        }
    }
    return true
}

/// A value under a lock, and a way to wait until it has become something.
///
/// Why not `Guarded`: it has no condition to wait on.
@safe final class Monitor<State>: @unchecked Sendable {
    // Safe: `state` is touched only between lock and unlock of `mutex`.
    private var state: State
    // Why pointers: pthread remembers the addresses of both.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>

    init(_ state: sending State) {
        self.state = state
        unsafe mutex = .allocate(capacity: 1)
        unsafe changed = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(changed, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(changed)
        unsafe pthread_mutex_destroy(mutex)
        unsafe changed.deallocate()
        unsafe mutex.deallocate()
    }

    /// Runs `body` with the lock held.
    func withLock<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return body(&state)
    }

    /// Runs `body` with the lock held; wakes those that wait if it returns true.
    func change(_ body: (inout State) -> Bool) {
        if withLock(body) { unsafe pthread_cond_broadcast(changed) }
    }

    /// Runs `attempt` with the lock held, now and after each change, until it returns a value or time is up.
    ///
    /// - Parameter patience: `nil` waits for ever.
    func wait<Value>(atMost patience: Duration? = nil, _ attempt: (inout State) -> Value?) -> Value? {
        let deadline = patience.map(Self.deadline)
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            if let value = attempt(&state) { return value }
            guard var deadline else {
                unsafe pthread_cond_wait(changed, mutex)
                continue
            }
            if unsafe pthread_cond_timedwait(changed, mutex, &deadline) == ETIMEDOUT { return attempt(&state) }
        }
    }

    private static func deadline(in patience: Duration) -> timespec {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        let (seconds, attoseconds) = patience.components
        let nanoseconds = time.tv_nsec + Int(attoseconds / 1_000_000_000)
        time.tv_sec += Int(seconds) + nanoseconds / 1_000_000_000
        time.tv_nsec = nanoseconds % 1_000_000_000
        return time
    }
}

/// A thread that runs one closure and takes no signals: those belong to whoever waits for them.
struct WriterThread {
    private let thread: pthread_t

    /// - Returns: `nil` when the system has no thread left.
    static func start(_ body: @escaping @Sendable () -> Void) -> WriterThread? {
        final class Box: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var all = sigset_t()
        var before = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
        let box = unsafe Unmanaged.passRetained(Box(body))
        var thread = pthread_t()
        let failure = unsafe pthread_create(
            &thread, nil,
            { argument in
                if let argument = unsafe argument {
                    unsafe Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
                }
                return nil
            }, box.toOpaque())
        guard failure == 0 else {
            unsafe box.release()
            return nil
        }
        return WriterThread(thread: thread)
    }

    /// Waits for the closure to return. Call once.
    func join() { pthread_join(thread, nil) }
}

/// One small number per thread, zero until set. `onExit` gets it when a thread that set it ends.
struct ThreadNumber: Sendable {
    private let key: pthread_key_t

    init(onExit: @escaping @convention(c) (UnsafeMutableRawPointer?) -> Void) {
        var key = pthread_key_t()
        let failure = unsafe pthread_key_create(&key, onExit)
        precondition(failure == 0, "no thread-specific key left; this module needs one")
        self.key = key
    }

    @inline(__always) var value: Int { unsafe Int(bitPattern: pthread_getspecific(key)) }

    func set(_ value: Int) { unsafe pthread_setspecific(key, UnsafeRawPointer(bitPattern: value)) }
}
