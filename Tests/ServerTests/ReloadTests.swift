import GatewayConfig
import GatewayHTTP
import GatewayRuntime
import PluginKit
import Synchronization
import Testing

@testable import GatewayServer

/// A plugin with a setting, a state, and a port if it is told one.
private struct Tuned: Plugin {
    struct Configuration: Settings {
        let mark: String
        let port: Port?

        init(from env: inout SettingsReader) {
            mark = env.optional("MARK", default: "first", "What it answers.")
            port = env.optional("PORT", example: "5000", "A port of its own.")
        }
    }

    static let name: PluginName = "tuned"
    static let summary = "Has settings."

    let settings: Configuration

    func register(with gateway: inout Registrar) {
        let answered = Counting()
        let counter = gateway.metrics.counter("answered_total", "Answers.")
        gateway.get("/tuned") { _ in
            answered.increment()
            counter.increment()
            return .text("\(settings.mark) \(answered.value)")
        }
        gateway.webSocket("/tuned/socket", access: .anyone) { _ in Repeating() }
        guard let port = settings.port else { return }
        let entry = gateway.entryPoint("tuned", listen: ListenAddress(host: "127.0.0.1", port: port))
        gateway.get("/own", at: entry) { _ in .text("own \(settings.mark)") }
    }
}

/// Middleware for every request.
private struct Guarding: Plugin, Middleware {
    static let name: PluginName = "guarding"
    static let summary = "Stands in front of everybody."

    init(settings: NoSettings) {}
    func register(with gateway: inout Registrar) { gateway.use(self, on: .everyRequest) }
    func handle(_ request: Request, next: Next) async throws -> Response { try await next(request) }
}

private final class Repeating: WebSocketHandler {
    func received(_ message: WebSocketMessage, on socket: any WebSocket) { socket.send(message) }
}

private let compiled: [any Plugin.Type] = [Scripted.self, Tuned.self, Guarding.self]

extension SocketClient {
    /// Whether it still says back what it is sent.
    fileprivate func isAlive() throws -> Bool {
        try send("are you there?")
        return try nextMessage() == .text("are you there?")
    }
}

@Suite("Which sockets a change of settings closes: as planned, and no other")
struct SocketFateTests {
    /// Who is connected when the settings change.
    enum Who: String, CaseIterable {
        /// On a route for anyone.
        case anyone
        /// Showed a token.
        case signedIn
        /// On a route for anyone, from a web page.
        case page
        /// On a route of the plugin that has settings.
        case tuned
    }

    struct Row: CustomTestStringConvertible {
        let changes: [String: String]
        let closed: [Who: String]

        init(_ name: String, _ value: String, _ closed: [Who: String] = [:]) {
            changes = [name: value]
            self.closed = closed
        }

        var testDescription: String { changes.map { "\($0.key)=\($0.value)" }.joined() }
    }

    private static func all(_ reason: String) -> [Who: String] {
        Dictionary(uniqueKeysWithValues: Who.allCases.map { ($0, reason) })
    }

