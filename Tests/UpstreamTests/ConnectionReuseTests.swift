import GatewayHTTP
import GatewayLocks
import GatewayTelemetry
import GatewayTestSupport
import Testing

@testable import GatewayRuntime
@testable import GatewayUpstream

@Suite("Upstream: keeping connections")
struct ConnectionReuseTests {
    @Test("requests one after another share a connection, and that is counted")
    func keepAlive() throws {
        let server = try ScriptedServer { peer, _ in
            while true {
                _ = try peer.readHead()
                try peer.answer("hello")
            }
        }
        let figures = try Rig.with { rig in
            for _ in 0..<5 {
                let text = try await rig.text(.get, server.url())
                #expect(text == "hello")
            }
            return (rig.metrics.opened.value, rig.metrics.reused.value, rig.metrics.failed.value)
        }
        #expect(server.accepted == 1)
        #expect(figures.0 == 1)
        #expect(figures.1 == 4)
        #expect(figures.2 == 0)
    }

    @Test(
        "a connection that may not serve again does not",
        arguments: [
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx",
        ])
    func notReused(_ answer: String) throws {
        let server = try ScriptedServer { peer, number in
            _ = try peer.readHead()
            if number == 0 { try peer.write(answer) } else { try peer.answer("next") }
            _ = peer.waitForEnd()
        }
        let texts = try Rig.with { rig in
            [try await rig.text(.get, server.url()), try await rig.text(.get, server.url())]
        }
        #expect(texts == ["ok", "next"])
        #expect(server.accepted == 2)
    }

    @Test("bytes that come after a response was read are not the next response")
    func lateGarbage() throws {
        let isRead = Signal()
        let isSent = Outcome<Void>()
        let server = try ScriptedServer { peer, number in
            _ = try peer.readHead()
            try peer.answer(number == 0 ? "first" : "second")
            if number == 0 {
                isRead.wait()
                try peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
                isSent.set(.success(()))
            }
            _ = peer.waitForEnd()
        }
        let second = try Rig.with { rig in
            _ = try await rig.text(.get, server.url())
            isRead.raise()
            // Blocks the loop, so that no event tells before the next request looks.
            try isSent.value()
            return try await rig.text(.get, server.url())
        }
        #expect(second == "second")
        #expect(server.accepted == 2)
    }

    @Test("nor are they for whoever waits for the connection")
    func lateGarbageForTheNext() throws {
        let mayWrite = Signal()
        let isSent = Outcome<Void>()
        let server = try ScriptedServer { peer, number in
            _ = try peer.readHead()
            try peer.answer(number == 0 ? "first" : "second")
            if number == 0 {
                mayWrite.wait()
                try peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
                isSent.set(.success(()))
            }
            _ = peer.waitForEnd()
        }
        let texts = try Rig.with(["UPSTREAM_ORIGIN_CONNECTIONS": "1"]) { rig in
            let first = try await rig.send(.get, server.url())
            let next = Guarded<String?>(nil)
            rig.loop.launch {
                let text = (try? await rig.text(.get, server.url())) ?? "failed"
                next.withLock { $0 = text }
            }
            // Until it waits for the connection.
            for _ in 0..<3 { try await rig.loop.sleep(.milliseconds(1)) }
            mayWrite.raise()
            try isSent.value()
            let text = String(decoding: try await first.body.collect(limit: 100), as: UTF8.self)
            try await rig.until { next.withLock { $0 } != nil }
            return [text, next.withLock { $0 } ?? ""]
        }
        #expect(texts == ["first", "second"])
        #expect(server.accepted == 2)
    }

    @Test("an idle connection that the upstream closes is forgotten")
    func idleClosed() throws {
        let closed = Signal()
        let server = try ScriptedServer { peer, number in
            _ = try peer.readHead()
            try peer.answer("\(number)")
            peer.close()
            closed.raise()
        }
        let outcome = try Rig.with { rig in
            var texts: [String] = []
            // Not even a POST, which is never repeated, meets the dead connection.
            for _ in 0..<3 {
                texts.append(try await rig.text(.post, server.url()))
                try await rig.loop.offload("test") { closed.wait() }
            }
            return (texts, rig.metrics.retried.value)
        }
        #expect(outcome.0 == ["0", "1", "2"])
        #expect(outcome.1 == 0)
    }

