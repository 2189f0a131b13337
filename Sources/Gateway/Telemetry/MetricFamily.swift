import GatewayBytes

/// All series of one name, told apart by the values of its labels.
///
/// The number of label sets is bounded: a set beyond the limit is counted under `other` in every label, and how often
/// that happened is shown as `gateway_metric_label_overflow_total`. Still, never label with text from a request.
package final class MetricFamily<Handle: MetricHandle>: Sendable {
    package let name: String
    let help: String
    let labels: [String]
    private let limit: Int
    private let shape: Handle.Shape
    private let allocator: MetricCellAllocator

    private struct State {
        var series: [String: Handle] = [:]
        var overflow: UInt64 = 0
    }

    private let state = Monitor(State())

    init(
        name: String, help: String, labels: [String], limit: Int, shape: Handle.Shape, allocator: MetricCellAllocator
    ) {
        self.name = name
        self.help = help
        self.labels = labels
        self.limit = limit
        self.shape = shape
        self.allocator = allocator
    }

    /// Whether `other` would count the same in the same way.
    func isLike(_ other: MetricFamily) -> Bool { labels == other.labels && shape == other.shape }

    /// The series of these label values, in the order of the label names. Takes a lock: keep what it returns.
    package func with(_ values: String...) -> Handle { with(values) }

    package func with(_ values: [String]) -> Handle {
        precondition(values.count == labels.count, "\(name) has \(labels.count) labels, not \(values.count)")
        let wanted = renderedLabels(zip(labels, values))
        let other = renderedLabels(labels.map { ($0, "other") })
        return state.withLock { state in
            if let known = state.series[wanted] { return known }
            // The series `other` does not count against the limit: it is the place for what does not fit.
            let used = state.series.count - (state.series[other] == nil ? 0 : 1)
            guard used >= limit, wanted != other else { return make(wanted, in: &state) }
            state.overflow += 1
            return state.series[other] ?? make(other, in: &state)
        }
    }

    private func make(_ labels: String, in state: inout State) -> Handle {
        let (cells, index) = allocator.take(Handle.cellCount(shape))
        let handle = Handle(MetricPlace(cells: cells, index: index), shape)
        state.series[labels] = handle
        return handle
    }
}

extension MetricFamily where Handle.Shape == NoShape {
    /// Shown nowhere: stands in for a family whose registration was refused.
    package static func unregistered(labels: [String]) -> MetricFamily {
        MetricFamily(
            name: "unregistered", help: "", labels: labels, limit: 1, shape: NoShape(),
            allocator: MetricCellAllocator(loops: 0))
    }
}

extension MetricFamily where Handle == Histogram {
    /// Shown nowhere: stands in for a family whose registration was refused.
    package static func unregistered(labels: [String]) -> MetricFamily {
        MetricFamily(
            name: "unregistered", help: "", labels: labels, limit: 1, shape: .size,
            allocator: MetricCellAllocator(loops: 0))
    }
}

/// A family of any kind, as the registry sees it.
protocol ExposedFamily: Sendable {
    var name: String { get }
    /// How often a label set did not fit.
    var overflow: UInt64 { get }
    func expose(to buffer: inout OutputBuffer)
}

extension MetricFamily: ExposedFamily {
    var overflow: UInt64 { state.withLock { $0.overflow } }

    func expose(to buffer: inout OutputBuffer) {
        buffer.appendHeader(name, help: help, kind: Handle.kind)
        for (labels, handle) in state.withLock({ $0.series }).sorted(by: { $0.key < $1.key }) {
            handle.expose(name: name, labels: labels, to: &buffer)
        }
    }
}
