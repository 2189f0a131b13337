import GatewayAuth
import GatewayBytes
import GatewayHTTP
import GatewayLocks
import GatewayRuntime
import GatewayTLS
import GatewayTelemetry
import GatewayTestSupport
import Glibc
import PluginKit
import Testing

@testable import GatewayServer

/// A plugin that does what the test at hand says.
struct Scripted: Plugin {
    static let name: PluginName = "scripted"
    static let summary = "Does what a test says."

    typealias Script = @Sendable (inout Registrar) -> Void
    @TaskLocal static var script: Script = { _ in }

    private let run: Script

    init(settings: NoSettings) { run = Self.script }

    func register(with gateway: inout Registrar) { run(&gateway) }
}

/// How clients reach a gateway: the same tests run over both.
enum Carriage: String, CaseIterable, Sendable {
    case plain, tls
}

/// A whole gateway in this process, on ports of the system's choice.
final class TestGateway: Sendable {
    static let secret = "a secret of at least thirty-two bytes, for tests"
    static let issuer = "https://issuer.test"
    static let audience = "gateway-tests"

    let server: GatewayServer
    let assembly: ServerAssembly
    let carriage: Carriage
    private let memory: MemoryLog
    private let sink: LogSink
    private let settings: [String: String?]
    private let plugins: [any Plugin.Type]
    private let script: Scripted.Script
    private let stopped = Guarded(false)

    /// What every test's gateway is told, before its own settings.
    private static let defaults = [
        "WEBSOCKET_PORT": "0",
        "LISTEN_ADDRESS": "127.0.0.1",
        "OPS_LISTEN": "127.0.0.1:0",
        "LOOPS": "1",
        "WORKER_THREADS": "1",
        "MAX_CONNECTIONS": "256",
        "DRAIN_TIMEOUT": "10s",
        "DRAIN_GRACE": "0",
        "DRAIN_JITTER": "0",
        "LOG_LEVEL": "trace",
        "PLUGINS": "scripted",
        "STATE_DIRECTORY": "/nonexistent",
        "SUPABASE_JWT_SECRET": secret,
        "SUPABASE_AUTH_ISSUER": issuer,
        "SUPABASE_AUTH_AUDIENCE": audience,
    ]

    static func configuration(
        _ settings: [String: String?], plugins: [any Plugin.Type] = [Scripted.self]
    ) -> Configuration {
        var environment = defaults
        for (name, value) in settings { environment[name] = value }
        return Configuration(environment: environment, compiled: plugins) { _, _ in [] }
    }

    /// - Parameters:
    ///   - settings: On top of the defaults; `nil` unsets.
    ///   - script: What the plugin `scripted` registers.
    init(
        _ settings: [String: String?] = [:], plugins: [any Plugin.Type] = [Scripted.self],
        over carriage: Carriage = .plain,
        _ script: @escaping Scripted.Script = { _ in }
    ) throws {
        let memory = MemoryLog()
        self.memory = memory
        self.carriage = carriage
        (self.settings, self.plugins, self.script) = (settings, plugins, script)
        sink = LogSink(limit: .mebibytes(16)) { memory.write($0) }
        let logs = LogSystem(level: .trace, format: .json, sink: sink)
        Resources.ignoreBrokenPipes()
        assembly = try Scripted.$script.withValue(script) {
            let configuration = Self.configuration(settings, plugins: plugins)
            try #require(configuration.problems.isEmpty, "\(configuration.problems)")
            return try ServerAssembly(
                configuration, logs: logs, certificate: carriage == .tls ? Self.certificate.get() : nil)
        }
        server = try GatewayServer(assembly: assembly)
        try server.start()
    }

    /// What settings become with `changes` on top of those it started with.
    func changed(_ changes: [String: String?]) -> Configuration {
        Scripted.$script.withValue(script) {
            Self.configuration(settings.merging(changes) { _, changed in changed }, plugins: plugins)
        }
    }

    func plan(_ changes: [String: String?]) -> ReloadReport { server.plan(changed(changes)) }

    @discardableResult
    func reload(_ changes: [String: String?]) -> ReloadReport { server.reload(changed(changes)) }

    private static let certificate = Result {
        try SelfSignedCertificate.make(names: ["localhost"], ips: ["127.0.0.1"], validDays: 2)
    }

