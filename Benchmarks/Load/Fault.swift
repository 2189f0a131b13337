import CLinux
import Glibc

/// Why a socket, or the whole run, cannot count. One sentence for a person; equal sentences are counted together.
struct Fault: Error, Hashable {
    let reason: String

    init(_ reason: String) { self.reason = reason }

    /// Reads `errno`: make it right after the call that failed.
    init(call: String) {
        reason = unsafe "\(call): \(String(cString: strerror(errno)))"
    }
}
