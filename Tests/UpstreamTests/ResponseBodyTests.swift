import GatewayBytes
import GatewayHTTP
import GatewayTestSupport
import Glibc
import Testing

@testable import GatewayRuntime
@testable import GatewayTransport
@testable import GatewayUpstream

@Suite("Upstream: responses")
struct ResponseBodyTests {
    /// Sends each request one answer; the connection closes after the last.
    private static func answering(
        _ answers: [String], byteByByte: Bool = false, thenReset: Bool = false
    ) throws -> ScriptedServer {
        try ScriptedServer { peer, _ in
            for answer in answers {
                _ = try peer.readHead()
                if byteByByte { try peer.writeByteByByte(answer) } else { try peer.write(answer) }
            }
            if thenReset { peer.reset() }
        }
    }

    @Test(
        "a body is whole however it is delimited and cut up",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\nETag: \"x\"\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello world",
            "HTTP/1.0 200 OK\r\n\r\nhello world",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        ], [true, false])
    func whole(_ answer: String, _ byteByByte: Bool) throws {
        let server = try Self.answering([answer], byteByByte: byteByByte)
        #expect(try Rig.with { rig in try await rig.text(.get, server.url()) } == "hello world")
    }

    @Test(
        "a body that ends early is never taken for a whole one",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nhello world",
        ], [true, false])
    func incomplete(_ answer: String, _ resets: Bool) throws {
        let server = try Self.answering([answer], thenReset: resets)
        let outcome = try Rig.with { rig in
            let response = try? await rig.send(.get, server.url())
            guard let response else { return ["closedBeforeAnswer", "closedBeforeAnswer"] }
            var names: [String] = []
            // It stays an error, however often it is asked.
            for _ in 0..<2 { names.append(await rig.failure { while try await response.body.next() != nil {} }.name) }
            return names
        }
        #expect(outcome == ["bodyIncomplete", "bodyIncomplete"] || (resets && outcome[0] == "closedBeforeAnswer"))
    }

    @Test("a reset is no end of a body that lasts until the end")
    func resetUntilClose() throws {
        let isRead = Signal()
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            try peer.write("HTTP/1.1 200 OK\r\n\r\nhello")
            isRead.wait()
            peer.reset()
        }
        let outcome = try Rig.with { rig in
            let response = try await rig.send(.get, server.url())
            let first = try await response.body.next()
            isRead.raise()
            let failure = await rig.failure { while try await response.body.next() != nil {} }
            return (first, failure)
        }
        #expect(outcome.0 == Array("hello".utf8))
        #expect(outcome.1.name == "bodyIncomplete")
    }

    @Test(
        "bad chunks are an error",
        arguments: ["x\r\n", "5\r\nhelloX\r\n", "5 \r\nhello\r\n", "-1\r\n", "fffffffffffffffff\r\n", "5\nhello\n"])
    func badChunks(_ body: String) throws {
        let server = try Self.answering(["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body])
        let outcome = try Rig.with { rig in await rig.failure { _ = try await rig.text(.get, server.url()) } }
        #expect(outcome.name == "malformed")
    }

    @Test(
        "an answer without a body has none, and the connection serves on",
        arguments: [
            (Method.head, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n", 50),
            (.head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", nil),
            (.get, "HTTP/1.1 204 No Content\r\n\r\n", nil),
            (.get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 7),
            (.get, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
        ] as [(GatewayHTTP.Method, String, UInt64?)])
    func bodiless(_ method: GatewayHTTP.Method, _ answer: String, _ declared: UInt64?) throws {
        let server = try Self.answering([answer, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"])
        let outcome = try Rig.with { rig in
            let response = try await rig.send(method, server.url())
            let body = try await response.body.next()
            return (body, response.declaredLength, response.body.length, try await rig.text(.get, server.url()))
        }
        #expect(outcome.0 == nil)
        #expect(outcome.1 == declared)
        #expect(outcome.2 == 0)
        #expect(outcome.3 == "next")
        #expect(server.accepted == 1)
    }

    @Test(
        "an answer that could be read in two ways, or is none, is refused",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
            "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
            "HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/2 200\r\n\r\n", "220 smtp.example\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\nabc",
            String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 9),
            "HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 70_000) + "\r\n\r\n",
        ])
    func refused(_ answer: String) throws {
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            try peer.write(answer)
            _ = peer.waitForEnd()
        }
        let outcome = try Rig.with { rig in await rig.failure { _ = try await rig.send(.get, server.url()) } }
        #expect(outcome.name == "malformed")
    }

    @Test("fields are passed on without those of the connection")
    func fields() throws {
        let server = try Self.answering([
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: keep-alive, TE\r\nKeep-Alive: 5\r\nTE: x\r\n"
                + "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"
        ])
        let outcome = try Rig.with { rig in
            let response = try await rig.send(.get, server.url())
            defer { response.body.discard() }
            return (response.header(.contentType), response.header(.eTag), response.endToEndFields.description)
        }
        #expect(outcome.0 == "text/plain")
        #expect(outcome.1 == nil)
        #expect(outcome.2 == "Content-Type: text/plain\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n")
    }

    @Test("a large body streams through a reader that is slow, without piling up")
    func backPressure() throws {
        let size = 32 << 20
        let sent = Counted()
        let server = try ScriptedServer { peer, _ in
            _ = try peer.readHead()
            try peer.write("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            let block = [UInt8](repeating: 7, count: 1 << 20)
            for _ in 0..<(size >> 20) {
                try peer.write(block)
                sent.next()
            }
            _ = peer.waitForEnd()
        }
        let outcome = try Rig.with { rig in
            let response = try await rig.send(.get, server.url())
            _ = try await response.body.next()
            // Nobody reads: the server's blocks must stop coming.
            let ahead = try await rig.settled { sent.value }
            var (count, largest) = (0, 0)
            while let bytes = try await response.body.next() {
                count += bytes.count
                largest = max(largest, bytes.count)
            }
            return (ahead, count, largest)
        }
        #expect(outcome.0 < 32)
        #expect(outcome.1 > size - (1 << 20))
        #expect(outcome.2 <= 128 << 10)
    }

    @Test("what came before a reset is read by a reader that rested meanwhile", arguments: [true, false])
    func reset(_ hasLength: Bool) throws {
        let count = 100_000
        let isReset = Signal()
        let server = try ScriptedServer { peer, number in
            _ = try peer.readHead()
            guard number == 0 else { return try peer.answer("again") }
            try peer.write("HTTP/1.1 200 OK\r\n" + (hasLength ? "Content-Length: \(count)\r\n\r\n" : "\r\n"))
            try peer.write([UInt8](repeating: 7, count: count))
            peer.reset()
            isReset.raise()
        }
        let outcome = try Rig.with { rig in
            let response = try await rig.send(.get, server.url())
            guard try await rig.loop.offload("test", { isReset.wait(atMost: .seconds(50)) }) else {
                throw LoopThread.TimedOut()
            }
            await rig.turn()
            var received = 0
            let failure = await rig.failure {
                while let bytes = try await response.body.next() { received += bytes.count }
            }
            return (received, failure.name, try await rig.text(.get, server.url()))
        }
        #expect(outcome.0 == count)
        // Only an orderly end is the end of a body without a length.
        #expect(outcome.1 == (hasLength ? "nothing" : "bodyIncomplete"))
        #expect(outcome.2 == "again")
    }

    @Test("a body goes from socket to socket inside the kernel, whole or with an error", arguments: [true, false])
    func splice(_ isWhole: Bool) throws {
        let size = 5 << 20
        let server = try ScriptedServer { peer, _ in
            for _ in 0..<2 {
                _ = try peer.readHead()
                try peer.write("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                try peer.write((0..<(isWhole ? size : size / 2)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) })
                if !isWhole { return }
            }
        }
        let outcome = try Rig.with { rig in
            var got: [[UInt8]?] = []
            var moved: [Int] = []
            var failure = "nothing"
            for _ in 0..<(isWhole ? 2 : 1) {
                let (sink, reading) = try SinkPair.make(on: rig.loop)
                let response = try await rig.send(.get, server.url())
                #expect(response.body.canSplice)
                failure = await rig.failure {
                    moved.append(try await response.body.splice(into: sink, writeTimeout: .seconds(20)))
                }.name
                if isWhole { sink.finish() } else { sink.abort() }
                got.append(try await rig.outcome(reading))
            }
            return (got, moved, failure)
        }
        if isWhole {
            let expected = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) }
            #expect(outcome.0.allSatisfy { $0 == expected })
            #expect(outcome.1 == [size, size])
            #expect(server.accepted == 1)
        } else {
            #expect(outcome.0 == [nil])
            #expect(outcome.2 == "bodyIncomplete")
        }
    }
}

/// A stream to splice into, and what arrives behind it.
enum SinkPair {
    private final class Idle: ByteStreamHandler {
        func streamOpened() {}
        func streamReadable() {}
        func streamPeerFinished() {}
        func streamDrained() {}
        func streamDeadline() {}
        func streamClosed(_ reason: StreamEnd) {}
    }

    static func make(on loop: EventLoop) throws -> (ByteStream, Outcome<[UInt8]?>) {
        let listener = try Socket.listen(on: .loopback(port: 0), backlog: 1)
        defer { close(listener) }
        let address = try #require(Socket.localAddress(of: listener))
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        _ = unsafe address.withSockaddr { unsafe connect(client, $0, $1) }
        guard case .connection(let server, let peer) = Socket.accept(listener) else { throw ScriptedPeer.Gone() }
        let stream = ByteStream(descriptor: server, peer: peer, loop: loop)
        try stream.start(Idle())
        stream.pauseInput()
        let outcome = Outcome<[UInt8]?>()
        Threads.start("sink reader") {
            var whole: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = unsafe recv(client, &chunk, chunk.count, 0)
                if count <= 0 {
                    close(client)
                    return outcome.set(.success(count == 0 ? whole : nil))
                }
                whole.append(contentsOf: chunk[..<count])
            }
        }
        return (stream, outcome)
    }
}
