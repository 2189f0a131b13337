import GatewayHTTP
import GatewayLocks
import PluginKit
import Testing

@testable import GatewayServer

@Suite("What operators see")
struct OperationsTests {
    @Test("metrics are open on the operations port only; on the main port they need the admin or METRICS_TOKEN")
    func guardedMetrics() throws {
        let gateway = try TestGateway(["METRICS_TOKEN": "scrape-me-please"])
        let open = try gateway.ask(get("/metrics"), of: .operations)
        #expect(open.status == 200)
        #expect(open["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
        #expect(open.text.contains("# TYPE gateway_http_requests_total counter"))
        #expect(try gateway.ask(get("/metrics")).status == 401)
        #expect(try gateway.ask(get("/metrics", "Authorization: Bearer wrong-token-here")).status == 401)
        let user = try TestGateway.token()
        #expect(try gateway.ask(get("/metrics", "Authorization: Bearer \(user)")).status == 403)
        let admin = try TestGateway.token(more: ["permissions": .array([.string("admin")])])
        #expect(try gateway.ask(get("/metrics", "Authorization: Bearer \(admin)")).status == 200)
        #expect(try gateway.ask(get("/metrics", "Authorization: Bearer scrape-me-please")).status == 200)
    }

    @Test("probes: bare on the main port, in detail on the operations port; degraded is 200, unhealthy is not ready")
    func probes() throws {
        let health = Guarded(Health.healthy)
        let gateway = try TestGateway { gateway in gateway.health("store") { health.withLock { $0 } } }
        for (state, status, word) in [
            (Health.healthy, 200, "healthy"), (.degraded("slow"), 200, "slow"), (.unhealthy("gone"), 503, "gone"),
        ] {
            health.withLock { $0 = state }
            let bare = try gateway.ask(get("/readyz"))
            #expect(bare.status == status)
            #expect(!bare.text.contains("store"))
            let detail = try gateway.ask(get("/readyz"), of: .operations)
            #expect(detail.status == status)
            #expect(detail.text.contains("\"name\":\"store\",\"plugin\":\"scripted\""))
            #expect(detail.text.contains(word))
            #expect(try gateway.ask(get("/livez")).status == 200)
            #expect(try gateway.ask(get("/health")).status == 200)
        }
    }

    @Test("requests are counted by plugin and status, refused heads by themselves, sockets by close code")
    func counted() throws {
        let gateway = try TestGateway { gateway in
            gateway.get("/here") { _ in .text("here") }
            gateway.webSocket("/socket", access: .anyone) { _ in Silence() }
        }
        for _ in 0..<3 { _ = try gateway.ask(get("/here")) }
        _ = try gateway.ask(get("/nowhere"))
        _ = try gateway.ask("GET / HTTP/1.1\r\n\r\n")
        let socket = try SocketClient(gateway)
        try socket.send("hello")
        try socket.send(SocketClient.close(1000))
        #expect(try socket.next() == .close(1000, ""))
        #expect(try socket.next() == .end)
        #expect(eventually { (try? gateway.metric("gateway_websocket_closed_total{code=\"1000\"}")) == 1 })
        #expect(try gateway.metric("gateway_http_requests_total{plugin=\"scripted\",status=\"2xx\"}") == 3)
        #expect(try gateway.metric("gateway_http_requests_total{plugin=\"scripted\",status=\"1xx\"}") == 1)
        #expect(try gateway.metric("gateway_http_requests_total{plugin=\"core\",status=\"4xx\"}") == 1)
        #expect(try gateway.metric("gateway_http_refused_requests_total") == 1)
        #expect(try gateway.metric("gateway_websocket_opened_total") == 1)
        #expect(try gateway.metric("gateway_websocket_open") == 0)
        #expect(try gateway.metric("gateway_websocket_messages_received_total") == 1)
        #expect(try gateway.metric("gateway_http_request_seconds_count{plugin=\"scripted\"}") == 4)
    }