    static let rows = [
        Row("PING_INTERVAL", "7s"), Row("PONG_TIMEOUT", "7s"), Row("MAX_MISSED_PONGS", "9"), Row("CLOSE_TIMEOUT", "7s"),
        Row("WEBSOCKET_SEND_BUFFER", "64KiB"), Row("FRAME_WARN_THRESHOLD", "1KiB"),
        Row("COMPRESSION_ENABLED", "false"), Row("COMPRESSION_LEVEL", "1"), Row("COMPRESSION_MEMORY", "1MiB"),
        Row("COMPRESSION_CONTEXT_TAKEOVER", "true"), Row("MESSAGE_ASSEMBLY_MEMORY", "8MiB"),
        Row("HTTP_MAX_BODY", "1KiB"), Row("HTTP_KEEP_ALIVE_TIMEOUT", "1s"), Row("MAX_CONNECTIONS", "64"),
        Row("TRUSTED_PROXIES", "10.0.0.0/8"), Row("CLIENT_IP_HEADER", "none"), Row("LOG_LEVEL", "warn"),
        Row("ACCESS_LOG", "false"), Row("DRAIN_TIMEOUT", "9s"), Row("UPSTREAM_IDLE_TIMEOUT", "5s"),
        Row("AUTH_CLOCK_SKEW", "9s"), Row("AUTH_CACHE_SIZE", "16"), Row("AUTH_FAILURES_PER_MINUTE", "9"),
        Row("RATE_LIMIT_REQUESTS_PER_MINUTE", "9"), Row("BRUTE_FORCE_THRESHOLD", "9"), Row("BACKPLANE_KEYS", "4096"),
        Row("METRICS_TOKEN", "a token for metrics"), Row("OPS_LISTEN", "127.0.0.2:0"), Row("LOOPS", "4"),
        Row("WEBSOCKET_PATH", "/elsewhere"), Row("PLUGINS", "tuned,scripted"),
        Row("MAX_FRAME_SIZE", "2MiB", all("limits changed")),
        Row("MAX_MESSAGE_SIZE", "64KiB", all("limits changed")),
        Row("MAX_FRAGMENTS", "16", all("limits changed")),
        Row("SUPABASE_AUTH_ISSUER", "https://other.test", [.signedIn: "auth changed"]),
        Row("SUPABASE_AUTH_AUDIENCE", "others", [.signedIn: "auth changed"]),
        Row("SUPABASE_JWT_SECRET", "another secret of at least thirty-two bytes", [.signedIn: "auth changed"]),
        Row("AUTH_ALLOW_ROLES", "anon", [.signedIn: "auth changed"]),
        Row("ALLOWED_ORIGINS", "https://other.test", [.page: "allowed origins changed"]),
        Row("TUNED_MARK", "second", [.tuned: "plugin tuned changed"]),
        Row("PLUGINS", "scripted", [.tuned: "plugin tuned removed"]),
        Row("PLUGINS", "guarding,scripted,tuned", all("middleware changed")),
    ]

    private func open(_ who: Who, _ gateway: TestGateway) throws -> SocketClient {
        switch who {
        case .anyone: try SocketClient(gateway, "/socket")
        case .signedIn: try SocketClient(gateway, "/signed?token=\(TestGateway.token())")
        case .page: try SocketClient(gateway, "/socket", fields: ["Origin: https://page.test"])
        case .tuned: try SocketClient(gateway, "/tuned/socket")
        }
    }

    @Test("each setting has its effect, announced before", arguments: rows)
    func effect(_ row: Row) throws {
        let gateway = try TestGateway(
            ["PLUGINS": "scripted,tuned", "ALLOWED_ORIGINS": "https://page.test", "LOOPS": "2"], plugins: compiled
        ) { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Repeating() }
            gateway.webSocket("/signed") { _ in Repeating() }
        }
        let sockets = try Who.allCases.map { ($0, try open($0, gateway)) }
        let planned = gateway.plan(row.changes)
        #expect(planned.problems.isEmpty)
        #expect(planned.sockets.kept == Who.allCases.count - row.closed.count)
        #expect(planned.sockets.closed.values.reduce(0, +) == row.closed.count)
        #expect(planned.settings.map(\.name).contains(row.changes.keys.first ?? ""))
        for (_, socket) in sockets { #expect(try socket.isAlive()) }

        let applied = gateway.reload(row.changes)
        #expect(applied.sockets == planned.sockets)
        for (who, socket) in sockets {
            guard let reason = row.closed[who] else {
                #expect(try socket.isAlive(), "\(who)")
                continue
            }
            #expect(try socket.nextMessage() == .close(1012, "Service restart: \(reason)"), "\(who)")
            try socket.send(SocketClient.close(1012))
            #expect(try socket.nextMessage() == .end)
        }
    }

    @Test("every setting of the core has exactly one effect, and every effect is of a setting")
    func table() {
        let core = TestGateway.configuration([:], plugins: []).values.map(\.name)
        let listed = SettingEffects.rows.flatMap(\.names)
        #expect(Set(core).subtracting(listed).isEmpty)
        #expect(Set(listed).subtracting(core).subtracting(["PLUGINS"]).isEmpty)
        #expect(Set(listed).count == listed.count)
    }

