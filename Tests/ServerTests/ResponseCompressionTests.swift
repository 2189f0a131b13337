import GatewayBytes
import GatewayTestSupport
import PluginKit
import Testing

private let text = Array(String(repeating: "a line that repeats\n", count: 200).utf8)
private let large = Array(String(repeating: "a longer body, in more than one piece\n", count: 20_000).utf8)

@Suite("Compressed responses")
struct ResponseCompressionTests {
    private static let script: Scripted.Script = { gateway in
        gateway.use(ResponseCompression(in: gateway.context), on: .ownRoutes)
        gateway.get("/text") { _ in .text(String(decoding: text, as: UTF8.self)) }
        gateway.get("/large") { _ in .text(String(decoding: large, as: UTF8.self)) }
        gateway.get("/small") { _ in .text("small") }
        gateway.get("/literal") { _ in .text(literal: "short, and part of the program") }
        gateway.get("/picture") { _ in Self.answer("image/png", text) }
        gateway.get("/events") { _ in Self.answer("text/event-stream", text) }
        gateway.get("/untyped") { _ in Response(body: .bytes(text)) }
        gateway.get("/noise") { _ in Self.answer("text/plain", noise(4000)) }
        gateway.get("/tagged") { request in
            if request.header(.ifNoneMatch)?.contains("\"t\"") == true {
                var response = Response(status: .notModified)
                response.fields.append(.eTag, "\"t\"")
                return response
            }
            return Self.answer("text/plain", text) {
                $0.append(.eTag, "\"t\"")
                $0.append(.acceptRanges, "bytes")
                $0.append(.vary, "Origin")
            }
        }
        gateway.get("/weak") { _ in Self.answer("text/plain", text) { $0.append(.eTag, "W/\"t\"") } }
        gateway.get("/coded") { _ in Self.answer("text/plain", text) { $0.append(.contentEncoding, "br") } }
        gateway.get("/as-is") { _ in
            Self.answer("text/plain", text) { $0.append(.cacheControl, "public, No-Transform") }
        }
        gateway.get("/digest") { _ in Self.answer("text/plain", text) { $0.append(.contentDigest, "x=:x:") } }
        gateway.get("/part") { _ in
            Self.answer("text/plain", text, .partialContent) { $0.append(.contentRange, "bytes 0-3999/5000") }
        }
        gateway.get("/error") { _ in Self.answer("text/plain", text, .notFound) }
        gateway.get("/none") { _ in Response(status: .noContent) }
        gateway.get("/stream") { _ in
            .stream(fields: ContentTypes.text) { writer in
                for start in stride(from: 0, to: large.count, by: 100_000) {
                    try await writer.write(Array(large[start..<min(start + 100_000, large.count)]))
                }
                var trailers = HeaderFields()
                trailers.append(.age, "1")
                writer.setTrailers(trailers)
            }
        }
        gateway.get("/sized") { _ in
            .stream(fields: ContentTypes.text, length: UInt64(large.count)) { try await $0.write(large) }
        }
        gateway.get("/sized-small") { _ in
            .stream(fields: ContentTypes.text, length: 5) { try await $0.write(Array("12345".utf8)) }
        }
        gateway.get("/short") { _ in
            .stream(fields: ContentTypes.text, length: UInt64(large.count)) { try await $0.write(text) }
        }
        gateway.get("/failing") { _ in
            .stream(fields: ContentTypes.text) { writer in
                try await writer.write(text)
                throw GatewayFault.notFound()
            }
        }
    }

    private static func answer(
        _ type: StaticString, _ bytes: [UInt8], _ status: Status = .ok, _ more: (inout HeaderFields) -> Void = { _ in }
    ) -> Response {
        var fields = HeaderFields()
        fields.append(.contentType, type)
        more(&fields)
        return Response(status: status, fields: fields, body: .bytes(bytes))
    }

