import GatewayHTTP
import GatewayLocks
import GatewayTestSupport
import GatewayTunnel
import GatewayUpstream
import PluginTesting
import Testing

@testable import GatewayAgent

@Suite("An agent serves requests")
struct RequestTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

    @Test("a request reaches the local server as its own, and the answer comes back whole")
    func exchange() throws {
        let model = try Neighbour.answering(Self.ok)
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        for _ in 0..<3 {
            let seen = try whole(
                try rig.far.ask(
                    "GET", "/api/tags?x=1", fields: [("Origin", "http://evil"), ("Accept", "a/b"), ("Cookie", "c")]))
            #expect(seen.reason == nil && seen.answer?.status == .ok && seen.answer?.length == 5)
            #expect(seen.answer?.fields.first(.contentType) == "text/plain")
            #expect(String(decoding: seen.bytes, as: UTF8.self) == "hello")
        }
        #expect(
            model.requests.first == "GET /api/tags?x=1 HTTP/1.1\r\nHost: 127.0.0.1:\(model.port)\r\nAccept: a/b\r\n\r\n"
        )
    }

    @Test(
        "a query that no URL may hold as it is goes on percent-encoded",
        arguments: [("f={a}", "f=%7Ba%7D"), ("d=50%", "d=50%25"), ("x=%41|[1]", "x=%41|[1]"), ("p=/../a", "p=/../a")])
    func query(_ query: String, _ expected: String) throws {
        let model = try Neighbour.answering(Self.ok)
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        let seen = try whole(try rig.far.ask("GET", "/api/tags?\(query)"))
        #expect(seen.reason == nil && seen.answer?.status == .ok)
        #expect(model.requests.first?.hasPrefix("GET /api/tags?\(expected) HTTP/1.1\r\n") == true)
    }

    @Test(
        "a path that no URL may hold as it is stays refused, and so does a backslash in a query",
        arguments: ["/v1/a{b}", "/v1/a^b?q", "/v1/`", "/v1/a?b\\c"])
    func mended(_ target: String) throws {
        let model = try Neighbour.answering(Self.ok)
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        let seen = try whole(try rig.far.ask("GET", target))
        #expect(seen.reason == .refused && seen.message.contains("more than one way"))
        #expect(model.requests.isEmpty)
    }

    @Test("a body of many windows streams there, and an answer of many windows back")
    func large() throws {
        let up = pattern(1 << 20)
        let down = pattern(3 << 20, seed: 3)
        let received = Guarded<[UInt8]>([])
        let model = try Neighbour { talk in
            _ = try talk.readHead()
            let body = try talk.read(up.count)
            received.withLock { $0 = body }
            try talk.write("HTTP/1.1 200 OK\r\nContent-Length: \(down.count)\r\n\r\n")
            try talk.write(down)
        }
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        let consumer = try rig.far.open(
            .http(try FarEnd.request("POST", "/api/chat", length: UInt64(up.count))), ends: false)
        try consumer.write(up, thenEnd: true)
        let seen = try whole(consumer)
        #expect(seen.reason == nil && seen.bytes == down)
        #expect(received.withLock { $0 } == up)
        #expect(model.requests.first?.contains("Content-Length: \(up.count)\r\n") == true)
    }

    @Test("a body of unknown length is chunked, and a streamed answer arrives piece by piece")
    func streaming() throws {
        let next = Guarded(false)
        let model = try Neighbour { talk in
            _ = try talk.readHead()
            _ = try talk.read(through: "0\r\n\r\n")
            try talk.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            guard eventually({ next.withLock { $0 } }) else { return }
            try talk.write("3\r\ntwo\r\n0\r\nX-Sum: 1\r\n\r\n")
        }
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        let consumer = try rig.far.open(.http(try FarEnd.request("POST", "/api/chat")), ends: false)
        try consumer.write(Array("abc".utf8), thenEnd: true)
        try #require(eventually { consumer.text == "one" }, "the first piece waits for nothing")
        next.withLock { $0 = true }
        let seen = try whole(consumer)
        #expect(seen.reason == nil && consumer.text == "onetwo" && seen.answer?.length == nil)
        #expect(model.requests.first?.contains("Transfer-Encoding: chunked\r\n") == true)
    }

    @Test(
        "answers without a body are over with their head",
        arguments: [
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 200, 10 as UInt64?),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, nil),
            ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", 304, nil),
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 0),
        ])
    func empty(_ method: String, _ answer: String, _ status: Int, _ length: UInt64?) throws {
        let model = try Neighbour.answering(answer)
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        let seen = try whole(try rig.far.ask(method, "/api/tags"))
        #expect(seen.reason == nil && seen.bytes.isEmpty)
        #expect(seen.answer?.status.code == status && seen.answer?.length == length)
    }

    @Test("an answer that comes before the request's body was read ends the stream all the same")
    func earlyAnswer() throws {
        let model = try Neighbour { talk in
            _ = try talk.readHead()
            try talk.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
            _ = talk.readToEnd()
        }
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        let consumer = try rig.far.open(.http(try FarEnd.request("POST", "/api/chat", length: 2 << 20)), ends: false)
        try consumer.write(pattern(2 << 20), thenEnd: true)
        let seen = try whole(consumer)
        #expect(seen.reason == nil && seen.answer?.status == .contentTooLarge)
    }

    @Test("a consumer that leaves ends the server's connection at once", arguments: [false, true])
    func cancelled(isUploading: Bool) throws {
        let gone = Guarded(false)
        let model = try Neighbour { talk in
            _ = try talk.readHead()
            if !isUploading { try talk.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n") }
            _ = talk.readToEnd()
            gone.withLock { $0 = true }
        }
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        let consumer = try rig.far.open(
            .http(try FarEnd.request("POST", "/api/chat", length: 100)), ends: !isUploading)
        if isUploading { try consumer.write([1, 2, 3]) } else { try #require(eventually { consumer.text == "x" }) }
        try #require(eventually { !model.requests.isEmpty })
        try consumer.reset()
        #expect(eventually { gone.withLock { $0 } })
    }

    @Test("a slow consumer holds the server to the windows between them")
    func slowConsumer() throws {
        let written = Guarded(0)
        let model = try Neighbour { talk in
            _ = try talk.readHead()
            try talk.write("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            let chunk = [UInt8](repeating: 7, count: 100_000)
            for _ in 0..<1000 {
                try talk.write(chunk)
                written.withLock { $0 += chunk.count }
            }
        }
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        let consumer = try rig.far.onLoop { far in
            let consumer = Consumer(far)
            consumer.consumes = false
            consumer.stream = far.session?.open(
                .http(try FarEnd.request("GET", "/v1/models")), ends: true, handler: consumer)
            return consumer
        }
        try #require(eventually { consumer.now.bytes.count == TunnelTerms().streamWindow })
        // Another is not held up by it.
        #expect(try whole(try rig.far.ask("GET", "/nothing")).reason == .refused)
        #expect(written.withLock { $0 } < 50_000_000)
        try consumer.reset()
    }

    @Test("a server that is not there, breaks off, or answers nonsense is told apart")
    func failures() throws {
        let nobody = try Neighbour { _ in }
        let port = nobody.port
        let scripts: [(TunnelReset, @Sendable (ScriptedPeer) throws -> Void)] = [
            (
                .broken,
                {
                    _ = try $0.readHead(); try $0.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                }
            ),
            (
                .broken,
                {
                    _ = try $0.readHead(); try $0.write("nonsense\r\n\r\n")
                }
            ),
            (.broken, { _ = try $0.readHead() }),
        ]
        for (reason, script) in scripts {
            let model = try Neighbour(script)
            let rig = try Rig(["--local", model.url])
            try rig.connected()
            let seen = try whole(try rig.far.ask("POST", "/api/chat"))
            #expect(seen.reason == reason && !seen.message.contains("127.0.0.1"))
        }
        _ = consume nobody
        let rig = try Rig(["--local", "http://127.0.0.1:\(port)"])
        try rig.connected()
        #expect(try whole(try rig.far.ask("GET", "/api/tags")).reason == .unreachable)
    }

    @Test("a server that takes too long is given up", arguments: [true, false])
    func late(isSilent: Bool) throws {
        let model = try Neighbour { talk in
            _ = try talk.readHead()
            if !isSilent { try talk.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") }
            _ = talk.readToEnd()
        }
        let rig = try Rig(["--local", model.url]) {
            $0.local.firstByte = .milliseconds(50)
            $0.local.idle = .milliseconds(50)
        }
        try rig.connected()
        #expect(try whole(try rig.far.ask("GET", "/api/tags")).reason == .timeout)
    }

    @Test("what it does not offer is refused with a sentence, logged once, and asked of nobody")
    func refused() throws {
        let model = try Neighbour.answering(Self.ok)
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        for _ in 0..<5 {
            let seen = try whole(try rig.far.ask("DELETE", "/api/delete"))
            #expect(seen.reason == .refused && seen.message.contains("--allow delete"))
        }
        #expect(try whole(try rig.far.open(.tcp(port: 22))).reason == .refused)
        #expect(model.requests.isEmpty)
        #expect(rig.log.lines.filter { $0.contains("request refused") && $0.contains("/api/delete") }.count == 1)
    }

    @Test("an agent that only forwards ports serves no requests")
    func noHTTP() throws {
        let rig = try Rig(["--forward", "1"])
        try rig.connected()
        #expect(try whole(try rig.far.ask("GET", "/api/tags")).reason == .refused)
        let hello = try #require(rig.far.state.withLock { $0.hellos.first })
        #expect(!hello.offersHTTP && hello.ports == [1] && hello.name == "desk")
    }
}
