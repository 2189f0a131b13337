import CLinux
import Glibc

/// The monotonic clock in nanoseconds.
enum Moment {
    static func now() -> UInt64 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    static func after(seconds: Double) -> UInt64 { now() &+ UInt64(seconds * 1e9) }

    static func seconds(from start: UInt64, to end: UInt64) -> Double { Double(end &- start) / 1e9 }
}