    @Test(
        "a request is repeated once when a kept connection died before answering",
        arguments: [Method.get, .head, .put, .delete, .options])
    func retried(_ method: GatewayHTTP.Method) throws {
        let server = try Self.dying()
        let figures = try Rig.with { rig in
            _ = try await rig.text(.get, server.url())
            let response = try await rig.send(method, server.url())
            _ = try await response.body.collect(limit: 100)
            return (response.status, rig.metrics.retried.value)
        }
        #expect(figures.0 == .ok)
        #expect(figures.1 == 1)
        #expect(server.accepted == 2)
    }

    /// Answers the first request of the first connection, and hangs up on the second; other connections answer all.
    private static func dying(after partial: String = "", again: Bool = false) throws -> ScriptedServer {
        try ScriptedServer { peer, number in
            if number == 0 {
                _ = try peer.readHead()
                try peer.answer("one")
                _ = try peer.readHead()
                return try peer.write(partial)
            }
            while true {
                let head = try peer.readHead()
                if again { return }
                try peer.answer(head.hasPrefix("HEAD") ? "" : "two")
            }
        }
    }

    @Test("a request that may have had an effect is not repeated", arguments: [Method.post, .patch])
    func notRetried(_ method: GatewayHTTP.Method) throws {
        let server = try Self.dying()
        let outcome = try Rig.with { rig in
            _ = try await rig.text(.get, server.url())
            return await rig.failure { _ = try await rig.send(method, server.url(), body: .bytes([1])) }
        }
        #expect(outcome.name == "closedBeforeAnswer")
        #expect(server.accepted == 1)
    }

    @Test("a request whose body was streamed is not repeated")
    func streamNotRetried() throws {
        let server = try Self.dying()
        let outcome = try Rig.with { rig in
            _ = try await rig.text(.get, server.url())
            let body = UpstreamRequest.Body.stream(length: 0) { nil }
            return await rig.failure { _ = try await rig.send(.put, server.url(), body: body) }
        }
        #expect(outcome.name == "closedBeforeAnswer")
        #expect(server.accepted == 1)
    }

    @Test(
        "once the answer has begun nothing is repeated",
        arguments: ["H", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\n"])
    func notRetriedLate(_ partial: String) throws {
        let server = try Self.dying(after: partial)
        let outcome = try Rig.with { rig in
            _ = try await rig.text(.get, server.url())
            return await rig.failure { _ = try await rig.send(.get, server.url()) }
        }
        #expect(outcome.name == "malformed")
        #expect(server.accepted == 1)
    }

    @Test("a request is repeated no more than once")
    func onlyOnce() throws {
        let server = try Self.dying(again: true)
        let outcome = try Rig.with { rig in
            _ = try await rig.text(.get, server.url())
            return (await rig.failure { _ = try await rig.send(.get, server.url()) }, rig.metrics.retried.value)
        }
        #expect(outcome.0.name == "closedBeforeAnswer")
        #expect(outcome.1 == 1)
        #expect(server.accepted == 2)
    }

    @Test("a fresh connection that dies is not worth a second try")
    func freshNotRetried() throws {
        let server = try ScriptedServer { peer, _ in _ = try peer.readHead() }
        let outcome = try Rig.with { rig in await rig.failure { _ = try await rig.send(.get, server.url()) } }
        #expect(outcome.name == "closedBeforeAnswer")
        #expect(server.accepted == 1)
    }

    @Test("the retry finds room even when every connection there may be is idle")
    func retryAtLimit() throws {
        let server = try Self.dying()
        let text = try Rig.with(["UPSTREAM_ORIGIN_CONNECTIONS": "1"]) { rig in
            _ = try await rig.text(.get, server.url())
            return try await rig.text(.get, server.url())
        }
        #expect(text == "two")
    }

    @Test("idle connections are closed when their time is over")
    func expires() throws {
        let ended = Outcome<Bool>()
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            try peer.answer("x")
            ended.set(.success(peer.waitForEnd()))
        }
        let isOrderly = try Rig.with(["UPSTREAM_KEEP_ALIVE": "5ms"]) { rig in
            _ = try await rig.text(.get, server.url())
            return try await rig.outcome(ended)
        }
        #expect(isOrderly)
    }

    @Test("no more idle connections are kept than allowed")
    func idleLimit() throws {
        let together = Countdown(3)
        let ended = Countdown(2)
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            together.finishOne()
            try peer.answer("x")
            _ = peer.waitForEnd()
            ended.finishOne()
        }
        let kept = try Rig.with(["UPSTREAM_IDLE_CONNECTIONS": "1"]) { rig in
            let done = Counted()
            for _ in 0..<3 {
                rig.loop.launch {
                    _ = try? await rig.text(.get, server.url())
                    done.next()
                }
            }
            try await rig.until { done.value == 3 }
            let all = try await rig.loop.offload("test") { ended.wait(atMost: .seconds(50)) }
            return all
        }
        #expect(kept)
        #expect(server.accepted == 3)
    }
}

