import PluginKit
import Testing

/// One request that must be refused, and how.
struct Refusal: CustomTestStringConvertible, Sendable {
    let name: String
    let request: String
    let status: Int
    let code: String
    var settings: [String: String] = [:]

    var testDescription: String { name }

    static let all: [Refusal] = [
        Refusal(
            name: "length and chunked",
            request: "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            status: 400, code: "bad_request"),
        Refusal(
            name: "two lengths",
            request: "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", status: 400,
            code: "bad_request"),
        Refusal(
            name: "malformed length", request: "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
            status: 400, code: "bad_request"),
        Refusal(
            name: "unknown transfer coding",
            request: "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", status: 501,
            code: "not_implemented"),
        Refusal(name: "bare LF", request: "GET / HTTP/1.1\nHost: x\n\n", status: 400, code: "bad_request"),
        Refusal(
            name: "obs-fold", request: "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", status: 400,
            code: "bad_request"),
        Refusal(
            name: "space before colon", request: "GET / HTTP/1.1\r\nHost : x\r\n\r\n", status: 400, code: "bad_request"),
        Refusal(
            name: "control character", request: "GET / HTTP/1.1\r\nHost: x\r\nA: \u{1}\r\n\r\n", status: 400,
            code: "bad_request"),
        Refusal(name: "missing Host", request: "GET / HTTP/1.1\r\n\r\n", status: 400, code: "bad_request"),
        Refusal(
            name: "repeated Host", request: "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", status: 400,
            code: "bad_request"),
        Refusal(
            name: "mismatched absolute-form", request: "GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n", status: 400,
            code: "bad_request"),
        Refusal(name: "HTTP/0.9", request: "GET /\r\n\r\n", status: 400, code: "bad_request"),
        Refusal(name: "TLS on the plain port", request: "\u{16}\u{3}\u{1}", status: 400, code: "bad_request"),
        Refusal(
            name: "lower-case method", request: "get / HTTP/1.1\r\nHost: x\r\n\r\n", status: 501,
            code: "not_implemented"),
        Refusal(
            name: "HTTP/2.0", request: "GET / HTTP/2.0\r\nHost: x\r\n\r\n", status: 505, code: "version_not_supported"),
        Refusal(
            name: "long request line",
            request: "GET /" + String(repeating: "a", count: 300) + " HTTP/1.1\r\nHost: x\r\n\r\n", status: 414,
            code: "request_line_too_long", settings: ["HTTP_MAX_REQUEST_LINE": "256"]),
        Refusal(
            name: "long field",
            request: "GET / HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "a", count: 300) + "\r\n\r\n", status: 431,
            code: "head_too_large", settings: ["HTTP_MAX_FIELD_LINE": "256"]),
        Refusal(
            name: "long head",
            request: "GET / HTTP/1.1\r\nHost: x\r\n"
                + String(repeating: "A: \(String(repeating: "a", count: 90))\r\n", count: 20) + "\r\n", status: 431,
            code: "head_too_large", settings: ["HTTP_MAX_HEAD": "1KiB"]),
        Refusal(
            name: "many fields",
            request: "GET / HTTP/1.1\r\nHost: x\r\n" + String(repeating: "A: b\r\n", count: 20) + "\r\n", status: 431,
            code: "head_too_large", settings: ["HTTP_MAX_FIELDS": "8"]),
        Refusal(
            name: "unknown expectation",
            request: "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: a-pony\r\n\r\n", status: 417,
            code: "expectation_unsupported"),
        Refusal(
            name: "declared body too large", request: "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n",
            status: 413, code: "content_too_large", settings: ["HTTP_MAX_BODY": "1000"]),
        Refusal(
            name: "chunked body too large",
            request: "POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n"
                + String(repeating: "b", count: 4095) + "\r\n0\r\n\r\n", status: 413, code: "content_too_large",
            settings: ["HTTP_MAX_BODY": "1000"]),
        Refusal(
            name: "bad chunk size",
            request: "POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", status: 400,
            code: "bad_chunk"),
        Refusal(
            name: "long trailers",
            request: "POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: "
                + String(repeating: "a", count: 20000) + "\r\n\r\n", status: 431, code: "bad_chunk"),
        Refusal(
            name: "body cut short",
            request: "POST /read HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\nabc",
            status: 400, code: "body_incomplete"),
    ]
}

@Suite("Refusals reach the client, and the connection closes")
struct RefusalTests {
    private static let script: Scripted.Script = { gateway in
        gateway.post("/read") { request in
            let bytes = try await request.body.collect(limit: 1 << 20)
            return .text("read \(bytes.count)")
        }
        gateway.get("/here") { _ in .text("here") }
        gateway.webSocket("/socket", access: .anyone) { _ in Silence() }
    }

    @Test("is answered with its status, a reason, and the end of the connection", arguments: Refusal.all)
    func refused(_ refusal: Refusal) throws {
        let gateway = try TestGateway(refusal.settings, Self.script)
        let client = try gateway.connect()
        try client.send(refusal.request)
        if refusal.code == "body_incomplete" { client.finishSending() }
        let answer = try client.answer()
        #expect(answer.status == refusal.status)
        #expect(answer.code == refusal.code)
        #expect(answer["connection"] == "close")
        #expect(answer.text.contains("\"requestId\":\""))
        #expect(try client.isEnded())
    }

