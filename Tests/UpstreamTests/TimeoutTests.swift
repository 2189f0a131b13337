import GatewayHTTP
import GatewayLocks
import GatewayTelemetry
import GatewayTestSupport
import Glibc
import Testing

@testable import GatewayRuntime
@testable import GatewayUpstream

@Suite("Upstream: time-outs and cancellation")
struct TimeoutTests {
    /// Reads a request, writes `beginning`, then waits until the client goes, and says so.
    private static func silent(_ beginning: String) throws -> (ScriptedServer, Signal) {
        let ended = Signal()
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            try peer.write(beginning)
            _ = peer.waitForEnd()
            ended.raise()
        }
        return (server, ended)
    }

    @Test("an upstream that does not answer in time", arguments: ["", "HTTP/1.1 200", "HTTP/1.1 100 Continue\r\n\r\n"])
    func firstByte(_ beginning: String) throws {
        let (server, ended) = try Self.silent(beginning)
        let outcome = try Rig.with(["UPSTREAM_FIRST_BYTE_TIMEOUT": "30ms"]) { rig in
            let outcome = await rig.failure { _ = try await rig.send(.get, server.url()) }
            return (outcome, try await rig.loop.offload("test") { ended.wait(atMost: .seconds(50)) })
        }
        #expect(outcome.0.name == "firstByteTimedOut")
        #expect(outcome.1)
    }

    @Test("the time for the first byte runs once, from the request", arguments: [false, true])
    func firstByteOnce(_ streams: Bool) throws {
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            try peer.answer("ready")
            _ = try peer.readHead()
            _ = peer.waitForEnd()
        }
        let order = try Rig.with(["UPSTREAM_FIRST_BYTE_TIMEOUT": "400ms"]) { rig in
            let address = server.url()
            // So that nothing has to be dialled when both clocks begin.
            _ = try await rig.text(.get, address)
            let request = Self.body(of: streams ? 3 : nil)
            let over = LoopWait()
            var order: [String] = []
            rig.loop.launch {
                order.append(await rig.failure { _ = try await rig.send(.put, address, body: request) }.name)
                over.wake()
            }
            // Both clocks are the loop's own: their order does not depend on how fast anything is.
            try await rig.loop.sleep(.milliseconds(700))
            order.append("nearly twice the time")
            _ = await over.run(on: rig.loop)
            return order
        }
        #expect(order == ["firstByteTimedOut", "nearly twice the time"])
    }

    /// A body that is streamed byte by byte, `pause` before each; none at all without a count.
    private static func body(
        of count: Int?, after pause: (@Sendable () async throws -> Void)? = nil
    ) -> UpstreamRequest.Body {
        guard let count else { return .none }
        let left = Guarded(count)
        return .stream(length: UInt64(count)) {
            guard left.withLock({ $0 > 0 }) else { return nil }
            left.withLock { $0 -= 1 }
            try await pause?()
            return [1]
        }
    }

    @Test(
        "a body that stops arriving",
        arguments: ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n5\r\nha", "\r\nhalf"])
    func idle(_ rest: String) throws {
        let (server, ended) = try Self.silent("HTTP/1.1 200 OK\r\n" + rest)
        let outcome = try Rig.with(["UPSTREAM_IDLE_TIMEOUT": "30ms"]) { rig in
            let outcome = await rig.failure { _ = try await rig.text(.get, server.url()) }
            return (outcome, try await rig.loop.offload("test") { ended.wait(atMost: .seconds(50)) })
        }
        #expect(outcome.0.name == "idleTimedOut")
        #expect(outcome.1)
    }

    @Test("a reader that is slow itself is not the upstream's fault")
    func slowReader() throws {
        let body = String(repeating: "x", count: 300_000)
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            try peer.answer(body)
            _ = peer.waitForEnd()
        }
        let count = try Rig.with(["UPSTREAM_IDLE_TIMEOUT": "20ms"]) { rig in
            let response = try await rig.send(.get, server.url())
            var count = 0
            while let bytes = try await response.body.next() {
                count += bytes.count
                // The subject: longer than the upstream may pause.
                try await rig.loop.sleep(.milliseconds(60))
            }
            return count
        }
        #expect(count == 300_000)
    }

    @Test(
        "a source of the request that is slow is not the upstream's fault, whether or not that has begun to answer",
        arguments: [false, true])
    func slowSource(_ answersEarly: Bool) throws {
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            if answersEarly { try peer.write("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n") }
            _ = try peer.read(3)
            if answersEarly { try peer.write("patient") } else { try peer.answer("patient") }
            _ = peer.waitForEnd()
        }
        let settings = ["UPSTREAM_FIRST_BYTE_TIMEOUT": "500ms", "UPSTREAM_IDLE_TIMEOUT": "500ms"]
        let text = try Rig.with(settings) { rig in
            // The subject: longer than an answer may take to begin, or pause.
            let body = Self.body(of: 3) { try await rig.loop.sleep(.milliseconds(600)) }
            return try await rig.text(.post, server.url(), body: body)
        }
        #expect(text == "patient")
    }

    @Test("an upstream that pauses behind a request that was taken is late, whatever the request was")
    func idleAfterUpload() throws {
        let (server, ended) = try Self.silent("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        let outcome = try Rig.with(["UPSTREAM_IDLE_TIMEOUT": "30ms"]) { rig in
            let outcome = await rig.failure { _ = try await rig.text(.post, server.url(), body: Self.body(of: 3)) }
            return (outcome, try await rig.loop.offload("test") { ended.wait(atMost: .seconds(50)) })
        }
        #expect(outcome.0.name == "idleTimedOut")
        #expect(outcome.1)
    }

    @Test("an address that answers nothing at all")
    func connect() throws {
        let hole = try BlackHole()
        let outcome = try Rig.with(["UPSTREAM_CONNECT_TIMEOUT": "50ms"]) { rig in
            await rig.failure { _ = try await rig.send(.get, "http://\(hole.address)/") }
        }
        #expect(outcome.name == "connectTimedOut")
        withExtendedLifetime(hole) {}
    }

    @Test("a peer that accepts and never finishes the TLS handshake")
    func handshake() throws {
        let server = try ScriptedServer { peer, _ in _ = peer.waitForEnd() }
        let outcome = try Rig.with(["UPSTREAM_CONNECT_TIMEOUT": "50ms"]) { rig in
            await rig.failure { _ = try await rig.send(.get, "https://\(server.address)/") }
        }
        #expect(outcome.name == "connectTimedOut")
    }

    @Test("looking a name up ends with the time to connect, too")
    func lookUp() throws {
        let gate = Signal()
        let outcome = try Rig.with(
            ["UPSTREAM_CONNECT_TIMEOUT": "30ms"],
            workers: WorkerPool(threads: 1),
            names: { _ in
                gate.wait()
                return []
            }
        ) { rig in
            let outcome = await rig.failure { _ = try await rig.send(.get, "http://slow.example/") }
            gate.raise()
            // The only worker has then handed over what it found: not to a loop that has ended.
            try await rig.loop.offload("afterwards") {}
            return outcome
        }
        #expect(outcome.name == "connectTimedOut")
    }

    @Test(
        "cancelling closes the connection, whatever it waits for and whoever cancels",
        arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"], [true, false])
    func cancelled(_ beginning: String, _ fromElsewhere: Bool) throws {
        let (server, ended) = try Self.silent(beginning)
        let outcome = try Rig.with { rig in
            let failure = Outcome<Rig.Failure>()
            let task = rig.loop.launch {
                failure.set(.success(await rig.failure { _ = try await rig.text(.get, server.url()) }))
            }
            try await rig.until { server.accepted == 1 }
            for _ in 0..<3 { await rig.loop.nextTurn() }
            if fromElsewhere { Threads.start("canceller") { task.cancel() } } else { task.cancel() }
            await task.value
            let isOver = try await rig.loop.offload("test") { ended.wait(atMost: .seconds(50)) }
            return (try await rig.outcome(failure), isOver)
        }
        #expect(outcome.0.name == "cancelled")
        #expect(outcome.1)
    }

    @Test("a task that is cancelled already sends nothing")
    func cancelledBefore() throws {
        let requests = Counted()
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            requests.next()
        }
        let outcome = try Rig.with { rig in
            let failure = Outcome<Rig.Failure>()
            let task = rig.loop.launch {
                failure.set(.success(await rig.failure { _ = try await rig.text(.get, server.url()) }))
            }
            task.cancel()
            await task.value
            return try await rig.outcome(failure)
        }
        #expect(outcome.name == "cancelled")
        #expect(requests.value == 0)
    }

    @Test("cancelling while connecting or looking up ends both", arguments: ["connect", "look-up"])
    func cancelledEarly(_ stage: String) throws {
        let hole = try BlackHole()
        let gate = Signal()
        let outcome = try Rig.with(names: { _ in
            gate.wait()
            return []
        }) { rig in
            let failure = Outcome<Rig.Failure>()
            let url = stage == "connect" ? "http://\(hole.address)/" : "http://slow.example/"
            let task = rig.loop.launch {
                failure.set(.success(await rig.failure { _ = try await rig.text(.get, url) }))
            }
            for _ in 0..<3 { await rig.loop.nextTurn() }
            task.cancel()
            await task.value
            gate.raise()
            return (try await rig.outcome(failure), rig.metrics.failed.value)
        }
        #expect(outcome.0.name == "cancelled")
        #expect(outcome.1 == 0)
        withExtendedLifetime(hole) {}
    }

    @Test("a cancellation that comes late harms nobody else's request")
    func lateCancellation() throws {
        let server = try ScriptedServer { peer, _ in
            while true {
                _ = try peer.readHead()
                try peer.answer("x")
            }
        }
        let outcome = try Rig.with(["UPSTREAM_ORIGIN_CONNECTIONS": "1"]) { rig in
            var failures = 0
            for _ in 0..<200 {
                let first = rig.loop.launch { _ = try? await rig.text(.post, server.url()) }
                let second = rig.loop.launch {
                    let text = try? await rig.text(.post, server.url())
                    if text != "x" { failures += 1 }
                }
                await rig.loop.nextTurn()
                Threads.start("canceller") { first.cancel() }
                await first.value
                await second.value
            }
            return failures
        }
        #expect(outcome == 0)
    }
}

/// An address that takes no connection and refuses none: its backlog is full.
final class BlackHole: Sendable {
    let address: SocketAddress
    private let descriptors: [CInt]

    init() throws {
        let listener = try Socket.listen(on: .loopback(port: 0), backlog: 0)
        let address = try #require(Socket.localAddress(of: listener))
        var descriptors = [listener]
        // Until one is left hanging, and then one more.
        for _ in 0..<8 { descriptors.append(try Socket.connect(to: address)) }
        self.address = address
        self.descriptors = descriptors
    }

    deinit { for descriptor in descriptors { close(descriptor) } }
}
