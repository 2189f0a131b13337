import GatewayLocks

/// A number that threads count up.
final class Counted: Sendable {
    private let number = Guarded(0)
    var value: Int { number.withLock { $0 } }

    /// The number before it was counted up.
    @discardableResult
    func next() -> Int {
        number.withLock {
            $0 += 1
            return $0 - 1
        }
    }
}
