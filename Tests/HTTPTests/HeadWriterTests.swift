import GatewayBytes
import GatewayHTTP
import Testing

@Suite("Heads that are sent")
struct HeadWriterTests {
    /// RFC 9110's own example: Sun, 06 Nov 1994 08:49:37 GMT.
    private let date = DateCache(unixSeconds: 784_111_777)
    private static let dateLine = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

    private func written(_ body: (inout OutputBuffer) throws -> Void) rethrows -> String {
        var output = OutputBuffer(capacity: 64)
        try body(&output)
        return unsafe output.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    }

    @Test("a response is its status line, Date, its fields and its framing")
    func response() {
        var fields = HeaderFields()
        fields.append(.contentType, "text/plain")
        let plan = ResponsePlan(.ok, body: .length(2), answering: .get)
        let text = written { $0.appendResponseHead(.ok, fields, plan: plan, date: date) }
        #expect(text == "HTTP/1.1 200 OK\r\n\(Self.dateLine)Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n")
    }

    struct Golden: Sendable {
        let status: Status
        let body: OutgoingBody
        let method: GatewayHTTP.Method
        let version: UInt8
        let wish: ConnectionIntent
        let lines: String
        let coding: ResponsePlan.Coding
        let keepAlive: Bool

        init(
            _ method: GatewayHTTP.Method, _ status: Status, _ body: OutgoingBody, _ version: UInt8,
            _ wish: ConnectionIntent, _ lines: String, _ coding: ResponsePlan.Coding, _ keepAlive: Bool
        ) {
            self.status = status
            self.body = body
            self.method = method
            self.version = version
            self.wish = wish
            self.lines = lines
            self.coding = coding
            self.keepAlive = keepAlive
        }
    }

    static let golden: [Golden] = [
        Golden(.get, .ok, .empty, 1, .keepAlive, "Content-Length: 0\r\n", .none, true),
        Golden(.get, .ok, .length(0), 1, .keepAlive, "Content-Length: 0\r\n", .none, true),
        Golden(.get, .ok, .length(9), 1, .close, "Connection: close\r\nContent-Length: 9\r\n", .identity(9), false),
        Golden(.get, .ok, .unknownLength, 1, .keepAlive, "Transfer-Encoding: chunked\r\n", .chunked, true),
        Golden(.get, .ok, .unknownLength, 0, .keepAlive, "Connection: close\r\n", .untilClose, false),
        Golden(
            .get, .ok, .length(9), 0, .keepAlive, "Connection: keep-alive\r\nContent-Length: 9\r\n", .identity(9), true),
        Golden(.head, .ok, .length(9), 1, .keepAlive, "Content-Length: 9\r\n", .none, true),
        Golden(.head, .ok, .unknownLength, 1, .keepAlive, "Transfer-Encoding: chunked\r\n", .none, true),
        Golden(.head, .ok, .unknownLength, 0, .keepAlive, "Connection: keep-alive\r\n", .none, true),
        Golden(.head, .ok, .empty, 1, .keepAlive, "", .none, true),
        Golden(.get, .noContent, .empty, 1, .keepAlive, "", .none, true),
        Golden(.get, .noContent, .length(9), 1, .keepAlive, "", .none, true),
        Golden(.get, .noContent, .unknownLength, 1, .keepAlive, "", .none, true),
        Golden(.get, .notModified, .empty, 1, .keepAlive, "", .none, true),
        Golden(.get, .notModified, .length(9), 1, .keepAlive, "Content-Length: 9\r\n", .none, true),
        Golden(.get, .notModified, .unknownLength, 1, .keepAlive, "", .none, true),
        Golden(.get, .resetContent, .empty, 1, .keepAlive, "Content-Length: 0\r\n", .none, true),
        Golden(.connect, .ok, .length(9), 1, .keepAlive, "", .none, true),
        Golden(.connect, .badRequest, .length(9), 1, .keepAlive, "Content-Length: 9\r\n", .identity(9), true),
    ]

