import GatewayHTTP
import Testing

/// Requests that two readers of a chain may understand in two ways, by the classes in which they are known. Each is a
/// whole message with whatever an attacker would put behind it. None may come out of the parser as a head with a body
/// that somebody else would end elsewhere; `nil` marks the few that are harmless and must be taken.
@Suite("Smuggling corpus")
struct SmugglingCorpusTests {
    struct Attack: Sendable, CustomTestStringConvertible {
        let sample: Sample
        let status: Int?
        var testDescription: String { sample.testDescription }

        init(_ text: String, _ status: Int? = 400) {
            sample = Sample(text)
            self.status = status
        }

        /// A POST with these steering lines, a chunked body and a second request behind it.
        static func post(_ lines: String, _ status: Int? = 400) -> Attack {
            Attack("POST /a HTTP/1.1\r\nHost: a\r\n\(lines)\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nX: y", status)
        }
    }

    static let bothLengths: [Attack] = [
        .post("Content-Length: 6\r\nTransfer-Encoding: chunked"),
        .post("Transfer-Encoding: chunked\r\nContent-Length: 6"),
        .post("Content-Length: 0\r\nTransfer-Encoding: chunked"),
        .post("content-length: 6\r\ntransfer-encoding: chunked"),
        .post("Content-Length: 6\r\nX: y\r\nTransfer-Encoding: chunked"),
        .post("Content-Length: 6\r\nTransfer-Encoding: identity"),
        .post("Content-Length: 6\r\nTransfer-Encoding: gzip, chunked"),
        .post("Content-Length: 6\r\nTransfer-Encoding:"),
        .post("Content-Length: 6\r\nTransfer-Encoding: xchunked"),
        .post("Content-Length: 6\r\nContent-Length: 0\r\nTransfer-Encoding: chunked"),
        .post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\nTransfer-Encoding: identity"),
        Attack("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ]

    static let transferEncodings: [Attack] = [
        .post("Transfer-Encoding: xchunked"),
        .post("Transfer-Encoding : chunked"),
        .post("Transfer-Encoding\t: chunked"),
        .post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x"),
        .post("Transfer-Encoding: x\r\nTransfer-Encoding: chunked"),
        .post("Transfer-Encoding: chunked\r\nTransfer-encoding: chunked"),
        .post(" Transfer-Encoding: chunked"),
        .post("\tTransfer-Encoding: chunked"),
        .post("X: y\r\n Transfer-Encoding: chunked"),
        .post("X: y\nTransfer-Encoding: chunked"),
        .post("X: y\rTransfer-Encoding: chunked"),
        .post("Transfer-Encoding\r\n: chunked"),
        .post("Transfer-Encoding\n: chunked"),
        .post("Transfer-Encoding:\r\n chunked"),
        .post("Transfer-Encoding:\n chunked"),
        .post("Transfer-Encoding: chu\r\n nked"),
        .post("Transfer-Encoding: \u{B}chunked"),
        .post("Transfer-Encoding: \u{C}chunked"),
        .post("Transfer-Encoding: chunked\u{B}"),
        .post("Transfer-Encoding: chunked\u{0}"),
        .post("Transfer-Encoding: \u{0}chunked"),
        .post("Transfer-Encoding: chunked\r"),
        .post("Transfer-Encoding: chunked\u{7F}"),
        .post("Transfer-Encoding: \u{A0}chunked"),
        .post("Transfer-Encoding: chunked\u{A0}"),
        .post("Transfer-Encoding: chunked\u{FF}"),
        .post("Transfer-Encoding: \"chunked\""),
        .post("Transfer-Encoding: 'chunked'"),
        .post("Transfer-Encoding: chunked;"),
        .post("Transfer-Encoding: chunked; q=0"),
        .post("Transfer-Encoding: chunked,"),
        .post("Transfer-Encoding: , chunked"),
        .post("Transfer-Encoding: chunked, chunked"),
        .post("Transfer-Encoding: chunked, identity"),
        .post("Transfer-Encoding: identity, chunked", 501),
        .post("Transfer-Encoding: identity"),
        .post("Transfer-Encoding: cow, chunked", 501),
        .post("Transfer-Encoding: chunked, cow"),
        .post("Transfer-Encoding: chunked cow"),
        .post("Transfer-Encoding: chunked-"),
        .post("Transfer-Encoding: chunke"),
        .post("Transfer-Encoding: \\chunked"),
        .post("Transfer-Encoding: c\u{17F}unked"),
        .post("Transfer_Encoding: chunked"),
        .post("Transfer-Encoding\u{0}: chunked"),
        .post("Transfer-Encoding\u{A0}: chunked"),
        .post("Transfer-Encoding;: chunked"),
        .post("Transfer Encoding: chunked"),
        .post("\u{0}Transfer-Encoding: chunked"),
        .post(":Transfer-Encoding: chunked"),
        .post("\"Transfer-Encoding\": chunked"),
        .post("Foo\r\nTransfer-Encoding: chunked"),
        .post("Transfer-Encoding"),
        .post("Transfer-Encoding chunked"),
        .post("Transfer-Encoding=chunked"),
        .post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked"),
        Attack("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        .post("Transfer-Encoding: cHuNkEd", nil),
        .post("Transfer-Encoding:chunked", nil),
        .post("Transfer-Encoding: \t chunked \t", nil),
    ]

    static let contentLengths: [Attack] = [
        .post("Content-Length: 6\r\nContent-Length: 5"),
        .post("Content-Length: 5\r\nContent-Length: 5"),
        .post("Content-Length: 5, 5"),
        .post("Content-Length: 5,6"),
        .post("Content-Length: ,5"),
        .post("Content-Length: 5;6"),
        .post("Content-Length: +5"),
        .post("Content-Length: -0"),
        .post("Content-Length: -1"),
        .post("Content-Length: 0x5"),
        .post("Content-Length: 0b1"),
        .post("Content-Length: 05"),
        .post("Content-Length: 5_0"),
        .post("Content-Length: 5.0"),
        .post("Content-Length: 5e0"),
        .post("Content-Length: 5 6"),
        .post("Content-Length: 5\t6"),
        .post("Content-Length: 5\u{0}"),
        .post("Content-Length: \u{0}5"),
        .post("Content-Length: \u{B}5"),
        .post("Content-Length: 5\u{A0}"),
        .post("Content-Length: '5'"),
        .post("Content-Length:"),
        .post("Content-Length: NaN"),
        .post("Content-Length: \u{B2}"),
        .post("Content-Length: 99999999999999999999"),
        .post("Content-Length: 18446744073709551616"),
        .post("Content-Length: 18446744073709551615"),
        .post("Content-Length: 9223372036854775808"),
        .post("Content-Length : 5"),
        .post("Content-Length\t: 5"),
        .post(" Content-Length: 5"),
        .post("Content-Length\u{0}: 5"),
        .post("Content_Length: 5"),
        .post("Content-Length:\r\n 5"),
        .post("Content-Length: 5\r\n 6"),
        .post("X: y\nContent-Length: 5"),
        .post("X: y\rContent-Length: 5"),
        .post("Connection: Content-Length\r\nContent-Length: 5"),
        .post("Connection: close, content-length\r\nContent-Length: 5"),
        .post("Content-Length: 5", nil),
        .post("cOnTeNt-LeNgTh:5", nil),
    ]

    static let lineEnds: [Attack] = [
        Attack("GET / HTTP/1.1\nHost: a\n\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\r\n\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n"),
        Attack("GET / HTTP/1.1\rHost: a\r\r"),
        Attack("GET / HTTP/1.1\n\rHost: a\n\r\n\r"),
        Attack("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\n\nHost: a\r\n\r\n"),
        Attack("GET / HTTP/1.1\u{85}Host: a\r\n\r\n"),
        Attack("GET / HTTP/1.1\u{B}\r\nHost: a\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\r\nX: \r\u{0}\nY: z\r\n\r\n"),
        Attack("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", nil),
    ]

    static let requestLines: [Attack] = [
        Attack("GET /a HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET\u{B}/a HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET /a\u{C}HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET /a\u{A0}HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET /a\u{0} HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET /a?x#y HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET /a HTTP/1.1\tX\r\nHost: a\r\n\r\n"),
        Attack("GET /a HTTP/1.1; x\r\nHost: a\r\n\r\n"),
        Attack("GET /a HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        Attack("GET /a HTTP/1.9\r\nHost: a\r\n\r\n", 505),
        Attack("GET /a HTTP/11\r\nHost: a\r\n\r\n"),
        Attack("GET /a HTTP/1.1.1\r\nHost: a\r\n\r\n"),
        Attack("GET /a HTTP/\u{661}.1\r\nHost: a\r\n\r\n"),
        Attack("GET /a\r\n\r\n"),
        Attack("GET /a\r\nHost: a\r\n\r\n"),
        Attack("GET /a HTTP/1.1\r\n\r\n"),
        Attack("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        Attack("GE\u{0}T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        Attack("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        Attack("GET : HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET :@evil/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET @evil HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET evil/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET \\evil HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET /\\evil HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]

    static let routes: [Attack] = [
        Attack("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET https://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET HTTP://B/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET http://a:80@b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET http://a#@b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET http://a\\@b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET http://a%40b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET http://a,b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET http://a:8080/ HTTP/1.1\r\nHost: a:80\r\n\r\n"),
        Attack("GET http:a HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET http:/a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET gopher://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET http://a/ HTTP/1.1\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a:80@b\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a/../b\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a:80, b\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost : b\r\nHost: a\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\n Host: b\r\nHost: a\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\r\n Host: b\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nX: y\r\n\tHost: b\r\nHost: a\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\u{0}b\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_Host: b\r\n\r\n"),
        Attack("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For\r\n\r\n"),
        Attack("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n"),
        Attack("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("CONNECT http://a:443/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
        Attack("GET http://a/ HTTP/1.1\r\nHost: A\r\n\r\n", nil),
        Attack("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", nil),
    ]

    static let all = bothLengths + transferEncodings + contentLengths + lineEnds + requestLines + routes

    @Test("no attack gets through, whole or split anywhere", arguments: all)
    func refused(_ attack: Attack) {
        let bytes = attack.sample.bytes
        let outcome = parse(bytes)
        #expect(outcome.status == attack.status, "\(outcome)")
        #expect(outcome != .incomplete)
        for place in 0...bytes.count { #expect(parse(bytes, upTo: [place, bytes.count]) == outcome) }
        #expect(parse(bytes, upTo: 0...bytes.count) == outcome)
    }

    @Test("the corpus is worth its name") func size() { #expect(Self.all.count >= 120) }

    static let harmless: [String] = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a/b/c?d=e&f=%20 HTTP/1.1\r\nHost: example.org\r\nUser-Agent: x/1 (y; z)\r\nAccept: */*\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n\r\nhello",
        "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n",
        "GET http://[2001:db8::1]:80/a?b HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \u{80}\u{FF}\tb\r\nX_Y: z\r\n!#$%&'*+-.^`|~: odd\r\nA:\r\nCookie: a=b; c=\"d\"\r\n\r\n",
    ]

    @Test("a good head reads the same wherever it is split, and byte by byte", arguments: harmless)
    func accepted(_ source: String) {
        let bytes = Sample(source).bytes
        let outcome = parse(bytes)
        guard case .head = outcome else {
            Issue.record("\(outcome)")
            return
        }
        for place in 0...bytes.count { #expect(parse(bytes, upTo: [place, bytes.count]) == outcome) }
        #expect(parse(bytes, upTo: 0...bytes.count) == outcome)
    }
}
