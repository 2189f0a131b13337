import CLinux
import Glibc

/// The signals an operator sends. Handled by one thread that waits, so no code runs in a signal handler.
package enum OperatorSignal: Sendable {
    case terminate
    case hangUp

    private static let all: [CInt] = [SIGTERM, SIGINT, SIGHUP]

    /// Keeps the signals pending for ``wait()``. Call it before any thread starts: threads inherit it.
    package static func block() {
        var set = signalSet()
        _ = unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Blocks the calling thread until the next signal.
    package static func wait() -> OperatorSignal {
        var set = signalSet()
        var number: CInt = 0
        while unsafe sigwait(&set, &number) != 0 {}
        return number == SIGHUP ? .hangUp : .terminate
    }

    private static func signalSet() -> sigset_t {
        var set = sigset_t()
        _ = unsafe sigemptyset(&set)
        for number in all { _ = unsafe sigaddset(&set, number) }
        return set
    }
}
