import GatewayTunnel
import PluginKit
import Testing

@testable import TunnelPlugin

@Suite("What the tunnel has counted")
struct FiguresTests {
    private func latency(_ counts: [UInt64], sum: Double = 0) -> LatencyDistribution {
        var latency = LatencyDistribution()
        (latency.bounds, latency.counts, latency.sum) = ([0.1, 1, 5], counts, sum)
        return latency
    }

    @Test("percentiles lie where their bucket says, in milliseconds")
    func percentiles() {
        #expect(latency([10, 0, 0, 0]).percentileMilliseconds(0.5) == 50)
        #expect(latency([5, 5, 0, 0]).percentileMilliseconds(0.5) == 100)
        #expect(latency([5, 5, 0, 0]).percentileMilliseconds(1) == 1000)
        #expect(latency([0, 0, 0, 3]).percentileMilliseconds(0.99) == 5000)
        #expect(latency([0, 0, 0, 0]).percentileMilliseconds(0.5) == nil)
        #expect(LatencyDistribution().percentileMilliseconds(0.5) == nil)
    }

    @Test("the average is in milliseconds, and there is none without an answer")
    func average() {
        #expect(latency([1, 1, 0, 0], sum: 0.6).averageMilliseconds == 300)
        #expect(latency([0, 0, 0, 0]).averageMilliseconds == nil)
    }

    @Test("slow is what took longer than the bound")
    func slow() {
        #expect(latency([1, 2, 3, 4]).slower(than: 5) == 4)
        #expect(latency([1, 2, 3, 4]).slower(than: 1) == 7)
    }

    @Test("what happened between two moments is their difference, and what is active stays as it is")
    func change() {
        var earlier = TunnelFigures()
        (earlier.answered, earlier.failed[0], earlier.bytesToAgents, earlier.activeUsers) = (10, 2, 100, 7)
        earlier.latency = latency([1, 0, 0, 0], sum: 0.05)
        var later = earlier
        (later.answered, later.failed[0], later.bytesToAgents, later.activeUsers) = (13, 3, 150, 5)
        later.latency = latency([1, 2, 0, 0], sum: 1.05)
        let change = later.since(earlier)
        #expect((change.answered, change.failures, change.requests) == (3, 1, 4))
        #expect((change.bytesToAgents, change.activeUsers) == (50, 5))
        #expect((change.successRate, change.errorRate) == (0.75, 0.25))
        #expect(change.latency.averageMilliseconds == 500)
        #expect(change.failuresByCategory.map(\.category) == [.network])
    }

    @Test("without requests there is no rate of success, rather than a perfect one")
    func nothing() {
        #expect(TunnelFigures().successRate == nil)
        #expect(TunnelFigures().errorRate == nil)
    }

    @Test("the label's values are the failures' codes, no more and no less")
    func codes() {
        let failures: [TunnelFailure] =
            [
                .noAgent, .reconnecting, .channelLimit(1), .firstByteTimeout, .idleTimeout, .callerTimeout,
                .tooLarge(limit: 1), .headTooLarge, .invalidPath, .circuitOpen(retryAfter: 1),
                .answerTooLarge(limit: 1), .shareForbids, .shareEnded, .storeSilent,
            ] + TunnelReset.allCases.map { .reset($0, "") }
        #expect(Set(failures.map(\.report.code)) == Set(TunnelFailure.codes.map(\.code)))
    }

    @Test("a carrier's end is told in the guide's words")
    func disconnections() {
        typealias Disconnection = TunnelMetrics.Disconnection
        #expect(Disconnection(.normal, "") == .normal)
        #expect(Disconnection(.goingAway, "Server shutting down") == .normal)
        #expect(Disconnection(.goingAway, "Connection timeout") == .timeout)
        #expect(Disconnection(.goingAway, "Idle timeout") == .timeout)
        #expect(Disconnection(CloseCode(rawValue: 4401), "") == .authFailed)
        #expect(Disconnection(.forbidden, "") == .authFailed)
        #expect(Disconnection(CloseCode(rawValue: 1006), "") == .error)
        #expect(Disconnection(.protocolError, "") == .error)
    }

    @Test("the kernel's figures are found behind a name that holds anything, in bytes and seconds")
    func process() throws {
        let stat = "7 (a) b) S" + String(repeating: " 0", count: 10) + " 250 50" + " 0 0 0 0 0 0 1000 9"
        let figures = try #require(
            ProcessFigures(stat: stat, status: "Name:\ta\nVmRSS:\t  2048 kB\n", uptime: "15.50 3.00\n"))
        #expect((figures.userTime, figures.systemTime, figures.uptime) == (2.5, 0.5, 5.5))
        #expect(figures.residentMemory == 2048 * 1024)
        #expect(ProcessFigures(stat: "7", status: "", uptime: "1") == nil)
        #expect(ProcessFigures(stat: stat, status: "", uptime: "") == nil)
        #expect((ProcessFigures.read()?.residentMemory ?? 0) > 1 << 20)
    }
}
