import PluginKit
import PluginTesting
import Testing

@testable import TunnelPlugin

@Suite("What operators are told of the tunnel")
struct StatusRoutesTests {
    private let scraper = "scrape-me-please-and-nobody-else"

    private func start() throws -> GatewayUnderTest {
        try GatewayUnderTest([Tunnel.self], settings: ["METRICS_TOKEN": scraper, "TUNNEL_STORE": "none"])
    }

    private func json(_ reply: Reply) throws -> JSON {
        // No answer here is chunked.
        try JSON.parse(reply.body)
    }

    @Test("strangers and bad tokens are told that it works, and nothing more; operators everything")
    func health() throws {
        let gateway = try start()
        let user = try GatewayUnderTest.token()
        for token in [nil, "no-token-of-anybody", user] {
            let reply = try gateway.get("/api/tunnel/health", token: token)
            #expect(reply.status == 200)
            let document = try json(reply)
            #expect(document.object?.members.map(\.name) == ["status", "timestamp", "uptime"])
        }
        let admin = try GatewayUnderTest.token(isAdmin: true)
        for token in [scraper, admin] {
            let health = try json(try gateway.get("/api/tunnel/health", token: token))
            #expect(health["status"]?.string == "healthy")
            #expect((health["uptime"]?.number.flatMap { Double($0.text) } ?? 0) > 0)
            #expect(health["activeConnections"] == .number(JSONNumber(0)))
            #expect(health["successRate"] == .null)
            #expect(health["memoryUsage"]?["heapUsed"] == .null)
            #expect(
                health["components"]?.array?.compactMap { $0["name"]?.string } == [
                    "WebSocket Service", "Connection Pool", "Circuit Breaker", "Metrics Collector", "Rate Limiter",
                ])
        }
    }

    @Test(
        "the rest is for admins, exactly, and for METRICS_TOKEN",
        arguments: [
            "/api/tunnel/diagnostics", "/api/tunnel/metrics", "/api/tunnel/metrics/json",
            "/api/tunnel/metrics/user/somebody", "/api/tunnel/metrics/history", "/api/tunnel/circuit-breakers",
            "/api/tunnel/config", "/api/tunnel/config/log-level",
        ])
    func access(_ path: String) throws {
        let gateway = try start()
        #expect(try gateway.get(path).status == 401)
        #expect(try gateway.get(path, token: "scrape-me-please").status == 401)
        let (user, admin) = (try GatewayUnderTest.token(), try GatewayUnderTest.token(isAdmin: true))
        #expect(try gateway.get(path, token: user).status == 403)
        #expect(try gateway.get(path, token: admin).status == 200)
        let reply = try gateway.get(path, token: scraper)
        #expect(reply.status == 200)
        #expect(reply["cache-control"] == "no-store")
    }

    @Test("METRICS_TOKEN changes nothing", arguments: [("PUT", ""), ("PUT", "/log-level"), ("POST", "/reset")])
    func readingOnly(_ method: String, _ path: String) throws {
        let gateway = try start()
        #expect(try gateway.ask(method, "/api/tunnel/config\(path)", token: scraper, body: "{}").status == 401)
    }

    @Test("the documents have the guide's members")
    func shapes() throws {
        let gateway = try start()
        func members(_ path: String) throws -> [String] {
            try json(try gateway.get(path, token: scraper)).object?.members.map(\.name) ?? []
        }
        #expect(
            try members("/api/tunnel/diagnostics") == [
                "status", "timestamp", "uptime", "serverInfo", "memoryUsage", "connectionStats", "metricsSummary",
                "circuitBreakerStates", "rateLimiterStats", "components",
            ])
        #expect(
            try members("/api/tunnel/metrics/json?window=60000") == [
                "activeConnections", "totalConnections", "connectionRate", "requestCount", "successCount", "errorCount",
                "successRate", "averageLatency", "p50Latency", "p95Latency", "p99Latency", "bytesReceived", "bytesSent",
                "requestsPerSecond", "errorsByCategory", "errorRate", "activeUsers", "requestsByUser", "memoryUsage",
                "cpuUsage", "uptime", "timestamp", "window", "covered",
            ])
        #expect(
            try members("/api/tunnel/metrics/history?window=7d&aggregation=daily") == [
                "window", "windowMs", "aggregation", "dataPoints", "statistics", "metrics", "timestamp",
            ])
        #expect(
            try members("/api/tunnel/circuit-breakers") == ["summary", "circuitBreakers", "timestamp"])
        let user = try json(try gateway.get("/api/tunnel/metrics/user/auth0%7Cada&co", token: scraper))
        #expect(user["userId"]?.string == "auth0|ada&co")
        #expect(user["requestCount"] == .number(JSONNumber(0)))
        #expect(user["lastActivity"] == .null)
    }

    @Test(
        "windows and aggregations that do not exist are refused",
        arguments: ["json?window=0", "json?window=8d", "history?window=x", "history?aggregation=weekly", "user/%FF"])
    func refused(_ path: String) throws {
        let gateway = try start()
        #expect(try gateway.get("/api/tunnel/metrics/\(path)", token: scraper).status == 400)
    }

    @Test("a request without an agent is counted once, under the guide's names and the gateway's")
    func counted() throws {
        let gateway = try start()
        let token = try GatewayUnderTest.token()
        for _ in 0..<3 { #expect(try gateway.get("/ollama/api/tags", token: token).status == 503) }
        for _ in 0..<2 {
            let text = try gateway.get("/api/tunnel/metrics", token: scraper).text
            for line in [
                #"tunnel_requests_total{status="error",error_type="network"} 3"#, "tunnel_requests_failed_total 3",
                #"tunnel_requests_total{status="success",error_type="none"} 0"#, "tunnel_error_rate 1",
                #"tunnel_errors_total{category="network",code="AGENT_RECONNECTING"} 3"#,
                #"tunnel_circuit_breaker_state{service="all"} 0"#, "tunnel_request_latency_ms_count 0",
            ] {
                #expect(text.contains("\n\(line)\n"), "\(line)")
            }
        }
        #expect(try gateway.metric(#"gateway_tunnel_failures_total{code="AGENT_RECONNECTING"}"#) == 3)
        let document = try json(try gateway.get("/api/tunnel/metrics/json", token: scraper))
        #expect(document["errorCount"] == .number(JSONNumber(3)))
        #expect(document["errorsByCategory"]?["network"] == .number(JSONNumber(3)))
    }

    @Test("the page and its files are part of the program, and may load nothing from elsewhere")
    func page() throws {
        let gateway = try start()
        let page = try gateway.get("/tunnel/")
        #expect(page.status == 200)
        #expect(page["content-type"] == "text/html; charset=utf-8")
        let policy = page["content-security-policy"] ?? ""
        for directive in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'"] {
            #expect(policy.contains(directive))
        }
        #expect(page["referrer-policy"] == "no-referrer")
        for (file, type) in [("page.js", "text/javascript"), ("page.css", "text/css"), ("icon.svg", "image/svg+xml")] {
            let reply = try gateway.get("/tunnel/\(file)")
            #expect(reply.status == 200)
            #expect(reply["content-type"]?.hasPrefix(type) == true)
            #expect(page.text.contains(file))
        }
        let moved = try gateway.get("/tunnel")
        #expect(moved.status == 308)
        #expect(moved["location"] == "/tunnel/")
    }
}
