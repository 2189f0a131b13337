package import GatewayBytes

/// Why a metric was not registered. Names come from code, so this is a plugin author's mistake, told at the start.
package enum MetricError: Error, Hashable, Sendable, CustomStringConvertible {
    case invalidName(String)
    case invalidLabel(String, metric: String)
    case duplicate(String)
    case invalidBuckets(String)
    case tooMany(limit: Int)

    package var description: String {
        switch self {
        case .invalidName(let name): "\(name) is not a metric's name; letters, digits and underscores are"
        case .invalidLabel(let label, let metric): "\(label) is not a label's name, in metric \(metric)"
        case .duplicate(let name): "metric \(name) is registered already"
        case .invalidBuckets(let name): "histogram \(name) needs 1 to 64 ascending positive bounds"
        case .tooMany(let limit): "more than \(limit) metrics"
        }
    }
}

/// How much a registry holds.
package struct MetricLimits: Sendable {
    /// Names that may be registered.
    package var families = 1024
    /// Label sets of one name, unless its registration says otherwise.
    package var labelSets = 64

    package init() {}
}

/// A figure that is looked up when metrics are asked for.
package struct MetricSample: Sendable {
    package let name: String
    package let help: String
    package let kind: MetricKind
    package let labels: [(String, String)]
    package let value: Double

    package init(
        _ name: String, _ help: String, kind: MetricKind = .gauge, labels: [(String, String)] = [], value: Double
    ) {
        self.name = name
        self.help = help
        self.kind = kind
        self.labels = labels
        self.value = value
    }
}

/// All metrics of the process: registered at the start, counted on the loops, written for Prometheus.
package final class Metrics: Sendable {
    private struct State {
        var families: [any ExposedFamily] = []
        var names: Set<String> = ["gateway_metric_label_overflow_total"]
        /// Who registered a family, if they said so.
        var owners: [String: String] = [:]
        var collectors: [@Sendable () -> [MetricSample]] = []
    }

    private let limits: MetricLimits
    private let allocator: MetricCellAllocator
    private let state = Monitor(State())

    /// - Parameter loops: Number of event loops; each that calls ``MetricShard/enter(_:)`` counts alone.
    package init(loops: Int, limits: MetricLimits = MetricLimits()) {
        self.limits = limits
        allocator = MetricCellAllocator(loops: loops)
    }

    /// The whole name of a plugin's metric: `gateway_hello_greeted_total`.
    package static func name(_ name: String, ofPlugin plugin: String) -> String {
        "gateway_\(plugin)_\(name)".map { $0 == "-" ? "_" : String($0) }.joined()
    }

    // In all of these: an `owner` that registers the same metric again, when it is made anew from other settings, gets
    // the one that is there and goes on counting in it.

    package func counter(_ name: String, _ help: String, owner: String? = nil) throws(MetricError) -> Counter {
        try counters(name, help, labels: [], owner: owner).with()
    }

    package func gauge(_ name: String, _ help: String, owner: String? = nil) throws(MetricError) -> Gauge {
        try gauges(name, help, labels: [], owner: owner).with()
    }

    package func histogram(
        _ name: String, _ help: String, _ shape: HistogramShape = .latency, owner: String? = nil
    ) throws(MetricError) -> Histogram {
        try histograms(name, help, labels: [], shape, owner: owner).with()
    }

    /// - Parameter limit: Label sets that are told apart; more are counted together as `other`.
    package func counters(
        _ name: String, _ help: String, labels: [String], limit: Int? = nil, owner: String? = nil
    ) throws(MetricError) -> MetricFamily<Counter> {
        try register(name, help, labels, limit, NoShape(), suffixes: [""], owner)
    }

    package func gauges(
        _ name: String, _ help: String, labels: [String], limit: Int? = nil, owner: String? = nil
    ) throws(MetricError) -> MetricFamily<Gauge> {
        try register(name, help, labels, limit, NoShape(), suffixes: [""], owner)
    }

    package func histograms(
        _ name: String, _ help: String, labels: [String], _ shape: HistogramShape = .latency, limit: Int? = nil,
        owner: String? = nil
    ) throws(MetricError) -> MetricFamily<Histogram> {
        guard shape.isUsable else { throw .invalidBuckets(name) }
        return try register(name, help, labels, limit, shape, suffixes: ["", "_bucket", "_sum", "_count"], owner)
    }

    /// Adds figures that are looked up on every ``write(to:)``. A sample whose name is invalid or registered is left out.
    package func collect(_ collector: @escaping @Sendable () -> [MetricSample]) {
        state.withLock { $0.collectors.append(collector) }
    }

    private func register<Handle: MetricHandle>(
        _ name: String, _ help: String, _ labels: [String], _ limit: Int?, _ shape: Handle.Shape, suffixes: [String],
        _ owner: String?
    ) throws(MetricError) -> MetricFamily<Handle> {
        guard isMetricName(name) else { throw .invalidName(name) }
        for (index, label) in labels.enumerated() where !isLabelName(label) || labels[..<index].contains(label) {
            throw .invalidLabel(label, metric: name)
        }
        let family = MetricFamily<Handle>(
            name: name, help: help, labels: labels, limit: limit ?? limits.labelSets, shape: shape,
            allocator: allocator)
        let outcome: Result<MetricFamily<Handle>, MetricError> = state.withLock { state in
            if let owner, state.owners[name] == owner,
                let own = state.families.first(where: { $0.name == name }) as? MetricFamily<Handle>, own.isLike(family)
            {
                return .success(own)
            }
            guard state.families.count < limits.families else { return .failure(.tooMany(limit: limits.families)) }
            let names = suffixes.map { name + $0 }
            if let known = names.first(where: state.names.contains) { return .failure(.duplicate(known)) }
            state.names.formUnion(names)
            state.families.append(family)
            state.owners[name] = owner
            return .success(family)
        }
        return try outcome.get()
    }

    // MARK: Writing

    /// Appends everything in the Prometheus text format 0.0.4: registered metrics in the order of their registration,
    /// then collected ones.
    package func write(to buffer: inout OutputBuffer) {
        let (families, names, collectors) = state.withLock { ($0.families, $0.names, $0.collectors) }
        for family in families { family.expose(to: &buffer) }
        write(collectors.flatMap { $0() }, besides: names, to: &buffer)
        let overflown = families.map { ($0.name, $0.overflow) }.filter { $0.1 > 0 }
        guard !overflown.isEmpty else { return }
        buffer.appendHeader(
            "gateway_metric_label_overflow_total", help: "Label sets that were counted as other.", kind: .counter)
        for (name, count) in overflown {
            let labels = renderedLabels([("metric", name)])
            buffer.appendSample("gateway_metric_label_overflow_total", labels: labels) { $0.append(decimal: count) }
        }
    }

    /// The format wants all samples of a name together.
    private func write(_ samples: [MetricSample], besides names: Set<String>, to buffer: inout OutputBuffer) {
        var order: [String] = []
        var groups: [String: [MetricSample]] = [:]
        for sample in samples where isMetricName(sample.name) && !names.contains(sample.name) {
            if groups[sample.name] == nil { order.append(sample.name) }
            groups[sample.name, default: []].append(sample)
        }
        for name in order {
            guard let group = groups[name], let first = group.first else { continue }
            buffer.appendHeader(name, help: first.help, kind: first.kind)
            for sample in group where sample.labels.allSatisfy({ isLabelName($0.0) }) {
                buffer.appendSample(name, labels: renderedLabels(sample.labels)) { $0.append(prometheus: sample.value) }
            }
        }
    }
}
