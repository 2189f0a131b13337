import GatewayLocks
import GatewayRuntime
import PluginKit
import Testing

@testable import GatewayServer

@Suite("Ending: what was accepted is completed, the rest is told")
struct DrainTests {
    /// Drains on a thread of its own, as the program does.
    private final class Drain: Sendable {
        private let done = Signal()
        private let outcome = Guarded<Bool?>(nil)

        init(_ gateway: TestGateway) {
            Threads.start("drain") { [self] in
                let finished = gateway.stop()
                outcome.withLock { $0 = finished }
                done.raise()
            }
        }

        /// Whether everything finished by itself; `nil` if the drain never ends.
        func result() -> Bool? { done.wait(atMost: .seconds(30)) ? outcome.withLock { $0 } : nil }
    }

    @Test("a request under way is answered, idle connections close, new ones are refused", arguments: Carriage.allCases)
    func requests(_ carriage: Carriage) throws {
        let gate = Gate()
        let gateway = try TestGateway(over: carriage) { gateway in
            gateway.get("/slow") { request in
                try await gate.pass(on: request.loop)
                return .text("slow")
            }
            gateway.get("/stream") { request in
                .stream { writer in
                    try await writer.write(Array("begun ".utf8))
                    try await gate.pass(on: request.loop)
                    try await writer.write(Array("ended".utf8))
                }
            }
            gateway.get("/quick") { _ in .text("quick") }
        }
        let idle = try gateway.connect()
        try idle.send(get("/quick"))
        #expect(try idle.answer().text == "quick")
        let slow = try gateway.connect()
        try slow.send(get("/slow"))
        #expect(gate.awaitArrival())
        let stream = try gateway.connect()
        try stream.send(get("/stream"))
        #expect(gate.awaitArrival())

        let drain = Drain(gateway)
        #expect(try idle.isEnded())
        #expect(eventually { (try? gateway.connect()) == nil })
        gate.open()
        let answer = try slow.answer()
        #expect(answer.text == "slow")
        #expect(answer["connection"] == "close")
        #expect(try slow.isEnded())
        #expect(try stream.answer().text == "begun ended")
        #expect(drain.result() == true)
    }

    /// `/slow` waits for the gate, `/quick` for nothing.
    private func slowAndQuick(_ gate: Gate) throws -> TestGateway {
        try TestGateway { gateway in
            gateway.get("/slow") { request in
                try await gate.pass(on: request.loop)
                return .text("slow")
            }
            gateway.get("/quick") { _ in .text("quick") }
        }
    }

    @Test("a body nobody has read is not the next request; one that is here is answered", arguments: [false, true])
    func unreadBody(_ isPipelined: Bool) throws {
        let gate = Gate()
        let gateway = try slowAndQuick(gate)
        let idle = try gateway.connect()
        try idle.send(get("/quick"))
        #expect(try idle.answer().text == "quick")
        let slow = try gateway.connect()
        let next = isPipelined ? get("/quick") : ""
        try slow.send(get("/slow", "Content-Length: 3") + "abc" + next)
        #expect(gate.awaitArrival())
        let drain = Drain(gateway)
        // Its end tells that the drain has begun.
        #expect(try idle.isEnded())
        gate.open()
        let answer = try slow.answer()
        #expect(answer.text == "slow" && (answer["connection"] == "close") == !isPipelined)
        if isPipelined {
            let last = try slow.answer()
            #expect(last.text == "quick" && last["connection"] == "close")
        }
        #expect(try slow.isEnded())
        #expect(drain.result() == true)
    }

