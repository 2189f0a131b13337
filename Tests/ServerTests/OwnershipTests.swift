import GatewayHTTP
import GatewayLocks
import GatewayRuntime
import PluginKit
import Testing

@testable import GatewayServer

/// Suspends until the gate opens, then lets the request on.
private struct Hold: Middleware {
    let gate: Gate

    func handle(_ request: Request, next: Next) async throws -> Response {
        if request.path == "/slow" { try await gate.pass(on: request.loop) }
        return try await next(request)
    }
}

/// Requests that a plugin keeps after their response. Touched on the loop, or when the loop is gone.
private final class Keeper: @unchecked Sendable {
    // Safe: one loop adds, and the test reads on that loop.
    var requests: [Request] = []
    var bodies: [RequestBody] = []
    var writers: [any BodyWriter] = []
    weak var weakRequest: Request?
}

@Suite("Nobody reads another's request: what is borrowed from the loop's buffer is owned before it is filled again")
struct OwnershipTests {
    @Test(
        "a request suspended in a middleware still reads its own token after another came on the same loop",
        arguments: Carriage.allCases)
    func suspendedRequest(_ carriage: Carriage) throws {
        let gate = Gate()
        let gateway = try TestGateway(over: carriage) { gateway in
            gateway.use(Hold(gate: gate), on: .everyRequest)
            for path in ["/slow", "/fast"] {
                gateway.get(path) { request in .text("\(request.path) \(request.header(.authorization) ?? "none")") }
            }
        }
        let first = try gateway.connect()
        let second = try gateway.connect()
        try first.send(get("/slow", "Authorization: Bearer the-first-token"))
        #expect(gate.awaitArrival())
        for _ in 0..<3 {
            try second.send(get("/fast", "Authorization: Bearer other-secrets!"))
            #expect(try second.answer().text == "/fast Bearer other-secrets!")
        }
        gate.open()
        #expect(try first.answer().text == "/slow Bearer the-first-token")
    }

    @Test("a request whose pipelined successor waits reads itself, and the successor reads itself")
    func suspendedPipeline() throws {
        let gate = Gate()
        let gateway = try TestGateway { gateway in
            gateway.use(Hold(gate: gate), on: .everyRequest)
            for path in ["/slow", "/fast"] {
                gateway.get(path) { request in .text("\(request.path) \(request.header(.authorization) ?? "none")") }
            }
        }
        let first = try gateway.connect()
        let second = try gateway.connect()
        try first.send(get("/slow", "Authorization: one") + get("/fast", "Authorization: two"))
        #expect(gate.awaitArrival())
        try second.send(get("/fast", "Authorization: an other, longer than both"))
        #expect(try second.answer().text == "/fast an other, longer than both")
        gate.open()
        #expect(try first.answer().text == "/slow one")
        #expect(try first.answer().text == "/fast two")
    }

    /// How the connection goes on after the request that is kept.
    enum Ending: String, CaseIterable, Sendable { case keepAlive, close, upgrade }

    @Test("a request that a plugin keeps stays as it was", arguments: Ending.allCases)
    func keptRequest(_ ending: Ending) throws {
        let keeper = Keeper()
        let gateway = try TestGateway { gateway in
            gateway.get("/keep") { request in
                keeper.requests.append(request)
                return .text("kept")
            }
            gateway.webSocket("/socket", access: .anyone) { request in
                keeper.requests.append(request)
                return Silence()
            }
            gateway.get("/fast") { _ in .text("fast") }
            gateway.get("/kept") { _ in
                .text(
                    keeper.requests.map { "\($0.path) \($0.header(.authorization) ?? "none")" }.joined(separator: "|"))
            }
        }
        let client = try gateway.connect()
        let token = "Authorization: Bearer the-first-token"
        switch ending {
        case .keepAlive: try client.send(get("/keep", token))
        case .close: try client.send(get("/keep", token, "Connection: close"))
        case .upgrade:
            try client.send(get("/socket", token).replacingEnd(with: webSocketFields))
        }
        #expect(try client.answer().status == (ending == .upgrade ? 101 : 200))
        if ending == .keepAlive {
            try client.send(get("/fast", "Authorization: something else on this one"))
            #expect(try client.answer().text == "fast")
        }
        let other = try gateway.connect()
        try other.send(get("/fast", "Authorization: something else, and rather longer than that"))
        #expect(try other.answer().text == "fast")
        try other.send(get("/kept"))
        let path = ending == .upgrade ? "/socket" : "/keep"
        #expect(try other.answer().text == "\(path) Bearer the-first-token")
        gateway.stop()
    }

