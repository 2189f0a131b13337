import CLinux
import Glibc

/// Starts the threads of the process; nothing else does.
package enum Threads {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a detached thread.
    ///
    /// - Parameter name: At most 15 bytes, as `ps` and debuggers show it.
    @discardableResult
    package static func start(_ name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
        let status = unsafe pthread_create(
            &thread, nil,
            { context in
                guard let context = unsafe context else { return nil }
                unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context)
        guard status == 0 else {
            unsafe Unmanaged<Body>.fromOpaque(context).release()
            return false
        }
        _ = unsafe pthread_setname_np(thread, String(name.prefix(15)))
        _ = pthread_detach(thread)
        return true
    }
}

/// A counting semaphore between threads.
@safe package final class Signal: Sendable {
    // Safe: sem_t is made to be used by several threads at once.
    private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t>

    package init() {
        unsafe semaphore = .allocate(capacity: 1)
        unsafe sem_init(semaphore, 0, 0)
    }

    deinit {
        _ = unsafe sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }

    package func raise() { _ = unsafe sem_post(semaphore) }

    package func wait() {
        while unsafe sem_wait(semaphore) != 0, errno == EINTR {}
    }

    /// - Returns: Whether it was raised within `patience`.
    package func wait(atMost patience: Duration) -> Bool {
        let (seconds, nanoseconds) = WallClock.read()
        let now = MonotonicTime(nanoseconds: UInt64(seconds) * 1_000_000_000 + UInt64(nanoseconds))
        let until = (now + patience).nanoseconds
        var time = timespec(tv_sec: Int(until / 1_000_000_000), tv_nsec: Int(until % 1_000_000_000))
        while unsafe sem_timedwait(semaphore, &time) != 0 {
            if errno != EINTR { return false }
        }
        return true
    }
}

extension Threads {
    /// Blocks the calling thread; never a loop's.
    package static func sleep(_ duration: Duration) {
        let nanoseconds = duration.wholeNanoseconds
        guard nanoseconds > 0 else { return }
        var asked = timespec(
            tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        var left = timespec()
        while unsafe nanosleep(&asked, &left) != 0, errno == EINTR { asked = left }
    }
}

/// Lets one thread wait until a number of others have finished.
package final class Countdown: Sendable {
    private let signal = Signal()
    private let count: Int

    package init(_ count: Int) { self.count = count }

    package func finishOne() { signal.raise() }

    /// - Returns: Whether all finished in time.
    package func wait(atMost patience: Duration) -> Bool {
        let deadline = MonotonicTime.read() + patience
        for _ in 0..<count {
            let left = Duration.nanoseconds(Int64(clamping: deadline.nanoseconds(since: .read())))
            guard signal.wait(atMost: left) else { return false }
        }
        return true
    }
}
