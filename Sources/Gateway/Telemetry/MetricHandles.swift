package import GatewayBytes

/// One series: what is incremented, set or observed. Made once and kept; copying one is cheap.
package protocol MetricHandle: Sendable {
    /// What is fixed at registration besides the name.
    associatedtype Shape: Sendable, Equatable
    static var kind: MetricKind { get }
    static func cellCount(_ shape: Shape) -> Int
    init(_ place: MetricPlace, _ shape: Shape)
    /// Appends the series' lines; `labels` are rendered without braces, empty for none.
    func expose(name: String, labels: String, to buffer: inout OutputBuffer)
}

/// The word after `# TYPE`.
package enum MetricKind: String, Sendable {
    case counter
    case gauge
    case histogram
}

/// Where a handle's cells are.
package struct MetricPlace: Sendable {
    let cells: MetricCells
    let index: Int
}

/// The shape of metrics that have none.
package struct NoShape: Equatable, Sendable {
    package init() {}
}

/// A number that only grows.
package struct Counter: MetricHandle {
    package static var kind: MetricKind { .counter }
    package static func cellCount(_ shape: NoShape) -> Int { 1 }

    private let cells: MetricCells
    private let index: Int

    package init(_ place: MetricPlace, _ shape: NoShape) {
        cells = place.cells
        index = place.index
    }

    /// Counts, but is shown nowhere: stands in for a counter whose registration was refused.
    package static var unregistered: Counter {
        Counter(MetricPlace(cells: MetricCells(capacity: 1, loops: 0), index: 0), NoShape())
    }

    /// A few nanoseconds on an event loop; never a lock.
    @inline(__always)
    package func increment() { cells.add(1, at: index) }

    /// - Parameter amount: Not negative.
    @inline(__always)
    package func increment(by amount: Int) { cells.add(UInt64(max(0, amount)), at: index) }

    package var value: UInt64 { cells.sum(at: index) }

    package func expose(name: String, labels: String, to buffer: inout OutputBuffer) {
        buffer.appendSample(name, labels: labels) { $0.append(decimal: value) }
    }
}

/// A whole number that goes up and down.
///
/// Use one of three ways for a gauge and stay with it: ``add(_:)`` and ``subtract(_:)`` from anywhere; ``set(_:)`` for
/// a figure that one place knows; ``setShare(_:)`` where every loop knows its own part and the sum is shown.
package struct Gauge: MetricHandle {
    package static var kind: MetricKind { .gauge }
    package static func cellCount(_ shape: NoShape) -> Int { 1 }

    private let cells: MetricCells
    private let index: Int

    package init(_ place: MetricPlace, _ shape: NoShape) {
        cells = place.cells
        index = place.index
    }

    /// Shown nowhere: stands in for a gauge whose registration was refused.
    package static var unregistered: Gauge {
        Gauge(MetricPlace(cells: MetricCells(capacity: 1, loops: 0), index: 0), NoShape())
    }

    @inline(__always)
    package func add(_ amount: Int = 1) { cells.add(UInt64(bitPattern: Int64(amount)), at: index) }

    @inline(__always)
    package func subtract(_ amount: Int = 1) { cells.add(0 &- UInt64(bitPattern: Int64(amount)), at: index) }

    package func set(_ value: Int) { cells.storeWhole(UInt64(bitPattern: Int64(value)), at: index) }
    package func setShare(_ value: Int) { cells.storeShare(UInt64(bitPattern: Int64(value)), at: index) }

    package var value: Int { Int(Int64(bitPattern: cells.sum(at: index))) }

    package func expose(name: String, labels: String, to buffer: inout OutputBuffer) {
        buffer.appendSample(name, labels: labels) { $0.append(decimal: value) }
    }
}

