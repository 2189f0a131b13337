import GatewayLocks

/// The facts of one process, in its memory: answers at once, on any thread.
///
/// Bounded. When ``Limits/keys`` are remembered, whoever would be forgotten first is forgotten early, see
/// ``RecordTable``; when ``Limits/leases`` are held, more are refused. Both are counted in ``figures(at:)``.
package final class MemoryBackplane: Backplane {
    package struct Limits: Sendable {
        /// Addresses, users and tokens of whom something is remembered, each once for every rule. 80 bytes each at most,
        /// taken as they come.
        package var keys: Int
        /// Leases held at once.
        package var leases: Int

        package init(keys: Int = 65536, leases: Int = 65536) {
            self.keys = keys
            self.leases = leases
        }
    }

    /// What it holds, and what it had no room for.
    package struct Figures: Equatable, Sendable {
        /// Facts that have not ended.
        package var keys = 0
        package var leases = 0
        /// Facts forgotten before their time.
        package var evicted: UInt64 = 0
        /// Leases refused although their key had a place.
        package var crowdedOut: UInt64 = 0
    }

    /// Loops meet in a shard by chance only.
    private static let shardCount = 16

    private struct State {
        var records: RecordTable
        var leases: LeaseTable
    }

    private final class Shard: Sendable {
        let state: Guarded<State>

        init(_ state: consuming State) { self.state = Guarded(state) }
    }

    private let hash = KeyHash()
    private let shards: [Shard]

    package init(limits: Limits = Limits()) {
        let hash = hash
        // Twice the places: keys fall unevenly, and hardly any should give way before there are as many as were meant.
        let places = max(1, limits.keys) * 2 / Self.shardCount
        let leases = max(1, (limits.leases + Self.shardCount - 1) / Self.shardCount)
        shards = (0..<Self.shardCount).map { _ in
            Shard(
                State(
                    records: RecordTable(capacity: places, hash: hash), leases: LeaseTable(capacity: leases)))
        }
    }

    package func performAtOnce(_ tasks: inout [BackplaneTask], now: UInt64) -> Bool {
        for index in tasks.indices {
            let answer = perform(tasks[index].operation, tasks[index].key, now)
            tasks[index].answer = answer
            guard answer.isGranted else { break }
        }
        return true
    }

    package func perform(_ tasks: inout [BackplaneTask], now: UInt64) async { _ = performAtOnce(&tasks, now: now) }

    private func perform(_ operation: BackplaneOperation, _ key: BackplaneKey, _ now: UInt64) -> BackplaneAnswer {
        let place = hash(key.space, key.high, key.low)
        // The upper bits: the lower ones choose within the shard.
        return shards[Int(place >> 60) % Self.shardCount].state.withLock { state in
            switch operation {
            case .take(let rate, let cost):
                return state.records.update(key, hash: place, now: now) { $0.take(rate, cost, now) }
            case .strike(let rule, let strikes):
                return state.records.update(key, hash: place, now: now) { $0.strike(rule, strikes, now) }
            case .hold(let lease, let limit, let lasting):
                let (end, tooFar) = now.addingReportingOverflow(lasting)
                let left = state.leases.hold(key, lease, limit: limit, until: tooFar ? .max : end, now: now)
                return BackplaneAnswer(isGranted: left != nil, count: left ?? 0, resetAfter: lasting)
            case .release(let lease):
                state.leases.release(key, lease)
                return BackplaneAnswer(isGranted: true, count: 0)
            }
        }
    }

    /// Looks at everything: for whoever reads metrics.
    package func figures(at now: UInt64) -> Figures {
        shards.reduce(into: Figures()) { sum, shard in
            shard.state.withLock { state in
                sum.keys += state.records.count(at: now)
                sum.leases += state.leases.count
                sum.evicted += state.records.evicted
                sum.crowdedOut += state.leases.crowdedOut
            }
        }
    }
}

extension FactRecord {
    fileprivate mutating func take(_ rate: Rate, _ cost: UInt64, _ now: UInt64) -> BackplaneAnswer {
        let decision = rate.take(cost, fullAt: until, now: now)
        // Not after a refusal, nor after a mere question: neither used anything.
        if decision.isAllowed, cost > 0 { until = decision.fullAt }
        return BackplaneAnswer(
            isGranted: decision.isAllowed, count: decision.remaining, retryAfter: decision.retryAfter,
            resetAfter: decision.resetAfter)
    }

    fileprivate mutating func strike(_ rule: StrikeRule, _ strikes: UInt64, _ now: UInt64) -> BackplaneAnswer {
        let known = until > now ? StrikeRule.Record(count: count, until: until) : nil
        guard let record = rule.add(strikes, to: known, now: now) else {
            return BackplaneAnswer(isGranted: true, count: 0)
        }
        (count, until) = (record.count, record.until)
        let left = record.until - now
        let isBlocked = record.count >= rule.threshold
        return BackplaneAnswer(
            isGranted: !isBlocked, count: record.count, retryAfter: isBlocked ? left : 0, resetAfter: left)
    }
}
