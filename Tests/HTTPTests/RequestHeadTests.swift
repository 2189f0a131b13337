import GatewayHTTP
import Testing

@Suite("Request heads that are accepted (RFC 9112 §2 to §6)")
struct RequestHeadTests {
    @Test("a plain request is an index over its bytes")
    func plain() throws {
        let source = "GET /echo?a=b%20c HTTP/1.1\r\nHost: example.org:3001\r\nX-Empty:\r\nAccept: \t*/* \t\r\n\r\nrest"
        let (head, bytes) = try #require(readHead(source))
        #expect(head.method == .get)
        #expect(head.form == .origin)
        #expect(text(head.methodRange, bytes) == "GET")
        #expect(text(head.targetRange, bytes) == "/echo?a=b%20c")
        #expect(text(head.pathRange, bytes) == "/echo")
        #expect(head.queryRange.map { text($0, bytes) } == "a=b%20c")
        #expect(text(head.authorityRange, bytes) == "example.org:3001")
        #expect(head.pathIsPlain)
        #expect(head.keepAlive && !head.expectsContinue && !head.upgradesToWebSocket)
        #expect(head.framing == .none)
        #expect(head.length == bytes.count - 4)
        #expect(head.fields.map { text($0.name, bytes) } == ["Host", "X-Empty", "Accept"])
        #expect(head.fields.map { text($0.value, bytes) } == ["example.org:3001", "", "*/*"])
    }

