import Foundation
import GatewayBytes
import Synchronization
import Testing

@testable import GatewayTelemetry

func exposition(_ metrics: Metrics) -> String {
    var buffer = OutputBuffer()
    metrics.write(to: &buffer)
    return buffer.text
}

@Suite("Metrics")
struct MetricsTests {
    @Test("the text is Prometheus' format 0.0.4")
    func golden() throws {
        let metrics = Metrics(loops: 2)
        let greeted = try metrics.counter("gateway_hello_greeted_total", "Requests answered by /hello.")
        let open = try metrics.gauge("gateway_connections", "Open \\ half-open\nconnections.")
        let requests = try metrics.counters("gateway_requests_total", "Requests.", labels: ["method", "status"])
        let latency = try metrics.histogram(
            "gateway_request_seconds", "Time to answer.", HistogramShape([0.001, 0.5, 1, 10], unit: .seconds))
        let sizes = try metrics.histograms(
            "gateway_message_bytes", "Sizes.", labels: ["kind"], HistogramShape([64, 1024], unit: .ones))
        metrics.collect {
            [
                MetricSample("process_open_fds", "Open descriptors.", value: 12),
                MetricSample("build_info", "What runs.", labels: [("version", "1.0")], value: 1),
                MetricSample("process_open_fds", "Ignored.", labels: [("kind", "odd")], value: 0.5),
                MetricSample("gateway_connections", "Registered already.", value: 99),
                MetricSample("not a name", "Invalid.", value: 1),
                MetricSample("odd_values", "Special.", kind: .counter, value: .infinity),
            ]
        }
        greeted.increment()
        greeted.increment(by: 41)
        greeted.increment(by: -5)
        open.add(3)
        open.subtract(5)
        requests.with("POST", "404").increment()
        requests.with("GET", "200").increment(by: 7)
        requests.with("a\"b\\c\nd", "x").increment()
        for microseconds in [0, 1000, 1001, 500_000, 2_000_000, 60_000_000, -1] {
            latency.observe(microseconds: microseconds)
        }
        latency.observe(.milliseconds(250))
        sizes.with("text").observe(64)
        sizes.with("text").observe(65)
        #expect(
            exposition(metrics) == """
                # HELP gateway_hello_greeted_total Requests answered by /hello.
                # TYPE gateway_hello_greeted_total counter
                gateway_hello_greeted_total 42
                # HELP gateway_connections Open \\\\ half-open\\nconnections.
                # TYPE gateway_connections gauge
                gateway_connections -2
                # HELP gateway_requests_total Requests.
                # TYPE gateway_requests_total counter
                gateway_requests_total{method="GET",status="200"} 7
                gateway_requests_total{method="POST",status="404"} 1
                gateway_requests_total{method="a\\"b\\\\c\\nd",status="x"} 1
                # HELP gateway_request_seconds Time to answer.
                # TYPE gateway_request_seconds histogram
                gateway_request_seconds_bucket{le="0.001"} 3
                gateway_request_seconds_bucket{le="0.5"} 6
                gateway_request_seconds_bucket{le="1"} 6
                gateway_request_seconds_bucket{le="10"} 7
                gateway_request_seconds_bucket{le="+Inf"} 8
                gateway_request_seconds_sum 62.752001
                gateway_request_seconds_count 8
                # HELP gateway_message_bytes Sizes.
                # TYPE gateway_message_bytes histogram
                gateway_message_bytes_bucket{kind="text",le="64"} 1
                gateway_message_bytes_bucket{kind="text",le="1024"} 2
                gateway_message_bytes_bucket{kind="text",le="+Inf"} 2
                gateway_message_bytes_sum{kind="text"} 129
                gateway_message_bytes_count{kind="text"} 2
                # HELP process_open_fds Open descriptors.
                # TYPE process_open_fds gauge
                process_open_fds 12
                process_open_fds{kind="odd"} 0.5
                # HELP build_info What runs.
                # TYPE build_info gauge
                build_info{version="1.0"} 1
                # HELP odd_values Special.
                # TYPE odd_values counter
                odd_values +Inf

                """)
    }

    @Test("a name can be registered once, and a histogram takes four")
    func duplicates() throws {
        let metrics = Metrics(loops: 1)
        _ = try metrics.counter("a", "")
        _ = try metrics.histogram("h", "")
        #expect(throws: MetricError.duplicate("a")) { try metrics.gauge("a", "") }
        #expect(throws: MetricError.duplicate("h_count")) { try metrics.counter("h_count", "") }
        _ = try metrics.counter("x_sum", "")
        #expect(throws: MetricError.duplicate("x_sum")) { try metrics.histogram("x", "") }
        #expect(throws: MetricError.duplicate("gateway_metric_label_overflow_total")) {
            try metrics.counter("gateway_metric_label_overflow_total", "")
        }
        #expect("\(MetricError.duplicate("a"))" == "metric a is registered already")
    }

    @Test("an owner that registers the same again goes on counting; another owner or another shape is refused")
    func owners() throws {
        let metrics = Metrics(loops: 1)
        let first = try metrics.counters("a", "", labels: ["x"], owner: "me")
        first.with("1").increment()
        let second = try metrics.counters("a", "", labels: ["x"], owner: "me")
        second.with("1").increment()
        #expect(first.with("1").value == 2)
        _ = try metrics.histogram("h", "", .latency, owner: "me")
        _ = try metrics.histogram("h", "", .latency, owner: "me")
        #expect(throws: MetricError.duplicate("a")) { try metrics.counters("a", "", labels: ["x"], owner: "you") }
        #expect(throws: MetricError.duplicate("a")) { try metrics.counters("a", "", labels: ["x"]) }
        #expect(throws: MetricError.duplicate("a")) { try metrics.counters("a", "", labels: ["y"], owner: "me") }
        #expect(throws: MetricError.duplicate("a")) { try metrics.gauges("a", "", labels: ["x"], owner: "me") }
        #expect(throws: MetricError.duplicate("h")) { try metrics.histogram("h", "", .size, owner: "me") }
    }

    @Test("names are checked", arguments: ["", "1a", "a-b", "a b", "ä", "a{", "a\n"])
    func names(_ name: String) {
        let metrics = Metrics(loops: 1)
        #expect(throws: MetricError.invalidName(name)) { try metrics.counter(name, "") }
        #expect(throws: MetricError.invalidLabel(name, metric: "m")) { try metrics.counters("m", "", labels: [name]) }
    }

    @Test("labels are checked", arguments: [["le"], ["__name"], ["a:b"], ["a", "a"]])
    func labels(_ labels: [String]) {
        #expect(throws: MetricError.self) { try Metrics(loops: 1).counters("m", "", labels: labels) }
    }

    @Test(
        "buckets ascend and are finite", arguments: [[], [1, 1], [2, 1], [0, 1], [-1, 1], [.infinity], [.nan, 1]])
    func buckets(_ bounds: [Double]) {
        #expect(throws: MetricError.invalidBuckets("h")) {
            try Metrics(loops: 1).histogram("h", "", HistogramShape(bounds, unit: .seconds))
        }
        #expect(throws: MetricError.invalidBuckets("h")) {
            try Metrics(loops: 1).histogram("h", "", HistogramShape((1...65).map(Double.init), unit: .ones))
        }
        #expect(HistogramShape.latency.isUsable && HistogramShape.size.isUsable)
    }

    @Test("the number of metrics has a limit")
    func familyLimit() throws {
        var limits = MetricLimits()
        limits.families = 2
        let metrics = Metrics(loops: 1, limits: limits)
        _ = try metrics.counter("a", "")
        _ = try metrics.counter("b", "")
        #expect(throws: MetricError.tooMany(limit: 2)) { try metrics.counter("c", "") }
    }

    @Test("label sets beyond the limit are counted as other, and that is counted too")
    func labelLimit() throws {
        let metrics = Metrics(loops: 1)
        let family = try metrics.counters("hits", "Hits.", labels: ["user"], limit: 2)
        for user in ["a", "b", "c", "d", "a", "other"] { family.with(user).increment() }
        #expect(
            exposition(metrics) == """
                # HELP hits Hits.
                # TYPE hits counter
                hits{user="a"} 2
                hits{user="b"} 1
                hits{user="other"} 3
                # HELP gateway_metric_label_overflow_total Label sets that were counted as other.
                # TYPE gateway_metric_label_overflow_total counter
                gateway_metric_label_overflow_total{metric="hits"} 2

                """)
    }

    @Test("a gauge can be set whole, or by each loop's share")
    func gauges() throws {
        let metrics = Metrics(loops: 1)
        let whole = try metrics.gauge("whole", "")
        whole.set(5)
        whole.set(-3)
        #expect(whole.value == -3)
        let share = try metrics.gauge("share", "")
        share.setShare(2)
        share.setShare(4)
        #expect(share.value == 4)
    }

    @Test("what stands in for a refused metric counts and is shown nowhere")
    func unregistered() {
        Counter.unregistered.increment()
        Gauge.unregistered.add()
        Histogram.unregistered.observe(5)
        MetricFamily<Counter>.unregistered(labels: ["a"]).with("x").increment()
        MetricFamily<Histogram>.unregistered(labels: ["a"]).with("x").observe(1)
    }

    @Test("a plugin's metrics carry its name")
    func pluginNames() {
        #expect(Metrics.name("greeted_total", ofPlugin: "hello") == "gateway_hello_greeted_total")
        #expect(isMetricName(Metrics.name("x_total", ofPlugin: "clip-frontend")))
    }

    @Test("many metrics get cells of their own")
    func manyCells() throws {
        let metrics = Metrics(loops: 3)
        let counters = try (0..<700).map { try metrics.counter("c\($0)", "") }
        for (number, counter) in counters.enumerated() { counter.increment(by: number) }
        #expect(counters.map(\.value) == (0..<700).map { UInt64($0) })
    }
}

