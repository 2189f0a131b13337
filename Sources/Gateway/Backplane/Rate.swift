/// How much may be used in how much time: `quota` units in `window`, `burst` of them at once.
///
/// The generic cell rate algorithm (ITU-T I.371): what was used comes back evenly, one unit each `window / quota`, so
/// there is no window whose end lets twice the quota through. All that is remembered of a user is one moment, when
/// everything will have come back. Has no clock: moments are nanoseconds of one that does not jump.
package struct Rate: Hashable, Sendable {
    /// Units that come back in each ``window``.
    package let quota: UInt64
    /// Nanoseconds.
    package let window: UInt64
    /// Units that may be used at once by who has used none for long enough.
    package let burst: UInt64

    /// - Parameters:
    ///   - quota: 1 at least; at most one unit per nanosecond, which is as fine as it measures.
    ///   - window: In nanoseconds, at least 1, at most a year.
    ///   - burst: The quota unless given; 1 at least.
    package init(_ quota: UInt64, per window: UInt64, burst: UInt64? = nil) {
        self.window = min(max(window, 1), Self.longestWindow)
        self.quota = min(max(quota, 1), self.window)
        self.burst = max(burst ?? self.quota, 1)
    }

    /// So many units a minute.
    package static func perMinute(_ quota: UInt64) -> Rate { Rate(quota, per: 60_000_000_000) }

    /// Nanoseconds until the whole ``burst`` has come back to who has used it.
    package var fillTime: UInt64 { time(of: burst) }

    private static let longestWindow: UInt64 = 366 * 86400 * 1_000_000_000

    /// What came of asking to use something.
    package struct Decision: Equatable, Sendable {
        /// Whether it may be used, and counts.
        package let isAllowed: Bool
        /// When everything will have come back: what is remembered.
        package let fullAt: UInt64
        /// Whole units that may be used at once from here on.
        package let remaining: UInt64
        /// Nanoseconds until the same would be allowed; 0 if it was.
        package let retryAfter: UInt64
        /// Nanoseconds until everything will have come back.
        package let resetAfter: UInt64
    }

    /// Uses `cost` units if that many are there.
    ///
    /// A cost beyond the burst, such as a large message under a limit on bytes, is allowed when nothing is used, and then
    /// keeps everything else waiting until it is paid off: otherwise it could never be sent.
    ///
    /// - Parameters:
    ///   - cost: 0 only asks.
    ///   - fullAt: Of the decision before; 0 for somebody new. One from a clock that has gone on further is taken as it
    ///     is: no time has passed since.
    package func take(_ cost: UInt64, fullAt: UInt64, now: UInt64) -> Decision {
        let start = max(fullAt, now)
        let used = start - now
        let tolerance = time(of: burst)
        let needed = min(time(of: cost), tolerance)
        let room = tolerance > used ? tolerance - used : 0
        guard needed <= room else {
            return Decision(
                isAllowed: false, fullAt: start, remaining: min(units(in: room), cost - 1),
                retryAfter: Self.sum(used, needed) - tolerance, resetAfter: used)
        }
        let end = Self.sum(start, time(of: cost))
        let usedThen = end - now
        return Decision(
            isAllowed: true, fullAt: end, remaining: usedThen < tolerance ? units(in: tolerance - usedThen) : 0,
            retryAfter: 0, resetAfter: usedThen)
    }

    /// Nanoseconds in which so many units come back, rounded down, so that a whole quota is never refused its last unit.
    private func time(of units: UInt64) -> UInt64 { Self.scale(units, window, quota) }

    /// Whole units that come back in a time; the round-down of each single unit is made up for.
    private func units(in time: UInt64) -> UInt64 {
        min(Self.scale(Self.sum(time, 1), quota, window), burst)
    }

    /// `value * factor / divisor`, or the largest number if that is beyond 64 bits.
    private static func scale(_ value: UInt64, _ factor: UInt64, _ divisor: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: factor)
        guard product.high > 0 else { return product.low / divisor }
        guard product.high < divisor else { return .max }
        return divisor.dividingFullWidth(product).quotient
    }

    private static func sum(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }
}

/// How many strikes somebody has within `window`, before being blocked for `hold`.
///
/// The window begins with the first strike. The strike that makes `threshold` begins the block, whose end nothing moves:
/// who goes on meanwhile waits no longer, and who stops is free at the time that was told.
package struct StrikeRule: Hashable, Sendable {
    /// Strikes that begin the block; 1 at least.
    package let threshold: UInt64
    /// Nanoseconds in which strikes add up.
    package let window: UInt64
    /// Nanoseconds that the block lasts.
    package let hold: UInt64

    package init(threshold: UInt64, window: UInt64, hold: UInt64) {
        self.threshold = max(threshold, 1)
        self.window = window
        self.hold = hold
    }

    /// What is remembered of one who has strikes.
    package struct Record: Equatable, Sendable {
        package var count: UInt64
        /// When it is forgotten.
        package var until: UInt64

        package init(count: UInt64, until: UInt64) {
            self.count = count
            self.until = until
        }
    }

    /// Adds strikes.
    ///
    /// - Parameters:
    ///   - strikes: 0 only asks.
    ///   - record: What is known; `nil` of somebody new.
    /// - Returns: What is known from here on; `nil` if that is nothing.
    package func add(_ strikes: UInt64, to record: Record?, now: UInt64) -> Record? {
        let known = record.flatMap { now < $0.until ? $0 : nil }
        guard strikes > 0 else { return known }
        let before = known?.count ?? 0
        let (sum, overflow) = before.addingReportingOverflow(strikes)
        let count = overflow ? .max : sum
        let begins = before < threshold && count >= threshold
        let span = begins ? hold : window
        let (end, tooFar) = now.addingReportingOverflow(span)
        let fresh = tooFar ? UInt64.max : end
        return Record(count: count, until: begins ? fresh : known?.until ?? fresh)
    }
}