    @Test("a refusal is read whole although megabytes of request were on their way")
    func refusalBeforeUpload() throws {
        let gateway = try TestGateway(["HTTP_MAX_BODY": "1000"], Self.script)
        let client = try gateway.connect()
        try client.send("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n")
        try client.send([UInt8](repeating: 7, count: 500_000))
        #expect(try client.answer().status == 413)
        #expect(try client.isEnded())
    }

    @Test("what comes after a refused head is not read as a request")
    func nothingAfterRefusal() throws {
        let served = Notes<String>()
        let gateway = try TestGateway { gateway in
            gateway.get("/second") { _ in
                served.add("second")
                return .text("second")
            }
        }
        let client = try gateway.connect()
        try client.send("GET / HTTP/1.1\r\n\r\n" + get("/second"))
        #expect(try client.answer().status == 400)
        #expect(try client.isEnded())
        gateway.stop()
        #expect(served.all.isEmpty)
    }

    @Test("a head that takes too long is answered 408")
    func slowHead() throws {
        let gateway = try TestGateway(["HTTP_HEAD_TIMEOUT": "150"])
        let client = try gateway.connect()
        try client.send("GET / HTT")
        let answer = try client.answer()
        #expect(answer.status == 408)
        #expect(answer.code == "request_timeout")
        #expect(try client.isEnded())
    }

    @Test("a connection that never says anything is closed without a word")
    func silentConnection() throws {
        let gateway = try TestGateway(["HTTP_HEAD_TIMEOUT": "150"])
        #expect(try gateway.connect().isEnded())
    }

    @Test("a TLS handshake that never ends is cut off by the same time-out")
    func silentHandshake() throws {
        let gateway = try TestGateway(["HTTP_HEAD_TIMEOUT": "150"], over: .tls)
        let client = try Client(port: gateway.port(of: .main))
        #expect(try client.isEnded())
        #expect(gateway.awaitQuiet())
    }

    @Test("a failed TLS handshake is counted")
    func failedHandshake() throws {
        let gateway = try TestGateway(over: .tls)
        let client = try Client(port: gateway.port(of: .main))
        try client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = try? client.readToEnd()
        #expect(gateway.awaitQuiet())
        #expect(try gateway.metric("gateway_tls_failures_total") == 1)
    }

    @Test("a body that makes no progress is answered 408")
    func slowBody() throws {
        let gateway = try TestGateway(["HTTP_BODY_TIMEOUT": "150"], Self.script)
        let client = try gateway.connect()
        try client.send("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        let answer = try client.answer()
        #expect(answer.status == 408)
        #expect(answer.code == "body_timeout")
        #expect(try client.isEnded())
    }

    @Test("an idle connection is closed after its time-out")
    func idleConnection() throws {
        let gateway = try TestGateway(["HTTP_KEEP_ALIVE_TIMEOUT": "150"], Self.script)
        let client = try gateway.connect()
        try client.send(get("/here"))
        #expect(try client.answer().text == "here")
        #expect(try client.isEnded())
    }

    @Test("an unknown path is 404, an unknown method 405 with Allow, a WebSocket's path 426, and the connection stays")
    func unknownRoutes() throws {
        let gateway = try TestGateway([:], Self.script)
        let client = try gateway.connect()
        try client.send(get("/nowhere"))
        #expect(try client.answer().status == 404)
        try client.send("DELETE /here HTTP/1.1\r\nHost: x\r\n\r\n")
        let notAllowed = try client.answer()
        #expect(notAllowed.status == 405)
        #expect(notAllowed["allow"] == "GET, HEAD")
        try client.send(get("/socket"))
        let upgrade = try client.answer()
        #expect(upgrade.status == 426)
        #expect(upgrade["upgrade"] == "websocket")
        #expect(upgrade["connection"] == "Upgrade")
        try client.send(get("/a/%2e%2e/b"))
        #expect(try client.answer().code == "bad_path")
        try client.send(get("/here"))
        #expect(try client.answer().text == "here")
    }

    @Test(
        "middleware for every request sees preflights, unknown methods and unknown paths, before tokens are asked for")
    func preflight() throws {
        let gateway = try TestGateway { gateway in
            gateway.use(Preflight(), on: .everyRequest)
            gateway.get("/private", access: .signedIn) { _ in .text("private") }
        }
        for path in ["/private", "/nowhere"] {
            #expect(try gateway.ask("OPTIONS \(path) HTTP/1.1\r\nHost: x\r\n\r\n").status == 204)
        }
        #expect(try gateway.ask(get("/private")).status == 401)
        #expect(try gateway.ask("POST /private HTTP/1.1\r\nHost: x\r\n\r\n").status == 405)
    }
}

/// Answers every OPTIONS by itself, as CORS does.
struct Preflight: Middleware {
    func handle(_ request: Request, next: Next) async throws -> Response {
        if request.method == .options { return Response(status: .noContent) }
        return try await next(request)
    }
}

/// A socket handler that does nothing.
final class Silence: WebSocketHandler {
    func received(_ message: WebSocketMessage, on socket: any WebSocket) {}
}
