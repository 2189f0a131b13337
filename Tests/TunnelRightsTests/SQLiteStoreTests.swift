import Foundation
import GatewaySQLite
import GatewayTestSupport
import PluginKit
import Testing

@testable import TunnelPlugin

/// A folder of a test's own, gone with the last reference.
final class TestFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("tunnel-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

func logger(into memory: MemoryLog) -> (Logger, LogSystem) {
    let system = LogSystem(level: .info, format: .text, sink: LogSink(limit: .mebibytes(1)) { memory.write($0) })
    return (system.logger("tunnel"), system)
}

@Suite("Store of the tunnel: SQLite")
struct SQLiteStoreTests {
    private func withStore<R: Sendable>(
        in folder: TestFolder, _ body: @escaping @Sendable (SQLiteTunnelStore) async throws -> R
    ) throws -> R {
        let store = SQLiteTunnelStore(in: folder.path, settings: SQLiteSettings(), log: .silent)
        try store.open()
        defer { store.close() }
        return try LoopThread.with { _ in try await body(store) }
    }

    @Test("keeps the contract of stores", arguments: StoreCase.all)
    func contract(_ one: StoreCase) throws {
        try withStore(in: try TestFolder()) { try await one.check($0) }
    }

    @Test("what was kept is there after a restart")
    func durable() throws {
        let folder = try TestFolder()
        try withStore(in: folder) { store async throws in
            _ = try await store.add(enrolment("e1"), replacing: false, atMost: 5)
            _ = try await store.add(share("s1"), atMost: 5)
            try await store.chooseAgent("desk", for: "ann")
        }
        try withStore(in: folder) { store async throws in
            #expect(try await store.enrolment("e1") == enrolment("e1"))
            #expect(try await store.share(of: share("s1").parties) == share("s1"))
            #expect(try await store.chosenAgent(of: "ann") == "desk")
        }
    }

    @Test("without a folder it opens, says once why it keeps nothing, and answers nothing but that")
    func noFolder() throws {
        let memory = MemoryLog()
        let (log, system) = logger(into: memory)
        let store = SQLiteTunnelStore(in: "/dev/null/state", settings: SQLiteSettings(), log: log)
        try store.open()
        defer { store.close() }
        system.sink.flush(atMost: .seconds(5))
        let lines = memory.lines.filter { $0.contains("STATE_DIRECTORY") }
        #expect(lines.count == 1)
        #expect(lines.first?.contains("WARN") == true)
        #expect(lines.first?.contains("/dev/null/state") == true)
        let error = try LoopThread.with { _ in
            await #expect(throws: TunnelStoreError.self) { _ = try await store.enrolment("e1") }
        }
        guard case .unavailable(let reason)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.contains("STATE_DIRECTORY"))
        #expect(!reason.contains("/dev/null"))
    }

    @Test("a file that is no database stops the start")
    func damaged() throws {
        let folder = try TestFolder()
        try Data("this is no database, and long enough to be looked at".utf8)
            .write(to: URL(fileURLWithPath: "\(folder.path)/tunnel.sqlite"))
        let store = SQLiteTunnelStore(in: folder.path, settings: SQLiteSettings(), log: .silent)
        #expect(throws: SQLiteOpenFailure.self) { try store.open() }
    }
}

@Suite("Store of the tunnel: none")
struct NoStoreTests {
    @Test("answers everything with why there is none")
    func silent() throws {
        let store = NoTunnelStore(because: "TUNNEL_STORE is none")
        let expected = TunnelStoreError.unavailable("TUNNEL_STORE is none")
        try LoopThread.with { _ in
            await #expect(throws: expected) { _ = try await store.add(enrolment("e"), replacing: true, atMost: 1) }
            await #expect(throws: expected) { _ = try await store.enrolment("e") }
            await #expect(throws: expected) { _ = try await store.enrolments(of: "ann") }
            await #expect(throws: expected) { _ = try await store.revokeEnrolment("e", of: nil, at: 1) }
            await #expect(throws: expected) { try await store.noteUses(["e": 1]) }
            await #expect(throws: expected) { _ = try await store.chosenAgent(of: "ann") }
            await #expect(throws: expected) { try await store.chooseAgent("desk", for: "ann") }
            await #expect(throws: expected) { _ = try await store.add(share("s"), atMost: 1) }
            await #expect(throws: expected) { _ = try await store.share(of: share("s").parties) }
            await #expect(throws: expected) { _ = try await store.shares(givenBy: "ann") }
            await #expect(throws: expected) { _ = try await store.shares(givenTo: "ann") }
            await #expect(throws: expected) { _ = try await store.removeShare("s", of: "ann") }
        }
    }
}
