import Foundation
import GatewaySQLite
import GatewayServer
import PluginKit
import PluginTesting
import Testing

// docs: facts
/// Counts visits, durably.
private struct Visits: Plugin {
    static let name: PluginName = "visits"
    static let summary = "Counts requests in a file."

    struct Configuration: Settings {
        let database: SQLiteSettings

        init(from env: inout SettingsReader) { database = SQLiteSettings(from: &env) }
    }

    let settings: Configuration

    init(settings: Configuration) { self.settings = settings }

    func register(with gateway: inout Registrar) {
        let visits = SQLiteDatabase(
            "visits", in: gateway.stateDirectory,
            steps: ["CREATE TABLE visit (at INTEGER NOT NULL) STRICT"], settings: settings.database, log: gateway.log)
        gateway.resource("database", visits)
        gateway.get("/visits") { _ in
            let count = try await visits.write { transaction in
                try transaction.run("INSERT INTO visit VALUES (unixepoch())")
                return try transaction.first("SELECT count(*) FROM visit") { try $0.integer(0) } ?? 0
            }
            return .text("\(count)")
        }
    }
}
// docs: end

@Suite("A plugin with a database")
struct ResourceTests {
    @Test("goes on where the process before it ended")
    func persists() throws {
        let folder = try TestFolder()
        for expected in ["1", "2"] {
            let gateway = try GatewayUnderTest([Visits.self], settings: ["STATE_DIRECTORY": folder.path], loops: 2)
            #expect(try gateway.get("/visits").text == expected)
            #expect(gateway.stop())
            // Closed in order: no log is left beside the file.
            #expect(try folder.names.filter { $0.hasPrefix("visits") } == ["visits.sqlite"])
        }
    }

    @Test("stops the start when its facts have no place, and says whose and where")
    func noPlace() throws {
        let error = #expect(throws: StartError.self) {
            _ = try GatewayUnderTest([Visits.self], settings: ["STATE_DIRECTORY": "/dev/null/state"])
        }
        #expect(error?.exitCode == 73)
        let text = error?.description ?? ""
        #expect(text.contains("plugin visits: database: "))
        #expect(text.contains("/dev/null/state/visits.sqlite: "))
    }

    @Test("has its settings under its own name")
    func settings() throws {
        let error = #expect(throws: GatewayUnderTest.Refused.self) {
            _ = try GatewayUnderTest([Visits.self], settings: ["VISITS_DATABASE_QUEUE": "0"])
        }
        #expect(error?.problems.contains { $0.contains("VISITS_DATABASE_QUEUE") } == true)
    }
}