    deinit { stop() }

    /// Drains and ends the loops.
    ///
    /// - Returns: Whether everything finished by itself.
    @discardableResult
    func stop() -> Bool {
        let isFirst = stopped.withLock { stopped in
            defer { stopped = true }
            return !stopped
        }
        return isFirst ? server.drain() : true
    }

    func port(of entry: EntryPoint) throws -> UInt16 {
        try #require(server.addresses.first { $0.entry == entry }).address.port
    }

    func connect(to entry: EntryPoint = .main) throws -> Client {
        let isSecure = carriage == .tls && entry != .operations
        let client = try Client(port: port(of: entry), isSecure: isSecure)
        client.gateway = self
        return client
    }

    /// Sends one request on a connection of its own and reads the response.
    func ask(_ request: String, of entry: EntryPoint = .main) throws -> Answer {
        let client = try connect(to: entry)
        try client.send(request)
        return try client.answer(toHEAD: request.hasPrefix("HEAD"))
    }

    /// Everything logged so far, access log included.
    var log: String {
        for handle in assembly.loops {
            let done = Signal()
            handle.loop.submit {
                handle.server?.flushLogs()
                done.raise()
            }
            if !stopped.withLock({ $0 }) { done.wait() }
        }
        sink.flush(atMost: .seconds(10))
        return memory.text
    }

    /// Open connections and sockets as the loops count them.
    var openConnections: Int { assembly.shared.connections.count }

    /// Waits until no connection is left.
    func awaitQuiet() -> Bool { eventually { self.openConnections == 0 } }

    func metric(_ line: String) throws -> Double? {
        let text = try ask("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", of: .operations).text
        for candidate in text.split(separator: "\n") where candidate.hasPrefix(line + " ") {
            return Double(candidate.dropFirst(line.count + 1))
        }
        return nil
    }

    // MARK: Tokens

    static var now: Double {
        let (seconds, nanoseconds) = WallClock.read()
        return Double(seconds) + Double(nanoseconds) / 1e9
    }

    static func token(
        subject: String = "somebody", lifetime: Double = 600, secret: String = secret, more: JSONObject = JSONObject()
    ) throws -> String {
        // Not rounded down to a whole second: two seconds are two seconds.
        var claims: JSONObject = ["sub": .string(subject), "iss": .string(issuer), "aud": .string(audience)]
        claims["exp"] = JSONNumber(now + lifetime).map(JSON.number)
        for member in more.members { claims[member.name] = member.value }
        return try TokenMint(secret: Secret(secret)).mint(claims)
    }
}

/// Whether `condition` becomes true. Asks again and again: for states that tell nobody when they change.
func eventually(_ condition: () -> Bool) -> Bool {
    for _ in 0..<4000 {
        if condition() { return true }
        usleep(5000)
    }
    return false
}

/// A place where handlers wait until the test lets them go on.
final class Gate: Sendable {
    private struct Waiting: @unchecked Sendable {
        // Safe: the wait is touched on its loop only.
        let loop: EventLoop
        let wait: LoopWait
    }

    private let arrivals = Signal()
    private let state = Guarded<(isOpen: Bool, waiting: [Waiting])>((false, []))

    /// Suspends the calling task on `loop`.
    func pass(on loop: EventLoop) async throws {
        let wait = LoopWait()
        let waiting = Waiting(loop: loop, wait: wait)
        let isOpen = state.withLock { state in
            if !state.isOpen { state.waiting.append(waiting) }
            return state.isOpen
        }
        arrivals.raise()
        if isOpen { return }
        if case .cancelled = await wait.run(on: loop) { throw CancellationError() }
    }

    /// Blocks the test until a handler has come here.
    func awaitArrival() -> Bool { arrivals.wait(atMost: .seconds(20)) }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for waiting in waiting { waiting.loop.submit { waiting.wait.wake() } }
    }
}

/// Values that handlers leave for the test.
final class Notes<Value: Sendable>: Sendable {
    private let arrivals = Signal()
    private let values = Guarded<[Value]>([])

    func add(_ value: Value) {
        values.withLock { $0.append(value) }
        arrivals.raise()
    }

    /// Blocks until the next value was added.
    func awaitNext() -> Bool { arrivals.wait(atMost: .seconds(20)) }

    var all: [Value] { values.withLock { $0 } }
}
