import PluginKit

/// How one circuit breaker stands.
struct BreakerReading: Equatable, Sendable {
    enum State: String, Sendable {
        case closed, open, halfOpen = "half-open"

        /// The one encoding of it: 0 closed, 1 open, 2 half-open.
        var number: Int {
            switch self {
            case .closed: 0
            case .open: 1
            case .halfOpen: 2
            }
        }
    }

    var name: String
    var state: State
    /// In a row.
    var failureCount = 0
    var successCount = 0
    /// Since it was made.
    var requests = 0
    var failures = 0
    var successes = 0
}

/// What operators are told about the tunnel: gathered when somebody asks, and once a minute for the history.
final class TunnelStatus: Sendable {
    let host: AgentHost
    let history: TunnelHistory
    let breakers: @Sendable () -> [BreakerReading]
    private let started = Guarded<MonotonicTime?>(nil)

    /// - Parameter breakers: How those of the tunnel stand now.
    init(host: AgentHost, breakers: @escaping @Sendable () -> [BreakerReading] = { [] }) {
        self.host = host
        self.breakers = breakers
        history = TunnelHistory(start: Self.figures(of: host))
    }

    /// Keeps the history, from start to drain.
    func run(_ context: ServiceContext) async throws {
        while true {
            try await context.sleep(TunnelHistory.interval)
            history.add(figures)
        }
    }

    /// As of now.
    var figures: TunnelFigures { Self.figures(of: host) }

    private static func figures(of host: AgentHost) -> TunnelFigures {
        let metrics = host.metrics
        let carried = host.ledger.total
        var figures = TunnelFigures()
        figures.moment = MonotonicTime.read()
        figures.timestamp = Times.text()
        figures.answered = Int(metrics.answered.value)
        figures.failed = TunnelFailure.codes.map { Int(metrics.failures.with($0.code).value) }
        figures.connections = Int(metrics.socketsOpened.value)
        figures.bytesToAgents = carried.bytesToAgents
        figures.bytesFromAgents = carried.bytesFromAgents
        figures.latency = LatencyDistribution(metrics.firstByte)
        figures.activeConnections = carried.agents + metrics.consumers.value
        figures.activeUsers = host.ledger.activeUsers
        return figures
    }

    /// What happened in a window that ends now, and how long it really is: at most the time since the start.
    func change(within window: Duration) -> (figures: TunnelFigures, seconds: Double) {
        let now = figures
        let earlier = history.beginning(of: window, before: now.moment)
        return (now.since(earlier), Double(now.moment.nanoseconds(since: earlier.moment)) / 1e9)
    }

    /// Milliseconds since the process started.
    var uptimeMilliseconds: Int {
        let now = MonotonicTime.read()
        let start = started.withLock { started in
            if let started { return started }
            let age = Duration.milliseconds(Int64((ProcessFigures.read()?.uptime ?? 0) * 1000))
            let start = MonotonicTime(nanoseconds: now.nanoseconds - min(now.nanoseconds, age.wholeNanoseconds))
            started = start
            return start
        }
        return Int(now.nanoseconds(since: start) / 1_000_000)
    }

    // MARK: Health

    /// One part of the tunnel, as the guide names them.
    struct Component: Equatable, Sendable {
        let name: String
        let health: Health
    }

    /// History that is older than this says that its service is stuck.
    private static let staleHistory = Duration.seconds(180)

    var components: [Component] {
        let agents = host.directory.count
        let open = breakers().count { $0.state == .open }
        let isRecording = MonotonicTime.read() < history.newest + Self.staleHistory
        return [
            Component(name: "WebSocket Service", health: .healthy),
            Component(
                name: "Connection Pool",
                health: agents * 10 < host.settings.agents * 9
                    ? .healthy : .degraded("\(agents) agents of \(host.settings.agents) allowed")),
            Component(name: "Circuit Breaker", health: open == 0 ? .healthy : .degraded("\(open) open")),
            Component(
                name: "Metrics Collector", health: isRecording ? .healthy : .degraded("no figures for three minutes")),
        ]
    }

    /// Healthy or degraded: as long as it answers, it can do some work.
    var health: Health {
        let reasons = components.compactMap { component -> String? in
            if case .degraded(let reason) = component.health { return "\(component.name): \(reason)" }
            return nil
        }
        return reasons.isEmpty ? .healthy : .degraded(reasons.joined(separator: "; "))
    }
}

extension Health {
    /// The guide's word for it.
    var word: String {
        switch self {
        case .healthy: "healthy"
        case .degraded: "degraded"
        case .unhealthy: "unhealthy"
        }
    }
}

extension Duration {
    fileprivate var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(clamping: seconds) * 1_000_000_000 + UInt64(clamping: attoseconds / 1_000_000_000)
    }
}
