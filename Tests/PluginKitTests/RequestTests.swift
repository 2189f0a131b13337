import GatewayHTTP
import GatewayLocks
import GatewayRuntime
import GatewayTelemetry
import Testing

@testable import PluginKit

/// A connection that has one body.
private final class Source: RequestBodySource {
    var chunks: [[UInt8]]
    init(_ chunks: [[UInt8]]) { self.chunks = chunks }

    var declaredBodyLength: UInt64? { 3 }
    func nextBodyChunk() async throws -> [UInt8]? { chunks.isEmpty ? nil : chunks.removeFirst() }
}

@Suite("Requests")
struct RequestTests {
    private static func loop() throws -> EventLoop { try EventLoop(index: 0, workers: WorkerPool(threads: 1)) }

    private static func head(_ bytes: [UInt8]) throws -> RequestHead {
        var head = RequestHead()
        var parser = RequestParser()
        #expect(try parser.parse(bytes.span, into: &head))
        return head
    }

    private static func request(on loop: EventLoop, _ chunks: [[UInt8]] = []) -> Request {
        Request(
            loop: loop, peer: .loopback(port: 1), isSecure: false, body: RequestBody(source: Source(chunks)),
            id: RequestID(high: 0, low: 1))
    }

    private static let first = Array(
        "GET /one/%41?q=a%20b HTTP/1.1\r\nHost: x:80\r\nAuthorization: first\r\nA: 1\r\nA: 2\r\n\r\n".utf8)
    private static let second = Array(
        "GET /two/22222222222 HTTP/1.1\r\nHost: y:81\r\nAuthorization: other\r\nA: 3\r\nA: 4\r\n".utf8)

    @Test("a detached request reads itself after the buffer holds another")
    func detached() throws {
        let loop = try Self.loop()
        let request = Self.request(on: loop)
        var buffer = Self.first
        var head = try Self.head(buffer)
        unsafe buffer.withUnsafeBytes { raw in
            unsafe request.borrow(&head, raw)
            request.detach()
            request.detach()
        }
        loop.willReceive()
        buffer.replaceSubrange(0..<Self.second.count, with: Self.second)
        #expect(request.path == "/one/%41")
        #expect(request.query == "q=a%20b")
        #expect(request.query("q") == "a b")
        #expect(request.query("p") == nil)
        #expect(request.authority == "x:80")
        #expect(request.header(.authorization) == "first")
        #expect(request.header(.cookie) == nil)
        #expect(request.values(of: try #require(HeaderName("A"))) == ["1", "2"])
    }

    @Test("a recycled request remembers nothing of the one before")
    func recycled() throws {
        let request = Self.request(on: try Self.loop())
        request.captures = [RouteCapture(name: "n", value: "1")]
        request.plugin = "hls"
        request.normalisedPath = [0x2F]
        request.recycle(id: RequestID(high: 0, low: 2))
        #expect(request.capture("n") == nil)
        #expect(request.plugin == "core")
        #expect(request.principal == nil)
        #expect(request.normalisedPath == nil)
        #expect(request.id == RequestID(high: 0, low: 2))
    }

    @Test("a body that somebody kept is over when its request is recycled; the next one reads on")
    func keptBody() async throws {
        let request = Self.request(on: try Self.loop(), [[1], [2]])
        let kept = request.body
        #expect(try await kept.next() == [1])
        request.recycle(id: RequestID(high: 0, low: 2))
        await #expect(throws: CancellationError.self) { _ = try await kept.next() }
        #expect(try await request.body.next() == [2])
    }

    @Test("a body that nobody kept is used again")
    func ownBody() throws {
        let request = Self.request(on: try Self.loop(), [[1]])
        let before = ObjectIdentifier(request.body)
        request.recycle(id: RequestID(high: 0, low: 2))
        #expect(ObjectIdentifier(request.body) == before)
    }

    @Test("collecting stops at its limit")
    func collect() async throws {
        let loop = try Self.loop()
        #expect(try await Self.request(on: loop, [[1], [2, 3]]).body.collect(limit: 3) == [1, 2, 3])
        let error = try await #require(throws: GatewayFault.self) {
            try await Self.request(on: loop, [[1], [2, 3]]).body.collect(limit: 2)
        }
        #expect(error.status == .contentTooLarge)
    }

    /// Adds its name on the way in and on the way out.
    private struct Named: Middleware {
        let name: String
        let trace: Trace

        func handle(_ request: Request, next: Next) async throws -> Response {
            trace.add("\(name)>")
            defer { trace.add("<\(name)") }
            return try await next(request)
        }
    }

    private final class Trace: Sendable {
        private let words = Guarded<[String]>([])
        func add(_ word: String) { words.withLock { $0.append(word) } }
        var text: String { words.withLock { $0.joined() } }
    }

    @Test("middleware is an onion around the handler, also around another one")
    func chain() async throws {
        let trace = Trace()
        let chain = Chain(middleware: [Named(name: "a", trace: trace), Named(name: "b", trace: trace)]) { _ in
            trace.add("handler")
            return .text("")
        }
        let request = Self.request(on: try Self.loop())
        _ = try await chain.run(request)
        #expect(trace.text == "a>b>handler<b<a")
        let refusing = chain.ending { _ in throw GatewayFault.notFound() }
        await #expect(throws: GatewayFault.self) { _ = try await refusing.run(request) }
        #expect(trace.text == "a>b>handler<b<aa>b><b<a")
    }
}
