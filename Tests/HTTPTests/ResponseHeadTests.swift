import GatewayBytes
import GatewayHTTP
import Testing

private enum Outcome: Equatable {
    case head(code: Int, reason: String, ResponseFraming, keep: Bool, fields: [String], length: Int)
    case incomplete
    case refused(ResponseError)
}

private func parse(
    _ bytes: [UInt8], upTo ends: some Sequence<Int>, answering method: GatewayHTTP.Method = .get,
    limits: HeadLimits = HeadLimits()
) -> Outcome {
    var parser = ResponseParser(limits: limits)
    var head = ResponseHead()
    do throws(ResponseError) {
        for end in ends {
            guard try parser.parse(Array(bytes[..<end]).span, answering: method, into: &head) else { continue }
            return .head(
                code: head.status.code, reason: text(head.reasonRange, bytes), head.framing, keep: head.keepAlive,
                fields: head.fields.map { text($0.name, bytes) + "=" + text($0.value, bytes) }, length: head.length)
        }
        return .incomplete
    } catch {
        return .refused(error)
    }
}

@Suite("Response heads (RFC 9112 §4, §6.3)")
struct ResponseHeadTests {
    @Test("a response is read wherever it is split")
    func whole() {
        let bytes = Sample("HTTP/1.1 404 Not  Föund\r\nContent-Length: 12\r\nX: \r\nServer: a\r\n\r\nrest").bytes
        let expected = Outcome.head(
            code: 404, reason: String(decoding: Sample("Not  Föund").bytes, as: UTF8.self), .length(12), keep: true,
            fields: ["Content-Length=12", "X=", "Server=a"], length: bytes.count - 4)
        for place in 0...bytes.count { #expect(parse(bytes, upTo: [place, bytes.count]) == expected) }
        #expect(parse(bytes, upTo: 0...bytes.count) == expected)
    }

    @Test("the reason may be empty, and then its space may be missing", arguments: ["200 ", "200"])
    func noReason(_ status: String) {
        let bytes = Sample("HTTP/1.0 \(status)\r\n\r\n").bytes
        #expect(
            parse(bytes, upTo: 0...bytes.count)
                == .head(code: 200, reason: "", .untilClose, keep: false, fields: [], length: bytes.count))
    }

    static let framings: [(String, GatewayHTTP.Method, String, ResponseFraming, Bool)] = [
        ("HTTP/1.1 200 OK", .get, "Content-Length: 5", .length(5), true),
        ("HTTP/1.1 200 OK", .get, "Content-Length: 0", .length(0), true),
        ("HTTP/1.1 200 OK", .get, "Content-Length: 5\r\nConnection: close", .length(5), false),
        ("HTTP/1.1 200 OK", .get, "Transfer-Encoding: Chunked", .chunked, true),
        ("HTTP/1.1 200 OK", .get, "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", .chunked, true),
        (
            "HTTP/1.1 200 OK", .get, "Transfer-Encoding: chunked\r\nConnection: close, transfer-encoding", .chunked,
            false
        ),
        ("HTTP/1.1 200 OK", .get, "Content-Length: 5\r\nConnection: Transfer-Encoding", .length(5), true),
        ("HTTP/1.1 200 OK", .get, "X: y", .untilClose, false),
        ("HTTP/1.1 500 No", .get, "X: y", .untilClose, false),
        ("HTTP/1.0 200 OK", .get, "Content-Length: 5", .length(5), false),
        ("HTTP/1.0 200 OK", .get, "Content-Length: 5\r\nConnection: keep-alive", .length(5), true),
        ("HTTP/1.1 200 OK", .head, "Content-Length: 5", .none, true),
        ("HTTP/1.1 200 OK", .head, "Transfer-Encoding: chunked", .none, true),
        ("HTTP/1.1 200 OK", .head, "X: y", .none, true),
        ("HTTP/1.1 304 Not Modified", .get, "Content-Length: 5", .none, true),
        ("HTTP/1.1 304 Not Modified", .get, "Transfer-Encoding: chunked", .none, true),
        ("HTTP/1.1 204 No Content", .get, "X: y", .none, true),
        ("HTTP/1.1 204 No Content", .get, "Content-Length: 0", .none, true),
        ("HTTP/1.1 204 No Content", .get, "Content-Length: 5", .none, false),
        ("HTTP/1.1 204 No Content", .get, "Transfer-Encoding: chunked", .none, false),
        ("HTTP/1.1 100 Continue", .post, "X: y", .none, true),
        ("HTTP/1.1 103 Early Hints", .get, "Link: <a>", .none, true),
        ("HTTP/1.1 101 Switching", .get, "Upgrade: websocket", .tunnel, false),
        ("HTTP/1.1 200 OK", .connect, "Content-Length: 5", .tunnel, false),
        ("HTTP/1.1 407 No", .connect, "Content-Length: 5", .length(5), true),
    ]

