import GatewayLocks
package import GatewayTelemetry

/// Makes metrics named `gateway_<plugin>_…`. A name that is bad or taken stops the start; nothing throws here.
///
/// A plugin that is made anew, because its settings changed, goes on counting in the metrics it had.
package final class PluginMetrics: Sendable {
    private let plugin: PluginName
    private let registry: Metrics
    private let collected = Guarded<[String]>([])
    private let names = Guarded<Set<String>>([])

    /// Made by the server, one for each plugin.
    package init(plugin: PluginName, registry: Metrics) {
        self.plugin = plugin
        self.registry = registry
    }

    /// What went wrong, for the start to report.
    package var problems: [String] { collected.withLock { $0 } }

    /// A number that only grows, summed over the loops.
    ///
    /// - Parameter name: Ends in `_total`; `greeted_total` of the plugin `hello` is `gateway_hello_greeted_total`.
    package func counter(_ name: String, _ help: String) -> Counter {
        make(.unregistered) { () throws(MetricError) in try registry.counter(once(name), help, owner: plugin.text) }
    }

    /// A number that goes up and down. ``Gauge/add(_:)`` and ``Gauge/subtract(_:)`` may be called on different loops.
    package func gauge(_ name: String, _ help: String) -> Gauge {
        make(.unregistered) { () throws(MetricError) in try registry.gauge(once(name), help, owner: plugin.text) }
    }

    /// A distribution: by default of latencies, in seconds, told in microseconds.
    ///
    /// - Parameter name: Ends in its unit, such as `_seconds`.
    package func histogram(_ name: String, _ help: String, shape: HistogramShape = .latency) -> Histogram {
        make(.unregistered) { () throws(MetricError) in
            try registry.histogram(once(name), help, shape, owner: plugin.text)
        }
    }

    /// Counters told apart by labels. Take the handle of each label value once, at registration where that is possible.
    ///
    /// - Parameter labels: Their names. Values must come from a small, fixed set, never from a request.
    package func counters(_ name: String, _ help: String, labels: [String]) -> MetricFamily<Counter> {
        make(.unregistered(labels: labels)) { () throws(MetricError) in
            try registry.counters(once(name), help, labels: labels, owner: plugin.text)
        }
    }

    /// Gauges told apart by labels, under the same rule.
    package func gauges(_ name: String, _ help: String, labels: [String]) -> MetricFamily<Gauge> {
        make(.unregistered(labels: labels)) { () throws(MetricError) in
            try registry.gauges(once(name), help, labels: labels, owner: plugin.text)
        }
    }

    /// The whole name, which one registration may use once.
    private func once(_ name: String) throws(MetricError) -> String {
        let name = Metrics.name(name, ofPlugin: plugin.text)
        guard names.withLock({ $0.insert(name).inserted }) else { throw .duplicate(name) }
        return name
    }

    private func make<Handle>(_ fallback: Handle, _ body: () throws(MetricError) -> Handle) -> Handle {
        do throws(MetricError) {
            return try body()
        } catch {
            collected.withLock { $0.append("plugin \(plugin): \(error)") }
            return fallback
        }
    }
}
