import EchoPlugin
import GatewayHTTP
import GatewayRuntime
import GatewayTelemetry
import Glibc
import PluginKit
import Testing

@testable import GatewayServer

/// A plugin that needs a setting.
private struct Needy: Plugin {
    struct Configuration: Settings {
        let origin: String

        init(from env: inout SettingsReader) { origin = env.required("ORIGIN", example: "x", "Where from.") }
    }

    static let name: PluginName = "needy"
    static let summary = "Needs a setting."

    init(settings: Configuration) {}
    func register(with gateway: inout Registrar) {}
}

@Suite("What the environment makes of a gateway")
struct AssemblyTests {
    private static let compiled: [any Plugin.Type] = [Echo.self, Needy.self, Scripted.self]

    private func verdicts(_ settings: [String: String?]) -> (verdicts: [String], problems: [String]) {
        let configuration = TestGateway.configuration(settings, plugins: Self.compiled)
        let verdicts = configuration.plugins.map { state in
            switch state.verdict {
            case .enabled: "\(state.name)"
            case .off: "(\(state.name))"
            case .dormant(let missing): "\(state.name) needs \(missing.joined(separator: ","))"
            }
        }
        return (verdicts, configuration.problems)
    }

    @Test("PLUGINS picks and orders; unset takes what is on by default and configured; empty takes none")
    func selection() {
        #expect(verdicts(["PLUGINS": "scripted, echo"]).verdicts == ["scripted", "echo", "(needy)"])
        #expect(verdicts(["PLUGINS": "scripted,\n\techo\t,"]).verdicts == ["scripted", "echo", "(needy)"])
        #expect(verdicts(["PLUGINS": nil]).verdicts == ["(echo)", "needy needs NEEDY_ORIGIN", "scripted"])
        #expect(verdicts(["PLUGINS": nil, "NEEDY_ORIGIN": "here"]).verdicts == ["(echo)", "needy", "scripted"])
        #expect(verdicts(["PLUGINS": ""]).verdicts == ["(echo)", "(needy)", "(scripted)"])
        for settings in [["PLUGINS": "scripted,echo"], ["PLUGINS": nil], ["PLUGINS": ""]] as [[String: String?]] {
            #expect(verdicts(settings).problems.isEmpty)
        }
    }

    @Test(
        "an unknown, repeated or unconfigured name stops the start and says what to do",
        arguments: [
            ("eco", "did you mean echo"), ("ec ho", "PLUGINS names ec ho, which"),
            ("zzzzzzzz", "there are echo, needy, scripted"),
            ("echo,echo", "PLUGINS names echo twice"), ("needy", "NEEDY_ORIGIN"),
        ])
    func selectionProblems(_ names: String, _ phrase: String) {
        let problems = verdicts(["PLUGINS": names]).problems
        #expect(problems.count == 1)
        #expect(problems.first?.contains(phrase) == true, "\(problems)")
    }

    private func startProblem(
        _ settings: [String: String?] = [:], plugins: [any Plugin.Type] = [Scripted.self],
        _ script: @escaping Scripted.Script = { _ in }
    ) throws -> StartError {
        try #require(throws: StartError.self) { try TestGateway(settings, plugins: plugins, script) }
    }

    @Test("two routes that collide stop the start, and both plugins are named")
    func collisions() throws {
        let error = try startProblem(["PLUGINS": "echo,scripted"], plugins: Self.compiled) { gateway in
            gateway.get("/echo") { _ in .text("mine") }
            gateway.get("/a/{x}") { _ in .text("") }
            gateway.get("/a/{y}") { _ in .text("") }
            gateway.get("no slash") { _ in .text("") }
        }
        #expect(error.exitCode == 78)
        #expect(error.description.contains("plugins echo and scripted both answer GET /echo on main"))
        #expect(error.description.contains("plugins scripted and scripted both answer GET /a/{y} on main"))
        #expect(error.description.contains("no slash is not a route pattern"))
    }

    @Test("the same metric twice stops the start")
    func metricCollision() throws {
        let error = try startProblem { gateway in
            _ = gateway.metrics.counter("things_total", "Things.")
            _ = gateway.metrics.counter("things_total", "Things.")
        }
        #expect(error.description.contains("gateway_scripted_things_total"))
    }

    @Test("the first plugin that wants the main WebSocket has it")
    func mainSocket() throws {
        let gateway = try TestGateway(
            ["PLUGINS": "scripted,echo", "ECHO_REQUIRE_TOKEN": "false", "WEBSOCKET_PATH": "/main"],
            plugins: Self.compiled
        ) { gateway in
            for path in gateway.context.mainSocketPaths {
                gateway.webSocket(path, access: .anyone) { session in try await session.send("scripted") }
            }
        }
        for path in ["/", "/main"] {
            #expect(try SocketClient(gateway, path).nextMessage() == .text("scripted"))
        }
        let echo = try SocketClient(gateway, "/echo")
        try echo.send("echo")
        #expect(try echo.next() == .text("echo"))
    }

    @Test("a port in use, a forbidden one and a foreign address are one line with an exit code")
    func ports() throws {
        let first = try TestGateway()
        let port = try first.port(of: .main)
        let inUse = try startProblem(["WEBSOCKET_PORT": "\(port)"])
        #expect(inUse.exitCode == 69)
        #expect(inUse.description.contains("port \(port) (WEBSOCKET_PORT) is in use"))
        let foreign = try startProblem(["LISTEN_ADDRESS": "192.0.2.1"])
        #expect(foreign.exitCode == 69)
        #expect(foreign.description.contains("192.0.2.1"))
        #expect(first.stop())
    }

    @Test(
        "more connections of clients and to upstreams than the system allows stop the start",
        .enabled(if: Resources.raiseDescriptorLimit() < 1_000_000),
        arguments: ["MAX_CONNECTIONS", "UPSTREAM_MAX_CONNECTIONS"])
    func descriptors(_ setting: String) throws {
        let error = try startProblem([setting: "1000000"])
        #expect(error.description.contains("\(setting)=1000000"))
        #expect(error.description.contains("file descriptors"))
    }

    @Test("a delay that leaves the drain no time is refused")
    func drainDelay() {
        let problems = verdicts(["DRAIN_DELAY": "10s", "DRAIN_TIMEOUT": "10s"]).problems
        #expect(problems.contains { $0.contains("DRAIN_DELAY") })
    }

    @Test("a plugin's own port serves its routes, probes, and nothing of the main port", arguments: Carriage.allCases)
    func entryPoints(_ carriage: Carriage) throws {
        let own = EntryPoint(name: "own", listen: ListenAddress(host: "127.0.0.1", port: 0))
        let gateway = try TestGateway(over: carriage) { gateway in
            let entry = gateway.entryPoint("own", listen: ListenAddress(host: "127.0.0.1", port: 0))
            gateway.get("/", at: entry) { _ in .text("own") }
            gateway.get("/main") { _ in .text("main") }
        }
        #expect(try gateway.ask(get("/"), of: own).text == "own")
        #expect(try gateway.ask(get("/health"), of: own).status == 200)
        #expect(try gateway.ask(get("/main"), of: own).status == 404)
        #expect(try gateway.ask(get("/metrics"), of: own).status == 404)
        #expect(try gateway.ask(get("/main")).text == "main")
    }
}
