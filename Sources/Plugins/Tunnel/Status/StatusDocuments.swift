import PluginKit

/// The guide's JSON documents about the tunnel. Ratios are from 0 to 1, times in milliseconds, sizes in bytes; what
/// there is no figure for is `null`.
extension TunnelStatus {
    /// Users that are named in one document.
    private static let namedUsers = 100

    // MARK: Health

    /// - Parameter inDetail: For operators: strangers are told whether it works, and for how long.
    func healthDocument(inDetail: Bool) -> [UInt8] {
        document { json in
            json.member("status", health.word)
            json.member("timestamp", Times.text())
            json.member("uptime", uptimeMilliseconds)
            guard inDetail else { return }
            let (change, seconds) = change(within: .seconds(60))
            json.member("activeConnections", change.activeConnections)
            json.member("requestsPerSecond", rate(change.requests, seconds))
            json.member("successRate", change.successRate)
            write(memory: ProcessFigures.read(), in: &json)
            write(components, in: &json)
        }
    }

    private func write(_ components: [Component], in json: inout JSONWriter) {
        json.key("components")
        json.array { list in
            for component in components {
                list.object { entry in
                    entry.member("name", component.name)
                    entry.member("status", component.health.word)
                    if case .degraded(let reason) = component.health { entry.member("message", reason) }
                    // Nothing is asked over a network, so there is no time to tell.
                    entry.key("responseTime")
                    entry.null()
                }
            }
        }
    }

    /// Node's names. There is one heap here, whose parts nobody counts.
    private func write(memory process: ProcessFigures?, in json: inout JSONWriter) {
        json.key("memoryUsage")
        json.object { json in
            json.member("rss", process?.residentMemory)
            for name in ["heapTotal", "heapUsed", "external", "arrayBuffers"] {
                json.key(name)
                json.null()
            }
        }
    }

    // MARK: Diagnostics

    func diagnosticsDocument() -> [UInt8] {
        let (change, _) = change(within: .seconds(3600))
        let process = ProcessFigures.read()
        return document { json in
            json.member("status", health.word)
            json.member("timestamp", Times.text())
            json.member("uptime", uptimeMilliseconds)
            json.key("serverInfo")
            json.object { json in
                for name in ["version", "nodeVersion"] {
                    json.key(name)
                    json.null()
                }
                json.member("platform", "linux")
                json.member("arch", Self.architecture)
            }
            write(memory: process, in: &json)
            writeConnections(change, in: &json)
            writeSummary(change, in: &json)
            writeBreakerStates(in: &json)
            writeViolations(change, in: &json)
            write(components, in: &json)
        }
    }

    private static var architecture: String {
        #if arch(arm64)
        "arm64"
        #elseif arch(x86_64)
        "x64"
        #else
        "unknown"
        #endif
    }

    private func writeConnections(_ figures: TunnelFigures, in json: inout JSONWriter) {
        let busiest = host.ledger.busiest(Self.namedUsers)
        json.key("connectionStats")
        json.object { json in
            json.member("activeConnections", figures.activeConnections)
            json.member("totalConnections", host.metrics.socketsOpened.value)
            json.key("connectionsByUser")
            json.object { json in
                for (user, figures) in busiest where figures.agents > 0 { json.member(user, figures.agents) }
            }
            json.member("staleConnections", host.directory.all.count { !$0.traffic.isAttached })
        }
    }

    private func writeSummary(_ change: TunnelFigures, in json: inout JSONWriter) {
        json.key("metricsSummary")
        json.object { json in
            json.member("totalRequests", change.requests)
            json.member("successfulRequests", change.answered)
            json.member("failedRequests", change.failures)
            json.member("successRate", change.successRate)
            Self.write(change.latency, percentiles: [95, 99], in: &json)
            write(errorsOf: change, in: &json)
        }
    }

    private static func write(_ latency: LatencyDistribution, percentiles: [Int], in json: inout JSONWriter) {
        json.member("averageLatency", latency.averageMilliseconds)
        for percent in percentiles {
            json.member("p\(percent)Latency", latency.percentileMilliseconds(Double(percent) / 100))
        }
    }

