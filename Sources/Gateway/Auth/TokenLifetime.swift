/// Follows the token of an open socket: warns ahead of its end, closes at it, and starts over when it is renewed.
///
/// The caller owns the clock and the socket; times are seconds since 1970.
package struct TokenLifetime: Sendable {
    package enum Action: Equatable, Sendable {
        /// Nothing to do; tick again then.
        case wait(until: Double)
        /// Tell the client once how many seconds are left.
        case warn(secondsLeft: Double)
        /// The token has ended: close with 4401.
        case close
    }

    package private(set) var principal: Principal
    private let warnBefore: Double
    private var hasWarned = false

    /// - Parameter warnBefore: Seconds ahead of the end; zero never warns.
    package init(_ principal: Principal, warnBefore: Double) {
        self.principal = principal
        self.warnBefore = warnBefore
    }

    package mutating func tick(at now: Double) -> Action {
        guard !principal.hasExpired(at: now) else { return .close }
        guard warnBefore > 0, !hasWarned else { return .wait(until: principal.expiry) }
        let warnAt = principal.expiry - warnBefore
        guard now >= warnAt else { return .wait(until: warnAt) }
        hasWarned = true
        return .warn(secondsLeft: principal.secondsLeft(at: now))
    }

    /// Goes on with a new token of the same person; tick again at once.
    ///
    /// - Returns: Why not; then the old token stays in force.
    package mutating func renew(with next: Principal) -> Principal.RenewalRefusal? {
        if let refusal = principal.renewalRefusal(with: next) { return refusal }
        principal = next
        hasWarned = false
        return nil
    }
}
