import Foundation
import GatewayRuntime
import GatewayTelemetry
import GatewayTestSupport

@testable import GatewaySQLite

/// A folder of a test's own, gone with the last reference.
final class TestFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("sqlite-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var file: String { "\(path)/facts.sqlite" }

    func permissions(of name: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
        return attributes[.posixPermissions] as? Int ?? -1
    }

    var names: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() } }
}

/// The schema that most tests use.
let ledger: [StaticString] = [
    """
    CREATE TABLE account (name TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0)) STRICT;
    CREATE TABLE note (account TEXT NOT NULL REFERENCES account, body ANY) STRICT
    """
]

func database(
    in folder: TestFolder, steps: [StaticString] = ledger, settings: SQLiteSettings = SQLiteSettings(),
    limits: SQLiteLimits = SQLiteLimits()
) -> SQLiteDatabase {
    SQLiteDatabase("facts", in: folder.path, steps: steps, settings: settings, limits: limits, log: .silent)
}

/// Opens a database in a folder of its own, runs `body` on a loop, and closes both.
@discardableResult
func withDatabase<R: Sendable>(
    steps: [StaticString] = ledger, settings: SQLiteSettings = SQLiteSettings(),
    limits: SQLiteLimits = SQLiteLimits(), _ body: @escaping @Sendable (SQLiteDatabase) async throws -> R
) throws -> R {
    let folder = try TestFolder()
    let database = database(in: folder, steps: steps, settings: settings, limits: limits)
    try database.open()
    defer { database.close() }
    return try LoopThread.with { _ in try await body(database) }
}

/// What `body` throws, as an error of the driver.
func failure<R>(_ body: () async throws -> R) async -> SQLiteError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? SQLiteError
    }
}

extension SQLiteDatabase {
    func balance(of name: String) async throws -> Int64? {
        try await read { try $0.first("SELECT balance FROM account WHERE name = ?", .text(name)) { try $0.integer(0) } }
    }

    func open(_ name: String, with balance: Int64 = 0) async throws {
        try await write { transaction in
            try transaction.run("INSERT INTO account VALUES (?, ?)", .text(name), .integer(balance))
        }
    }
}
