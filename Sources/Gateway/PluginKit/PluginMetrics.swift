package import GatewayTelemetry
import Synchronization

/// Makes metrics named `gateway_<plugin>_…`. A name that is bad or taken stops the start; nothing throws here.
package final class PluginMetrics: Sendable {
    private let plugin: PluginName
    private let registry: Metrics
    private let collected = Mutex<[String]>([])

    package init(plugin: PluginName, registry: Metrics) {
        self.plugin = plugin
        self.registry = registry
    }

    /// What went wrong, for the start to report.
    package var problems: [String] { collected.withLock { $0 } }

    package func counter(_ name: String, _ help: String) -> Counter {
        make(.unregistered) { () throws(MetricError) in try registry.counter(full(name), help) }
    }

    package func gauge(_ name: String, _ help: String) -> Gauge {
        make(.unregistered) { () throws(MetricError) in try registry.gauge(full(name), help) }
    }

    package func histogram(_ name: String, _ help: String, shape: HistogramShape = .latency) -> Histogram {
        make(.unregistered) { () throws(MetricError) in try registry.histogram(full(name), help, shape) }
    }

    package func counters(_ name: String, _ help: String, labels: [String]) -> MetricFamily<Counter> {
        make(.unregistered(labels: labels)) { () throws(MetricError) in
            try registry.counters(full(name), help, labels: labels)
        }
    }

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