    @Test("nothing changed: nothing closes, whichever way the same value is written")
    func spelling() throws {
        let gateway = try TestGateway(["PING_INTERVAL": "30s", "MAX_FRAME_SIZE": "1MiB"]) { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Repeating() }
        }
        let socket = try SocketClient(gateway)
        let report = gateway.reload(["PING_INTERVAL": "30000", "MAX_FRAME_SIZE": "1048576"])
        #expect(report.settings.isEmpty)
        #expect(report.summary == "1 sockets kept, 0 closed")
        #expect(try socket.isAlive())
    }

    @Test("sockets that are told to go are neither kept nor closed a second time")
    func twice() throws {
        let gateway = try TestGateway(["DRAIN_JITTER": "20s", "CLOSE_TIMEOUT": "60s"]) { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Repeating() }
        }
        let sockets = try (0..<8).map { _ in try SocketClient(gateway) }
        #expect(gateway.reload(["MAX_FRAGMENTS": "16"]).summary == "0 sockets kept, 8 closed: /socket limits changed")
        #expect(gateway.plan(["MAX_FRAGMENTS": "17"]).summary == "0 sockets kept, 0 closed")
        for socket in sockets { socket.wire.reset() }
    }

    @Test("a heartbeat that became shorter is felt by sockets that are open")
    func heartbeat() throws {
        let gateway = try TestGateway(["PING_INTERVAL": "1h"]) { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Repeating() }
        }
        let socket = try SocketClient(gateway)
        gateway.reload(["PING_INTERVAL": "20ms"])
        guard case .ping = try socket.next() else {
            Issue.record("no ping")
            return
        }
    }

    @Test("a socket whose handshake was under way closes like those that were open")
    func handshake() throws {
        let gate = Gate()
        let gateway = try TestGateway { gateway in
            gateway.route(.get, "/slow") { request in
                try await gate.pass(on: request.loop)
                let upgrade = WebSocketUpgrade(options: WebSocketOptions()) { _ in Repeating() }
                return Response(status: .switchingProtocols, body: .webSocket(upgrade))
            }
        }
        let client = try gateway.connect()
        try client.send("GET /slow HTTP/1.1\r\nHost: x\r\n" + webSocketFields)
        #expect(gate.awaitArrival())
        #expect(gateway.reload(["MAX_FRAGMENTS": "16"]).summary == "0 sockets kept, 0 closed")
        gate.open()
        #expect(try client.answer().status == 101)
        #expect(try client.read(4) == [0x88, 33, 0x03, 0xF4])
    }

    @Test("the report says what the issue of many sockets is, with commas")
    func words() {
        var report = ReloadReport()
        report.sockets.kept = 4112
        report.sockets.closed[.init(place: "/ws", reason: "auth changed")] = 37
        #expect(report.summary == "4,112 sockets kept, 37 closed: /ws auth changed")
        report.sockets.closed[.init(place: "/other", reason: "plugin other removed")] = 1000
        #expect(
            report.summary
                == "4,112 sockets kept, 1,037 closed: /other plugin other removed (1,000), /ws auth changed (37)")
        report.silentLoops = 1
        #expect(report.exitCode == 75)
        report.problems = ["broken"]
        #expect(report.exitCode == 78)
        #expect(report.lines == ["problem: broken", "nothing changes: the settings have problems"])
    }
}

@Suite("A change of settings as requests, plugins and ports see it")
struct ReloadTests {
    @Test("a connection that is kept alive has the new settings with its next request", arguments: Carriage.allCases)
    func keepAlive(_ carriage: Carriage) throws {
        let gateway = try TestGateway(["PLUGINS": "tuned"], plugins: compiled, over: carriage)
        let client = try gateway.connect()
        try client.send(get("/tuned"))
        #expect(try client.answer().text == "first 1")
        gateway.reload(["PLUGINS": "tuned", "TUNED_MARK": "second", "HTTP_MAX_REQUEST_LINE": "256"])
        try client.send(get("/tuned"))
        #expect(try client.answer().text == "second 1")
        gateway.reload(["PLUGINS": ""])
        try client.send(get("/tuned"))
        #expect(try client.answer().status == 404)
        gateway.reload(["PLUGINS": "", "HTTP_MAX_REQUEST_LINE": "256"])
        try client.send(get("/" + String(repeating: "x", count: 300)))
        #expect(try client.answer().status == 414)
    }