    @Test("framing follows method, status and fields", arguments: framings)
    func framing(
        _ line: String, _ method: GatewayHTTP.Method, _ fields: String, _ framing: ResponseFraming, _ keep: Bool
    ) throws {
        let bytes = Sample("\(line)\r\n\(fields)\r\n\r\n").bytes
        var parser = ResponseParser()
        var head = ResponseHead()
        #expect(try parser.parse(bytes.span, answering: method, into: &head))
        #expect(head.framing == framing)
        #expect(head.keepAlive == keep)
        #expect(head.declaredLength == (fields.hasPrefix("Content-Length: 5") ? 5 : head.declaredLength))
    }

    @Test("interim responses say so, and switching to WebSocket needs all its parts")
    func interim() throws {
        var parser = ResponseParser()
        var head = ResponseHead()
        let interim = Sample("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n").bytes
        #expect(try parser.parse(interim.span, answering: .get, into: &head))
        #expect(head.isInterim && !head.switchesToWebSocket)
        let upgrade = Sample("HTTP/1.1 101 X\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n").bytes
        #expect(try parser.parse(upgrade.span, answering: .get, into: &head))
        #expect(!head.isInterim && head.switchesToWebSocket)
        unsafe upgrade.withUnsafeBytes { raw in
            #expect(unsafe head.value(of: .upgrade, in: raw).map { $0.count } == 9)
            #expect(unsafe head.find(.link, in: raw) == nil)
        }
        let half = Sample("HTTP/1.1 101 X\r\nConnection: Upgrade\r\n\r\n").bytes
        #expect(try parser.parse(half.span, answering: .get, into: &head))
        #expect(!head.switchesToWebSocket)
    }

