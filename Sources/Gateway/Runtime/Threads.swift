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
}