@Suite("Shards of metrics")
struct MetricShardTests {
    /// Runs `body` on as many threads at once and waits for all.
    private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let threads = (0..<count).map { number in WriterThread.start { body(number) } }
        for thread in threads { thread?.join() }
    }

    @Test("no increment is lost, whether a thread has a shard, shares one, or names one too many")
    func exact() throws {
        let metrics = Metrics(loops: 2)
        let counter = try metrics.counter("c", "")
        let gauge = try metrics.gauge("g", "")
        let histogram = try metrics.histogram("h", "", HistogramShape([10], unit: .ones))
        onThreads(6) { number in
            // Two threads want shard 100 at once; shard 102 is beyond this registry.
            MetricShard.enter(number < 2 ? 100 : 98 + number)
            for step in 0..<5000 {
                counter.increment()
                gauge.add(2)
                gauge.subtract(1)
                histogram.observe(step % 20)
            }
        }
        #expect(counter.value == 30_000)
        #expect(gauge.value == 30_000)
        #expect(histogram.count == 30_000)
        #expect(histogram.sum == 6 * 250 * 190)
    }

    @Test("loops that own their shards lose nothing either")
    func owned() throws {
        let metrics = Metrics(loops: 64)
        let counter = try metrics.counter("c", "")
        let entered = Atomic(0)
        onThreads(4) { number in
            if MetricShard.enter(40 + number) { entered.add(1, ordering: .relaxed) }
            for _ in 0..<5000 { counter.increment() }
        }
        #expect(entered.load(ordering: .relaxed) == 4)
        #expect(counter.value == 20_000)
    }

    @Test("a shard is free again once its thread ended, left, or took another")
    func released() {
        for _ in 0..<2 { onThreads(1) { _ in #expect(MetricShard.enter(50)) } }
        onThreads(1) { _ in
            #expect(MetricShard.enter(51))
            #expect(MetricShard.enter(52))
            #expect(MetricShard.enter(51))
            MetricShard.leave()
            MetricShard.leave()
            #expect(MetricShard.thread.value == 0)
        }
        onThreads(1) { _ in
            #expect(MetricShard.enter(51))
            let other = WriterThread.start { #expect(!MetricShard.enter(51)) }
            other?.join()
        }
    }
}

@Suite("Process metrics")
struct ProcessMetricsTests {
    private func values(_ stat: String) -> [String: Double] {
        let metrics = ProcessMetrics(
            stat: stat, ticksPerSecond: 100, pageSize: 4096, bootTime: 1_000_000, openDescriptors: 7,
            maximumDescriptors: 1024)
        return Dictionary(metrics.samples.map { ($0.name, $0.value) }) { first, _ in first }
    }

    @Test("figures come from the kernel's line, whatever the program is called")
    func stat() {
        let line = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 12345 1000000 300 0 0\n"
        #expect(
            values(line) == [
                "process_open_fds": 7, "process_max_fds": 1024, "process_cpu_seconds_total": 3,
                "process_start_time_seconds": 1_000_123.45, "process_virtual_memory_bytes": 1_000_000,
                "process_resident_memory_bytes": 1_228_800,
            ])
    }

    @Test("a line that is something else costs figures only", arguments: ["", "42 (a", "42 (a) S 1 2", "x"])
    func odd(_ line: String) {
        #expect(values(line) == ["process_open_fds": 7, "process_max_fds": 1024])
    }
}
