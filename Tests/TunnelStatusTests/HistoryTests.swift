import PluginKit
import Testing

@testable import TunnelPlugin

@Suite("The history of the tunnel's figures")
struct HistoryTests {
    /// One request in each minute.
    private func figures(minute: Int) -> TunnelFigures {
        var figures = TunnelFigures()
        figures.moment = MonotonicTime(nanoseconds: UInt64(minute) * 60_000_000_000)
        figures.answered = minute
        figures.timestamp = "minute \(minute)"
        return figures
    }

    private func history(minutes: Int) -> TunnelHistory {
        let history = TunnelHistory(start: figures(minute: 0))
        for minute in stride(from: 1, through: minutes, by: 1) { history.add(figures(minute: minute)) }
        return history
    }

    @Test("minutes are kept for an hour, hours and days for a week, whatever has passed")
    func bounds() {
        let minutes = 9 * 1440
        let history = history(minutes: minutes)
        let now = figures(minute: minutes).moment
        let rows = { history.rows($0, within: TunnelHistory.week, before: now) }
        #expect(rows(.raw).count == 60)
        #expect(rows(.hourly).count == 168)
        #expect(rows(.daily).count == 7)
        #expect(rows(.raw).allSatisfy { $0.figures.requests == 1 && $0.milliseconds == 60_000 })
        #expect(rows(.hourly).allSatisfy { $0.figures.requests == 60 })
        #expect(rows(.daily).allSatisfy { $0.figures.requests == 1440 })
    }

    @Test("a window holds the rows that end in it, the oldest first")
    func window() {
        let rows = history(minutes: 30).rows(.raw, within: .seconds(300), before: figures(minute: 30).moment)
        #expect(rows.map(\.figures.timestamp) == (26...30).map { "minute \($0)" })
    }

    @Test("what is counted from is as old as the window, or all there is")
    func beginning() {
        let history = history(minutes: 200)
        let now = figures(minute: 200).moment
        #expect(history.beginning(of: .seconds(60), before: now).answered == 199)
        #expect(history.beginning(of: .seconds(90), before: now).answered == 198)
        // Beyond the minutes there are hours.
        #expect(history.beginning(of: .seconds(140 * 60), before: now).answered == 60)
        #expect(history.beginning(of: TunnelHistory.week, before: now).answered == 0)
    }

    @Test("counts from before the start are not part of it")
    func start() {
        let history = TunnelHistory(start: figures(minute: 1000))
        history.add(figures(minute: 1001))
        let now = figures(minute: 1001).moment
        #expect(history.rows(.raw, within: .seconds(3600), before: now).map(\.figures.requests) == [1])
        #expect(history.beginning(of: TunnelHistory.week, before: now).answered == 1000)
    }

    @Test("windows are words or milliseconds, up to a week")
    func words() {
        #expect(TunnelHistory.window("1h") == .seconds(3600))
        #expect(TunnelHistory.window("24h") == .seconds(86400))
        #expect(TunnelHistory.window("7d") == .seconds(604_800))
        #expect(TunnelHistory.window("1500") == .milliseconds(1500))
        for text in ["", "0", "-1", "2h", "604800001", "99999999999999999999", "1.5"] {
            #expect(TunnelHistory.window(text) == nil, "\(text)")
        }
    }
}
