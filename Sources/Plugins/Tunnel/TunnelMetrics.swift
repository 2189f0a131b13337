import PluginKit

/// What the plugin counts, under the gateway's names. `/api/tunnel/metrics` shows the same under the guide's.
struct TunnelMetrics: Sendable {
    let agentsConnected: Gauge
    let sessions: MetricFamily<Counter>
    let requests: Counter
    let answered: Counter
    let failures: MetricFamily<Counter>
    let firstByte: Histogram
    let consumers: Gauge
    let socketsOpened: Counter
    let connections: Counter
    private let socketsClosed: MetricFamily<Counter>

    init(_ metrics: PluginMetrics) {
        agentsConnected = metrics.gauge("agents", "Agents connected, or back within the grace.")
        sessions = metrics.counters(
            "sessions_total", "Sessions of agents: new, resumed over another connection, or taken over.",
            labels: ["how"])
        requests = metrics.counter("requests_total", "Requests passed to agents.")
        answered = metrics.counter("answered_total", "Requests whose answer was passed on to its end.")
        failures = metrics.counters(
            "failures_total", "Requests that got no answer, or not all of it, by error code.", labels: ["code"])
        firstByte = metrics.histogram(
            "first_byte_seconds", "From a request to the head of its answer.", shape: Self.latency)
        consumers = metrics.gauge("consumers", "WebSockets that ask agents.")
        socketsOpened = metrics.counter("sockets_opened_total", "WebSockets of agents and of those who ask them.")
        socketsClosed = metrics.counters("sockets_closed_total", "The same, as they ended.", labels: ["reason"])
        connections = metrics.counter("connections_total", "TCP connections opened through agents.")
        for failure in TunnelFailure.codes { _ = failures.with(failure.code) }
        for reason in Disconnection.allCases { _ = socketsClosed.with(reason.rawValue) }
    }

    /// The guide's bounds, and then as long as a model may take to load.
    private static var latency: HistogramShape {
        HistogramShape(
            [0.01, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300], unit: .seconds)
    }

    func failed(_ failure: TunnelFailure) { failures.with(failure.report.code).increment() }

    func socketClosed(_ code: CloseCode, _ reason: String) {
        socketsClosed.with(Disconnection(code, reason).rawValue).increment()
    }

    func closed(as reason: Disconnection) -> Counter { socketsClosed.with(reason.rawValue) }

    /// How a WebSocket ended, in the guide's words.
    enum Disconnection: String, CaseIterable, Sendable {
        case normal, error, timeout, authFailed = "auth_failed"

        init(_ code: CloseCode, _ reason: String) {
            switch code.rawValue {
            // The core says so of a peer that no longer answers pings, and the plugin of one that asks nothing.
            case 1001 where reason == "Connection timeout" || reason == "Idle timeout": self = .timeout
            case 1000, 1001, 1005, 1012, CloseCode.replaced.rawValue: self = .normal
            case 1008, 4401, CloseCode.forbidden.rawValue: self = .authFailed
            default: self = .error
            }
        }
    }
}