    @Test("framing follows status, method, version and body", arguments: golden)
    func framing(_ golden: Golden) {
        let plan = ResponsePlan(
            golden.status, body: golden.body, answering: golden.method, minorVersion: golden.version,
            connection: golden.wish)
        #expect(plan.coding == golden.coding)
        #expect(plan.keepAlive == golden.keepAlive)
        let text = written { $0.appendResponseHead(golden.status, HeaderFields(), plan: plan, date: date) }
        let line = "HTTP/1.1 \(golden.status.code) \(golden.status.reason)\r\n"
        #expect(text == "\(line)\(Self.dateLine)\(golden.lines)\r\n")
    }

    @Test("an interim response has neither Date nor framing")
    func interim() {
        var fields = HeaderFields()
        fields.append(.link, "</a>")
        let hints = ResponsePlan(.earlyHints, body: .length(5), answering: .get)
        let text = written { $0.appendResponseHead(.earlyHints, fields, plan: hints, date: date) }
        #expect(text == "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        #expect(written { $0.appendContinue() } == "HTTP/1.1 100 Continue\r\n\r\n")
        var upgrade = HeaderFields()
        upgrade.append(.upgrade, "websocket")
        let plan = ResponsePlan(.switchingProtocols, body: .empty, answering: .get, connection: .upgrade)
        #expect(!plan.keepAlive)
        let switching = written { $0.appendResponseHead(.switchingProtocols, upgrade, plan: plan, date: date) }
        #expect(
            switching
                == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    }

    @Test(
        "an Upgrade that a handler offers comes with its Connection option (RFC 9110 §7.8)",
        arguments: [
            (1, .keepAlive, "Upgrade"), (0, .keepAlive, "keep-alive, Upgrade"), (1, .close, "close, Upgrade"),
        ] as [(UInt8, ConnectionIntent, String)])
    func offeredUpgrade(_ version: UInt8, _ intent: ConnectionIntent, _ expected: String) {
        var fields = HeaderFields()
        fields.append(.upgrade, "websocket")
        let plan = ResponsePlan(
            .upgradeRequired, body: .empty, answering: .get, minorVersion: version, connection: intent)
        let text = written { $0.appendResponseHead(.upgradeRequired, fields, plan: plan, date: date) }
        #expect(text.contains("\r\nUpgrade: websocket\r\nConnection: \(expected)\r\n"))
    }

    @Test("framing that a handler or an upstream put among the fields is left out, a Date of theirs stays")
    func foreignFraming() {
        var fields = HeaderFields()
        fields.append(.contentLength, "999")
        fields.append(.eTag, "\"a\"")
        fields.append(.transferEncoding, "chunked")
        fields.append(.connection, "keep-alive")
        fields.append(.date, "then")
        fields.append(.keepAlive, "timeout=5")
        let plan = ResponsePlan(.ok, body: .length(2), answering: .get)
        let text = written { $0.appendResponseHead(.ok, fields, plan: plan, date: date) }
        #expect(text == "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nDate: then\r\nContent-Length: 2\r\n\r\n")
    }

    @Test("every response head that is written can be read")
    func readable() throws {
        for code in 100...599 {
            let status = try #require(Status(code: code))
            for body in [OutgoingBody.empty, .length(7), .unknownLength] {
                let plan = ResponsePlan(status, body: body, answering: .get)
                var output = OutputBuffer()
                output.appendResponseHead(status, HeaderFields(), plan: plan, date: date)
                var parser = ResponseParser()
                var head = ResponseHead()
                let bytes = unsafe output.withUnsafeBytes { unsafe Array($0) }
                #expect(try parser.parse(bytes.span, answering: .get, into: &head))
                #expect(head.status == status)
                switch plan.coding {
                case .none: #expect([.none, .length(0), .tunnel].contains(head.framing))
                case .identity(let count): #expect(head.framing == .length(count))
                case .chunked: #expect(head.framing == .chunked)
                case .untilClose: #expect(head.framing == .untilClose)
                }
            }
        }
    }