    private func write(errorsOf change: TunnelFigures, in json: inout JSONWriter) {
        json.key("errorsByCategory")
        json.object { json in
            for (category, count) in change.failuresByCategory { json.member(category.rawValue, count) }
        }
    }

    /// By what was used up: whether an address or a user did, limits count as one.
    private func writeViolations(_ change: TunnelFigures, in json: inout JSONWriter) {
        json.key("rateLimiterStats")
        json.object { json in
            json.member("totalViolations", violations.reduce(0) { $0 + $1.count })
            json.member("violationsInLastHour", change.violations)
            json.key("violationsByType")
            json.object { json in for (kind, count) in violations { json.member(kind.rawValue, count) } }
        }
    }

    // MARK: Metrics

    /// `/metrics/json`: what happened in a window that ends now.
    func metricsDocument(within window: Duration) -> [UInt8] {
        let (change, seconds) = change(within: window)
        let process = ProcessFigures.read()
        return document { json in
            json.member("activeConnections", change.activeConnections)
            json.member("totalConnections", host.metrics.socketsOpened.value)
            json.member("connectionRate", rate(change.connections, seconds))
            json.member("requestCount", change.requests)
            json.member("successCount", change.answered)
            json.member("errorCount", change.failures)
            json.member("successRate", change.successRate)
            Self.write(change.latency, percentiles: [50, 95, 99], in: &json)
            json.member("bytesReceived", change.bytesFromAgents)
            json.member("bytesSent", change.bytesToAgents)
            json.member("requestsPerSecond", rate(change.requests, seconds))
            write(errorsOf: change, in: &json)
            json.member("errorRate", change.errorRate)
            json.member("activeUsers", change.activeUsers)
            json.key("requestsByUser")
            json.object { json in
                for (user, figures) in host.ledger.busiest(Self.namedUsers) where figures.requests > 0 {
                    json.member(user, figures.requests)
                }
            }
            write(memory: process, in: &json)
            json.key("cpuUsage")
            json.object { json in
                json.member("user", process.map { Int($0.userTime * 1_000_000) })
                json.member("system", process.map { Int($0.systemTime * 1_000_000) })
            }
            json.member("uptime", uptimeMilliseconds)
            json.member("timestamp", Times.text())
            json.member("window", window.wholeMilliseconds)
            json.member("covered", Int(seconds * 1000))
        }
    }

    /// `/metrics/user/{userId}`: since the user's figures are remembered.
    func userDocument(_ user: String) -> [UInt8] {
        let figures = host.ledger.figures(of: user)
        return document { json in
            json.member("userId", user)
            json.member("connectionCount", figures.agents)
            json.member("requestCount", figures.requests)
            let ended = figures.requests - min(figures.failures, figures.requests)
            json.member("successRate", figures.requests == 0 ? nil : Double(ended) / Double(figures.requests))
            json.member(
                "averageLatency",
                figures.answers == 0 ? nil : Double(figures.answerMicroseconds) / 1000 / Double(figures.answers))
            json.member("dataTransferred", figures.bytesToAgents + figures.bytesFromAgents)
            json.key("rateLimitViolations")
            json.null()
            json.key("lastActivity")
            guard figures.newestAnswer > 0 else { return json.null() }
            json.value(Times.text(Int64(figures.newestAnswer)))
        }
    }

    /// `/metrics/history`: what happened between neighbouring moments.
    func historyDocument(_ kind: TunnelHistory.Aggregation, within window: Duration, called name: String) -> [UInt8] {
        let rows = history.rows(kind, within: window, before: MonotonicTime.read())
        return document { json in
            json.member("window", name)
            json.member("windowMs", window.wholeMilliseconds)
            json.member("aggregation", kind.rawValue)
            json.member("dataPoints", rows.count)
            writeStatistics(rows, in: &json)
            json.key("metrics")
            json.array { list in
                for row in rows { list.object { Self.write(row, in: &$0) } }
            }
            json.member("timestamp", Times.text())
        }
    }

