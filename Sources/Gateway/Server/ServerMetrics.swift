import GatewayHTTP
import GatewayTelemetry
import GatewayWebSocket
import PluginKit

/// Handles of one plugin's request metrics, made once per plugin.
struct RouteMetrics: Sendable {
    /// By status class, 1xx to 5xx.
    let requests: [Counter]
    let latency: Histogram

    @inline(__always)
    func record(_ status: Status, microseconds: Int) {
        let place = status.code / 100 - 1
        if place >= 0, place < requests.count { requests[place].increment() }
        latency.observe(microseconds: microseconds)
    }
}

/// The core's own metrics.
final class ServerMetrics: Sendable {
    let registry: Metrics
    let connectionsAccepted: Counter
    let refusedRequests: Counter
    let proxyRefusals: Counter
    let brokenResponses: Counter
    let writeTimeouts: Counter
    let bytesReceived: Counter
    let handshakeFailures: Counter
    let certificateReloads: MetricFamily<Counter>
    private let fullHandshakes: Counter
    private let resumedHandshakes: Counter
    let slowTurns: Counter
    let acceptPauses: Counter
    let authentications: MetricFamily<Counter>
    let authBlocks: MetricFamily<Counter>
    let auditSuppressed: Counter
    let rateViolations: MetricFamily<Counter>
    let sockets: SocketMetrics
    let generation: Gauge
    let reloads: MetricFamily<Counter>
    private let requests: MetricFamily<Counter>
    private let latency: MetricFamily<Histogram>

    init(registry: Metrics) throws(MetricError) {
        self.registry = registry
        connectionsAccepted = try registry.counter(
            "gateway_connections_accepted_total", "Client connections accepted.")
        refusedRequests = try registry.counter(
            "gateway_http_refused_requests_total", "Requests whose head was refused, answered and closed.")
        proxyRefusals = try registry.counter(
            "gateway_proxy_protocol_refused_total", "Connections closed for want of a trusted proxy's PROXY header.")
        brokenResponses = try registry.counter(
            "gateway_http_broken_responses_total", "Responses cut short on purpose because their source failed.")
        writeTimeouts = try registry.counter(
            "gateway_http_write_timeouts_total", "Connections reset because their client took nothing for too long.")
        bytesReceived = try registry.counter("gateway_received_bytes_total", "Bytes received from clients.")
        handshakeFailures = try registry.counter("gateway_tls_failures_total", "Connections that ended in a TLS error.")
        let handshakes = try registry.counters(
            "gateway_tls_handshakes_total", "TLS handshakes completed with clients.", labels: ["kind"])
        fullHandshakes = handshakes.with("full")
        resumedHandshakes = handshakes.with("resumed")
        certificateReloads = try registry.counters(
            "gateway_tls_reloads_total", "Times the files of TLS were read again, by outcome.", labels: ["result"])
        for result in ["ok", "failed"] { _ = certificateReloads.with(result) }
        slowTurns = try registry.counter(
            "gateway_slow_turns_total", "Event loop turns that took longer than they may: something blocked.")
        acceptPauses = try registry.counter(
            "gateway_accept_pauses_total", "Times accepting rested because no descriptor was free.")
        authentications = try registry.counters(
            "gateway_authentications_total", "Checked tokens and other credentials by outcome.", labels: ["result"])
        authBlocks = try registry.counters(
            "gateway_auth_blocks_total", "Blocks begun after refused credentials, by whose they are.", labels: ["of"])
        auditSuppressed = try registry.counter(
            "gateway_audit_suppressed_total", "Lines that the audit log left out, beyond its limits.")
        rateViolations = try registry.counters(
            "gateway_rate_limit_violations_total", "What was refused by a limit, by limit and kind.",
            labels: ["limit", "kind"])
        requests = try registry.counters(
            "gateway_http_requests_total", "Answered requests by plugin and status class.",
            labels: ["plugin", "status"])
        latency = try registry.histograms(
            "gateway_http_request_seconds", "From the end of the request head to the end of the response.",
            labels: ["plugin"], .latency)
        sockets = try SocketMetrics(registry: registry)
        generation = try registry.gauge(
            "gateway_settings_generation", "How many times settings were applied: 1 at the start.")
        reloads = try registry.counters(
            "gateway_settings_reloads_total", "Attempts to apply settings anew, by outcome.", labels: ["result"])
        for outcome in ["applied", "refused"] { _ = reloads.with(outcome) }
    }

    func recordHandshake(isResumed: Bool) { (isResumed ? resumedHandshakes : fullHandshakes).increment() }

    func route(of plugin: PluginName) -> RouteMetrics {
        RouteMetrics(
            requests: ["1xx", "2xx", "3xx", "4xx", "5xx"].map { requests.with(plugin.text, $0) },
            latency: latency.with(plugin.text))
    }
}

/// Metrics of WebSockets.
struct SocketMetrics: Sendable {
    let opened: Counter
    let open: Gauge
    let closed: MetricFamily<Counter>
    let messagesReceived: Counter
    let messagesSent: Counter
    let pingsSent: Counter
    let pongsReceived: Counter
    let roundTrip: Histogram
    let dropped: Counter
    let largeMessages: Counter

    /// Counts under the code's own label if the protocol defines it: a peer may send any of 3000 to 4999, and must not
    /// be able to fill the label sets.
    func recordClose(_ code: CloseCode) {
        let isKnown = code.rawValue < 1016 || code == .tokenExpired
        closed.with(isKnown ? code.description : "private").increment()
    }

    init(registry: Metrics) throws(MetricError) {
        opened = try registry.counter("gateway_websocket_opened_total", "WebSockets opened.")
        open = try registry.gauge("gateway_websocket_open", "WebSockets open now.")
        closed = try registry.counters(
            "gateway_websocket_closed_total", "WebSockets closed, by close code.", labels: ["code"])
        messagesReceived = try registry.counter("gateway_websocket_messages_received_total", "Messages received.")
        messagesSent = try registry.counter("gateway_websocket_messages_sent_total", "Messages sent.")
        pingsSent = try registry.counter("gateway_websocket_pings_sent_total", "Heartbeat pings sent.")
        pongsReceived = try registry.counter("gateway_websocket_pongs_received_total", "Pongs received.")
        roundTrip = try registry.histogram(
            "gateway_websocket_round_trip_seconds", "Round trips measured by heartbeat pongs.", .latency)
        dropped = try registry.counter(
            "gateway_websocket_messages_dropped_total", "Messages dropped for slow consumers, each told to its peer.")
        largeMessages = try registry.counter(
            "gateway_websocket_large_messages_total", "Messages larger than FRAME_WARN_THRESHOLD.")
    }
}
