import CLinux
import Glibc

/// A value under a lock. A pthread mutex, which the thread sanitizer understands; the standard library's is invisible
/// to it, and every use would be reported as a race.
@safe final class Guarded<Value>: Sendable {
    // Safe: touched with the lock held only.
    private nonisolated(unsafe) var value: Value
    // Safe: a mutex is made to be used by several threads at once.
    private nonisolated(unsafe) let mutex: UnsafeMutablePointer<pthread_mutex_t>

    init(_ value: sending Value) {
        unsafe self.value = value
        unsafe mutex = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
    }

    deinit {
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    @inline(__always)
    func withLock<R>(_ body: (inout Value) -> R) -> R {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return unsafe body(&value)
    }
}