@Suite("Upstream: limits of the pool")
struct PoolLimitTests {
    /// Answers `path` of each request, but those to /slow only when the gate opens.
    private static func gated(_ gate: Signal, _ arrived: Signal) throws -> ScriptedServer {
        try ScriptedServer { peer, _ in
            while true {
                let head = try peer.readHead()
                if head.contains("/slow") {
                    arrived.raise()
                    gate.wait()
                }
                try peer.answer("x")
            }
        }
    }

    @Test("at the limit requests wait in order and are handed the connection that becomes free")
    func waiting() throws {
        let (gate, arrived) = (Signal(), Signal())
        let server = try Self.gated(gate, arrived)
        let order = try Rig.with(["UPSTREAM_ORIGIN_CONNECTIONS": "1"]) { rig in
            let order = Guarded<[Int]>([])
            let first = rig.loop.launch { _ = try? await rig.text(.get, server.url("/slow")) }
            try await rig.loop.offload("test") { arrived.wait() }
            var tasks = [first]
            for number in 0..<20 {
                tasks.append(
                    rig.loop.launch {
                        _ = try? await rig.text(.get, server.url())
                        order.withLock { $0.append(number) }
                    })
            }
            await rig.loop.nextTurn()
            gate.raise()
            for task in tasks { await task.value }
            return order.withLock { $0 }
        }
        #expect(order == Array(0..<20))
        #expect(server.accepted == 1)
    }

    @Test("one more than may wait is refused at once")
    func tooMany() throws {
        let (gate, arrived) = (Signal(), Signal())
        let server = try Self.gated(gate, arrived)
        let outcome = try Rig.with(["UPSTREAM_ORIGIN_CONNECTIONS": "1", "UPSTREAM_MAX_WAITING": "1"]) { rig in
            let first = rig.loop.launch { _ = try? await rig.text(.get, server.url("/slow")) }
            try await rig.loop.offload("test") { arrived.wait() }
            let second = rig.loop.launch { _ = try? await rig.text(.get, server.url()) }
            await rig.loop.nextTurn()
            let outcome = await rig.failure { _ = try await rig.send(.get, server.url()) }
            gate.raise()
            await first.value
            await second.value
            return outcome
        }
        #expect(outcome.name == "tooManyWaiting")
    }

    @Test("when all connections of the process are in use a request to another origin is refused")
    func capacity() throws {
        let (gate, arrived) = (Signal(), Signal())
        let server = try Self.gated(gate, arrived)
        let other = try Self.gated(Signal(), Signal())
        let outcome = try Rig.with(["UPSTREAM_MAX_CONNECTIONS": "1"]) { rig in
            let first = rig.loop.launch { _ = try? await rig.text(.get, server.url("/slow")) }
            try await rig.loop.offload("test") { arrived.wait() }
            let full = await rig.failure { _ = try await rig.send(.get, other.url()) }
            let again = await rig.failure { _ = try await rig.send(.get, server.url()) }
            gate.raise()
            await first.value
            // The first connection is idle now: it gives way.
            let text = try await rig.text(.get, other.url())
            return (full.name, again.name, text)
        }
        #expect(outcome.0 == "tooManyConnections" && outcome.1 == "tooManyConnections")
        #expect(outcome.2 == "x")
        #expect(server.accepted == 1 && other.accepted == 1)
    }

    @Test("waiting for room ends with the time to connect")
    func deadline() throws {
        let (gate, arrived) = (Signal(), Signal())
        let server = try Self.gated(gate, arrived)
        let outcome = try Rig.with(["UPSTREAM_ORIGIN_CONNECTIONS": "1"]) { rig in
            let first = rig.loop.launch { _ = try? await rig.text(.get, server.url("/slow")) }
            try await rig.loop.offload("test") { arrived.wait() }
            let brief = UpstreamTimeouts(connect: .milliseconds(10))
            let outcome = await rig.failure { _ = try await rig.send(.get, server.url(), timeouts: brief) }
            gate.raise()
            await first.value
            let after = try await rig.text(.get, server.url())
            return (outcome, after)
        }
        #expect(outcome.0.name == "tooManyWaiting")
        #expect(outcome.1 == "x")
    }

