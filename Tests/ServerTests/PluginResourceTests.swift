import PluginKit
import Testing

@testable import GatewayServer

/// What happened to the resources of a test, in order.
private final class Journal: Sendable {
    private let entries = Guarded<[String]>([])
    /// Names whose opening fails.
    let broken = Guarded<Set<String>>([])

    func note(_ entry: String) { entries.withLock { $0.append(entry) } }
    var all: [String] { entries.withLock { $0 } }
}

private final class Noted: PluginResource {
    struct Broken: Error, CustomStringConvertible {
        let description = "it is broken"
    }

    private let name: String
    private let journal: Journal

    init(_ name: String, _ journal: Journal) {
        self.name = name
        self.journal = journal
    }

    func open() throws {
        guard journal.broken.withLock({ !$0.contains(name) }) else { throw Broken() }
        journal.note("open \(name)")
    }

    func close() { journal.note("close \(name)") }
}

@Suite("What plugins need is opened and closed for them")
struct PluginResourceTests {
    private func declaring(_ names: [String], _ journal: Journal) -> Scripted.Script {
        { gateway in
            // Made anew when this changes.
            _ = gateway.context.mainSocketPaths
            #expect(gateway.stateDirectory == "/nonexistent/state")
            for name in names { gateway.resource(name, Noted(name, journal)) }
        }
    }

    private func start(_ journal: Journal) throws -> TestGateway {
        try TestGateway(["STATE_DIRECTORY": "/nonexistent/state"], declaring(["a", "b"], journal))
    }

    @Test("in order before the first request, and in the opposite order after the last")
    func order() throws {
        let journal = Journal()
        let gateway = try start(journal)
        #expect(journal.all == ["open a", "open b"])
        #expect(gateway.stop())
        #expect(journal.all == ["open a", "open b", "close b", "close a"])
    }

    @Test("one that cannot be opened stops the start by name, and those before it are closed again")
    func failure() throws {
        let journal = Journal()
        journal.broken.withLock { _ = $0.insert("c") }
        let server = try Scripted.$script.withValue(declaring(["a", "b", "c", "d"], journal)) {
            let configuration = TestGateway.configuration(["STATE_DIRECTORY": "/nonexistent/state"])
            let logs = LogSystem(level: .error, format: .text, sink: LogSink(limit: .zero) { _ in true })
            return try GatewayServer(assembly: ServerAssembly(configuration, logs: logs))
        }
        let error = #expect(throws: StartError.self) { try server.start() }
        #expect(error?.description == "plugin scripted: c: it is broken")
        #expect(error?.exitCode == 73)
        #expect(journal.all == ["open a", "open b", "close b", "close a"])
    }

    @Test("a plan opens nothing, and neither does a change that keeps the plugin")
    func untouched() throws {
        let journal = Journal()
        let gateway = try start(journal)
        #expect(gateway.plan(["WEBSOCKET_PATH": "/elsewhere"]).problems.isEmpty)
        #expect(gateway.reload(["PING_INTERVAL": "7s"]).problems.isEmpty)
        #expect(journal.all == ["open a", "open b"])
    }

    @Test("a reload that makes the plugin anew opens what it needs now")
    func reloaded() throws {
        let journal = Journal()
        let gateway = try start(journal)
        #expect(gateway.reload(["WEBSOCKET_PATH": "/elsewhere"]).problems.isEmpty)
        #expect(journal.all == ["open a", "open b", "open a", "open b"])
        #expect(gateway.stop())
        #expect(journal.all.suffix(2) == ["close b", "close a"])
    }

    @Test("a reload whose resources cannot be opened changes nothing")
    func refused() throws {
        let journal = Journal()
        let gateway = try start(journal)
        journal.broken.withLock { _ = $0.insert("b") }
        let report = gateway.reload(["WEBSOCKET_PATH": "/elsewhere"])
        #expect(report.problems == ["plugin scripted: b: it is broken"])
        #expect(journal.all == ["open a", "open b", "open a", "close a"])
        #expect(gateway.server.generation.number == 1)
        #expect(gateway.stop())
        #expect(journal.all.suffix(2) == ["close b", "close a"])
    }
}
