import PluginKit

/// When an upstream that fails is left alone, and for how long.
struct OutlierRule: Hashable, Sendable {
    /// Failures in a row that eject; zero never does.
    var failures = 5
    /// The first ejection; each one that follows soon lasts twice as long as the one before.
    var time = Duration.seconds(10)
    var longestTime = Duration.seconds(300)

    func time(ofStrike strike: Int) -> UInt64 {
        let longest = longestTime.wholeNanoseconds
        let (scaled, overflow) = time.wholeNanoseconds.multipliedReportingOverflow(by: 1 << UInt64(min(strike - 1, 32)))
        return overflow ? longest : min(scaled, longest)
    }
}

/// What is known about one upstream's failures. The callers own the clock: monotonic nanoseconds everywhere, and not always
/// in order.
///
/// ```
///          failures in a row               time is over
///   good ───────────────────────▶ ejected ──────────────▶ on trial
///    ▲                               ▲     one failure        │
///    │                               └────────────────────────┤
///    └─────────────────────────── one success ────────────────┘
/// ```
struct OutlierState {
    private(set) var failures = 0
    /// When the ejection ends; zero while in good standing.
    private(set) var ejectedUntil: UInt64 = 0
    private var strikes = 0
    private var lastTime: UInt64 = 0
    private var goodSince: UInt64 = 0

    var isOut: Bool { ejectedUntil != 0 }

    /// A request failed.
    ///
    /// - Parameter mayEject: Whether enough others are left.
    /// - Returns: Whether that ejects it, now.
    mutating func failed(at now: UInt64, _ rule: OutlierRule, mayEject: Bool) -> Bool {
        // What was on its way when it was ejected says nothing new.
        guard now >= ejectedUntil else { return false }
        failures += 1
        guard rule.failures > 0, isOut || failures >= rule.failures, mayEject else { return false }
        // Who has been good for as long as it was out starts again at the shortest time. Loops tell of their own turns'
        // beginnings: the success may be of a later one.
        if !isOut, max(now, goodSince) - goodSince >= lastTime { strikes = 0 }
        strikes += 1
        lastTime = rule.time(ofStrike: strikes)
        ejectedUntil = now + lastTime
        return true
    }

    /// A request was answered.
    ///
    /// - Returns: Whether that ends its trial.
    mutating func succeeded(at now: UInt64) -> Bool {
        guard now >= ejectedUntil else { return false }
        failures = 0
        guard isOut else { return false }
        ejectedUntil = 0
        goodSince = now
        return true
    }
}