    @Test("a request under way finishes under what it began with, and the one behind it does not")
    func underWay() throws {
        let gate = Gate()
        let gateway = try TestGateway(["PLUGINS": "scripted,tuned"], plugins: compiled) { gateway in
            gateway.post("/slow") { request in
                try await gate.pass(on: request.loop)
                return .text("\(try await request.body.collect(limit: 1 << 20).count)")
            }
        }
        let client = try gateway.connect()
        let body = String(repeating: "x", count: 4096)
        try client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n")
        #expect(gate.awaitArrival())
        let report = gateway.reload(["PLUGINS": "tuned", "HTTP_MAX_BODY": "1KiB"])
        #expect(report.problems.isEmpty)
        gate.open()
        try client.send(body + "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n")
        #expect(try client.answer().text == "4096")
        #expect(try client.answer().status == 413)
    }

    @Test("a plugin keeps its state unless it was told something else")
    func instances() throws {
        let gateway = try TestGateway(["PLUGINS": "tuned"], plugins: compiled)
        #expect(try gateway.ask(get("/tuned", "Connection: close")).text == "first 1")
        #expect(
            gateway.reload(["PLUGINS": "tuned,guarding", "PING_INTERVAL": "9s"]).plugins == "tuned kept, guarding added"
        )
        #expect(try gateway.ask(get("/tuned", "Connection: close")).text == "first 2")
        #expect(gateway.plan(["TUNED_MARK": "second"]).plugins == "tuned changed, guarding removed")
        #expect(try gateway.ask(get("/tuned", "Connection: close")).text == "first 3")
        #expect(gateway.reload(["TUNED_MARK": "second"]).plugins == "tuned changed, guarding removed")
        #expect(try gateway.ask(get("/tuned", "Connection: close")).text == "second 1")
        #expect(try gateway.metric("gateway_tuned_answered_total") == 4, "it goes on counting where it was")
        #expect(try gateway.metric("gateway_settings_generation") == 3)
    }

    @Test("a plugin that asked what the gateway is like is made anew when that changes, and one that did not is not")
    func context() throws {
        let gateway = try TestGateway(["PLUGINS": "scripted,tuned"], plugins: compiled) { gateway in
            let paths = gateway.context.mainSocketPaths
            gateway.get("/paths") { _ in .text(paths.joined(separator: " ")) }
        }
        #expect(try gateway.ask(get("/paths", "Connection: close")).text == "/ /ws")
        #expect(gateway.reload(["WEBSOCKET_PATH": "/other"]).plugins == "scripted changed, tuned kept")
        #expect(try gateway.ask(get("/paths", "Connection: close")).text == "/ /other")
    }

    @Test("services of what is gone end, those of what stays go on, new ones begin")
    func services() throws {
        let events = Notes<String>()
        let gateway = try TestGateway(["PLUGINS": "scripted,tuned"], plugins: compiled) { gateway in
            gateway.service("worker") { context in
                events.add("started")
                do { try await context.sleep(.seconds(3600)) } catch {
                    events.add("ended")
                    throw error
                }
            }
        }
        #expect(events.awaitNext())
        gateway.reload(["TUNED_MARK": "second"])
        gateway.reload(["PLUGINS": "tuned"])
        #expect(events.awaitNext())
        #expect(events.all == ["started", "ended"])
        gateway.reload([:])
        #expect(events.awaitNext())
        #expect(events.all == ["started", "ended", "started"])
    }

    @Test("settings that apply at once do: how many may connect, and who may read metrics")
    func live() throws {
        let gateway = try TestGateway(["PLUGINS": "tuned"], plugins: compiled)
        let first = try gateway.connect()
        try first.send(get("/tuned"))
        #expect(try first.answer().status == 200)
        gateway.reload(["MAX_CONNECTIONS": "1", "METRICS_TOKEN": "a token for metrics"])
        let second = try gateway.connect()
        try second.send(get("/tuned"))
        try first.send(get("/metrics", "Authorization: Bearer a token for metrics", "Connection: close"))
        #expect(try first.answer().status == 200)
        // Its place is free now.
        #expect(try second.answer().status == 200)
    }

    // MARK: Ports

    @Test("a plugin's port opens and closes with it; who is connected there is answered, then let go")
    func ports() throws {
        let gateway = try TestGateway(["PLUGINS": "tuned"], plugins: compiled)
        let opened = gateway.reload(["TUNED_PORT": "0"])
        #expect(opened.opened.count == 1)
        #expect(opened.opened.first?.hasPrefix("tuned 127.0.0.1:") == true)
        let entry = try #require(gateway.server.addresses.first { $0.entry.name == "tuned" }).entry
        let client = try gateway.connect(to: entry)
        try client.send(get("/own"))
        #expect(try client.answer().text == "own first")

        // Another setting of the same plugin: the port stays.
        #expect(gateway.reload(["TUNED_PORT": "0", "TUNED_MARK": "second"]).opened.isEmpty)
        try client.send(get("/own"))
        #expect(try client.answer().text == "own second")
        let port = try gateway.port(of: entry)
        #expect(gateway.reload([:]).closed == ["tuned 127.0.0.1:\(port)"])
        #expect(try client.isEnded())
        #expect(eventually { (try? Client(port: port)) == nil })
        #expect(try gateway.ask(get("/tuned", "Connection: close")).text == "first 1")
    }

    @Test("the main port moves, and connections by the old one stay")
    func mainPort() throws {
        let gateway = try TestGateway(["PLUGINS": "tuned"], plugins: compiled)
        let socket = try SocketClient(gateway, "/tuned/socket")
        let client = try gateway.connect()
        let old = try gateway.port(of: .main)
        let report = gateway.reload(["LISTEN_ADDRESS": "127.0.0.2"])
        #expect(report.closed == ["main 127.0.0.1:\(old)"])
        #expect(report.summary == "1 sockets kept, 0 closed")
        #expect(eventually { (try? Client(port: old)) == nil })
        try client.send(get("/tuned"))
        #expect(try client.answer().text == "first 1")
        #expect(try socket.isAlive())
        #expect(gateway.reload(["LISTEN_ADDRESS": "127.0.0.1"]).problems.isEmpty)
        #expect(try gateway.ask(get("/tuned", "Connection: close")).text == "first 2")
    }

    // MARK: Refused

    @Test("one problem refuses the whole change: values, files, ports and routes")
    func refused() throws {
        let other = try TestGateway()
        let taken = try other.port(of: .main)
        let gateway = try TestGateway(["PLUGINS": "tuned"], plugins: compiled)
        let own = try gateway.port(of: .main)
        let socket = try SocketClient(gateway, "/tuned/socket")
        let cases: [([String: String?], String)] = [
            (["PING_INTERVAL": "soon"], "PING_INTERVAL"),
            (["PLUGINS": "tuned,nobody"], "nobody"),
            (["TUNED_PORT": "\(taken)"], "port \(taken) (its port setting) is in use"),
            (["WEBSOCKET_PORT": "\(taken)"], "port \(taken) (WEBSOCKET_PORT) is in use"),
            (["OPS_LISTEN": "127.0.0.1:\(own)"], "port \(own) (OPS_LISTEN) is that of main too"),
            (["OPS_LISTEN": "[::]:\(own)"], "port \(own) (OPS_LISTEN) is that of main too"),
            (["TUNED_PORT": "\(own)"], "port \(own) (its port setting) is that of main too"),
            (["WEBSOCKET_PORT": "\(own)", "OPS_LISTEN": "127.0.0.1:\(own)"], "is that of main too"),
            (["UPSTREAM_CA_FILE": "/nonexistent"], "UPSTREAM_CA_FILE"),
            (["TLS_CERTIFICATE": "/nonexistent", "TLS_KEY": "/nonexistent"], "/nonexistent"),
            (["MAX_CONNECTIONS": "1000000"], "MAX_CONNECTIONS"),
        ]
        for (changes, phrase) in cases {
            var changes = changes
            if Resources.raiseDescriptorLimit() >= 1_000_256, changes["MAX_CONNECTIONS"] != nil { continue }
            changes["TUNED_MARK"] = "second"
            let report = gateway.reload(changes)
            #expect(report.exitCode == 78)
            #expect(report.problems.contains { $0.contains(phrase) }, "\(report.problems)")
        }
        #expect(try socket.isAlive())
        #expect(try gateway.ask(get("/tuned", "Connection: close")).text == "first 1")
        #expect(try gateway.metric("gateway_settings_reloads_total{result=\"refused\"}") ?? 0 >= 6)
        #expect(gateway.log.contains("settings not applied"))
        #expect(other.stop())
    }

    @Test("a plan changes nothing: no metric appears, no port opens, nothing is replaced")
    func plan() throws {
        let gateway = try TestGateway(["PLUGINS": "scripted"], plugins: compiled)
        let secret = "another secret of at least thirty-two bytes"
        let lines = gateway.plan(
            ["PLUGINS": "tuned", "TUNED_PORT": "0", "LOOPS": "7", "SUPABASE_JWT_SECRET": secret]
        ).lines
        #expect(
            lines == [
                "0 sockets kept, 0 closed", "setting LOOPS: 1 -> 7",
                "setting SUPABASE_JWT_SECRET: <secret> -> <secret>", "setting PLUGINS: scripted -> tuned",
                "plugins: tuned added, scripted removed", "port opened: tuned 127.0.0.1:0",
                "LOOPS changed: takes effect at the next start",
            ])
        #expect(try gateway.metric("gateway_tuned_answered_total") == nil)
        #expect(try gateway.metric("gateway_settings_generation") == 1)
        #expect(gateway.server.addresses.count == 2)
    }

    @Test("what waits for the next start is said every time until then")
    func restart() throws {
        let gateway = try TestGateway(["PLUGINS": "tuned"], plugins: compiled)
        #expect(gateway.reload(["WORKER_THREADS": "2"]).restart == ["WORKER_THREADS"])
        #expect(gateway.reload(["WORKER_THREADS": "2", "TUNED_MARK": "x"]).restart == ["WORKER_THREADS"])
        #expect(gateway.reload([:]).restart.isEmpty)
    }

    @Test("a gateway that drains takes no new settings")
    func draining() throws {
        let gateway = try TestGateway()
        #expect(gateway.stop())
        #expect(gateway.reload([:]).problems == ["the gateway is shutting down"])
    }

    @Test("under load no request is lost while plugins come and go", arguments: Carriage.allCases)
    func load(_ carriage: Carriage) throws {
        let gateway = try TestGateway(["PLUGINS": "tuned", "LOOPS": "2"], plugins: compiled, over: carriage)
        let isOver = Atomic<Bool>(false)
        let lost = Counting()
        let served = Counting()
        let ended = Countdown(3)
        for number in 0..<3 {
            Threads.start("client") {
                defer { ended.finishOne() }
                var client: Client?
                while !isOver.load(ordering: .relaxed) {
                    if client == nil || number == 0 { client = try? gateway.connect() }
                    guard let one = client, (try? one.send(get("/tuned"))) != nil, (try? one.answer().status) == 200
                    else {
                        client = nil
                        lost.increment()
                        continue
                    }
                    served.increment()
                }
            }
        }
        for round in 1...12 {
            let before = served.value
            #expect(eventually { served.value > before + 5 })
            let plugins = round % 2 == 0 ? "tuned" : "guarding,tuned"
            #expect(gateway.reload(["PLUGINS": plugins, "TUNED_MARK": "\(round / 3)"]).problems.isEmpty)
        }
        isOver.store(true, ordering: .relaxed)
        #expect(ended.wait(atMost: .seconds(30)))
        #expect(lost.value == 0)
    }
}
