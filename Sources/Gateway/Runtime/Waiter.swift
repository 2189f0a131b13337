/// A suspended task, to be resumed exactly once. Checked in debug builds; in release builds it costs 60 ns, not 85.
@safe package struct Waiter {
    #if DEBUG
    private let continuation: CheckedContinuation<Void, Never>

    fileprivate init(_ continuation: CheckedContinuation<Void, Never>) { self.continuation = continuation }

    package func resume() { continuation.resume() }
    #else
    private let continuation: UnsafeContinuation<Void, Never>

    fileprivate init(_ continuation: UnsafeContinuation<Void, Never>) { unsafe self.continuation = continuation }

    @inline(__always)
    package func resume() { unsafe continuation.resume() }
    #endif
}

extension Optional where Wrapped == Waiter {
    /// Resumes the task, if one waits, and forgets it.
    @inline(__always)
    package mutating func wake() {
        guard let waiter = take() else { return }
        waiter.resume()
    }
}

/// Suspends the caller until the waiter handed to `store` is resumed.
@inline(__always)
package func suspend(_ store: (Waiter) -> Void) async {
    #if DEBUG
    await withCheckedContinuation { store(Waiter($0)) }
    #else
    unsafe await withUnsafeContinuation { unsafe store(Waiter($0)) }
    #endif
}

/// The same for a closure, which stays on its actor only if that is named in it. Going by way of this one would cost all
/// others a switch to the actor they are on.
@inline(__always)
func suspend(isolation: isolated (any Actor)?, _ store: (Waiter) -> Void) async {
    #if DEBUG
    await withCheckedContinuation(isolation: isolation) { store(Waiter($0)) }
    #else
    unsafe await withUnsafeContinuation(isolation: isolation) { unsafe store(Waiter($0)) }
    #endif
}
