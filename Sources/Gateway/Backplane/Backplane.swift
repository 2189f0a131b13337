/// Facts that are shared and short-lived: who has used how much, who is blocked, what is being done for whom.
///
/// A driver in memory keeps them for one process, a driver over a network for all replicas. Three operations, each atomic
/// for its key, and several of them in one question, so that a request costs a network driver one round trip. Nothing
/// here fails: a driver that cannot reach its store decides by what it knows itself.
///
/// `BackplaneConformance` is what every driver has to pass.
package protocol Backplane: Sendable {
    /// Carries out the tasks in order, up to the first that is refused, if that can be done without waiting.
    ///
    /// A driver in memory always can, and its callers never suspend; a driver over a network says no, except for what it
    /// may answer by itself. Try this first, and ``perform(_:now:)`` when it has said no.
    ///
    /// - Parameters:
    ///   - tasks: A few. Those behind a refused one are not carried out; ``BackplaneTask/answer`` stays `nil`.
    ///   - now: Nanoseconds of the process's clock that does not jump. A driver whose store has a clock takes that one.
    /// - Returns: `false` if nothing was done.
    func performAtOnce(_ tasks: inout [BackplaneTask], now: UInt64) -> Bool

    /// Carries them out, and may suspend. The caller stays on its loop.
    func perform(_ tasks: inout [BackplaneTask], now: UInt64) async
}

extension Backplane {
    /// Carries tasks out, without suspending where the driver can.
    package func settle(_ tasks: inout [BackplaneTask], now: UInt64) async {
        if !performAtOnce(&tasks, now: now) { await perform(&tasks, now: now) }
    }
}

/// What is asked of a ``Backplane``.
package enum BackplaneOperation: Hashable, Sendable {
    /// Uses units of a rate, all or none; a cost of 0 only asks.
    case take(Rate, cost: UInt64)
    /// Adds strikes; 0 only asks. Refused while a block holds, and by the strike that begins it.
    case strike(StrikeRule, adding: UInt64)
    /// Takes one of `limit` places, or keeps the one that `lease` has. It is free again when it is given back, or
    /// `lasting` nanoseconds after it was last asked for: whoever is alive asks in time.
    case hold(lease: LeaseID, limit: UInt64, lasting: UInt64)
    /// Gives a place back. Never refused.
    case release(lease: LeaseID)
}

/// One operation on one key, and its answer.
package struct BackplaneTask: Sendable {
    package let key: BackplaneKey
    package let operation: BackplaneOperation
    /// `nil` until it was carried out.
    package var answer: BackplaneAnswer?

    package init(_ key: BackplaneKey, _ operation: BackplaneOperation) {
        self.key = key
        self.operation = operation
    }

    /// Whether it was carried out and not refused.
    package var isGranted: Bool { answer?.isGranted ?? false }
}

/// What came of one operation. Times count from the answer, since replicas share no clock.
package struct BackplaneAnswer: Equatable, Sendable {
    package let isGranted: Bool
    /// Units left of a rate; strikes counted; places left.
    package let count: UInt64
    /// Nanoseconds until the same would be granted: 0 if it was, and for places, of which nobody knows.
    package let retryAfter: UInt64
    /// Nanoseconds until nothing is remembered any more.
    package let resetAfter: UInt64

    package init(isGranted: Bool, count: UInt64, retryAfter: UInt64 = 0, resetAfter: UInt64 = 0) {
        self.isGranted = isGranted
        self.count = count
        self.retryAfter = retryAfter
        self.resetAfter = resetAfter
    }
}