    @Test("a body comes compressed, and is the same inflated", arguments: Carriage.allCases)
    func compressed(_ carriage: Carriage) throws {
        let gateway = try TestGateway(over: carriage, Self.script)
        let client = try gateway.connect()
        for _ in 0..<3 {
            for (path, body) in [
                ("/text", text), ("/large", large), ("/stream", large), ("/sized", large), ("/error", text),
            ] {
                try client.send(get(path, "Accept-Encoding: gzip"))
                let answer = try client.answer()
                #expect(answer["content-encoding"] == "gzip" && answer["vary"] == "Accept-Encoding")
                #expect(answer.isWhole && answer.body.count < body.count / 4)
                #expect(try gunzip(answer.body) == body)
                if path == "/stream" { #expect(answer.trailers.contains("Age: 1")) }
                try client.send(get(path))
                let plain = try client.answer()
                #expect(plain.body == body && plain["content-encoding"] == nil && plain["vary"] == "Accept-Encoding")
            }
        }
    }

    @Test("a body in one piece has a length, an HTTP/1.0 client gets the rest until the end")
    func lengths() throws {
        let gateway = try TestGateway([:], Self.script)
        let answer = try gateway.ask(get("/text", "Accept-Encoding: gzip"))
        #expect(answer["content-length"] == "\(answer.body.count)")
        let old = try gateway.ask("GET /large HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
        #expect(old["connection"] == "close")
        #expect(try gunzip(old.body) == large)
    }

    @Test(
        "what would not gain, or must not be touched, is sent as it is",
        arguments: [
            "/small", "/literal", "/picture", "/events", "/untyped", "/noise", "/coded", "/as-is", "/digest", "/part",
            "/none", "/sized-small",
        ])
    func leftAlone(_ path: String) throws {
        let gateway = try TestGateway([:], Self.script)
        let answer = try gateway.ask(get(path, "Accept-Encoding: gzip"))
        #expect(answer.status < 300)
        #expect(answer["content-encoding"] == (path == "/coded" ? "br" : nil))
        #expect(answer.body == (try gateway.ask(get(path)).body))
        #expect(answer["vary"] == (path == "/noise" ? "Accept-Encoding" : nil))
    }

    @Test(
        "nobody gets what they did not ask for",
        arguments: ["br", "gzip;q=0", "identity", "*;q=0", "gzip;q=0.5, identity", "", "deflate"])
    func refused(_ accepted: String) throws {
        let gateway = try TestGateway([:], Self.script)
        let answer = try gateway.ask(get("/text", "Accept-Encoding: \(accepted)"))
        #expect(answer.body == text && answer["content-encoding"] == nil && answer["vary"] == "Accept-Encoding")
    }

    @Test(
        "who takes nothing but gzip gets it, whatever size and type", arguments: ["identity;q=0, gzip", "*;q=0, gzip"])
    func onlyGzip(_ accepted: String) throws {
        let gateway = try TestGateway([:], Self.script)
        for path in ["/picture", "/events", "/untyped"] {
            let answer = try gateway.ask(get(path, "Accept-Encoding: \(accepted)"))
            #expect(answer["content-encoding"] == "gzip")
            #expect(try gunzip(answer.body) == text)
        }
        #expect(try gateway.ask(get("/part", "Accept-Encoding: \(accepted)"))["content-encoding"] == nil)
    }

    @Test("a compressed body has a weak tag and no ranges, and a 304 names the tag that the client holds")
    func tags() throws {
        let gateway = try TestGateway([:], Self.script)
        let gzip = try gateway.ask(get("/tagged", "Accept-Encoding: gzip"))
        #expect(gzip["etag"] == "W/\"t\"" && gzip["accept-ranges"] == nil)
        #expect(gzip.values(of: "vary") == ["Origin", "Accept-Encoding"])
        let plain = try gateway.ask(get("/tagged"))
        #expect(plain["etag"] == "\"t\"" && plain["accept-ranges"] == "bytes")
        #expect(try gateway.ask(get("/weak", "Accept-Encoding: gzip"))["etag"] == "W/\"t\"")
        let ours = try gateway.ask(get("/tagged", "Accept-Encoding: gzip", "If-None-Match: W/\"t\""))
        #expect(ours.status == 304 && ours["etag"] == "W/\"t\"" && ours["vary"] == "Accept-Encoding")
        let theirs = try gateway.ask(get("/tagged", "Accept-Encoding: gzip", "If-None-Match: \"t\""))
        #expect(theirs.status == 304 && theirs["etag"] == "\"t\"")
    }

    @Test("HEAD has the fields of GET, without a length that nobody knows yet")
    func head() throws {
        let gateway = try TestGateway([:], Self.script)
        let client = try gateway.connect()
        for path in ["/text", "/large", "/stream", "/sized"] {
            try client.send("HEAD \(path) HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
            let answer = try client.answer(toHEAD: true)
            #expect(answer["content-encoding"] == "gzip" && answer["vary"] == "Accept-Encoding")
            #expect(answer["content-length"] == nil)
        }
        try client.send("HEAD /small HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        #expect(try client.answer(toHEAD: true)["content-length"] == "5")
    }

    @Test("a body that is not whole does not look whole", arguments: ["/short", "/failing"])
    func broken(_ path: String) throws {
        let gateway = try TestGateway([:], Self.script)
        let client = try gateway.connect()
        try client.send(get(path, "Accept-Encoding: gzip"))
        let body = (try? client.readToEnd()) ?? []
        #expect(!String(decoding: body.suffix(5), as: UTF8.self).hasSuffix("0\r\n\r\n"))
    }

    @Test("a stream without a length is delivered as it is written")
    func flushed() throws {
        let gate = Gate()
        let gateway = try TestGateway { gateway in
            gateway.use(ResponseCompression(in: gateway.context), on: .ownRoutes)
            gateway.get("/") { request in
                let loop = request.loop
                return .stream(fields: ContentTypes.text) { writer in
                    try await writer.write(Array("first".utf8))
                    try await gate.pass(on: loop)
                    try await writer.write(Array("second".utf8))
                }
            }
        }
        let client = try gateway.connect()
        try client.send(get("/", "Accept-Encoding: gzip"))
        _ = try client.read(through: "\r\n\r\n")
        // The size of the first chunk, which holds all of the first piece: it ends with a flush.
        let size = try #require(
            Int(String(decoding: try client.read(through: "\r\n").dropLast(2), as: UTF8.self), radix: 16))
        #expect(try client.read(size).suffix(4) == [0, 0, 0xFF, 0xFF])
        gate.open()
        #expect(try client.read(through: "\r\n0\r\n\r\n").suffix(5) == Array("0\r\n\r\n".utf8)[...])
    }

    @Test("without memory for another stream a body is sent as it is, and memory comes back")
    func budget() throws {
        let gateway = try TestGateway { gateway in
            var limits = ResponseCompressionLimits()
            limits.streamMemory = .kibibytes(300)
            gateway.use(ResponseCompression(in: gateway.context, limits: limits), on: .path("/one"))
            limits.streamMemory = .kibibytes(100)
            gateway.use(ResponseCompression(in: gateway.context, limits: limits), on: .path("/never"))
            for path in ["/one", "/never"] {
                gateway.get(path) { _ in .text(String(decoding: large, as: UTF8.self)) }
            }
        }
        let client = try gateway.connect()
        for _ in 0..<5 {
            try client.send(get("/one", "Accept-Encoding: gzip"))
            #expect(try gunzip(try client.answer().body) == large)
        }
        let plain = try gateway.ask(get("/never", "Accept-Encoding: gzip"))
        #expect(plain.body == large && plain["content-encoding"] == nil)
    }

    @Test("files are compressed too, and their parts are not")
    func files() throws {
        let site = try Website()
        let root = site.root
        let gateway = try TestGateway { gateway in
            gateway.use(ResponseCompression(in: gateway.context), on: .ownRoutes)
            gateway.files("/", from: root)
        }
        let answer = try gateway.ask(get("/index.html", "Accept-Encoding: gzip"))
        #expect(String(decoding: try gunzip(answer.body), as: UTF8.self) == Website.page)
        #expect(answer["etag"]?.hasPrefix("W/") == true)
        let tag = try #require(answer["etag"])
        #expect(try gateway.ask(get("/index.html", "Accept-Encoding: gzip", "If-None-Match: \(tag)")).status == 304)
        let part = try gateway.ask(get("/index.html", "Accept-Encoding: gzip", "Range: bytes=0-8"))
        #expect(part.status == 206 && part.text == "<!doctype" && part["content-encoding"] == nil)
        let late = try gateway.ask(get("/index.html", "Accept-Encoding: gzip", "Range: bytes=0-8", "If-Range: \(tag)"))
        #expect(late.status == 200)
        #expect(try gateway.ask(get("/large.bin", "Accept-Encoding: gzip")).body == Website.large)
    }

    private static func noise(_ size: Int) -> [UInt8] {
        var state: UInt64 = 99
        return (0..<size).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state >> 24)
        }
    }
}
