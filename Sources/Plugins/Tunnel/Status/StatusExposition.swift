import PluginKit

/// The guide's metrics, `tunnel_…`, in the Prometheus text format 0.0.4.
///
/// They are read from what the gateway counts under its own names, when somebody asks: no request pays for them.
struct StatusExposition {
    private var lines = ""

    /// Over which rates, ratios and percentiles are told.
    static let window = Duration.seconds(300)

    static func text(of status: TunnelStatus) -> [UInt8] {
        var exposition = StatusExposition()
        let now = status.figures
        exposition.write(requests: now)
        exposition.write(traffic: now, status)
        exposition.write(recent: status.change(within: window))
        exposition.write(status.circuits)
        exposition.write(status.violations)
        exposition.write(ProcessFigures.read(), uptime: status.uptimeMilliseconds)
        return Array(exposition.lines.utf8)
    }

    private mutating func write(requests now: TunnelFigures) {
        begin("tunnel_requests_total", "counter", "Requests that ended, by outcome and kind of error.")
        add("tunnel_requests_total", #"status="success",error_type="none""#, now.answered)
        for category in TunnelFailure.Category.allCases {
            let count = now.failuresByCategory.first { $0.category == category }?.count ?? 0
            add("tunnel_requests_total", #"status="error",error_type="\#(category.rawValue)""#, count)
        }
        one("tunnel_requests_success_total", "counter", "Requests answered to the end.", now.answered)
        one("tunnel_requests_failed_total", "counter", "Requests without a whole answer.", now.failures)
        begin("tunnel_errors_total", "counter", "Requests without a whole answer, by code.")
        for (failure, count) in zip(TunnelFailure.codes, now.failed) {
            add("tunnel_errors_total", #"category="\#(failure.category.rawValue)",code="\#(failure.code)""#, count)
        }
        write(now.latency)
    }

    private mutating func write(_ latency: LatencyDistribution) {
        let name = "tunnel_request_latency_ms"
        begin(name, "histogram", "Milliseconds from a request to the head of its answer.")
        var total: UInt64 = 0
        for (place, count) in latency.counts.enumerated() {
            total &+= count
            let bound = place < latency.bounds.count ? Self.text(latency.bounds[place] * 1000) : "+Inf"
            lines += "\(name)_bucket{le=\"\(bound)\"} \(total)\n"
        }
        lines += "\(name)_sum \(Self.text(latency.sum * 1000))\n\(name)_count \(total)\n"
        one(
            "tunnel_slow_requests_total", "counter", "Requests whose answer took more than five seconds to begin.",
            Int(latency.slower(than: 5)))
    }

    private mutating func write(traffic now: TunnelFigures, _ status: TunnelStatus) {
        let metrics = status.host.metrics
        one("tunnel_active_connections", "gauge", "Agents and WebSockets that ask them.", now.activeConnections)
        one("tunnel_active_users", "gauge", "Users with an agent.", now.activeUsers)
        one("tunnel_connections_total", "counter", "WebSockets of both kinds that were opened.", now.connections)
        one("tunnel_websocket_connections_total", "counter", "The same, under its other name.", now.connections)
        one(
            "tunnel_websocket_active_connections", "gauge", "WebSockets open now: one for each agent that is not away.",
            metrics.consumers.value + status.host.directory.all.count { $0.traffic.isAttached })
        begin("tunnel_websocket_disconnections_total", "counter", "WebSockets that ended, by reason.")
        for reason in TunnelMetrics.Disconnection.allCases {
            add(
                "tunnel_websocket_disconnections_total", #"reason="\#(reason.rawValue)""#,
                Int(metrics.closed(as: reason).value))
        }
        one("tunnel_bytes_received_total", "counter", "Bytes from agents.", now.bytesFromAgents)
        one("tunnel_bytes_sent_total", "counter", "Bytes to agents.", now.bytesToAgents)
    }

    private mutating func write(recent: (figures: TunnelFigures, seconds: Double)) {
        let (change, seconds) = recent
        func rate(_ count: Int) -> Double { seconds > 0 ? Double(count) / seconds : 0 }
        one("tunnel_request_success_rate", "gauge", "Of five minutes; a ratio from 0 to 1.", change.successRate)
        one("tunnel_error_rate", "gauge", "Of five minutes; a ratio from 0 to 1.", change.errorRate)
        one("tunnel_requests_per_second", "gauge", "Of five minutes.", rate(change.requests))
        one("tunnel_connection_rate_per_second", "gauge", "Of five minutes.", rate(change.connections))
        one(
            "tunnel_p95_latency_ms", "gauge", "Of five minutes, estimated from the histogram.",
            change.latency.percentileMilliseconds(0.95))
        one(
            "tunnel_p99_latency_ms", "gauge", "Of five minutes, estimated from the histogram.",
            change.latency.percentileMilliseconds(0.99))
    }

    /// One series for all: an agent's name is its user's text, and there may be thousands.
    private mutating func write(_ circuits: [CircuitBreaker.Report]) {
        let phases = circuits.map(\.phase)
        let worst = phases.contains(.open) ? 1 : phases.contains(.halfOpen) ? 2 : 0
        begin("tunnel_circuit_breaker_state", "gauge", "The worst of all: 0 closed, 1 open, 2 half-open.")
        add("tunnel_circuit_breaker_state", #"service="all""#, worst)
        begin("tunnel_circuit_breakers", "gauge", "Circuit breakers, by state.")
        for phase in CircuitBreaker.Phase.allCases {
            add("tunnel_circuit_breakers", #"state="\#(phase.rawValue)""#, phases.count { $0 == phase })
        }
    }

    private mutating func write(_ violations: [(kind: RateRefusal.Kind, count: Int)]) {
        begin("tunnel_rate_limit_violations_total", "counter", "Refusals of limits, by what was used up.")
        for (kind, count) in violations {
            add("tunnel_rate_limit_violations_total", #"kind="\#(kind.rawValue)""#, count)
        }
    }

    private mutating func write(_ process: ProcessFigures?, uptime: Int) {
        one("tunnel_uptime_seconds", "gauge", "Since the process started.", Double(uptime) / 1000)
        guard let process else { return }
        one("tunnel_memory_usage_bytes", "gauge", "Resident memory of the process.", process.residentMemory)
        one(
            "tunnel_cpu_usage_seconds", "counter", "Processor time of the process, of user and system.",
            process.userTime + process.systemTime)
    }

    // MARK: Lines

    private mutating func begin(_ name: String, _ kind: String, _ help: String) {
        lines += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n"
    }

    /// - Parameter labels: Of the program's own words, so nothing in them needs an escape.
    private mutating func add(_ name: String, _ labels: String, _ value: Int) {
        lines += "\(name){\(labels)} \(value)\n"
    }

    private mutating func one(_ name: String, _ kind: String, _ help: String, _ value: Int) {
        begin(name, kind, help)
        lines += "\(name) \(value)\n"
    }

    /// Nothing at all for what there is no figure for.
    private mutating func one(_ name: String, _ kind: String, _ help: String, _ value: Double?) {
        guard let value else { return }
        begin(name, kind, help)
        lines += "\(name) \(Self.text(value))\n"
    }

    /// To a millionth, without a useless `.0`.
    private static func text(_ value: Double) -> String {
        let text = "\((value * 1e6).rounded() / 1e6)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
