import GatewayBackplane
import GatewayRuntime
import Synchronization

/// One of the places that a user's concurrent requests have, from ``RateLimit/begin(_:of:on:)`` until ``end()``.
///
/// Lives on a loop. While it is held it asks for its place again in time, so that places end only with whoever holds them:
/// those of a replica that has crashed are free after ``lasting``.
package final class RateLease {
    /// How long a place stays taken that nobody asks for again.
    static let lasting: UInt64 = 60_000_000_000
    private static let renewal = Duration.seconds(20)

    private let key: BackplaneKey
    private let lease: LeaseID
    private let limit: UInt64
    private let backplane: any Backplane
    private let loop: EventLoop
    private var timer = TimerToken.none
    private var isOver = false

    init(_ task: BackplaneTask, _ lease: LeaseID, limit: UInt64, backplane: any Backplane, loop: EventLoop) {
        key = task.key
        self.lease = lease
        self.limit = limit
        self.backplane = backplane
        self.loop = loop
        timer = loop.setTimer(at: loop.now + Self.renewal, for: self)
    }

    /// Gives the place back. May be called again, without effect.
    package func end() {
        guard !isOver else { return }
        isOver = true
        loop.cancelTimer(timer)
        perform(.release(lease: lease))
    }

    private func perform(_ operation: BackplaneOperation) {
        var tasks = [BackplaneTask(key, operation)]
        let now = loop.now.nanoseconds
        guard !backplane.performAtOnce(&tasks, now: now) else { return }
        let (backplane, asked) = (backplane, tasks)
        loop.launch {
            var tasks = asked
            await backplane.perform(&tasks, now: now)
        }
    }

    private static let numbers = Numbers()

    /// A name that no other lease has: they count on from a random number, which is another one in each process.
    static func nextID() -> LeaseID { numbers.next() }

    private final class Numbers: Sendable {
        private let first = UInt64.random(in: .min ... .max)
        private let given = Atomic<UInt64>(0)

        func next() -> LeaseID { LeaseID(first &+ given.wrappingAdd(1, ordering: .relaxed).newValue) }
    }
}

extension RateLease: TimerTarget {
    /// Asks for the place again.
    package func timerFired(tag: UInt32) {
        guard !isOver else { return }
        timer = loop.setTimer(at: loop.now + Self.renewal, for: self)
        perform(.hold(lease: lease, limit: limit, lasting: Self.lasting))
    }
}

extension RateLease: RequestCompanion {
    /// Its request was answered.
    package func requestEnded() { end() }
}