/// What a histogram counts in and where its buckets end.
package struct HistogramShape: Equatable, Sendable {
    /// What is shown; observations are whole microseconds for times, and whole ones for the rest.
    package enum Unit: Sendable {
        case seconds
        case milliseconds
        /// Bytes, messages, anything that comes in ones.
        case ones

        var rawPerOne: Double {
            switch self {
            case .seconds: 1_000_000
            case .milliseconds: 1_000
            case .ones: 1
            }
        }
    }

    /// Upper bounds as shown, ascending, without the infinite one.
    let bounds: [Double]
    let rawBounds: [UInt64]
    let unit: Unit

    /// - Parameter bounds: 1 through 64 positive numbers, ascending; checked at registration.
    package init(_ bounds: [Double], unit: Unit) {
        self.bounds = bounds
        self.unit = unit
        rawBounds = bounds.map { bound in
            let raw = bound * unit.rawPerOne + 0.5
            return raw >= 0 && raw < 9e18 ? UInt64(raw) : 0
        }
    }

    /// Request and connection times, half a millisecond through ten seconds.
    package static var latency: HistogramShape {
        HistogramShape(
            [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10], unit: .seconds)
    }

    /// Message and body sizes, 64 B through 16 MiB.
    package static var size: HistogramShape {
        HistogramShape([64, 256, 1024, 4096, 16384, 65536, 262_144, 1_048_576, 4_194_304, 16_777_216], unit: .ones)
    }

    var isUsable: Bool {
        guard (1...64).contains(bounds.count), bounds.allSatisfy({ $0.isFinite && $0 > 0 }) else { return false }
        return zip(rawBounds, rawBounds.dropFirst()).allSatisfy { $0 < $1 }
    }
}

/// How observations are distributed over fixed buckets.
package struct Histogram: MetricHandle {
    package static var kind: MetricKind { .histogram }
    /// One per bound, one for what lies above, one for the sum.
    package static func cellCount(_ shape: HistogramShape) -> Int { shape.bounds.count + 2 }

    private let cells: MetricCells
    private let index: Int
    private let shape: HistogramShape

    package init(_ place: MetricPlace, _ shape: HistogramShape) {
        cells = place.cells
        index = place.index
        self.shape = shape
    }

    /// Shown nowhere: stands in for a histogram whose registration was refused.
    package static var unregistered: Histogram {
        let shape = HistogramShape([1], unit: .ones)
        return Histogram(MetricPlace(cells: MetricCells(capacity: cellCount(shape), loops: 0), index: 0), shape)
    }

    /// For units of time. A negative time, as a clock set back makes, counts as zero.
    @inline(__always)
    package func observe(microseconds: Int) { observe(raw: UInt64(max(0, microseconds))) }

    /// For units of time.
    package func observe(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        observe(microseconds: Int(seconds &* 1_000_000 &+ attoseconds / 1_000_000_000_000))
    }

    /// For ``HistogramShape/Unit/ones``.
    @inline(__always)
    package func observe(_ value: Int) { observe(raw: UInt64(max(0, value))) }

    private func observe(raw: UInt64) {
        var bucket = 0
        while bucket < shape.rawBounds.count, raw > shape.rawBounds[bucket] { bucket += 1 }
        cells.add(1, at: index + bucket)
        cells.add(raw, at: index + shape.rawBounds.count + 1)
    }

    package var count: UInt64 {
        (0...shape.bounds.count).reduce(0) { $0 &+ cells.sum(at: index + $1) }
    }

    /// How many observations lie in each bucket, as of about now: one count per bound, one for what lies above.
    package var bucketCounts: [UInt64] { (0...shape.bounds.count).map { cells.sum(at: index + $0) } }

    /// Upper bounds of the buckets, in the unit shown, without the infinite one.
    package var bounds: [Double] { shape.bounds }

    /// In the unit shown.
    package var sum: Double { Double(cells.sum(at: index + shape.bounds.count + 1)) / shape.unit.rawPerOne }

    package func expose(name: String, labels: String, to buffer: inout OutputBuffer) {
        let separator = labels.isEmpty ? "" : ","
        var total: UInt64 = 0
        for bucket in 0...shape.bounds.count {
            total &+= cells.sum(at: index + bucket)
            let bound = bucket < shape.bounds.count ? shortest(shape.bounds[bucket]) : "+Inf"
            buffer.appendSample("\(name)_bucket", labels: "\(labels)\(separator)le=\"\(bound)\"") {
                $0.append(decimal: total)
            }
        }
        buffer.appendSample("\(name)_sum", labels: labels) { $0.append(prometheus: sum) }
        buffer.appendSample("\(name)_count", labels: labels) { $0.append(decimal: total) }
    }
}
