import GatewayBytes
import GatewayHTTP
import Testing

/// A request that must be refused, for this reason and with this status.
struct Refusal: Sendable, CustomTestStringConvertible {
    let sample: Sample
    let error: RequestError
    let status: Int

    init(_ text: String, _ error: RequestError, _ status: Int = 400) {
        sample = Sample(text)
        self.error = error
        self.status = status
    }

    /// `fields` in an otherwise good request.
    static func fields(_ fields: String, _ error: RequestError, _ status: Int = 400) -> Refusal {
        Refusal("POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n", error, status)
    }

    static func line(_ line: String, _ error: RequestError, _ status: Int = 400) -> Refusal {
        Refusal("\(line)\r\nHost: a\r\n\r\n", error, status)
    }

    static func host(_ host: String, _ error: AuthorityError) -> Refusal {
        Refusal("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n", .invalidHost(error))
    }

    var testDescription: String { sample.testDescription }
}

@Suite("Request heads that are refused (RFC 9112)")
struct RequestRefusalTests {
    static let requestLines: [Refusal] = [
        .line("get / HTTP/1.1", .unsupportedMethod, 501),
        .line("Get / HTTP/1.1", .unsupportedMethod, 501),
        .line("\(String(repeating: "A", count: 33)) / HTTP/1.1", .unsupportedMethod, 501),
        .line("GE(T / HTTP/1.1", .invalidMethod(0x28)),
        .line("G\u{0}T / HTTP/1.1", .invalidMethod(0)),
        .line("GÉT / HTTP/1.1", .invalidMethod(0xC9)),
        .line("GET\t/ HTTP/1.1", .invalidMethod(0x09)),
        .line("/ HTTP/1.1", .invalidMethod(0x2F)),
        .line("{\"a\":1}", .invalidMethod(0x7B)),
        .line(" GET / HTTP/1.1", .malformedRequestLine),
        .line("GET  / HTTP/1.1", .malformedRequestLine),
        .line("GET /  HTTP/1.1", .malformedRequestLine),
        .line("GET / x HTTP/1.1", .malformedVersion),
        .line("GET", .malformedRequestLine),
        .line("GET ", .missingVersion),
        .line("GET /", .missingVersion),
        .line("GET / ", .malformedVersion),
        .line("GET / HTTP/1.1 ", .malformedVersion),
        .line("GET / HTTP/1.10", .malformedVersion),
        .line("GET / HTTP/01.1", .malformedVersion),
        .line("GET / HTTP/1", .malformedVersion),
        .line("GET / HTTP/1.", .malformedVersion),
        .line("GET / HTTP/1,1", .malformedVersion),
        .line("GET / HTTP/+1.1", .malformedVersion),
        .line("GET / HTTP/x.1", .malformedVersion),
        .line("GET / http/1.1", .malformedVersion),
        .line("GET / Http/1.1", .malformedVersion),
        .line("GET / HTTPS/1.1", .malformedVersion),
        .line("GET / HTTP 1.1", .malformedRequestLine),
        .line("GET / ICY/1.1", .malformedVersion),
        .line("GET / HTTP/1.2", .unsupportedVersion, 505),
        .line("GET / HTTP/2.0", .unsupportedVersion, 505),
        .line("GET / HTTP/3.1", .unsupportedVersion, 505),
        .line("GET / HTTP/0.9", .unsupportedVersion, 505),
        .line("GET / HTTP/9.9", .unsupportedVersion, 505),
        Refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .unsupportedVersion, 505),
        Refusal("GET / HTTP/1.1\nHost: a\r\n\r\n", .syntax(.bareLineFeed)),
        Refusal("GET / HTTP/1.1\rHost: a\r\n\r\n", .syntax(.bareCarriageReturn)),
        Refusal("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", .syntax(.bareCarriageReturn)),
        Refusal("GET\n/ HTTP/1.1\r\nHost: a\r\n\r\n", .syntax(.bareLineFeed)),
        Refusal("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .emptyLinesBeforeRequest),
        Refusal("\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .emptyLinesBeforeRequest),
        Refusal("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .syntax(.bareLineFeed)),
        Refusal("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", .syntax(.bareCarriageReturn)),
        Refusal("\u{16}\u{3}\u{1}\u{2}\u{0}", .tlsHandshake),
        Refusal("\u{0}GET / HTTP/1.1\r\n", .invalidMethod(0)),
    ]

    static let targets: [Refusal] = [
        .line("GET /a#b HTTP/1.1", .fragmentInTarget),
        .line("GET /?a#b HTTP/1.1", .fragmentInTarget),
        .line("GET http://a#b HTTP/1.1", .fragmentInTarget),
        .line("GET /\u{0} HTTP/1.1", .invalidTarget(0)),
        .line("GET /a\u{7F} HTTP/1.1", .invalidTarget(0x7F)),
        .line("GET /a\tb HTTP/1.1", .invalidTarget(0x09)),
        .line("GET /é HTTP/1.1", .invalidTarget(0xE9)),
        .line("GET /?\u{80} HTTP/1.1", .invalidTarget(0x80)),
        .line("GET /<script> HTTP/1.1", .invalidTarget(0x3C)),
        .line("GET /\"a\" HTTP/1.1", .invalidTarget(0x22)),
        .line("GET /a\\b HTTP/1.1", .invalidTarget(0x5C)),
        .line("GET /?\u{1} HTTP/1.1", .invalidTarget(1)),
        .line("GET /%zz HTTP/1.1", .invalidPercentEncoding),
        .line("GET /%4 HTTP/1.1", .invalidPercentEncoding),
        .line("GET /% HTTP/1.1", .invalidPercentEncoding),
        .line("GET /%u002f HTTP/1.1", .invalidPercentEncoding),
        .line("GET /a%00b HTTP/1.1", .encodedNUL),
        .line("GET * HTTP/1.1", .asteriskWithoutOptions),
        .line("OPTIONS ** HTTP/1.1", .invalidTarget(0x2A)),
        .line("OPTIONS */ HTTP/1.1", .invalidTarget(0x2F)),
        .line("GET index.html HTTP/1.1", .unsupportedTargetForm),
        .line("GET ?a HTTP/1.1", .invalidTarget(0x3F)),
        .line("GET @a HTTP/1.1", .invalidTarget(0x40)),
        .line("GET %2F HTTP/1.1", .invalidTarget(0x25)),
        .line("GET a:443 HTTP/1.1", .unsupportedScheme),
        .line("GET ftp://a/ HTTP/1.1", .unsupportedScheme),
        .line("GET file:///etc/passwd HTTP/1.1", .unsupportedScheme),
        .line("GET javascript:alert(1) HTTP/1.1", .unsupportedScheme),
        .line("GET ws://a/ HTTP/1.1", .unsupportedScheme),
        .line("GET httpx://a/ HTTP/1.1", .unsupportedScheme),
        .line("GET http:/a HTTP/1.1", .unsupportedTargetForm),
        .line("GET http:a HTTP/1.1", .unsupportedTargetForm),
        .line("GET http:\\\\a HTTP/1.1", .unsupportedTargetForm),
        .line("GET http:///a HTTP/1.1", .invalidTargetAuthority(.empty)),
        .line("GET http://u@a/ HTTP/1.1", .invalidTargetAuthority(.userInformation)),
        .line("GET http://u:p@a/ HTTP/1.1", .invalidTargetAuthority(.userInformation)),
        .line("GET http://b/ HTTP/1.1", .hostMismatch),
        .line("GET http://a:80/ HTTP/1.1", .hostMismatch),
        .line("GET http://a./ HTTP/1.1", .hostMismatch),
        .line("GET http://a:b/ HTTP/1.1", .invalidTargetAuthority(.invalidPort)),
        .line("GET http://a\\@b/ HTTP/1.1", .invalidTargetAuthority(.userInformation)),
        .line("GET http://a%2F/ HTTP/1.1", .invalidTargetAuthority(.invalidByte(0x25))),
        .line("CONNECT / HTTP/1.1", .connectWithoutPort),
        .line("CONNECT a HTTP/1.1", .connectWithoutPort),
        .line("CONNECT [::1] HTTP/1.1", .connectWithoutPort),
        .line("CONNECT a: HTTP/1.1", .invalidTargetAuthority(.invalidPort)),
        .line("CONNECT a:443/x HTTP/1.1", .invalidTarget(0x2F)),
        .line("CONNECT http://a:443 HTTP/1.1", .invalidTargetAuthority(.invalidPort)),
        .line("CONNECT b:443 HTTP/1.1", .hostMismatch),
    ]

    static let fieldLines: [Refusal] = [
        .fields("X : y", .syntax(.whitespaceBeforeColon)),
        .fields("X\t: y", .syntax(.whitespaceBeforeColon)),
        .fields("X y: z", .syntax(.whitespaceBeforeColon)),
        .fields(": y", .syntax(.emptyFieldName)),
        .fields("X", .syntax(.missingColon)),
        .fields("X\n: y", .syntax(.bareLineFeed)),
        .fields("X(: y", .syntax(.invalidFieldName(0x28))),
        .fields("X\u{0}: y", .syntax(.invalidFieldName(0))),
        .fields("Xé: y", .syntax(.invalidFieldName(0xE9))),
        .fields("X/Y: y", .syntax(.invalidFieldName(0x2F))),
        .fields("\"X\": y", .syntax(.invalidFieldName(0x22))),
        .fields("X: a\r\n b", .syntax(.foldedLine)),
        .fields("X: a\r\n\tb", .syntax(.foldedLine)),
        .fields("X: a\r\n \r\nY: b", .syntax(.foldedLine)),
        .fields("X: a\nY: b", .syntax(.bareLineFeed)),
        .fields("X: a\rY: b", .syntax(.bareCarriageReturn)),
        .fields("X: a\r\r\nY: b", .syntax(.bareCarriageReturn)),
        .fields("\rX: a", .syntax(.bareCarriageReturn)),
        .fields("\nX: a", .syntax(.bareLineFeed)),
        .fields("X: a\u{0}b", .syntax(.invalidFieldValue(0))),
        .fields("X: \u{1}", .syntax(.invalidFieldValue(1))),
        .fields("X: a\u{B}", .syntax(.invalidFieldValue(0x0B))),
        .fields("X: \u{C}a", .syntax(.invalidFieldValue(0x0C))),
        .fields("X: a\u{7F}", .syntax(.invalidFieldValue(0x7F))),
        .fields("X: a\u{1B}[1m", .syntax(.invalidFieldValue(0x1B))),
        .fields("X_Forwarded_For: 1.2.3.4", .syntax(.lookalikeFieldName)),
        .fields("transfer_encoding: chunked", .syntax(.lookalikeFieldName)),
        .fields("Content_Length: 5", .syntax(.lookalikeFieldName)),
        .fields("x-forwarded_proto: https", .syntax(.lookalikeFieldName)),
        Refusal("GET / HTTP/1.1\r\n Host: a\r\n\r\n", .syntax(.leadingWhitespace)),
        Refusal("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", .syntax(.leadingWhitespace)),
        Refusal("GET / HTTP/1.1\r\nHost: a\r\n\n", .syntax(.bareLineFeed)),
        Refusal("GET / HTTP/1.1\r\nHost: a\r\n\rX", .syntax(.bareCarriageReturn)),
        .fields("Expect: 100-continue, x", .unsupportedExpectation, 417),
        .fields("Expect: 200-ok", .unsupportedExpectation, 417),
        .fields("Expect:", .unsupportedExpectation, 417),
        .fields("Expect: 100-continue\r\nExpect: 100-continue", .unsupportedExpectation, 417),
        .fields("Connection: a b", .framing(.malformedConnection)),
        .fields("Connection: \"close\"", .framing(.malformedConnection)),
        .fields("Connection: close;q=1", .framing(.malformedConnection)),
        .fields("Connection: Host", .framing(.forbiddenConnectionOption)),
        .fields("Connection: content-length", .framing(.forbiddenConnectionOption)),
        .fields("Connection: close, Transfer-Encoding", .framing(.forbiddenConnectionOption)),
        .fields("Connection: transfer-encoding\r\nConnection: close", .framing(.forbiddenConnectionOption)),
        .fields("Connection: X-Forwarded-For", .framing(.forbiddenConnectionOption)),
        .fields("Connection: authorization", .framing(.forbiddenConnectionOption)),
        .fields("Connection: Cookie", .framing(.forbiddenConnectionOption)),
        .fields("Upgrade: web socket", .framing(.malformedUpgrade)),
        .fields("Upgrade: /13", .framing(.malformedUpgrade)),
        .fields("Upgrade: h2c/", .framing(.malformedUpgrade)),
        .fields("Upgrade: a/b/c", .framing(.malformedUpgrade)),
    ]

    static let hosts: [Refusal] = [
        Refusal("GET / HTTP/1.1\r\n\r\n", .missingHost),
        Refusal("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", .missingHost),
        Refusal("GET http://a/ HTTP/1.1\r\n\r\n", .missingHost),
        .fields("Host: a", .repeatedHost),
        .fields("host: b", .repeatedHost),
        Refusal("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", .repeatedHost),
        Refusal("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", .invalidHost(.invalidByte(0x20))),
        .host("", .empty),
        .host(":80", .empty),
        .host("a, b", .invalidByte(0x2C)),
        .host("a b", .invalidByte(0x20)),
        .host("u@a", .userInformation),
        .host("u:p@a:80", .userInformation),
        .host("a/b", .invalidByte(0x2F)),
        .host("a?b", .invalidByte(0x3F)),
        .host("a#b", .invalidByte(0x23)),
        .host("a\\b", .invalidByte(0x5C)),
        .host("a%62", .invalidByte(0x25)),
        .host("é", .invalidByte(0xE9)),
        .host("http://a", .invalidPort),
        .host("a:", .invalidPort),
        .host("a:0", .invalidPort),
        .host("a:080", .invalidPort),
        .host("a:65536", .invalidPort),
        .host("a:99999999999999999999", .invalidPort),
        .host("a:80:80", .invalidPort),
        .host("a:8x", .invalidPort),
        .host("a:-1", .invalidPort),
        .host("a: 80", .invalidPort),
        .host(".a", .emptyLabel),
        .host("a..b", .emptyLabel),
        .host("::1", .empty),
        .host("[::1", .invalidAddressLiteral),
        .host("[]", .invalidAddressLiteral),
        .host("[:1]", .invalidAddressLiteral),
        .host("[1:]", .invalidAddressLiteral),
        .host("[:::]", .invalidAddressLiteral),
        .host("[1::2::3]", .invalidAddressLiteral),
        .host("[1:2:3:4:5:6:7]", .invalidAddressLiteral),
        .host("[1:2:3:4:5:6:7:8:9]", .invalidAddressLiteral),
        .host("[1:2:3:4:5:6:7::8]", .invalidAddressLiteral),
        .host("[12345::]", .invalidAddressLiteral),
        .host("[g::]", .invalidAddressLiteral),
        .host("[::1%eth0]", .invalidAddressLiteral),
        .host("[v1.x]", .invalidAddressLiteral),
        .host("[::1.2.3]", .invalidAddressLiteral),
        .host("[::1.2.3.256]", .invalidAddressLiteral),
        .host("[::1.2.3.4.5]", .invalidAddressLiteral),
        .host("[::01.2.3.4]", .invalidAddressLiteral),
        .host("[1:2:3:4:5:6:7:1.2.3.4]", .invalidAddressLiteral),
        .host("[127.0.0.1]", .invalidAddressLiteral),
        .host("[::1]x", .invalidByte(0x78)),
        .host("[::1]:", .invalidPort),
        .host(String(repeating: "a", count: 263), .tooLong),
    ]

    static let framing: [Refusal] = [
        .fields("Content-Length:", .framing(.malformedContentLength)),
        .fields("Content-Length: +5", .framing(.malformedContentLength)),
        .fields("Content-Length: -5", .framing(.malformedContentLength)),
        .fields("Content-Length: 5, 5", .framing(.malformedContentLength)),
        .fields("Content-Length: 5,", .framing(.malformedContentLength)),
        .fields("Content-Length: 0x5", .framing(.malformedContentLength)),
        .fields("Content-Length: 05", .framing(.malformedContentLength)),
        .fields("Content-Length: 00", .framing(.malformedContentLength)),
        .fields("Content-Length: 5 5", .framing(.malformedContentLength)),
        .fields("Content-Length: 5.0", .framing(.malformedContentLength)),
        .fields("Content-Length: 5e1", .framing(.malformedContentLength)),
        .fields("Content-Length: 5_0", .framing(.malformedContentLength)),
        .fields("Content-Length: \"5\"", .framing(.malformedContentLength)),
        .fields("Content-Length: ٥", .framing(.malformedContentLength)),
        .fields("Content-Length: 9223372036854775808", .framing(.contentLengthTooLarge)),
        .fields("Content-Length: 18446744073709551621", .framing(.contentLengthTooLarge)),
        .fields("Content-Length: 5\r\nContent-Length: 5", .framing(.repeatedContentLength)),
        .fields("Content-Length: 5\r\ncontent-length: 6", .framing(.repeatedContentLength)),
        .fields(
            "Content-Length: 5\r\nTransfer-Encoding: chunked", .framing(.contentLengthWithTransferEncoding)),
        .fields(
            "Transfer-Encoding: chunked\r\nContent-Length: 0", .framing(.contentLengthWithTransferEncoding)),
        .fields("Transfer-Encoding: gzip\r\nContent-Length: 0", .framing(.contentLengthWithTransferEncoding)),
        .fields("Transfer-Encoding: gzip, chunked", .framing(.unsupportedTransferCoding), 501),
        .fields("Transfer-Encoding: x, y,chunked", .framing(.unsupportedTransferCoding), 501),
        .fields("Transfer-Encoding: gzip", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding: identity", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding:", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding: xchunked", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding: chunkedx", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding: chunked, chunked", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding: chunked, identity", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding: chunked,", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding: ,chunked", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding: chunked;q=1", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding: \"chunked\"", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding: 'chunked'", .framing(.malformedTransferEncoding)),
        .fields("Transfer-Encoding: chunked gzip", .framing(.malformedTransferEncoding)),
        .fields(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .framing(.repeatedTransferEncoding)),
        .fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip", .framing(.repeatedTransferEncoding)),
        .fields("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", .framing(.repeatedTransferEncoding)),
        Refusal(
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .framing(.transferEncodingInHTTP10)),
    ]

    static let all = requestLines + targets + fieldLines + hosts + framing

    @Test("a bad request is refused for its reason, with its status", arguments: all)
    func refused(_ refusal: Refusal) {
        #expect(parse(refusal.sample.bytes) == .refused(refusal.error))
        #expect(refusal.error.status.code == refusal.status)
        #expect(!refusal.error.message.isEmpty && !refusal.error.message.contains("\n"))
    }

    @Test("a bad request is refused for the same reason wherever it is split, and byte by byte", arguments: all)
    func split(_ refusal: Refusal) {
        let bytes = refusal.sample.bytes
        for place in 0...bytes.count {
            #expect(parse(bytes, upTo: [place, bytes.count]) == .refused(refusal.error), "split at \(place)")
        }
        #expect(parse(bytes, upTo: 0...bytes.count) == .refused(refusal.error))
    }

    private static let small = HeadLimits(
        requestLine: .bytes(40), head: .bytes(100), fieldLine: .bytes(30), fieldCount: 3)

    static let oversized: [(String, RequestError?, Int)] = [
        ("GET /\(String(repeating: "a", count: 24)) HTTP/1.1\r\nHost: a\r\n\r\n", nil, 0),
        ("GET /\(String(repeating: "a", count: 25)) HTTP/1.1\r\nHost: a\r\n\r\n", .requestLineTooLong(limit: 40), 414),
        ("GET /\(String(repeating: "a", count: 500))", .requestLineTooLong(limit: 40), 414),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 25))\r\n\r\n", nil, 0),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 26))\r\n\r\n",
            .syntax(.fieldLineTooLong(limit: 30)), 431
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: "x", count: 31)): a\r\n\r\n",
            .syntax(.fieldLineTooLong(limit: 30)), 431
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n", nil, 0),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", .syntax(.tooManyFields(limit: 3)), 431),
        (
            "GET /\(String(repeating: "a", count: 24)) HTTP/1.1\r\nHost: a\r\nA: \(String(repeating: "a", count: 25))\r\n"
                + "B: \(String(repeating: "a", count: 25))\r\n\r\n", .syntax(.headTooLarge(limit: 100)), 431
        ),
    ]

    @Test("what is over a limit is refused at that byte, what is exactly at it is not", arguments: oversized)
    func limits(_ text: String, _ error: RequestError?, _ status: Int) {
        let bytes = Sample(text).bytes
        let whole = parse(bytes, limits: Self.small)
        if let error {
            #expect(whole == .refused(error))
            #expect(error.status.code == status)
        } else {
            #expect(whole.status == nil && whole != .incomplete)
        }
        #expect(parse(bytes, upTo: 0...bytes.count, limits: Self.small) == whole)
        for place in 0...bytes.count {
            #expect(parse(bytes, upTo: [place, bytes.count], limits: Self.small) == whole)
        }
    }

    @Test(
        "the method of a refused request is known as far as it was read, and never that of the request before",
        arguments: [
            ("HEAD / HTTP/1.1\r\n\r\n", .head), ("HEAD /a b HTTP/1.1\r\n", .head), ("HEAD / HTTP/3.0\r\n", .head),
            ("POST / HTTP/1.1\r\nX : y\r\n", .post), ("\n", .other), ("\u{16}\u{3}", .other), ("GE(T / ", .other),
        ] as [(String, GatewayHTTP.Method)])
    func methodOfRefused(_ text: String, _ expected: GatewayHTTP.Method) throws {
        var parser = RequestParser()
        var head = RequestHead()
        #expect(try parser.parse(Sample("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").bytes.span, into: &head))
        parser.reset()
        #expect(throws: RequestError.self) { try parser.parse(Sample(text).bytes.span, into: &head) }
        #expect(head.method == expected)
    }

    @Test("the default limits are those of the documentation")
    func defaultLimits() {
        let line = "GET /\(String(repeating: "a", count: 8192)) HTTP/1.1\r\nHost: a\r\n\r\n"
        #expect(parse(line) == .refused(.requestLineTooLong(limit: 8192)))
        let field = "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 16_384))\r\n\r\n"
        #expect(parse(field) == .refused(.syntax(.fieldLineTooLong(limit: 16_384))))
        let large = String(repeating: "X: \(String(repeating: "a", count: 9000))\r\n", count: 4)
        #expect(parse("GET / HTTP/1.1\r\nHost: a\r\n\(large)\r\n") == .refused(.syntax(.headTooLarge(limit: 32_768))))
        let many = String(repeating: "X: a\r\n", count: 100)
        #expect(parse("GET / HTTP/1.1\r\nHost: a\r\n\(many)\r\n") == .refused(.syntax(.tooManyFields(limit: 100))))
    }

    @Test("every other refusal has its status and a message of one line")
    func remaining() {
        let expected: [(RequestError, Int)] = [
            (.headTimedOut, 408), (.bodyTimedOut, 408), (.contentTooLarge(limit: 1), 413), (.methodNotAllowed, 405),
            (.upgradeRequired, 426), (.chunk(.missingSize), 400), (.chunk(.trailersTooLarge(limit: 1)), 431),
            (.chunk(.trailer(.tooManyFields(limit: 1))), 431), (.chunk(.trailer(.missingColon)), 400),
        ]
        for (error, status) in expected {
            #expect(error.status.code == status)
            #expect(!error.message.isEmpty)
        }
    }
}