    @Test(
        "methods are recognised by their exact bytes",
        arguments: [
            ("GET", .get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete), ("OPTIONS", .options),
            ("TRACE", .trace), ("PATCH", .patch), ("PROPFIND", .other), ("M-SEARCH", .other), ("GETX", .other),
            ("G", .other), ("VERSION-CONTROL", .other), ("AGET", .other), ("XXXXXGET", .other), ("XXXXXXXXGET", .other),
        ] as [(String, GatewayHTTP.Method)])
    func methods(_ name: String, _ method: GatewayHTTP.Method) throws {
        let (head, bytes) = try #require(readHead("\(name) / HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(head.method == method)
        #expect(text(head.methodRange, bytes) == name)
        if method != .other { #expect(method.wireName.description == name) }
    }

    @Test("safe methods are idempotent, PUT and DELETE too, POST and PATCH not")
    func methodProperties() {
        let safe = GatewayHTTP.Method.allCases.filter(\.isSafe)
        #expect(safe == [.get, .head, .options, .trace])
        #expect(GatewayHTTP.Method.allCases.filter(\.isIdempotent) == [.get, .head, .put, .delete, .options, .trace])
    }

    @Test(
        "a target has its form, path and query",
        arguments: [
            ("GET", "/", TargetForm.origin, "/", nil, "h"),
            ("GET", "/?", .origin, "/", "", "h"),
            ("GET", "/a/b?x=/?&{y}", .origin, "/a/b", "x=/?&{y}", "h"),
            ("GET", "//h/x", .origin, "//h/x", nil, "h"),
            ("GET", "/a:b@c;d=e,f!$&'()*+[]|^~", .origin, "/a:b@c;d=e,f!$&'()*+[]|^~", nil, "h"),
            ("OPTIONS", "*", .asterisk, "", nil, "h"),
            ("CONNECT", "h:443", .authority, "", nil, "h:443"),
            ("GET", "http://h", .absolute, "", nil, "h"),
            ("GET", "HTTPS://h/", .absolute, "/", nil, "h"),
            ("GET", "http://H:80/p?q", .absolute, "/p", "q", "h:80"),
            ("GET", "http://h?q", .absolute, "", "q", "h"),
            ("GET", "http://[::1]:8/", .absolute, "/", nil, "[::1]:8"),
        ] as [(String, String, TargetForm, String, String?, String)])
    func targets(
        _ method: String, _ target: String, _ form: TargetForm, _ path: String, _ query: String?, _ host: String
    ) throws {
        let (head, bytes) = try #require(readHead("\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n"))
        #expect(head.form == form)
        #expect(text(head.targetRange, bytes) == target)
        #expect(text(head.pathRange, bytes) == path)
        #expect(head.queryRange.map { text($0, bytes) } == query)
        #expect(text(head.authorityRange, bytes).lowercased() == host)
        let effective = unsafe bytes.withUnsafeBytes { unsafe String(decoding: head.path(in: $0), as: UTF8.self) }
        #expect(effective == (path.isEmpty ? (form == .asterisk ? "*" : "/") : path))
    }

    @Test(
        "a path is plain when it can be compared byte by byte",
        arguments: [
            ("/", true), ("/a/b.c/d", true), ("/a/", true), ("/a..b", true), ("/a%20", false), ("//", false),
            ("/a//b", false), ("/.", false), ("/./a", false), ("/a/..", false), ("/.well-known/x", false),
            ("/a?b=//%/..", true),
        ])
    func plainPaths(_ target: String, _ isPlain: Bool) throws {
        #expect(try #require(readHead("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n")).head.pathIsPlain == isPlain)
    }

    @Test(
        "framing follows Content-Length and Transfer-Encoding",
        arguments: [
            ("", .none), ("Content-Length: 0", .length(0)), ("content-length:5", .length(5)),
            ("Content-Length: 9223372036854775807", .length(9_223_372_036_854_775_807)),
            ("Transfer-Encoding: chunked", .chunked), ("TRANSFER-ENCODING:\tCHUNKED ", .chunked),
        ] as [(String, BodyFraming)])
    func framing(_ line: String, _ framing: BodyFraming) throws {
        let lines = line.isEmpty ? "" : line + "\r\n"
        let (head, _) = try #require(readHead("POST / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n"))
        #expect(head.framing == framing)
        #expect(framing.hasBody == (framing != .none && framing != .length(0)))
    }

    @Test(
        "the connection is kept as version and Connection say",
        arguments: [
            ("1.1", "", true), ("1.1", "close", false), ("1.1", "Keep-Alive", true),
            ("1.1", "keep-alive, CLOSE", false),
            ("1.0", "", false), ("1.0", "keep-alive", true), ("1.0", "close, keep-alive", false),
            ("1.1", "x-unknown", true), ("1.1", "TE, Upgrade, HTTP2-Settings", true), ("1.1", ", ,keep-alive,", true),
        ])
    func keepAlive(_ version: String, _ connection: String, _ isKept: Bool) throws {
        let line = connection.isEmpty ? "" : "Connection: \(connection)\r\n"
        #expect(try #require(readHead("GET / HTTP/\(version)\r\nHost: a\r\n\(line)\r\n")).head.keepAlive == isKept)
    }

    @Test("several Connection lines are one list")
    func connectionLines() throws {
        let source = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"
        #expect(try #require(readHead(source)).head.keepAlive == false)
    }

    @Test(
        "a client waits for 100 only when it has a body and speaks HTTP/1.1",
        arguments: [
            ("1.1", "Content-Length: 5", true), ("1.1", "Transfer-Encoding: chunked", true),
            ("1.1", "Content-Length: 0", false), ("1.1", "X: y", false), ("1.0", "Content-Length: 5", false),
        ])
    func expectation(_ version: String, _ line: String, _ expects: Bool) throws {
        let source = "POST / HTTP/\(version)\r\nHost: a\r\nExpect: 100-Continue\r\n\(line)\r\n\r\n"
        #expect(try #require(readHead(source)).head.expectsContinue == expects)
    }

    @Test(
        "an upgrade to WebSocket needs GET, HTTP/1.1, Connection and Upgrade",
        arguments: [
            ("GET", "1.1", "Upgrade", "websocket", true), ("GET", "1.1", "keep-alive, upgrade", "WebSocket", true),
            ("GET", "1.1", "upgrade", "h2c, websocket", true), ("POST", "1.1", "upgrade", "websocket", false),
            ("GET", "1.0", "upgrade", "websocket", false), ("GET", "1.1", "keep-alive", "websocket", false),
            ("GET", "1.1", "upgrade", "h2c", false), ("GET", "1.1", "upgrade", "websocket/13", false),
        ])
    func upgrade(_ method: String, _ version: String, _ connection: String, _ upgrade: String, _ ok: Bool) throws {
        let source =
            "\(method) / HTTP/\(version)\r\nHost: a\r\nConnection: \(connection)\r\nUpgrade: \(upgrade)\r\n\r\n"
        #expect(try #require(readHead(source)).head.upgradesToWebSocket == ok)
    }

    @Test("HTTP/1.0 may go without Host, and one empty line may stand in front")
    func leniencies() throws {
        let (old, _) = try #require(readHead("GET / HTTP/1.0\r\n\r\n"))
        #expect(old.authorityRange.isEmpty && old.minorVersion == 0 && !old.keepAlive)
        let (spaced, bytes) = try #require(readHead("\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(text(spaced.pathRange, bytes) == "/x")
        #expect(spaced.length == bytes.count)
    }

    @Test("an absolute target speaks for a missing Host in HTTP/1.0")
    func absoluteInHTTP10() throws {
        let (head, bytes) = try #require(readHead("GET http://h:8/ HTTP/1.0\r\n\r\n"))
        #expect(text(head.authorityRange, bytes) == "h:8")
    }

    @Test("fields are found by name, counted and listed, known or not")
    func lookups() throws {
        let source =
            "GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\ncookie: a=1\r\nx-one: 2\r\nCookie: b=2\r\nX-Request-ID: r\r\n\r\n"
        let (head, bytes) = try #require(readHead(source))
        let one = try #require(HeaderName("X-ONE"))
        let two = try #require(HeaderName("X-Two"))
        unsafe bytes.withUnsafeBytes { raw in
            #expect(unsafe head.fields.count(of: .cookie, in: raw) == 2)
            #expect(unsafe head.fields.count(of: one, in: raw) == 2)
            #expect(unsafe head.fields.count(of: two, in: raw) == 0)
            #expect(unsafe head.fields.count(of: .authorization, in: raw) == 0)
            #expect(unsafe head.find(.authorization, in: raw) == nil)
            #expect(unsafe head.find(two, in: raw) == nil)
            #expect(unsafe head.fields.contains(.xRequestID, in: raw))
            #expect(unsafe head.value(of: one, in: raw).map { unsafe Array($0) } == [0x31])
            var values: [String] = []
            unsafe head.fields.forEach(one, in: raw) { values.append(text($0.value, bytes)) }
            #expect(values == ["1", "2"])
            #expect(unsafe head.fields[1].headerName(in: raw) == one)
            #expect(unsafe head.fields[2].headerName(in: raw) == .cookie)
        }
    }

    /// The names of the fields that end at the connection of a request with these lines.
    private func ending(_ lines: String) throws -> [String] {
        let (head, bytes) = try #require(readHead("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n"))
        let dropped = unsafe bytes.withUnsafeBytes { raw in
            let hopByHop = unsafe HopByHopFields(of: head.fields, in: raw)
            return head.fields.filter { hopByHop.contains($0) }
        }
        return dropped.map { text($0.name, bytes) }
    }

    @Test("fields that Connection names end here, as those do that always end here")
    func hopByHop() throws {
        let lines = "Connection: x-one, te\r\nX-One: 1\r\nX-Two: 2\r\nTE: trailers\r\n"
        #expect(try ending(lines) == ["Connection", "X-One", "TE"])
        let alone = "Connection: close, Keep-Alive\r\nClose: 1\r\nX-One: 1\r\n"
        #expect(try ending(alone) == ["Connection"], "close and keep-alive alone name no field")
    }

    @Test("however many options Connection has, exactly the fields it names end here, each time they occur")
    func manyOptions() throws {
        let options = (0..<2000).map { "a\($0)" } + ["x-ONE", "close", "X-One", "x-three", "Y_Four", "keep-alive"]
        let halves = [options[..<1000], options[1000...]].map { "Connection: \($0.joined(separator: ", "))\r\n" }
        let fields = [
            "X-One", "x-two", "x-one", "A7", "A2000", "Close", "X-Thre", "X-Three3", "y_four", "Y-Four", "Cookie",
            "X-ONE", "Keep-Alive",
        ]
        let lines = fields.map { "\($0): 1\r\n" }.joined()
        let expected = [
            "Connection", "X-One", "x-one", "A7", "Close", "y_four", "X-ONE", "Keep-Alive", "Connection",
        ]
        #expect(try ending(halves[0] + lines + halves[1]) == expected)
    }

    @Test("one head serves request after request, and a copy of it stays as it was")
    func reuse() throws {
        let first = Sample("POST /1?q HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nCookie: c\r\n\r\n").bytes
        let second = Sample("GET /2 HTTP/1.1\r\nHost: b\r\n\r\n").bytes
        var parser = RequestParser()
        var head = RequestHead()
        #expect(try parser.parse(first.span, into: &head))
        let kept = head
        #expect(try parser.parse(second.span, into: &head))
        #expect(head.method == .get && head.framing == .none && head.queryRange == nil && head.fields.count == 1)
        unsafe second.withUnsafeBytes { #expect(unsafe head.find(.cookie, in: $0) == nil) }
        #expect(text(head.authorityRange, second) == "b")
        #expect(kept.framing == .length(5) && kept.fields.count == 3)
        #expect(text(kept.fields[2].value, first) == "c")
    }

    @Test("pipelined requests follow each other by their lengths")
    func pipeline() throws {
        let bytes = Sample(String(repeating: "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", count: 5)).bytes
        var parser = RequestParser()
        var head = RequestHead()
        var start = 0
        var count = 0
        while start < bytes.count {
            let rest = Array(bytes[start...])
            #expect(try parser.parse(rest.span, into: &head))
            start += head.length
            count += 1
        }
        #expect(count == 5)
    }

    @Test("as many fields as the limit allows are kept, in order")
    func manyFields() throws {
        let lines = (0..<99).map { "X-\($0): \($0)\r\n" }.joined()
        let (head, bytes) = try #require(readHead("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n"))
        #expect(head.fields.count == 100)
        for index in 1..<100 { #expect(text(head.fields[index].value, bytes) == "\(index - 1)") }
    }

    @Test("a parser that gave up is ready again after reset")
    func reset() throws {
        var parser = RequestParser()
        var head = RequestHead()
        let bad = Sample("GET / HTTP/1.1\r\nbad\r\n").bytes
        #expect(throws: RequestError.syntax(.missingColon)) { try parser.parse(bad.span, into: &head) }
        parser.reset()
        #expect(try parser.parse(Sample("GET / HTTP/1.1\r\nHost: a\r\n\r\n").bytes.span, into: &head))
    }
}
