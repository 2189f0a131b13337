import CLinux
import Glibc

/// Nanoseconds since some fixed moment; never jumps. Eight bytes, so a socket can hold several.
package struct MonotonicTime: Hashable, Comparable, Sendable {
    package var nanoseconds: UInt64

    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Never reached: a deadline nobody waits for.
    package static let distantFuture = MonotonicTime(nanoseconds: .max)

    /// Reads the clock: about 20 ns. Code on a loop takes ``EventLoop/now`` instead, read once per turn.
    package static func read() -> MonotonicTime {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }

    package static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// Saturates: a very long time-out is no time-out.
    package static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        let (sum, overflow) = time.nanoseconds.addingReportingOverflow(duration.wholeNanoseconds)
        return MonotonicTime(nanoseconds: overflow ? .max : sum)
    }

    /// Zero when `earlier` is later.
    package func nanoseconds(since earlier: MonotonicTime) -> UInt64 {
        nanoseconds > earlier.nanoseconds ? nanoseconds &- earlier.nanoseconds : 0
    }
}

extension Duration {
    private static var attosecondsPerNanosecond: UInt64 { 1_000_000_000 }

    /// Nanoseconds, at least zero, at most what 64 bits hold.
    package var wholeNanoseconds: UInt64 {
        let attoseconds = attoseconds
        guard attoseconds >= 0 else { return 0 }
        let high = UInt64(truncatingIfNeeded: attoseconds >> 64)
        let low = UInt64(truncatingIfNeeded: attoseconds)
        // One instruction, as long as the quotient fits: `components` takes 200, and every request has its deadlines.
        guard high < Self.attosecondsPerNanosecond else { return .max }
        return Self.attosecondsPerNanosecond.dividingFullWidth((high, low)).quotient
    }
}

/// The wall clock, for dates and token expiry.
package enum WallClock {
    /// Seconds and nanoseconds since 1970-01-01 UTC.
    package static func read() -> (seconds: Int64, nanoseconds: Int64) {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return (Int64(time.tv_sec), Int64(time.tv_nsec))
    }
}
