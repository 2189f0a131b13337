import GatewayHTTP
import GatewayTelemetry
import GatewayTestSupport
import Testing

@testable import GatewayRuntime
@testable import GatewayUpstream

@Suite("Upstream: kept connections that the loop has heard nothing of")
struct QuietConnectionTests {
    @Test(
        "one that died unheard of, after a turn began in which it was quiet, loses no request",
        arguments: [(Method.get, 1), (.put, 1), (.post, 0), (.patch, 0)])
    func diesInTurn(_ method: GatewayHTTP.Method, retries: Int) throws {
        let mayClose = Signal()
        let isClosed = Outcome<Void>()
        let server = try ScriptedServer { peer, number in
            _ = try peer.readHead()
            try peer.answer(number == 0 ? "first" : "second")
            guard number == 0 else { return }
            mayClose.wait()
            peer.close()
            isClosed.set(.success(()))
        }
        let outcome = try Rig.with { rig in
            _ = try await rig.text(.get, server.url())
            await rig.turn()
            mayClose.raise()
            // Blocks the loop, so that no event tells before the next request looks.
            try isClosed.value()
            return (try await rig.text(method, server.url(), body: .bytes([1])), rig.metrics.retried.value)
        }
        #expect(outcome.0 == "second")
        // What may be repeated is sent and sent again; anything else is not sent before the kernel was asked.
        #expect(outcome.1 == retries)
        #expect(server.accepted == 2)
    }

    @Test("one that speaks unasked serves nobody once the loop has heard of it")
    func speaksUnasked() throws {
        let mayWrite = Signal()
        let isSent = Outcome<Void>()
        let server = try ScriptedServer { peer, number in
            _ = try peer.readHead()
            try peer.answer(number == 0 ? "first" : "second")
            guard number == 0 else { return }
            mayWrite.wait()
            try peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            isSent.set(.success(()))
            _ = peer.waitForEnd()
        }
        let outcome = try Rig.with { rig in
            _ = try await rig.text(.get, server.url())
            await rig.turn()
            mayWrite.raise()
            try isSent.value()
            await rig.turn()
            return (try await rig.text(.get, server.url()), rig.metrics.reused.value)
        }
        #expect(outcome.0 == "second")
        #expect(outcome.1 == 0)
    }

    @Test("the newest one of an earlier turn serves, ahead of those of this turn")
    func order() throws {
        let arrived = [Signal(), Signal()]
        let server = try ScriptedServer { peer, number in
            while true {
                let head = try peer.readHead()
                if head.contains("/both") {
                    // Answers only once the other is there, so that there are two.
                    arrived[number].raise()
                    arrived[1 - number].wait()
                }
                try peer.answer("\(number)")
            }
        }
        let served = try Rig.with { rig in
            let done = Counted()
            for _ in 0..<2 {
                rig.loop.launch {
                    _ = try? await rig.text(.get, server.url("/both"))
                    done.next()
                }
            }
            try await rig.until { done.value == 2 }
            await rig.turn()
            let first = try await rig.text(.get, server.url())
            // In the same turn: the one that has just served may not, as long as there is one that was quiet before.
            let second = try await rig.text(.get, server.url())
            await rig.turn()
            return ([first, second], rig.metrics.opened.value)
        }
        #expect(Set(served.0) == ["0", "1"])
        #expect(served.1 == 2)
    }
}
