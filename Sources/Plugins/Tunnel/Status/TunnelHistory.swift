import PluginKit

/// Figures of the last hour by the minute, and of the last week by the hour and by the day.
///
/// Kept are moments, not sums, so that nothing is added up twice: a row is the difference of two of them.
final class TunnelHistory: Sendable {
    enum Aggregation: String, CaseIterable, Sendable {
        case raw, hourly, daily

        /// How many ticks of a minute lie between two of its moments.
        var ticks: Int {
            switch self {
            case .raw: 1
            case .hourly: 60
            case .daily: 1440
            }
        }

        /// Moments that are kept: an hour or a week, and the one before.
        var limit: Int {
            switch self {
            case .raw: 61
            case .hourly: 169
            case .daily: 8
            }
        }
    }

    static let interval = Duration.seconds(60)
    /// The longest window there is.
    static let week = Duration.seconds(7 * 86400)

    private struct Contents {
        var moments: [Aggregation: [TunnelFigures]]
        var ticks = 0
    }

    private let contents: Guarded<Contents>

    /// - Parameter start: As counted at the start: what counters had before is not part of the history.
    init(start: TunnelFigures) {
        contents = Guarded(
            Contents(moments: Dictionary(uniqueKeysWithValues: Aggregation.allCases.map { ($0, [start]) })))
    }

    /// One minute has passed.
    func add(_ figures: TunnelFigures) {
        contents.withLock { contents in
            contents.ticks += 1
            for kind in Aggregation.allCases where contents.ticks % kind.ticks == 0 {
                var moments = contents.moments[kind] ?? []
                moments.append(figures)
                if moments.count > kind.limit { moments.removeFirst(moments.count - kind.limit) }
                contents.moments[kind] = moments
            }
        }
    }

    /// The newest moment.
    var newest: MonotonicTime { contents.withLock { $0.moments[.raw]?.last?.moment ?? .distantFuture } }

    /// The moment from which to count, for what happened in a window that ends now: the newest that is as old as the
    /// window, else the oldest there is.
    func beginning(of window: Duration, before now: MonotonicTime) -> TunnelFigures {
        let moments = contents.withLock { contents in
            Aggregation.allCases.reversed().flatMap { contents.moments[$0] ?? [] }
        }
        let sorted = moments.sorted { $0.moment < $1.moment }
        let isOldEnough = { (figures: TunnelFigures) in figures.moment + window <= now }
        return sorted.last(where: isOldEnough) ?? sorted.first ?? TunnelFigures()
    }

    /// What happened between neighbouring moments, the oldest first, as far as the later one lies in the window.
    func rows(_ kind: Aggregation, within window: Duration, before now: MonotonicTime) -> [Row] {
        let moments = contents.withLock { $0.moments[kind] ?? [] }
        return zip(moments, moments.dropFirst()).compactMap { earlier, later in
            guard later.moment + window > now else { return nil }
            return Row(
                figures: later.since(earlier),
                milliseconds: Int(later.moment.nanoseconds(since: earlier.moment) / 1_000_000))
        }
    }

    struct Row: Equatable, Sendable {
        let figures: TunnelFigures
        let milliseconds: Int
    }
}

extension TunnelHistory {
    /// Reads `1h`, `24h`, `7d`, or milliseconds. No more than a week.
    static func window(_ text: String) -> Duration? {
        switch text {
        case "1h": return .seconds(3600)
        case "24h": return .seconds(86400)
        case "7d": return week
        default:
            guard let milliseconds = Int64(text), milliseconds > 0, milliseconds <= 7 * 86_400_000 else { return nil }
            return .milliseconds(milliseconds)
        }
    }
}
