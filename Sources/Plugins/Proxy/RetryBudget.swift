import Synchronization

/// Keeps retries from doubling the load of upstreams that are failing under it.
///
/// Each request earns a share of a retry. A reserve of ten lets a quiet route retry at all.
final class RetryBudget: Sendable {
    private static let price = 100
    private static let reserve = 10 * price

    private let earned: Atomic<Int>
    private let percent: Int

    /// - Parameter percent: Retries for each hundred requests.
    init(percent: Int) {
        self.percent = percent
        earned = Atomic(percent == 0 ? 0 : Self.reserve)
    }

    /// A request came.
    func earn() {
        // Loops may overshoot the reserve by a share each, which does no harm.
        guard percent > 0, earned.load(ordering: .relaxed) < Self.reserve else { return }
        earned.wrappingAdd(percent, ordering: .relaxed)
    }

    /// - Returns: Whether there is one retry to be had, which is spent by that.
    func spend() -> Bool {
        var seen = earned.load(ordering: .relaxed)
        while seen >= Self.price {
            let (done, now) = earned.weakCompareExchange(
                expected: seen, desired: seen - Self.price, ordering: .relaxed)
            if done { return true }
            seen = now
        }
        return false
    }
}