    @Test("a body or a writer that a plugin keeps reads and writes nothing of the next exchange")
    func keptBody() throws {
        let keeper = Keeper()
        let gateway = try TestGateway { gateway in
            gateway.post("/keep") { request in
                keeper.bodies.append(request.body)
                return .stream { writer in
                    keeper.writers.append(writer)
                    try await writer.write([0x6B])
                }
            }
            gateway.post("/read") { request in
                var stolen = 0
                for body in keeper.bodies where (try? await body.next()) != nil { stolen += 1 }
                for writer in keeper.writers where (try? await writer.write([0x78])) != nil { stolen += 1 }
                let bytes = try await request.body.collect(limit: 100)
                return .text("\(stolen) \(String(decoding: bytes, as: UTF8.self))")
            }
        }
        let client = try gateway.connect()
        try client.send("POST /keep HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        #expect(try client.answer().text == "k")
        try client.send("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nsecret")
        #expect(try client.answer().text == "0 secret")
        gateway.stop()
    }

    @Test("connections are freed when they end, however they end", arguments: Carriage.allCases)
    func freed(_ carriage: Carriage) throws {
        let gate = Gate()
        let tracker = Tracker()
        let gateway = try TestGateway(["DRAIN_TIMEOUT": "100"], over: carriage) { gateway in
            gateway.get("/quick") { _ in .text("quick") }
            gateway.get("/slow") { request in
                try await gate.pass(on: request.loop)
                return .text("slow")
            }
            gateway.webSocket("/socket", access: .anyone) { _ in tracker.make() }
        }
        for request in [
            get("/quick"), get("/quick", "Connection: close"), get("/slow"), "GET / HTTP/1.1\r\n\r\n", "GET /qu",
            get("/socket").replacingEnd(with: webSocketFields),
        ] {
            let client = try gateway.connect()
            try client.send(request)
            if request.contains("slow") {
                #expect(gate.awaitArrival())
            } else if request.contains("quick HTTP") {
                #expect(try client.answer().status == 200)
            } else if request.contains("socket") {
                #expect(try client.answer().status == 101)
            }
        }
        #expect(gateway.awaitQuiet())
        #expect(eventually { tracker.alive == 0 && tracker.made == 1 })
        let handle = try #require(gateway.assembly.loops.first)
        weak var server: LoopServer?
        onLoop(handle.loop) { server = handle.server }
        #expect(server != nil)
        onLoop(handle.loop) { handle.server = nil }
        // Its timer for the access log may hold it a moment longer.
        #expect(eventually { server == nil })
        gateway.stop()
    }
}

/// Makes socket handlers and counts those that live.
private final class Tracker: Sendable {
    private let counts = Guarded<(alive: Int, made: Int)>((0, 0))
    var alive: Int { counts.withLock { $0.alive } }
    var made: Int { counts.withLock { $0.made } }

    func make() -> any WebSocketHandler {
        counts.withLock { $0 = ($0.alive + 1, $0.made + 1) }
        return Tracked(self)
    }

    private final class Tracked: WebSocketHandler {
        let tracker: Tracker
        var socket: (any WebSocket)?
        init(_ tracker: Tracker) { self.tracker = tracker }
        deinit { tracker.counts.withLock { $0.alive -= 1 } }

        func received(_ message: WebSocketMessage, on socket: any WebSocket) {}
    }
}

/// Runs `work` on a loop and waits for it.
func onLoop(_ loop: EventLoop, _ work: @escaping () -> Void) {
    // Safe: the caller waits, so nothing is touched by two threads at once.
    nonisolated(unsafe) let work = work
    let done = Signal()
    loop.submit {
        unsafe work()
        done.raise()
    }
    done.wait()
}

/// What makes a GET an opening handshake; the key is RFC 6455's.
let webSocketFields =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

extension String {
    /// The head with `fields` in place of its empty line.
    func replacingEnd(with fields: String) -> String { String(decoding: utf8.dropLast(2), as: UTF8.self) + fields }
}
