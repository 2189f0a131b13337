import EchoPlugin
import GatewayHTTP
import PluginKit
import Testing

@Suite("Exchanges on one connection")
struct ExchangeTests {
    private static let script: Scripted.Script = { gateway in
        gateway.get("/number/{n}") { request in .text(request.capture("n") ?? "") }
        gateway.get("/later/{n}") { request in
            await request.loop.nextTurn()
            return .text(request.capture("n") ?? "")
        }
        gateway.post("/read") { request in
            .text(String(decoding: try await request.body.collect(limit: 1 << 20), as: UTF8.self))
        }
        gateway.post("/ignore") { _ in .text("ignored") }
        gateway.get("/stream") { _ in
            .stream { writer in
                for piece in ["one ", "two ", "three"] { try await writer.write(Array(piece.utf8)) }
                var trailers = HeaderFields()
                trailers.append(.eTag, "\"end\"")
                writer.setTrailers(trailers)
            }
        }
        gateway.get("/sized") { _ in .stream(length: 5) { try await $0.write(Array("12345".utf8)) } }
    }

    @Test("keep-alive, both ways of carrying", arguments: Carriage.allCases)
    func keepAlive(_ carriage: Carriage) throws {
        let gateway = try TestGateway(over: carriage, Self.script)
        let client = try gateway.connect()
        for number in 1...20 {
            try client.send(get("/number/\(number)"))
            let answer = try client.answer()
            #expect(answer.status == 200)
            #expect(answer.text == "\(number)")
            #expect(answer["connection"] == nil)
        }
        try client.send("GET /number/21 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(try client.answer()["connection"] == "close")
        #expect(try client.isEnded())
    }

    @Test("HTTP/1.0 closes unless asked to keep alive, and a stream ends with the connection")
    func oldClients() throws {
        let gateway = try TestGateway([:], Self.script)
        let client = try gateway.connect()
        try client.send("GET /number/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        let kept = try client.answer()
        #expect(kept.text == "1")
        #expect(kept["connection"] == "keep-alive")
        try client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        let stream = try client.answer()
        #expect(stream.text == "one two three")
        #expect(stream["transfer-encoding"] == nil)
        #expect(stream["connection"] == "close")
        #expect(try gateway.ask("GET /number/2 HTTP/1.0\r\n\r\n")["connection"] == "close")
    }

    @Test("a hundred requests in one write are answered in order", arguments: ["number", "later"], Carriage.allCases)
    func pipelining(_ kind: String, _ carriage: Carriage) throws {
        let gateway = try TestGateway(over: carriage, Self.script)
        let client = try gateway.connect()
        try client.send((1...100).map { get("/\(kind)/\($0)") }.joined())
        for number in 1...100 { #expect(try client.answer().text == "\(number)") }
    }

    @Test("a pipeline of requests with and without bodies reads the same split at every byte")
    func everySplit() throws {
        let gateway = try TestGateway([:], Self.script)
        let pipeline = Array(
            (get("/later/1")
                + "POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n"
                + "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz"
                + "POST /ignore HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
                + get("/number/2")).utf8)
        let client = try gateway.connect()
        for split in 1..<pipeline.count {
            try client.send(Array(pipeline[..<split]))
            try client.send(Array(pipeline[split...]))
            for expected in ["1", "abcde", "xyz", "ignored", "2"] {
                #expect(try client.answer().text == expected, "split at \(split)")
            }
        }
    }

    @Test("a pipeline byte by byte")
    func byteByByte() throws {
        let gateway = try TestGateway([:], Self.script)
        let client = try gateway.connect()
        for byte in (get("/number/1") + get("/later/2")).utf8 { try client.send([byte]) }
        #expect(try client.answer().text == "1")
        #expect(try client.answer().text == "2")
    }

    @Test("an unread body is read past, and one too large for that ends the connection")
    func unreadBodies() throws {
        let gateway = try TestGateway(["HTTP_DISCARD_LIMIT": "1000"], Self.script)
        let client = try gateway.connect()
        try client.send("POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        let first = try client.answer()
        #expect(first.text == "ignored")
        #expect(first["connection"] == nil)
        try client.send([UInt8](repeating: 1, count: 1000))
        try client.send("POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
        let second = try client.answer()
        #expect(second.text == "ignored")
        #expect(second["connection"] == "close")
        #expect(try client.isEnded())
    }

    @Test("chunked with trailers, sized, and HEAD without any body")
    func framings() throws {
        let gateway = try TestGateway([:], Self.script)
        let client = try gateway.connect()
        try client.send(get("/stream"))
        let stream = try client.answer()
        #expect(stream["transfer-encoding"] == "chunked")
        #expect(stream.text == "one two three")
        #expect(stream.trailers == "ETag: \"end\"\r\n\r\n")
        try client.send(get("/sized"))
        #expect(try client.answer()["content-length"] == "5")
        for (path, field, value) in [
            ("/stream", "transfer-encoding", "chunked"), ("/sized", "content-length", "5"),
            ("/number/12", "content-length", "2"),
        ] {
            try client.send("HEAD \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
            let head = try client.answer(toHEAD: true)
            #expect(head.status == 200)
            #expect(head[field] == value)
        }
        try client.send(get("/number/3"))
        #expect(try client.answer().text == "3")
    }

    @Test(
        "every status is framed so that the next response is found",
        arguments: [200, 201, 202, 203, 204, 205, 206, 300, 301, 304, 307, 400, 401, 404, 409, 416, 429, 500, 502, 503])
    func statusFraming(_ code: Int) throws {
        let gateway = try TestGateway { gateway in
            gateway.get("/empty") { _ in Response(status: Status(code: code) ?? .ok) }
            gateway.get("/bytes") { _ in .text("some bytes", status: Status(code: code) ?? .ok) }
            gateway.get("/stream") { _ in
                .stream(status: Status(code: code) ?? .ok) { try await $0.write(Array("streamed".utf8)) }
            }
            gateway.get("/after") { _ in .text("after") }
        }
        let client = try gateway.connect()
        let hasBody = code != 204 && code != 304
        for (path, body) in [("/empty", ""), ("/bytes", "some bytes"), ("/stream", "streamed")] {
            try client.send(get(path) + get("/after"))
            let answer = try client.answer()
            #expect(answer.status == code)
            #expect(answer.text == (hasBody ? body : ""))
            #expect(answer["date"] != nil)
            if code == 204 { #expect(answer["content-length"] == nil && answer["transfer-encoding"] == nil) }
            #expect(try client.answer().text == "after")
        }
    }

    @Suite("Expect: 100-continue")
    struct ExpectTests {
        private static let expecting = "HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"

        @Test("the client is invited when the handler reads, and the connection goes on")
        func invited() throws {
            let gateway = try TestGateway([:], ExchangeTests.script)
            let client = try gateway.connect()
            for _ in 0..<2 {
                try client.send("POST /read \(Self.expecting)")
                #expect(try client.answer().status == 100)
                try client.send("abc")
                #expect(try client.answer().text == "abc")
            }
        }

        @Test("a client whose body nobody wants is not invited, and the connection closes")
        func uninvited() throws {
            let gateway = try TestGateway([:], ExchangeTests.script)
            let client = try gateway.connect()
            try client.send("POST /ignore \(Self.expecting)")
            let answer = try client.answer()
            #expect(answer.status == 200)
            #expect(answer["connection"] == "close")
            #expect(try client.isEnded())
        }

        @Test("a client that does not wait needs no invitation, and the connection goes on")
        func impatient() throws {
            let gateway = try TestGateway([:], ExchangeTests.script)
            let client = try gateway.connect()
            try client.send("POST /read \(Self.expecting)abc" + get("/number/1"))
            let answer = try client.answer()
            #expect(answer.status == 200)
            #expect(answer.text == "abc")
            #expect(try client.answer().text == "1")
        }

        @Test("a body declared too large is refused before anybody is invited")
        func tooLarge() throws {
            let gateway = try TestGateway(["HTTP_MAX_BODY": "2"], ExchangeTests.script)
            let client = try gateway.connect()
            try client.send("POST /read \(Self.expecting)")
            #expect(try client.answer().status == 413)
            #expect(try client.isEnded())
        }

        @Test("no invitation stands in the middle of a response")
        func late() throws {
            let gateway = try TestGateway(["HTTP_BODY_TIMEOUT": "150"]) { gateway in
                gateway.post("/late") { request in
                    let body = request.body
                    return .stream { writer in
                        try await writer.write(Array("begun".utf8))
                        while let chunk = try await body.next() { try await writer.write(chunk) }
                    }
                }
            }
            let client = try gateway.connect()
            try client.send("POST /late \(Self.expecting)")
            let answer = try client.answer()
            #expect(answer.text == "begun")
            #expect(!answer.isWhole)
        }
    }

    @Test("a body written by a closure with a capture list, which takes its isolation, is written like any other")
    func captureList() throws {
        let notes = Notes<Int>()
        let gateway = try TestGateway(["HTTP_SEND_BUFFER": "16KiB"]) { gateway in
            gateway.post("/lost") { request in
                let body = request.body
                let first = try await body.next() ?? []
                notes.add(first.count)
                return .stream { [first] writer in
                    try await writer.write(first)
                    while let chunk = try await body.next() {
                        await request.loop.nextTurn()
                        try await writer.write(chunk)
                    }
                }
            }
        }
        let client = try gateway.connect()
        let body = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 17) }
        for size in [1, 300, 300_000] {
            try client.send("POST /lost HTTP/1.1\r\nHost: x\r\nContent-Length: \(size)\r\n\r\n")
            for start in stride(from: 0, to: size, by: max(1, size / 50)) {
                try client.send(Array(body[start..<min(size, start + max(1, size / 50))]))
            }
            #expect(try client.answer().body == Array(body[..<size]))
        }
        #expect(notes.all.count == 3)
    }

    @Test("what a client sends comes back as it streams in", arguments: Carriage.allCases)
    func echo(_ carriage: Carriage) throws {
        let gateway = try TestGateway(["PLUGINS": "echo"], plugins: [Echo.self], over: carriage)
        let client = try gateway.connect()
        let body = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for _ in 0..<3 {
            try client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.count)\r\n\r\n")
            try client.send(body)
            #expect(try client.answer().body == body)
            try client.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in stride(from: 0, to: body.count, by: 20000) {
                try client.send("4e20\r\n")
                try client.send(body[start..<start + 20000] + Array("\r\n".utf8))
            }
            try client.send("0\r\n\r\n")
            let chunked = try client.answer()
            #expect(chunked.body == body)
            #expect(chunked["transfer-encoding"] == "chunked")
        }
    }
}
