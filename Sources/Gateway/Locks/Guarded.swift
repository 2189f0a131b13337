import Glibc

/// A value that several threads share, under a lock. Why not `Mutex`: docs/decisions/0024.
///
/// Hold it for a few lines. Whoever takes it again while holding it waits for ever.
///
/// Public, since the compiler inlines across modules only what is public: a generic call costs four times the lock.
@safe public final class Guarded<Value>: Sendable {
    // Why a pointer: pthread remembers the address. Why first: its place then does not depend on what the value is.
    // Safe: a mutex is made to be used by several threads at once.
    private nonisolated(unsafe) let mutex: UnsafeMutablePointer<pthread_mutex_t>
    // Safe: touched with the lock held only.
    @usableFromInline nonisolated(unsafe) var value: Value

    /// Nobody else may use what `value` refers to any more.
    public init(_ value: sending Value) {
        unsafe mutex = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        unsafe self.value = value
    }

    deinit {
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    /// Runs `body` with the lock held.
    @inlinable @inline(__always)
    public func withLock<R, E: Error>(
        _ body: (inout sending Value) throws(E) -> sending R
    ) throws(E) -> sending R {
        lock()
        defer { unlock() }
        return try unsafe body(&value)
    }

    @usableFromInline func lock() { unsafe pthread_mutex_lock(mutex) }
    @usableFromInline func unlock() { unsafe pthread_mutex_unlock(mutex) }
}