    @Test("a waiter that is cancelled leaves its place to the next, and takes nothing along")
    func cancelled() throws {
        let (gate, arrived) = (Signal(), Signal())
        let server = try Self.gated(gate, arrived)
        let outcome = try Rig.with(["UPSTREAM_ORIGIN_CONNECTIONS": "1"]) { rig in
            let outcomes = Guarded<[String]>([])
            let first = rig.loop.launch { _ = try? await rig.text(.get, server.url("/slow")) }
            try await rig.loop.offload("test") { arrived.wait() }
            let waiting = (0..<3).map { _ in
                rig.loop.launch {
                    let outcome = await rig.failure { _ = try await rig.text(.get, server.url()) }
                    outcomes.withLock { $0.append(outcome.name) }
                }
            }
            await rig.loop.nextTurn()
            waiting[0].cancel()
            gate.raise()
            await first.value
            // Cancelled in the very moment in which it may have been called.
            waiting[1].cancel()
            for task in waiting { await task.value }
            let text3 = try await rig.text(.get, server.url())
            #expect(text3 == "x")
            return outcomes.withLock { $0 }
        }
        #expect(outcome.contains("cancelled"))
        #expect(outcome.contains("nothing"))
        #expect(outcome.count == 3)
    }

    @Test(
        "a connection that closes gives its place to a waiter, whatever the reason",
        arguments: ["close", "reset", "malformed", "incomplete"])
    func placeFreed(_ manner: String) throws {
        let (gate, arrived) = (Signal(), Signal())
        let server = try ScriptedServer { peer, number in
            _ = try peer.readHead()
            guard number == 0 else {
                try peer.answer("second")
                _ = peer.waitForEnd()
                return
            }
            arrived.raise()
            gate.wait()
            switch manner {
            case "reset": peer.reset()
            case "malformed": try peer.write("SMTP 220\r\n\r\n")
            case "incomplete": try peer.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            default: peer.close()
            }
        }
        let text = try Rig.with(["UPSTREAM_ORIGIN_CONNECTIONS": "1"]) { rig in
            let first = rig.loop.launch { _ = try? await rig.text(.post, server.url()) }
            try await rig.loop.offload("test") { arrived.wait() }
            let second = Guarded("")
            let waiting = rig.loop.launch {
                let text = (try? await rig.text(.post, server.url())) ?? "failed"
                second.withLock { $0 = text }
            }
            await rig.loop.nextTurn()
            gate.raise()
            await first.value
            await waiting.value
            return second.withLock { $0 }
        }
        #expect(text == "second")
    }

    @Test("connections that cannot be opened do not use up the limit")
    func failuresReturned() throws {
        let listener = try Socket.listen(on: .loopback(port: 0), backlog: 1)
        let address = try #require(Socket.localAddress(of: listener))
        WatchedDescriptor.discard(listener)
        let outcomes = try Rig.with(["UPSTREAM_ORIGIN_CONNECTIONS": "2"]) { rig in
            var outcomes: [String] = []
            for _ in 0..<6 {
                outcomes.append(await rig.failure { _ = try await rig.send(.get, "http://\(address)/") }.name)
            }
            return (outcomes, rig.metrics.failed.value)
        }
        #expect(outcomes.0 == Array(repeating: "connectFailed", count: 6))
        #expect(outcomes.1 == 6)
    }

    @Test(
        "a body that is dropped unread gives up its connection and its place",
        arguments: ["drop", "discard", "collect"])
    func unreadBody(_ manner: String) throws {
        let ended = Countdown(3)
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            try peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbeginning")
            _ = peer.waitForEnd()
            ended.finishOne()
        }
        let all = try Rig.with(["UPSTREAM_ORIGIN_CONNECTIONS": "1"]) { rig in
            for _ in 0..<3 {
                let response = try await rig.send(.get, server.url())
                switch manner {
                case "discard": response.body.discard()
                case "collect":
                    let outcome = await rig.failure { _ = try await response.body.collect(limit: 100) }
                    #expect(outcome.name == "bodyTooLarge")
                default: break
                }
            }
            return try await rig.loop.offload("test") { ended.wait(atMost: .seconds(50)) }
        }
        #expect(all)
        #expect(server.accepted == 3)
    }
}
