import PluginKit

/// The time of day as envelopes say it.
enum Times {
    /// Since 1970.
    static func milliseconds() -> Int {
        let (seconds, nanoseconds) = WallClock.read()
        return Int(seconds) * 1000 + Int(nanoseconds) / 1_000_000
    }

    /// RFC 3339, in UTC, with milliseconds.
    static func text() -> String {
        let (seconds, nanoseconds) = WallClock.read()
        return text(seconds, Int(nanoseconds))
    }

    /// - Parameter seconds: Since 1970.
    static func text(_ seconds: Int64, _ nanoseconds: Int = 0) -> String {
        var text = OutputBuffer(capacity: 64)
        WallTime(seconds: seconds, nanoseconds: Int(nanoseconds)).appendRFC3339(to: &text)
        return unsafe text.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    }
}
