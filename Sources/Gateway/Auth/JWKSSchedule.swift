/// When keys are fetched. Pure bookkeeping: every time is passed in, as seconds since 1970.
package struct JWKSSchedule: Sendable {
    package struct Limits: Sendable {
        /// Seconds from one good fetch to the next.
        package var refresh: Double
        /// Seconds keys are believed after they were fetched, when the issuer cannot be reached.
        package var stale: Double
        /// Seconds between two fetches that unknown key ids cause.
        package var coolDown: Double
        /// Seconds a key id is taken for unknown after the issuer did not have it.
        package var unknown: Double
        /// Unknown key ids remembered.
        package var unknownCount: Int
        /// Seconds until a failed fetch is tried again; doubled up to ``retryMost`` with every failure.
        package var retryFirst: Double
        package var retryMost: Double
        /// Requests that may wait for one fetch; more are refused at once.
        package var waiting: Int

        package init(
            refresh: Double = 600, stale: Double = 86400, coolDown: Double = 30, unknown: Double = 300,
            unknownCount: Int = 256, retryFirst: Double = 5, retryMost: Double = 300, waiting: Int = 1024
        ) {
            self.refresh = refresh
            self.stale = stale
            self.coolDown = coolDown
            self.unknown = unknown
            self.unknownCount = unknownCount
            self.retryFirst = retryFirst
            self.retryMost = retryMost
            self.waiting = waiting
        }
    }

    let limits: Limits
    private var lastAttempt: Double?
    private var lastSuccess: Double?
    private var failures = 0
    private var unknown: BoundedCache<String, Double>

    init(limits: Limits) {
        self.limits = limits
        unknown = BoundedCache(capacity: limits.unknownCount)
    }

    /// When the next fetch is due. At once before the first one.
    func nextRefresh(at now: Double) -> Double {
        guard let lastAttempt else { return now }
        if failures == 0, let lastSuccess { return lastSuccess + limits.refresh }
        let doublings = min(failures - 1, 16)
        return lastAttempt + min(limits.retryMost, limits.retryFirst * Double(1 << max(0, doublings)))
    }

    /// Whether a token with an unknown key may cause a fetch now.
    ///
    /// - Parameter id: `nil` for a token without a key id, when there are no keys at all.
    mutating func mayFetch(forUnknown id: String?, at now: Double) -> Bool {
        if let id, let until = unknown.value(for: id) {
            if now < until { return false }
            unknown.remove(id)
        }
        guard let lastAttempt else { return true }
        // A clock that was set back must not close the door for hours.
        return now < lastAttempt || now >= lastAttempt + limits.coolDown
    }

    mutating func began(at now: Double) { lastAttempt = now }

    mutating func succeeded(at now: Double) {
        lastSuccess = now
        failures = 0
    }

    mutating func failed() { failures += 1 }

    mutating func remember(unknown id: String, at now: Double) { unknown.insert(now + limits.unknown, for: id) }

    var unknownCount: Int { unknown.count }
}
