import GatewayHTTP
import GatewayRuntime
import PluginKit
import Testing

@testable import GatewayServer

@Suite("Routes: the most exact that takes the method")
struct RouterTests {
    private final class NoBody: RequestBodySource {
        var declaredBodyLength: UInt64? { 0 }
        func nextBodyChunk() async throws -> [UInt8]? { nil }
    }

    /// A router of patterns such as `GET /a/{b}`, `* /all`, `WS /socket`.
    private static func router(_ routes: [String]) throws -> Router {
        let metrics = try ServerMetrics(registry: Metrics(loops: 1))
        func resolved(_ route: Route) -> ResolvedRoute {
            ResolvedRoute(
                plugin: "scripted", pattern: route.pattern, isWebSocket: route.isWebSocket,
                chain: Chain(middleware: [], handler: route.handler), metrics: metrics.route(of: "scripted"))
        }
        let parsed = try routes.map { text in
            let parts = text.split(separator: " ")
            let method: Method? =
                switch parts[0] {
                case "GET", "WS": .get
                case "POST": .post
                case "DELETE": .delete
                default: nil
                }
            return Route(
                method: method, pattern: try #require(RoutePattern(String(parts[1]))), access: .anyone,
                entryPoint: .main,
                plugin: "scripted", isWebSocket: parts[0] == "WS", handler: { _ in .text("") })
        }
        let fallback = Route(
            method: nil, pattern: .root, access: .anyone, entryPoint: .main, plugin: "core", isWebSocket: false,
            handler: { _ in .text("") })
        return Router(routes: parsed.map { ($0, resolved($0)) }, fallback: resolved(fallback))
    }

    /// What a request line leads to: the pattern with its captures, or the refusal.
    private static func outcome(_ request: String, _ routes: [String], fields: String = "") throws -> String {
        let loop = try EventLoop(index: 0, workers: WorkerPool(threads: 1))
        let bytes = Array("\(request) HTTP/1.1\r\nHost: x\r\n\(fields)\r\n".utf8)
        var head = RequestHead()
        var parser = RequestParser()
        #expect(try parser.parse(bytes.span, into: &head))
        let subject = Request(
            loop: loop, peer: .loopback(port: 1), isSecure: false, body: RequestBody(source: NoBody()),
            id: RequestID(high: 0, low: 0))
        let router = try router(routes)
        return unsafe bytes.withUnsafeBytes { raw in
            unsafe subject.borrow(&head, raw)
            switch unsafe router.match(subject, path: subject.head.path(in: raw)) {
            case .route(let route):
                let captures = subject.captures.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
                return (route.isWebSocket ? "WS " : "") + route.pattern.description
                    + (captures.isEmpty ? "" : " \(captures)")
            case .methodNotAllowed(let allowed): return "405 \(allowed)"
            case .upgradeRequired: return "426"
            case .nothing: return "404"
            }
        }
    }

    @Test(
        "finds",
        arguments: [
            ("GET /", ["GET /"], "/"), ("GET /a", ["GET /", "GET /a"], "/a"), ("GET /a/", ["GET /a"], "404"),
            ("GET /A", ["GET /a"], "404"), ("GET /a?b=c", ["GET /a"], "/a"), ("GET /b", ["GET /a"], "404"),
            ("GET /a/1", ["GET /a/{n}"], "/a/{n} n=1"), ("GET /a/", ["GET /a/{n}"], "404"),
            ("GET /a/1/2", ["GET /a/{n}"], "404"), ("GET /a/1/b/2", ["GET /a/{n}/b/{m}"], "/a/{n}/b/{m} n=1 m=2"),
            ("GET /f/a/b/c", ["GET /f/{path...}"], "/f/{path...} path=a/b/c"), ("GET /f/", ["GET /f/{path...}"], "404"),
            ("GET /f", ["GET /f/{path...}"], "404"), ("GET /f//", ["GET /f/{path...}"], "/f/{path...} path=/"),
            // Exact before captured before the rest, longer before shorter, in whatever order they were declared.
            ("GET /a/b", ["GET /{r...}", "GET /a/{n}", "GET /a/b"], "/a/b"),
            ("GET /a/c", ["GET /{r...}", "GET /a/{n}", "GET /a/b"], "/a/{n} n=c"),
            ("GET /c/c", ["GET /{r...}", "GET /a/{n}", "GET /a/b"], "/{r...} r=c/c"),
            ("GET /a/b/c", ["GET /a/{r...}", "GET /a/b/{r...}"], "/a/b/{r...} r=c"),
            ("GET /x/y", ["GET /{a}/{b}", "GET /x/{b}"], "/x/{b} b=y"),
        ] as [(String, [String], String)])
    func finds(_ request: String, _ routes: [String], _ expected: String) throws {
        #expect(try Self.outcome(request, routes) == expected)
    }

    @Test(
        "minds the method",
        arguments: [
            ("HEAD /a", ["GET /a"], "/a"), ("POST /a", ["GET /a", "POST /a"], "/a"),
            ("POST /a", ["GET /a", "DELETE /a"], "405 DELETE, GET, HEAD"), ("DELETE /a", ["* /a", "GET /a"], "/a"),
            ("OPTIONS /a", ["GET /a"], "405 GET, HEAD"), ("HEAD /a", ["POST /a"], "405 POST"),
            ("POST /a/b", ["GET /a/b", "POST /a/{n}"], "/a/{n} n=b"),
            ("POST /a/b", ["GET /a/b", "* /{rest...}"], "/{rest...} rest=a/b"),
            ("DELETE /a/b", ["GET /a/b", "POST /a/{n}"], "405 GET, HEAD, POST"),
            ("GET /s", ["WS /s"], "426"), ("POST /s", ["WS /s"], "405 GET"), ("GET /s", ["WS /s", "GET /s"], "/s"),
        ] as [(String, [String], String)])
    func methods(_ request: String, _ routes: [String], _ expected: String) throws {
        #expect(try Self.outcome(request, routes) == expected)
    }

    @Test("takes an upgrade to the WebSocket, and an ordinary request to the page at the same path")
    func upgrade() throws {
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        #expect(try Self.outcome("GET /s", ["WS /s", "GET /s"], fields: upgrade) == "WS /s")
        #expect(try Self.outcome("GET /s", ["GET /s"], fields: upgrade) == "/s")
        #expect(try Self.outcome("GET /s", ["GET /s", "WS /{x}"], fields: upgrade) == "/s")
    }

    @Test("a thousand exact paths are told apart")
    func many() throws {
        let routes = (0..<1000).map { "GET /path/\($0)" }
        for number in [0, 1, 499, 998, 999] {
            #expect(try Self.outcome("GET /path/\(number)", routes) == "/path/\(number)")
        }
        #expect(try Self.outcome("GET /path/1000", routes) == "404")
    }
}