    private func writeStatistics(_ rows: [TunnelHistory.Row], in json: inout JSONWriter) {
        let requests = rows.reduce(0) { $0 + $1.figures.requests }
        let failures = rows.reduce(0) { $0 + $1.figures.failures }
        let answers = rows.reduce(0) { $0 + Double($1.figures.latency.count) }
        let waited = rows.reduce(0) { $0 + $1.figures.latency.sum }
        json.key("statistics")
        json.object { json in
            json.member("count", rows.count)
            json.member("averageRequests", rows.isEmpty ? nil : Double(requests) / Double(rows.count))
            json.member("totalRequests", requests)
            json.member("averageLatency", answers == 0 ? nil : waited * 1000 / answers)
            json.member("averageErrorRate", requests == 0 ? nil : Double(failures) / Double(requests))
        }
    }

    private static func write(_ row: TunnelHistory.Row, in json: inout JSONWriter) {
        let figures = row.figures
        json.member("timestamp", figures.timestamp)
        json.member("period", row.milliseconds)
        json.member("requestCount", figures.requests)
        json.member("successCount", figures.answered)
        json.member("errorCount", figures.failures)
        json.member("errorRate", figures.errorRate)
        write(figures.latency, percentiles: [95], in: &json)
        json.member("bytesReceived", figures.bytesFromAgents)
        json.member("bytesSent", figures.bytesToAgents)
        json.member("activeConnections", figures.activeConnections)
        json.member("activeUsers", figures.activeUsers)
    }

    // MARK: Circuit breakers

    func breakersDocument() -> [UInt8] {
        let all = circuits
        let successes = all.reduce(0) { $0 + $1.totals.succeeded }
        let failures = all.reduce(0) { $0 + $1.totals.failed }
        return document { json in
            json.key("summary")
            json.object { json in
                json.member("totalCircuitBreakers", all.count)
                json.member("openCircuits", all.count { $0.phase == .open })
                json.member("closedCircuits", all.count { $0.phase == .closed })
                json.member("halfOpenCircuits", all.count { $0.phase == .halfOpen })
                json.member("totalRequests", all.reduce(0) { $0 + $1.totals.requests })
                json.member("totalFailures", failures)
                json.member("totalSuccesses", successes)
                let outcomes = successes + failures
                json.member("overallSuccessRate", outcomes == 0 ? nil : Double(successes) / Double(outcomes))
            }
            write(all, in: &json)
            json.member("timestamp", Times.text())
        }
    }

    private func writeBreakerStates(in json: inout JSONWriter) {
        let all = circuits
        json.key("circuitBreakerStates")
        json.object { json in
            json.member("totalCircuitBreakers", all.count)
            json.member("closedCount", all.count { $0.phase == .closed })
            json.member("openCount", all.count { $0.phase == .open })
            json.member("halfOpenCount", all.count { $0.phase == .halfOpen })
            write(all, in: &json)
        }
    }

    private func write(_ breakers: [CircuitBreaker.Report], in json: inout JSONWriter) {
        json.key("circuitBreakers")
        json.array { list in
            for breaker in breakers {
                list.object { entry in
                    entry.member("name", breaker.name)
                    entry.member("state", breaker.phase.rawValue)
                    entry.member("failureCount", breaker.failureCount)
                    entry.member("successCount", breaker.successCount)
                    entry.member("totalRequests", breaker.totals.requests)
                    entry.member("totalFailures", breaker.totals.failed)
                    entry.member("totalSuccesses", breaker.totals.succeeded)
                }
            }
        }
    }

    // MARK: Writing

    private func rate(_ count: Int, _ seconds: Double) -> Double { seconds > 0 ? Double(count) / seconds : 0 }

    private func document(_ write: (inout JSONWriter) -> Void) -> [UInt8] {
        var json = JSONWriter()
        json.object(write)
        return json.bytes + [UInt8(ascii: "\n")]
    }
}

extension JSONWriter {
    /// `null` for what is not known. Ratios and times are told to a millionth: more digits would pretend.
    fileprivate mutating func member(_ name: String, _ number: Double?) {
        guard let number else {
            key(name)
            return null()
        }
        member(name, (number * 1e6).rounded() / 1e6)
    }

    fileprivate mutating func member(_ name: String, _ number: Int?) {
        guard let number else {
            key(name)
            return null()
        }
        member(name, number)
    }
}

extension Duration {
    var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        return Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
