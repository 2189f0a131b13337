import PluginKit

/// Everything the tunnel has counted, at one moment. What happened between two moments is the difference.
struct TunnelFigures: Equatable, Sendable {
    var moment = MonotonicTime(nanoseconds: 0)
    /// As ``Times/text()``.
    var timestamp = ""
    /// Requests answered to the end.
    var answered = 0
    /// Requests without an answer, or not all of one, in the order of ``TunnelFailure/codes``.
    var failed = [Int](repeating: 0, count: TunnelFailure.codes.count)
    /// Carriers and sockets of consumers that were opened.
    var connections = 0
    /// Requests and messages that a limit refused.
    var violations = 0
    var bytesToAgents = 0
    var bytesFromAgents = 0
    var latency = LatencyDistribution()
    /// As they are at the moment.
    var activeConnections = 0
    var activeUsers = 0

    var failures: Int { failed.reduce(0, +) }
    /// Requests that have come to an end; one whose consumer left counts for nobody.
    var requests: Int { answered + failures }
    /// A ratio from 0 to 1; `nil` without requests.
    var successRate: Double? { requests == 0 ? nil : Double(answered) / Double(requests) }
    var errorRate: Double? { successRate.map { 1 - $0 } }

    /// What was counted since `earlier`; moment, timestamp and what is active stay those of this one.
    func since(_ earlier: TunnelFigures) -> TunnelFigures {
        var change = self
        change.answered -= earlier.answered
        for place in failed.indices { change.failed[place] -= earlier.failed[place] }
        change.violations -= earlier.violations
        change.connections -= earlier.connections
        change.bytesToAgents -= earlier.bytesToAgents
        change.bytesFromAgents -= earlier.bytesFromAgents
        change.latency = latency.since(earlier.latency)
        return change
    }

    /// By ``TunnelFailure/Category``, without those that are zero.
    var failuresByCategory: [(category: TunnelFailure.Category, count: Int)] {
        TunnelFailure.Category.allCases.compactMap { category in
            let count = zip(TunnelFailure.codes, failed).reduce(0) { $0 + ($1.0.category == category ? $1.1 : 0) }
            return count == 0 ? nil : (category, count)
        }
    }
}

/// How long heads of answers took, in buckets.
struct LatencyDistribution: Equatable, Sendable {
    /// Upper bounds of the buckets, in seconds, without the infinite one.
    var bounds: [Double] = []
    /// One count for each bound, one for what lies above.
    var counts: [UInt64] = []
    /// In seconds.
    var sum = 0.0

    init() {}

    init(_ histogram: Histogram) {
        bounds = histogram.bounds
        counts = histogram.bucketCounts
        sum = histogram.sum
    }

    var count: UInt64 { counts.reduce(0, &+) }

    /// `nil` without observations.
    var averageMilliseconds: Double? { count == 0 ? nil : sum * 1000 / Double(count) }

    func since(_ earlier: LatencyDistribution) -> LatencyDistribution {
        guard earlier.counts.count == counts.count else { return self }
        var change = self
        // The loops count while they are read one after the other, so a later sum may miss what an earlier one had.
        for place in counts.indices { change.counts[place] -= min(earlier.counts[place], counts[place]) }
        change.sum = max(0, sum - earlier.sum)
        return change
    }

    /// Estimated by assuming that observations lie evenly in their bucket, as Prometheus does; at most the highest bound.
    ///
    /// - Parameter share: 0.95 for the 95th percentile.
    /// - Returns: `nil` without observations.
    func percentileMilliseconds(_ share: Double) -> Double? {
        let wanted = share * Double(count)
        guard wanted > 0 else { return nil }
        var below = 0.0
        for (place, bound) in bounds.enumerated() {
            let inside = Double(counts[place])
            if inside > 0, below + inside >= wanted {
                let floor = place == 0 ? 0 : bounds[place - 1]
                return (floor + (bound - floor) * (wanted - below) / inside) * 1000
            }
            below += inside
        }
        return (bounds.last ?? 0) * 1000
    }

    /// How many took longer than `seconds`, which is one of the bounds.
    func slower(than seconds: Double) -> UInt64 {
        let place = bounds.firstIndex { $0 >= seconds } ?? bounds.count
        return counts.dropFirst(place + 1).reduce(0, &+)
    }
}