    @Test("requests that were pipelined behind the one under way are answered too")
    func pipeline() throws {
        let gate = Gate()
        let gateway = try slowAndQuick(gate)
        let client = try gateway.connect()
        try client.send(get("/slow") + get("/quick") + get("/quick"))
        #expect(gate.awaitArrival())
        let drain = Drain(gateway)
        #expect(eventually { (try? gateway.connect()) == nil })
        gate.open()
        for expected in ["slow", "quick", "quick"] { #expect(try client.answer().text == expected) }
        #expect(try client.isEnded())
        #expect(drain.result() == true)
    }

    @Test("under load nobody who has connected is lost, on any loop", arguments: Carriage.allCases)
    func load(_ carriage: Carriage) throws {
        let gateway = try TestGateway(["LOOPS": "2", "DRAIN_GRACE": "900"], over: carriage) { gateway in
            gateway.get("/later") { request in
                await request.loop.nextTurn()
                return .text("later")
            }
        }
        let lost = Notes<String>()
        let served = Counting()
        let ended = Countdown(8)
        for _ in 0..<8 {
            Threads.start("client") {
                defer { ended.finishOne() }
                // A new connection for each request, so whoever could connect is owed one answer.
                while let client = Self.connect(to: gateway, lost) {
                    do {
                        try client.send(get("/later", "Connection: close"))
                        let answer = try client.answer()
                        if answer.text == "later" { served.increment() } else { lost.add(answer.head) }
                    } catch {
                        lost.add("\(error)")
                    }
                }
            }
        }
        #expect(eventually { served.value > 200 })
        #expect(gateway.stop())
        #expect(ended.wait(atMost: .seconds(30)))
        #expect(lost.all == [])
        #expect(gateway.assembly.metrics.connectionsAccepted.value == UInt64(served.value))
    }

    /// `nil` once the port is closed. Whoever could connect and then fails to shake hands is lost.
    private static func connect(to gateway: TestGateway, _ lost: Notes<String>) -> Client? {
        do { return try gateway.connect() } catch is Client.Unreachable { return nil } catch {
            lost.add("\(error)")
            return nil
        }
    }

    @Test("a client that has connected may still send its first request, once", arguments: Carriage.allCases)
    func firstRequest(_ carriage: Carriage) throws {
        let gateway = try TestGateway(["DRAIN_GRACE": "900"], over: carriage) { gateway in
            gateway.get("/quick") { _ in .text("quick") }
        }
        let used = try gateway.connect()
        try used.send(get("/quick"))
        #expect(try used.answer().text == "quick")
        let fresh = try gateway.connect()
        #expect(eventually { gateway.openConnections == 2 })
        let drain = Drain(gateway)
        // Its end tells that the drain has begun.
        #expect(try used.isEnded())
        try fresh.send("GET /quick HTTP/1.1\r\n")
        try fresh.send("Host: x\r\n\r\n")
        let answer = try fresh.answer()
        #expect(answer.text == "quick")
        #expect(answer["connection"] == "close")
        #expect(try fresh.isEnded())
        #expect(drain.result() == true)
    }

    @Test("a client that connects and says nothing keeps nobody waiting")
    func silence() throws {
        let gateway = try TestGateway(["DRAIN_GRACE": "10"])
        let client = try gateway.connect()
        #expect(eventually { gateway.openConnections == 1 })
        let drain = Drain(gateway)
        #expect(try client.isEnded())
        #expect(drain.result() == true)
    }

    @Test("sockets are closed with 1001, over the jitter", arguments: Carriage.allCases)
    func sockets(_ carriage: Carriage) throws {
        let gateway = try TestGateway(["DRAIN_JITTER": "200"], over: carriage) { gateway in
            gateway.webSocket("/socket", access: .anyone) { _ in Silence() }
        }
        let clients = try (0..<8).map { _ in try SocketClient(gateway) }
        let drain = Drain(gateway)
        for client in clients {
            #expect(try client.next() == .close(1001, "Server shutting down"))
            try client.send(SocketClient.close(1001))
            #expect(try client.next() == .end)
        }
        #expect(drain.result() == true)
    }

    @Test("what does not end in time is cut off")
    func bounded() throws {
        let gate = Gate()
        let gateway = try TestGateway(["DRAIN_TIMEOUT": "300", "CLOSE_TIMEOUT": "60s"]) { gateway in
            gateway.get("/never") { request in
                // Deaf to cancellation, too.
                while true { try? await gate.pass(on: request.loop) }
            }
            gateway.webSocket("/socket", access: .anyone) { _ in Silence() }
        }
        let client = try gateway.connect()
        try client.send("POST /never HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        let waiting = try gateway.connect()
        try waiting.send("GET /half a head")
        let socket = try SocketClient(gateway)
        let drain = Drain(gateway)
        #expect(drain.result() == false)
        #expect(try socket.closeCode() == 1001)
    }

    @Test("services are cancelled, and one that throws is started again meanwhile")
    func services() throws {
        struct Trouble: Error {}
        let events = Notes<String>()
        let attempts = Counting()
        let gateway = try TestGateway { gateway in
            gateway.service("worker") { context in
                attempts.increment()
                if attempts.value == 1 { throw Trouble() }
                events.add("started")
                do { try await context.sleep(.seconds(3600)) } catch {
                    events.add("\(type(of: error))")
                    throw error
                }
            }
        }
        #expect(events.awaitNext())
        gateway.stop()
        #expect(events.awaitNext())
        #expect(events.all == ["started", "CancellationError"])
        #expect(gateway.log.contains("service failed and will restart"))
    }

    @Test("readiness goes first, so that nobody sends new work")
    func readiness() throws {
        let gateway = try TestGateway(["DRAIN_DELAY": "2s"])
        #expect(try gateway.ask(get("/readyz", "Connection: close")).status == 200)
        let drain = Drain(gateway)
        #expect(eventually { (try? gateway.ask(get("/readyz", "Connection: close")).status) == 503 })
        #expect(try gateway.ask(get("/livez", "Connection: close")).status == 200)
        #expect(drain.result() == true)
    }
}
