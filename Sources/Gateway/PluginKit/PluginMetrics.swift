package import GatewayTelemetry
import Synchronization

/// Makes metrics named `gateway_<plugin>_…`. A name that is bad or taken stops the start; nothing throws here.
///
/// A plugin that is made anew, because its settings changed, goes on counting in the metrics it had.
package final class PluginMetrics: Sendable {
    private let plugin: PluginName
    private let registry: Metrics
    private let collected = Mutex<[String]>([])
    private let names = Mutex<Set<String>>([])

    package init(plugin: PluginName, registry: Metrics) {
        self.plugin = plugin
        self.registry = registry
    }

    /// What went wrong, for the start to report.
    package var problems: [String] { collected.withLock { $0 } }

    package func counter(_ name: String, _ help: String) -> Counter {
        make(.unregistered) { () throws(MetricError) in try registry.counter(once(name), help, owner: plugin.text) }
    }

    package func gauge(_ name: String, _ help: String) -> Gauge {
        make(.unregistered) { () throws(MetricError) in try registry.gauge(once(name), help, owner: plugin.text) }
    }

    package func histogram(_ name: String, _ help: String, shape: HistogramShape = .latency) -> Histogram {
        make(.unregistered) { () throws(MetricError) in
            try registry.histogram(once(name), help, shape, owner: plugin.text)
        }
    }

    package func counters(_ name: String, _ help: String, labels: [String]) -> MetricFamily<Counter> {
        make(.unregistered(labels: labels)) { () throws(MetricError) in
            try registry.counters(once(name), help, labels: labels, owner: plugin.text)
        }
    }

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
