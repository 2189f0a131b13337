import PluginKit

/// What operators are told about the tunnel: gathered when somebody asks, and once a minute for the history.
final class TunnelStatus: Sendable {
    let host: AgentHost
    let history: TunnelHistory
    private let breakers: CircuitBreakers
    private let limit: RateLimit
    private let started = Guarded<MonotonicTime?>(nil)

    /// - Parameters:
    ///   - breakers: Those of the process: an upstream that is down is worth knowing here too.
    ///   - limit: The one on requests through the tunnel.
    init(host: AgentHost, breakers: CircuitBreakers, limit: RateLimit) {
        self.host = host
        self.breakers = breakers
        self.limit = limit
        history = TunnelHistory(start: Self.figures(of: host, limit))
    }

    /// How each circuit breaker stands, by name.
    var circuits: [CircuitBreaker.Report] { breakers.reports() }

    /// Refusals of the limit, by what was used up.
    var violations: [(kind: RateRefusal.Kind, count: Int)] { limit.violations }

    /// Keeps the history, from start to drain.
    func run(_ context: ServiceContext) async throws {
        while true {
            try await context.sleep(TunnelHistory.interval)
            history.add(figures)
        }
    }

    /// As of now.
    var figures: TunnelFigures { Self.figures(of: host, limit) }

    private static func figures(of host: AgentHost, _ limit: RateLimit) -> TunnelFigures {
        let metrics = host.metrics
        let carried = host.ledger.total
        var figures = TunnelFigures()
        figures.moment = MonotonicTime.read()
        figures.timestamp = Times.text()
        figures.answered = Int(metrics.answered.value)
        figures.failed = TunnelFailure.codes.map { Int(metrics.failures.with($0.code).value) }
        figures.violations = limit.violations.reduce(0) { $0 + $1.count }
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

    /// Refusals in a minute that are many.
    private static let manyViolations = 100

    var components: [Component] {
        let agents = host.directory.count
        let open = circuits.count { $0.phase == .open }
        let isRecording = MonotonicTime.read() < history.newest + Self.staleHistory
        let refused = change(within: .seconds(60)).figures.violations
        return [
            Component(name: "WebSocket Service", health: .healthy),
            Component(
                name: "Connection Pool",
                health: agents * 10 < host.settings.agents * 9
                    ? .healthy : .degraded("\(agents) agents of \(host.settings.agents) allowed")),
            Component(name: "Circuit Breaker", health: open == 0 ? .healthy : .degraded("\(open) open")),
            Component(
                name: "Metrics Collector", health: isRecording ? .healthy : .degraded("no figures for three minutes")),
            Component(
                name: "Rate Limiter",
                health: refused <= Self.manyViolations ? .healthy : .degraded("\(refused) refusals in a minute")),
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
