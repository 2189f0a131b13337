import GatewayHTTP
import GatewayLocks
import GatewayRuntime
import PluginKit
import Testing

@testable import GatewayServer

private struct Broken: Error {}

@Suite("Responses that stream, stall or break")
struct StreamTests {
    private static let piece = [UInt8](repeating: 0x61, count: 64 << 10)

    @Test("a handler stops while its client does not read, and goes on when it does", arguments: Carriage.allCases)
    func backPressure(_ carriage: Carriage) throws {
        let progress = Counting()
        let total = 512
        let gateway = try TestGateway(["HTTP_SEND_BUFFER": "64KiB"], over: carriage) { gateway in
            gateway.get("/much") { _ in
                .stream { writer in
                    for _ in 0..<total {
                        try await writer.write(Self.piece)
                        progress.increment()
                    }
                }
            }
            gateway.get("/quick") { _ in .text("quick") }
        }
        let client = try gateway.connect()
        try client.send(get("/much"))
        // Stalled: as good as proven when the handler is where it was after another connection has been served often.
        var before = -1
        #expect(
            eventually {
                defer { before = progress.value }
                guard progress.value > 0, progress.value == before else { return false }
                for _ in 0..<50 { _ = try? gateway.ask(get("/quick")) }
                return progress.value == before
            })
        #expect(progress.value < total)
        let answer = try client.answer()
        #expect(answer.isWhole)
        #expect(answer.body.count == total * Self.piece.count)
        #expect(progress.value == total)
    }

    @Test("a client that takes nothing for too long is cut off", arguments: ["/much", "/large"])
    func writeTimeout(_ path: String) throws {
        let ended = Notes<String>()
        let gateway = try TestGateway(["HTTP_SEND_BUFFER": "64KiB", "HTTP_WRITE_TIMEOUT": "200"]) { gateway in
            gateway.get("/much") { _ in
                .stream { writer in
                    do {
                        while true { try await writer.write(Self.piece) }
                    } catch {
                        ended.add("\(type(of: error))")
                        throw error
                    }
                }
            }
            gateway.get("/large") { _ in Response(body: .bytes([UInt8](repeating: 1, count: 64 << 20))) }
        }
        let client = try gateway.connect()
        try client.send(get(path, "Connection: close"))
        if path == "/much" {
            #expect(ended.awaitNext())
            #expect(ended.all == ["CancellationError"])
        }
        #expect(gateway.awaitQuiet())
        withExtendedLifetime(client) {}
    }

    @Test("an upstream's failure and busy worker threads have answers of their own")
    func foreignErrors() throws {
        let gateway = try TestGateway { gateway in
            gateway.get("/late") { _ in throw UpstreamError.firstByteTimedOut }
            gateway.get("/away") { _ in throw UpstreamError.connectFailed("10.1.2.3: refused") }
            gateway.get("/busy") { _ in throw WorkerPool.Busy() }
        }
        for (path, status, code) in [
            ("/late", 504, "upstream_timeout"), ("/away", 502, "upstream_unreachable"), ("/busy", 503, "busy"),
        ] {
            let answer = try gateway.ask(get(path))
            #expect(answer.status == status)
            #expect(answer.code == code)
            #expect(!answer.text.contains("10.1.2.3"))
        }
        #expect(gateway.log.contains("10.1.2.3: refused"))
    }

    @Test("a handler that fails before its response is a 500 with a request id, and says nothing of why")
    func failureBefore() throws {
        let gateway = try TestGateway { gateway in
            gateway.get("/fail") { _ in throw Broken() }
            gateway.get("/after") { _ in .text("after") }
        }
        let client = try gateway.connect()
        try client.send(get("/fail"))
        let answer = try client.answer()
        #expect(answer.status == 500)
        #expect(answer.code == "internal")
        #expect(!answer.text.contains("Broken"))
        let id = answer.text.split(separator: "\"requestId\":\"").last.map { String($0.prefix(32)) } ?? ""
        #expect(id.count == 32)
        #expect(gateway.log.contains(id))
        try client.send(get("/after"))
        #expect(try client.answer().text == "after")
    }

    /// What a handler does wrong after its head was sent.
    enum Fault: String, CaseIterable, Sendable { case throwing, less, more }

    @Test("a body that fails is never taken for a whole one", arguments: Fault.allCases, [nil, 10] as [UInt64?])
    func failureAfter(_ fault: Fault, length: UInt64?) throws {
        if length == nil, fault != .throwing { return }
        let gateway = try TestGateway { gateway in
            gateway.get("/fail") { _ in
                .stream(length: length) { writer in
                    try await writer.write(Array("123".utf8))
                    switch fault {
                    case .throwing: throw Broken()
                    case .less: break
                    case .more: try await writer.write(Array("123456789".utf8))
                    }
                }
            }
        }
        let client = try gateway.connect()
        try client.send(get("/fail") + get("/fail"))
        let answer = try client.answer()
        #expect(answer.status == 200)
        #expect(answer.text == "123")
        #expect(!answer.isWhole)
        #expect(try client.isEnded())
        #expect(try gateway.metric("gateway_http_broken_responses_total") == 1)
    }

    @Test("a body that only the connection's end delimits is reset when it fails")
    func failureOfOldFraming() throws {
        let gateway = try TestGateway { gateway in
            gateway.get("/fail") { _ in
                .stream { writer in
                    try await writer.write(Array("123".utf8))
                    throw Broken()
                }
            }
        }
        let client = try gateway.connect()
        try client.send("GET /fail HTTP/1.0\r\n\r\n")
        #expect(throws: Client.Reset.self) { try client.answer() }
    }

    @Test("a handler is cancelled when its client leaves", arguments: [true, false])
    func clientLeaves(byReset: Bool) throws {
        let gate = Gate()
        let outcome = Notes<String>()
        let gateway = try TestGateway { gateway in
            gateway.get("/wait") { request in
                do {
                    try await gate.pass(on: request.loop)
                    outcome.add("passed")
                } catch {
                    outcome.add("\(type(of: error))")
                    throw error
                }
                return .text("done")
            }
        }
        do {
            let client = try gateway.connect()
            try client.send(get("/wait"))
            #expect(gate.awaitArrival())
            if byReset { client.reset() }
        }
        #expect(outcome.awaitNext())
        #expect(outcome.all == ["CancellationError"])
        #expect(gateway.awaitQuiet())
    }

    @Test("a handler that reads a body is cancelled when its client leaves")
    func clientLeavesBody() throws {
        let outcome = Notes<String>()
        let reading = Notes<Int>()
        let gateway = try TestGateway { gateway in
            gateway.post("/read") { request in
                do {
                    while let chunk = try await request.body.next() { reading.add(chunk.count) }
                } catch {
                    outcome.add((error as? GatewayFault)?.code ?? "\(type(of: error))")
                    throw error
                }
                return .text("done")
            }
        }
        do {
            let client = try gateway.connect()
            try client.send("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
            #expect(reading.awaitNext())
            client.reset()
        }
        #expect(outcome.awaitNext())
        #expect(gateway.awaitQuiet())
    }

    @Test("a fast client's endless response leaves other connections their turn")
    func fairness() throws {
        let gateway = try TestGateway { gateway in
            gateway.get("/endless") { _ in .stream { writer in while true { try await writer.write(Self.piece) } } }
            gateway.get("/quick") { _ in .text("quick") }
        }
        let client = try gateway.connect()
        try client.send(get("/endless"))
        for _ in 0..<20 {
            _ = try client.read(4 << 20)
            #expect(try gateway.ask(get("/quick", "Connection: close")).text == "quick")
        }
    }

    @Test("beyond MAX_CONNECTIONS clients wait, and probes on the operations port are still answered")
    func connectionLimit() throws {
        let gateway = try TestGateway(["MAX_CONNECTIONS": "2"]) { gateway in
            gateway.get("/quick") { _ in .text("quick") }
        }
        var clients: [Client] = []
        for _ in 0..<2 {
            let client = try gateway.connect()
            try client.send(get("/quick"))
            #expect(try client.answer().status == 200)
            clients.append(client)
        }
        let waiting = try gateway.connect()
        try waiting.send(get("/quick"))
        #expect(try gateway.ask(get("/livez", "Connection: close"), of: .operations).status == 200)
        #expect(gateway.openConnections <= 3)
        clients.removeLast()
        #expect(try waiting.answer().text == "quick")
    }
}

/// A counter that a loop moves and a test reads.
final class Counting: Sendable {
    private let count = Guarded(0)
    var value: Int { count.withLock { $0 } }
    func increment() { count.withLock { $0 += 1 } }
}
