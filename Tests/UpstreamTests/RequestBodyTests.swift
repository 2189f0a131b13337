import GatewayHTTP
import GatewayLocks
import GatewayTestSupport
import Testing

@testable import GatewayRuntime
@testable import GatewayUpstream

@Suite("Upstream: requests")
struct RequestBodyTests {
    struct SourceBroke: Error {}

    @Test("a request arrives as it was meant", arguments: ["none", "bytes", "length", "chunked"])
    func arrives(_ kind: String) throws {
        let seen = Outcome<String>()
        let server = try ScriptedServer { peer, _ in
            let head = try peer.readHead()
            let body =
                switch kind {
                case "none": [UInt8]()
                case "chunked": try peer.read(through: "0\r\n\r\n")
                default: try peer.read(6)
                }
            seen.set(.success(head + String(decoding: body, as: UTF8.self)))
            try peer.answer("ok")
            _ = peer.waitForEnd()
        }
        let text = try Rig.with { rig in
            let pieces = Guarded<[[UInt8]]>([Array("abc".utf8), [], Array("def".utf8)])
            let next: () async throws -> [UInt8]? = { pieces.withLock { $0.isEmpty ? nil : $0.removeFirst() } }
            let body: UpstreamRequest.Body =
                switch kind {
                case "none": .none
                case "bytes": .bytes(Array("abcdef".utf8))
                case "length": .stream(length: 6, next: next)
                default: .stream(length: nil, next: next)
                }
            var request = try rig.request(.put, server.url("/a/b?c=d"), body: body)
            request.fields.append(.accept, "text/plain")
            request.host = "other.example"
            let response = try await rig.client.send(request)
            return String(decoding: try await response.body.collect(limit: 10), as: UTF8.self)
        }
        #expect(text == "ok")
        let expected =
            switch kind {
            case "none": "Content-Length: 0\r\n\r\n"
            case "chunked": "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
            default: "Content-Length: 6\r\n\r\nabcdef"
            }
        #expect(try seen.value() == "PUT /a/b?c=d HTTP/1.1\r\nHost: other.example\r\nAccept: text/plain\r\n" + expected)
    }

    @Test("a host that cannot stand in a request is refused before anything is sent")
    func badHost() throws {
        let server = try ScriptedServer { peer, _ in _ = peer.waitForEnd() }
        let outcome = try Rig.with { rig in
            var request = try rig.request(.get, server.url())
            request.host = "evil.example\r\nX: y"
            return await rig.failure { _ = try await rig.client.send(request) }
        }
        #expect(outcome.name == "unsendable")
    }

    @Test("a request outside a loop is refused")
    func noLoop() async throws {
        let client = try Rig.with { rig in rig.client }
        let url = try HTTPURL("http://127.0.0.1:1/")
        await #expect(throws: UpstreamError.self) {
            _ = try await client.send(UpstreamRequest(.get, url, destination: .operator))
        }
    }

    @Test("a streamed body waits for an upstream that reads slowly")
    func backPressure() throws {
        let size = 64 << 20
        let begin = Signal()
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            begin.wait()
            _ = try peer.read(size)
            try peer.answer("read")
            _ = peer.waitForEnd()
        }
        let outcome = try Rig.with { rig in
            let made = Counted()
            let block = [UInt8](repeating: 9, count: 1 << 20)
            let body = UpstreamRequest.Body.stream(length: UInt64(size)) {
                guard made.value < 64 else { return nil }
                made.next()
                await rig.loop.nextTurn()
                return block
            }
            let text = Guarded("")
            let task = rig.loop.launch {
                let answer = (try? await rig.text(.post, server.url(), body: body)) ?? "failed"
                text.withLock { $0 = answer }
            }
            let ahead = try await rig.settled { made.value }
            begin.raise()
            await task.value
            return (ahead, made.value, text.withLock { $0 })
        }
        #expect(outcome.0 < 64)
        #expect(outcome.1 == 64)
        #expect(outcome.2 == "read")
    }

    @Test(
        "an answer that comes before the request is over is read, and the connection serves no more",
        arguments: [true, false])
    func earlyAnswer(_ closes: Bool) throws {
        let server = try ScriptedServer { peer, number in
            _ = try peer.readHead()
            if number > 0 { return try peer.answer("second") }
            try peer.write("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nenough".dropLast().description)
            if !closes { _ = peer.waitForEnd() }
        }
        let outcome = try Rig.with { rig in
            let isCancelled = Outcome<Bool>()
            let body = UpstreamRequest.Body.stream(length: nil) {
                do { try await rig.loop.sleep(.seconds(40)) } catch {
                    isCancelled.set(.success(true))
                    throw error
                }
                return nil
            }
            let response = try await rig.send(.post, server.url(), body: body)
            let text = String(decoding: try await response.body.collect(limit: 100), as: UTF8.self)
            return (response.status, text, try await rig.outcome(isCancelled), try await rig.text(.get, server.url()))
        }
        #expect(outcome.0 == .contentTooLarge)
        #expect(outcome.1 == "enoug")
        #expect(outcome.2)
        #expect(outcome.3 == "second")
        #expect(server.accepted == 2)
    }

    @Test("an answer is not lost when the upstream hangs up on the rest of the request")
    func answerBeforeReset() throws {
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            _ = try peer.read(100_000)
            try peer.write("HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\n\r\nenough")
            // Closing with unread input resets the connection.
        }
        let outcomes = try Rig.with { rig in
            var outcomes: [String] = []
            for _ in 0..<10 {
                let block = [UInt8](repeating: 1, count: 50_000)
                let body = UpstreamRequest.Body.stream(length: nil) {
                    await rig.loop.nextTurn()
                    return block
                }
                do {
                    let response = try await rig.send(.post, server.url(), body: body)
                    let text = try await response.body.collect(limit: 100)
                    outcomes.append(String(decoding: text, as: UTF8.self))
                } catch {
                    outcomes.append("\(error)")
                }
            }
            return outcomes
        }
        // A reset may destroy what is on its way; what had arrived is read.
        #expect(outcomes.contains("enough"))
    }

    @Test("a body of another length than declared is never sent as whole", arguments: [5, 7])
    func wrongLength(_ declared: UInt64) throws {
        let ended = Outcome<Bool>()
        let server = try ScriptedServer { peer, _ in
            // A reset may overtake the head.
            ended.set(.success((try? peer.readHead()) != nil && peer.waitForEnd()))
        }
        let outcome = try Rig.with { rig in
            let pieces = Guarded<[[UInt8]]>([[1, 2, 3], [4, 5, 6]])
            let body = UpstreamRequest.Body.stream(length: declared) {
                pieces.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            }
            let outcome = await rig.failure { _ = try await rig.send(.post, server.url(), body: body) }
            return (outcome, try await rig.outcome(ended))
        }
        #expect(outcome.0.name == "unsendable")
        #expect(!outcome.1)
    }

    @Test("a source that breaks is the error, and the upstream is reset")
    func brokenSource() throws {
        let ended = Outcome<Bool>()
        let server = try ScriptedServer { peer, _ in
            // A reset may overtake the head.
            ended.set(.success((try? peer.readHead()) != nil && peer.waitForEnd()))
        }
        let outcome = try Rig.with { rig in
            let body = UpstreamRequest.Body.stream(length: nil) { throw SourceBroke() }
            let outcome = await rig.failure { _ = try await rig.send(.post, server.url(), body: body) }
            return (outcome, try await rig.outcome(ended))
        }
        #expect(outcome.0.name == "SourceBroke()")
        #expect(!outcome.1)
    }
}