    @Test("no log line ever holds a token, whatever becomes of the request", arguments: Carriage.allCases)
    func redaction(_ carriage: Carriage) throws {
        let gateway = try TestGateway(over: carriage) { gateway in
            gateway.get("/open") { _ in .text("open") }
            gateway.get("/fail") { _ in throw GatewayFault(.badGateway, "broken", "Broken.") }
            gateway.get("/closed", access: .signedIn) { _ in .text("closed") }
            gateway.webSocket("/socket") { _ in Silence() }
        }
        let good = try TestGateway.token()
        let bad = try TestGateway.token(secret: "another secret of at least thirty-two bytes")
        for token in [good, bad] {
            for path in ["/open", "/fail", "/closed", "/nowhere", "/socket", "/a/%2e%2e/b"] {
                _ = try gateway.ask(get("\(path)?a=b&token=\(token)&c=d"))
                _ = try gateway.ask(get("\(path)?%74oken=\(token)"))
                _ = try gateway.ask(get(path, "Authorization: Bearer \(token)"))
            }
            // Refused while parsing, in the middle of the token and behind it.
            _ = try gateway.ask("GET /open?token=\(token)\u{1}x HTTP/1.1\r\nHost: x\r\n\r\n")
            _ = try gateway.ask("GET /open?token=\(token) HTTP/1.1\r\n\r\n")
            _ = try gateway.ask(get("/open", "Authorization: Bearer \(token)", "Authorization : x"))
            let socket = try SocketClient(gateway, "/socket?token=\(token)")
            if socket.answer.status == 101 { try socket.send("{\"type\":\"auth\",\"token\":\"\(bad)\"}") }
            let offered = try SocketClient(gateway, fields: ["Sec-WebSocket-Protocol: bearer, \(token)"])
            if offered.answer.status == 101 { try offered.send(SocketClient.close(1000)) }
        }
        gateway.stop()
        let log = gateway.log
        #expect(log.contains("a=b&token=<redacted>&c=d"))
        for token in [good, bad] {
            let signature = token.split(separator: ".")[2]
            #expect(!log.contains(signature))
            #expect(!log.contains(token.prefix(40)))
        }
    }

    @Test("what a client sends cannot forge a log line")
    func injection() throws {
        let gateway = try TestGateway { gateway in
            gateway.get("/fail/{x}") { request in
                struct Trouble: Error, CustomStringConvertible { let description: String }
                throw Trouble(
                    description: (request.query("q") ?? "") + "\n{\"level\":\"ERROR\",\"message\":\"forged\"}")
            }
        }
        _ = try gateway.ask(get("/fail/%0a%7b?q=a%0a%7b%22level%22%3a%22FATAL%22%7d\"}"))
        _ = try gateway.ask(get("/fail/x?q=a%0a%7b%22level%22%3a%22FATAL%22%7d"))
        _ = try gateway.ask(get("/nowhere?\"},{\"level\":\"FATAL\""))
        let lines = gateway.log.split(separator: "\n")
        #expect(lines.count > 3)
        for line in lines {
            #expect(line.hasPrefix("{\"timestamp\":"))
            #expect(line.hasSuffix("}"))
            #expect(!line.contains("{\"level\""))
        }
    }

    @Test("errors name the request as the access log does")
    func requestIDs() throws {
        let gateway = try TestGateway()
        let client = try gateway.connect()
        var ids: Set<String> = []
        for _ in 0..<3 {
            try client.send(get("/nowhere"))
            let text = try client.answer().text
            ids.insert(String(text.split(separator: "\"requestId\":\"").last?.prefix(32) ?? ""))
        }
        #expect(ids.count == 3)
        let log = gateway.log
        for id in ids { #expect(id.count == 32 && log.contains("\"correlationId\":\"\(id)\"")) }
    }

    @Test("the access log says what was received and sent")
    func accessLog() throws {
        let gateway = try TestGateway { gateway in
            gateway.post("/read") { request in
                .text("got \(try await request.body.collect(limit: 100).count)")
            }
            gateway.get("/text") { _ in .text("12345") }
        }
        _ = try gateway.ask("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd")
        _ = try gateway.ask("HEAD /text HTTP/1.1\r\nHost: x\r\n\r\n")
        let lines = gateway.log.split(separator: "\n").filter { $0.contains("\"component\":\"access\"") }
        let read = try #require(lines.first { $0.contains("/read") })
        #expect(read.contains("\"route\":\"scripted\",\"status\":200,\"bytesReceived\":4,\"bytesSent\":5,"))
        let head = try #require(lines.first { $0.contains("/text") })
        #expect(head.contains("\"method\":\"HEAD\"") && head.contains("\"bytesSent\":0,"))
    }
}
