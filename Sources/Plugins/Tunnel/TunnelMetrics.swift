import PluginKit

/// What the plugin counts. Names of the originals are beside them, at `/api/tunnel/metrics`.
struct TunnelMetrics: Sendable {
    let agentsConnected: Gauge
    let sessions: MetricFamily<Counter>
    let requests: Counter
    let failures: MetricFamily<Counter>
    let firstByte: Histogram
    let consumers: Gauge
    let connections: Counter

    init(_ metrics: PluginMetrics) {
        agentsConnected = metrics.gauge("agents", "Agents connected, or back within the grace.")
        sessions = metrics.counters(
            "sessions_total", "Sessions of agents: new, resumed over another connection, or taken over.",
            labels: ["how"])
        requests = metrics.counter("requests_total", "Requests passed to agents.")
        failures = metrics.counters(
            "failures_total", "Requests that got no answer, or not all of it, by error code.", labels: ["code"])
        firstByte = metrics.histogram("first_byte_seconds", "From a request to the head of its answer.")
        consumers = metrics.gauge("consumers", "WebSockets that ask agents.")
        connections = metrics.counter("connections_total", "TCP connections opened through agents.")
    }

    func failed(_ failure: TunnelFailure) { failures.with(failure.report.code).increment() }
}
