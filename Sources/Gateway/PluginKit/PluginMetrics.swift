package import GatewayTelemetry
import Synchronization

/// Makes metrics named `gateway_<plugin>_…`. A name that is bad or taken stops the start; nothing throws here.
package final class PluginMetrics: Sendable {
    private let plugin: PluginName
    private let registry: Metrics
    private let collected = Mutex<[String]>([])

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
        make(.unregistered) { () throws(MetricError) in try registry.counter(full(name), help) }
    }

    /// A number that goes up and down. ``Gauge/add(_:)`` and ``Gauge/subtract(_:)`` may be called on different loops.
    package func gauge(_ name: String, _ help: String) -> Gauge {
        make(.unregistered) { () throws(MetricError) in try registry.gauge(full(name), help) }
    }

    /// A distribution: by default of latencies, in seconds, told in microseconds.
    ///
    /// - Parameter name: Ends in its unit, such as `_seconds`.
    package func histogram(_ name: String, _ help: String, shape: HistogramShape = .latency) -> Histogram {
        make(.unregistered) { () throws(MetricError) in try registry.histogram(full(name), help, shape) }
    }

    /// Counters told apart by labels. Take the handle of each label value once, at registration where that is possible.
    ///
    /// - Parameter labels: Their names. Values must come from a small, fixed set, never from a request.
    package func counters(_ name: String, _ help: String, labels: [String]) -> MetricFamily<Counter> {
        make(.unregistered(labels: labels)) { () throws(MetricError) in
            try registry.counters(full(name), help, labels: labels)
        }
    }

    /// Gauges told apart by labels, under the same rule.
    package func gauges(_ name: String, _ help: String, labels: [String]) -> MetricFamily<Gauge> {
        make(.unregistered(labels: labels)) { () throws(MetricError) in
            try registry.gauges(full(name), help, labels: labels)
        }
    }

    private func full(_ name: String) -> String { Metrics.name(name, ofPlugin: plugin.text) }

    private func make<Handle>(_ fallback: Handle, _ body: () throws(MetricError) -> Handle) -> Handle {
        do throws(MetricError) {
            return try body()
        } catch {
            collected.withLock { $0.append("plugin \(plugin): \(error)") }
            return fallback
        }
    }
}