    static let requests: [(GatewayHTTP.Method, OutgoingBody, ConnectionIntent, String)] = [
        (.get, .empty, .keepAlive, ""),
        (.delete, .empty, .keepAlive, ""),
        (.post, .empty, .keepAlive, "Content-Length: 0\r\n"),
        (.put, .empty, .keepAlive, "Content-Length: 0\r\n"),
        (.post, .length(5), .close, "Connection: close\r\nContent-Length: 5\r\n"),
        (.patch, .unknownLength, .keepAlive, "Transfer-Encoding: chunked\r\n"),
        (.get, .empty, .upgrade, "Connection: Upgrade\r\n"),
    ]

    @Test("a request names its host first and frames its body", arguments: requests)
    func request(
        _ method: GatewayHTTP.Method, _ body: OutgoingBody, _ connection: ConnectionIntent, _ lines: String
    ) throws {
        var fields = HeaderFields()
        fields.append(.host, "evil")
        fields.append(.accept, "*/*")
        fields.append(.contentLength, "999")
        let target = Array("/a?b=%20".utf8)
        let host = Array("[::1]:8080".utf8)
        let text = try written { output in
            try output.appendRequestHead(
                method: method, target: target.span, host: host.span, fields: fields, body: body,
                connection: connection)
        }
        #expect(
            text
                == "\(method.wireName) /a?b=%20 HTTP/1.1\r\nHost: [::1]:8080\r\nAccept: */*\r\n\(lines)\r\n")
        #expect(parse(text).status == nil)
    }

    static let badRequests: [(String, String, String, RequestWriteError)] = [
        ("GET", "/a b", "a", .invalidTarget(0x20)),
        ("GET", "/a\r\nX: y", "a", .invalidTarget(0x0D)),
        ("GET", "/\u{0}", "a", .invalidTarget(0)),
        ("GET", "/a#b", "a", .invalidTarget(0x23)),
        ("GET", "", "a", .emptyTarget),
        ("GET", "/", "", .invalidHost(.empty)),
        ("GET", "/", "a\r\nX: y", .invalidHost(.invalidByte(0x0D))),
        ("GET", "/", "a/b", .invalidHost(.invalidByte(0x2F))),
        ("get", "/", "a", .invalidMethod),
        ("", "/", "a", .invalidMethod),
        ("GET /x HTTP/1.1\r\n", "/", "a", .invalidMethod),
    ]

    @Test("a request that would be two is not written", arguments: badRequests)
    func badRequest(_ method: String, _ target: String, _ host: String, _ error: RequestWriteError) {
        var output = OutputBuffer()
        let (method, target, host) = (Array(method.utf8), Array(target.utf8), Array(host.utf8))
        #expect(throws: error) {
            try unsafe method.withUnsafeBytes { method in
                try unsafe target.withUnsafeBytes { target in
                    try unsafe host.withUnsafeBytes { host in
                        try unsafe output.appendRequestHead(
                            method: method, target: target, host: host, fields: HeaderFields(), body: .empty)
                    }
                }
            }
        }
        let isEmpty = output.isEmpty
        #expect(isEmpty && !error.message.isEmpty)
    }

    @Test(
        "a date is what the calendar says",
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"), (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"), (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"), (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-5, "Thu, 01 Jan 1970 00:00:00 GMT"), (.max, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] as [(Int64, String)])
    func dates(_ seconds: Int64, _ text: String) {
        #expect(HTTPDate(unixSeconds: seconds).description == text)
    }

    @Test("the cached Date follows the clock it is given")
    func dateCache() {
        var cache = DateCache(unixSeconds: 0)
        cache.update(unixSeconds: 784_111_777)
        cache.update(unixSeconds: 784_111_777)
        let plan = ResponsePlan(.noContent, body: .empty, answering: .get)
        let text = written { $0.appendResponseHead(.noContent, HeaderFields(), plan: plan, date: cache) }
        #expect(text == "HTTP/1.1 204 No Content\r\n\(Self.dateLine)\r\n")
    }
}
