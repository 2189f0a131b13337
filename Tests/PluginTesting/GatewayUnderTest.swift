import GatewayLocks
import GatewayServer
import GatewayTelemetry
package import PluginKit

/// A whole gateway in this process, with the plugins under test, on ports of the system's choice.
///
/// It drains when the last reference goes. Its answers name the loop that made them: see ``Reply/loop``.
package final class GatewayUnderTest: Sendable {
    /// Why it did not start: what is wrong with the settings.
    package struct Refused: Error {
        package let problems: [String]
    }

    private static let secret = "a secret of at least thirty-two bytes, for tests"
    private static let issuer = "https://issuer.test"
    private static let audience = "plugin-tests"

    private let server: GatewayServer
    private let stopped = Guarded(false)

    /// Starts it.
    ///
    /// - Parameters:
    ///   - plugins: All of these run, outermost first.
    ///   - settings: The environment, in addition to what a test needs.
    ///   - loops: Two or more for whatever is shared between loops.
    package init(_ plugins: [any Plugin.Type], settings: [String: String] = [:], loops: Int = 1) throws {
        let plugins: [any Plugin.Type] = [LoopMarker.self] + plugins
        let own = [
            "LISTEN_ADDRESS": "127.0.0.1", "WEBSOCKET_PORT": "0", "OPS_LISTEN": "127.0.0.1:0", "LOOPS": "\(loops)",
            "WORKER_THREADS": "1", "MAX_CONNECTIONS": "128", "DRAIN_TIMEOUT": "10s", "DRAIN_JITTER": "0",
            "PLUGINS": plugins.map { $0.name.text }.joined(separator: ","), "STATE_DIRECTORY": "/dev/null/state",
            "SUPABASE_JWT_SECRET": Self.secret, "SUPABASE_AUTH_ISSUER": Self.issuer,
            "SUPABASE_AUTH_AUDIENCE": Self.audience,
        ]
        let configuration = Configuration(
            environment: own.merging(settings) { _, given in given }, compiled: plugins
        ) { (_, _) throws(SettingError) in throw SettingError("no files here") }
        guard configuration.problems.isEmpty else {
            throw Refused(problems: configuration.problems.map { "\($0)" })
        }
        let logs = LogSystem(level: .error, format: .text, sink: LogSink(limit: .zero) { _ in true })
        server = try GatewayServer(assembly: try ServerAssembly(configuration, logs: logs))
        do {
            try server.start()
        } catch {
            // No loop runs, so nothing would answer a drain.
            stopped.withLock { $0 = true }
            throw error
        }
    }

    deinit { stop() }

    /// Drains it, as SIGTERM does.
    ///
    /// - Returns: Whether everything finished by itself.
    @discardableResult
    package func stop() -> Bool {
        let isFirst = stopped.withLock { stopped in
            defer { stopped = true }
            return !stopped
        }
        return isFirst ? server.drain() : true
    }

    /// A token that it accepts, for ten minutes.
    package static func token(for subject: String = "somebody", isAdmin: Bool = false) throws -> String {
        let now = Double(WallClock.read().seconds)
        var claims: JSONObject = ["sub": .string(subject), "iss": .string(issuer), "aud": .string(audience)]
        claims["exp"] = JSONNumber(now + 600).map(JSON.number)
        if isAdmin { claims["permissions"] = .array([.string("admin")]) }
        return try TokenMint(secret: Secret(secret)).mint(claims)
    }

    /// Where a port of it is bound.
    package func port(of entry: EntryPoint = .main) -> UInt16 {
        server.addresses.first { $0.entry == entry }?.address.port ?? 0
    }

    /// GETs a path.
    ///
    /// - Parameter entry: `.operations` for `/metrics` and `/readyz` in detail.
    package func get(_ path: String, token: String? = nil, at entry: EntryPoint = .main) throws -> Reply {
        try ask("GET", path, token: token, at: entry)
    }

    /// Sends one request on a connection of its own and waits for the whole answer.
    ///
    /// - Parameter fields: More of the head, each line with its end.
    package func ask(
        _ method: String, _ path: String, token: String? = nil, fields: String = "", body: String = "",
        at entry: EntryPoint = .main
    ) throws -> Reply {
        let asked = try begin(method, path, token: token, fields: fields, body: body, at: entry)
        var reply = try asked.readHead()
        reply.body = try asked.readToEnd()
        return reply
    }

    /// Sends one request on a connection of its own, whose answer is read step by step.
    package func begin(
        _ method: String, _ path: String, token: String? = nil, fields: String = "", body: String = "",
        length: Int? = nil, at entry: EntryPoint = .main
    ) throws -> Asked {
        let wire = try Wire(port: port(of: entry))
        let authorization = token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        let isFramed = method == "GET" || fields.contains("Transfer-Encoding")
        let length = isFramed ? "" : "Content-Length: \(length ?? body.utf8.count)\r\n"
        let head =
            "\(method) \(path) HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\(authorization)\(fields)\(length)\r\n"
        try wire.send(Array((head + body).utf8))
        return Asked(wire: wire)
    }

    /// The value of a metric, such as `gateway_hello_greeted_total`; `nil` if there is none.
    package func metric(_ name: String) throws -> Int? {
        let lines = try get("/metrics", at: .operations).text.split(separator: "\n")
        return lines.first { $0.hasPrefix("\(name) ") }.flatMap { Int($0.dropFirst(name.utf8.count + 1)) }
    }

    /// Opens a WebSocket. A refusal is no error: look at ``TestSocket/reply``.
    package func socket(_ path: String, token: String? = nil) throws -> TestSocket {
        try TestSocket(port: port(), path: path, token: token)
    }

    /// Opens sockets until there is one on each of two loops. The kernel picks the loop of a connection.
    package func socketsOnTwoLoops(_ path: String) throws -> (TestSocket, TestSocket) {
        let first = try socket(path)
        var sameLoop: [TestSocket] = []
        for _ in 0..<60 {
            let next = try socket(path)
            if next.reply.loop != first.reply.loop { return (first, next) }
            // Kept, or the kernel might hand its port, and so its loop, to the next one.
            sameLoop.append(next)
        }
        throw Refused(problems: ["all connections came to one loop"])
    }
}

/// Whether `condition` becomes true within some twenty seconds: for states that tell nobody when they change.
package func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<4000 {
        if try condition() { return true }
        Threads.sleep(.milliseconds(5))
    }
    return false
}

/// Says in each answer which loop gave it.
private struct LoopMarker: Plugin, Middleware {
    static let name: PluginName = "loop-marker"
    static let summary = "Adds X-Loop to every answer."

    init(settings: NoSettings) {}

    func register(with gateway: inout Registrar) { gateway.use(self, on: .everyRequest) }

    func handle(_ request: Request, next: Next) async throws -> Response {
        var response = try await next(request)
        response.fields.append(HeaderName(literal: "X-Loop"), decimal: request.loop.index)
        return response
    }
}
