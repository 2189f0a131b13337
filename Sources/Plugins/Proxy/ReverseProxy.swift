package import PluginKit

/// Forwards paths to HTTP servers of the operator's choice, WebSockets included.
///
/// Bodies stream both ways with back-pressure. Several upstreams of one path share its load, and those that fail are
/// left alone for a while.
package struct ReverseProxy: Plugin {
    package static let name: PluginName = "proxy"
    package static let summary = "Forwards the paths of PROXY_ROUTES, HTTP and WebSocket, to the servers behind them."

    private let settings: ProxySettings

    package init(settings: ProxySettings) { self.settings = settings }

    package func register(with gateway: inout Registrar) {
        let metrics = ProxyMetrics(gateway.metrics)
        let upstream = gateway.upstream
        let breakers = gateway.breakers
        let context = gateway.context
        let log = gateway.log
        let forwardings = settings.routes.all.map { route in
            Forwarding(
                route: route, group: group(of: route, metrics), settings: settings, origins: context.origins,
                upstream: upstream, breaker: breakers.breaker(of: "\(Self.name):\(route.name)"), metrics: metrics,
                log: log)
        }
        for choice in HostChoice.all(forwardings, route: \.route) {
            for pattern in choice.patterns {
                gateway.route(nil, pattern, access: settings.requiresToken ? .signedIn : .anyone) { request in
                    guard let forwarding = choice.of(request) else { throw GatewayFault.notFound() }
                    return try await forwarding.answer(request)
                }
            }
        }
        gateway.health("upstreams") { Self.health(of: forwardings) }
    }

    private func group(of route: ProxyRoute, _ metrics: ProxyMetrics) -> UpstreamGroup {
        UpstreamGroup(
            route.targets.map { UpstreamMember($0, metrics: metrics.member(of: route, $0)) }, rule: settings.outliers)
    }

    /// The gateway itself can do its work, whatever the upstreams do: a pod that cannot help it must not be taken down.
    private static func health(of forwardings: [Forwarding]) -> Health {
        let failing = forwardings.compactMap { forwarding in
            let (count, all) = (forwarding.group.failing, forwarding.group.members.count)
            return count == 0 ? nil : "\(forwarding.route.name): \(count) of \(all)"
        }
        return failing.isEmpty ? .healthy : .degraded("upstreams fail: " + failing.joined(separator: ", "))
    }
}

/// The figures of the plugin, made once.
struct ProxyMetrics: Sendable {
    let failures: MetricFamily<Counter>
    let retries: Counter
    let retriesRefused: Counter
    let sockets: Gauge
    private let requests: MetricFamily<Counter>
    private let ejections: MetricFamily<Counter>
    private let ejected: MetricFamily<Gauge>

    init(_ metrics: PluginMetrics) {
        failures = metrics.counters(
            "failures_total", "Requests that an upstream did not answer, or not in full, by error code.",
            labels: ["code"])
        retries = metrics.counter("retries_total", "Requests sent to another upstream after one had failed.")
        retriesRefused = metrics.counter(
            "retries_refused_total", "Requests that could have been sent to another upstream but for the budget.")
        sockets = metrics.gauge("sockets_open", "WebSockets that are being forwarded.")
        let labels = ["route", "upstream"]
        requests = metrics.counters("upstream_requests_total", "Requests and sockets by upstream.", labels: labels)
        ejections = metrics.counters(
            "ejections_total", "How often an upstream was left alone because it failed.", labels: labels)
        ejected = metrics.gauges(
            "upstream_ejected", "1 while an upstream is left alone, or gets one request at a time to try it.",
            labels: labels)
    }

    func member(of route: ProxyRoute, _ target: ProxyTarget) -> UpstreamMember.Metrics {
        let labels = [route.name, target.description]
        return UpstreamMember.Metrics(
            requests: requests.with(labels), ejections: ejections.with(labels), ejected: ejected.with(labels))
    }
}