    static let refusals: [(String, ResponseError)] = [
        ("http/1.1 200 OK\r\n\r\n", .malformedVersion),
        ("HTTP/1.10 200 OK\r\n\r\n", .malformedVersion),
        ("HTTP/1.1\r\n\r\n", .malformedVersion),
        ("HTTP/1.1  200 OK\r\n\r\n", .malformedStatus),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", .malformedVersion),
        ("<html>\r\n\r\n", .malformedVersion),
        ("ICY 200 OK\r\n\r\n", .malformedVersion),
        ("HTTP/2.0 200 OK\r\n\r\n", .unsupportedVersion),
        ("HTTP/1.2 200 OK\r\n\r\n", .unsupportedVersion),
        ("HTTP/1.1 20 OK\r\n\r\n", .malformedStatus),
        ("HTTP/1.1 2000 OK\r\n\r\n", .malformedStatus),
        ("HTTP/1.1 +20 OK\r\n\r\n", .malformedStatus),
        ("HTTP/1.1 099 OK\r\n\r\n", .malformedStatus),
        ("HTTP/1.1 600 OK\r\n\r\n", .malformedStatus),
        ("HTTP/1.1 200OK\r\n\r\n", .malformedStatus),
        ("HTTP/1.1 200\tOK\r\n\r\n", .malformedStatus),
        ("HTTP/1.1 200 O\u{0}K\r\n\r\n", .invalidReason(0)),
        ("HTTP/1.1 200 OK\n\r\n", .syntax(.bareLineFeed)),
        ("HTTP/1.1 200\n\r\n", .syntax(.bareLineFeed)),
        ("HTTP/1.1 200 OK\rX: y\r\n\r\n", .syntax(.bareCarriageReturn)),
        ("HTTP/1.1 200 OK\r\n X: y\r\n\r\n", .syntax(.leadingWhitespace)),
        ("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", .syntax(.foldedLine)),
        ("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", .syntax(.whitespaceBeforeColon)),
        ("HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n", .syntax(.bareLineFeed)),
        ("HTTP/1.1 200 OK\r\nX: a\u{0}\r\n\r\n", .syntax(.invalidFieldValue(0))),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", .framing(.repeatedContentLength)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5,5\r\n\r\n", .framing(.malformedContentLength)),
        ("HTTP/1.1 304 OK\r\nContent-Length: x\r\n\r\n", .framing(.malformedContentLength)),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            .framing(.contentLengthWithTransferEncoding)
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", .framing(.malformedTransferEncoding)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", .framing(.unsupportedTransferCoding)),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .framing(.transferEncodingInHTTP10)),
        ("HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n", .framing(.malformedConnection)),
        ("HTTP/1.1 200 OK\r\nConnection: content-length\r\n\r\n", .framing(.forbiddenConnectionOption)),
        ("HTTP/1.1 200 OK\r\nConnection: close, Set-Cookie\r\n\r\n", .framing(.forbiddenConnectionOption)),
        ("HTTP/1.1 200 OK\r\nConnection: Transfer-Encoding, a b\r\n\r\n", .framing(.malformedConnection)),
        ("HTTP/1.1 200 OK\r\nContent_Length: 5\r\n\r\n", .syntax(.lookalikeFieldName)),
        ("HTTP/1.1 200 OK\r\ntransfer_encoding: chunked\r\n\r\n", .syntax(.lookalikeFieldName)),
        ("HTTP/1.1 100 OK\r\nContent-Length: 5\r\n\r\n", .interimWithBody),
        ("HTTP/1.1 101 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .interimWithBody),
    ]

    @Test("a bad response is refused for its reason wherever it is split", arguments: refusals)
    func refused(_ source: String, _ error: ResponseError) {
        let bytes = Sample(source).bytes
        for place in 0...bytes.count { #expect(parse(bytes, upTo: [place, bytes.count]) == .refused(error)) }
        #expect(parse(bytes, upTo: 0...bytes.count) == .refused(error))
        #expect(!error.message.isEmpty)
    }

    @Test("names with underscores pass in a response, unless they look like what frames it")
    func underscores() {
        let fields = ["X_Request_Id=1", "X_Forwarded_Host=a", "x-real_ip=b", "Set_Cookie=c"]
        let lines = fields.map { $0.replacing("=", with: ": ") + "\r\n" }.joined()
        let bytes = Sample("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\(lines)\r\n").bytes
        let expected = Outcome.head(
            code: 200, reason: "OK", .length(0), keep: true, fields: ["Content-Length=0"] + fields, length: bytes.count)
        #expect(parse(bytes, upTo: [bytes.count]) == expected)
        #expect(parse(bytes, upTo: 0...bytes.count) == expected)
    }

    @Test("limits hold for responses too")
    func limits() {
        let limits = HeadLimits(requestLine: .bytes(40), head: .bytes(100), fieldLine: .bytes(30), fieldCount: 40)
        let large = String(repeating: "a", count: 40)
        let cases: [(String, ResponseError)] = [
            ("HTTP/1.1 200 \(large)\r\n\r\n", .statusLineTooLong(limit: 40)),
            ("HTTP/1.1 200 OK\r\nX: \(large)\r\n\r\n", .syntax(.fieldLineTooLong(limit: 30))),
            ("HTTP/1.1 200 OK\r\n\(String(repeating: "X: y\r\n", count: 40))\r\n", .syntax(.headTooLarge(limit: 100))),
        ]
        for (source, error) in cases {
            let bytes = Sample(source).bytes
            #expect(parse(bytes, upTo: [bytes.count], limits: limits) == .refused(error))
            #expect(parse(bytes, upTo: 0...bytes.count, limits: limits) == .refused(error))
        }
        let many = Sample("HTTP/1.1 200 OK\r\n\(String(repeating: "X: y\r\n", count: 101))\r\n").bytes
        #expect(parse(many, upTo: [many.count], answering: .get) == .refused(.syntax(.tooManyFields(limit: 100))))
    }

    @Test("a status knows its class, its phrase and whether it may have a body")
    func statuses() {
        #expect(Status(code: 99) == nil && Status(code: 600) == nil)
        for code in 100...599 {
            let status = Status(code: code)
            #expect(status?.code == code)
            #expect(status?.reason.utf8CodeUnitCount ?? 0 > 0)
            #expect(status?.forbidsBody == (code < 200 || code == 204 || code == 304))
            #expect(status?.isError == (code >= 400))
            #expect(status?.isRedirect == (300...399).contains(code))
        }
        #expect(Status.notFound.description == "404 Not Found")
        #expect(Status(code: 418)?.description == "418 Client Error")
        #expect(Status(code: 599)?.description == "599 Server Error")
    }
}
