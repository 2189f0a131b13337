import GatewayRuntime
import GatewayTestSupport
import Testing

@testable import GatewaySQLite

@Suite("Transactions of the embedded database")
struct TransactionTests {
    private struct Interrupted: Error {}

    @Test("a value of each type is read as it was bound, the empty ones too")
    func types() throws {
        let values: [SQLiteValue] = [
            .null, .integer(.min), .integer(.max), .real(-0.5), .text(""), .text("zwölf 🜁\u{0}end"), .blob([]),
            .blob([0, 255, 0]),
        ]
        try withDatabase { database in
            try await database.open("a")
            try await database.write { transaction in
                for value in values { try transaction.run("INSERT INTO note VALUES ('a', ?)", value) }
            }
            let found = try await database.read { transaction in
                try transaction.rows("SELECT body, typeof(body) FROM note ORDER BY rowid") { row in
                    let value: SQLiteValue =
                        switch try row.text(1) {
                        case "integer": .integer(try row.integer(0))
                        case "real": .real(try row.real(0))
                        case "text": .text(try row.text(0))
                        case "blob": .blob(try row.blob(0))
                        default: .null
                        }
                    #expect(try row.isNull(0) == (value == .null))
                    return value
                }
            }
            #expect(found == values)
        }
    }

    @Test("an optional is NULL when there is none")
    func optionals() throws {
        try withDatabase(steps: ["CREATE TABLE t (i INTEGER, r REAL, t TEXT, b BLOB) STRICT"]) { database in
            try await database.write { transaction in
                let (number, text): (Int64?, String?) = (nil, nil)
                try transaction.run(
                    "INSERT INTO t VALUES (?, ?, ?, ?)", .integer(orNull: number), .real(orNull: nil),
                    .text(orNull: text), .blob(orNull: nil))
                try transaction.run(
                    "INSERT INTO t VALUES (?, ?, ?, ?)", .integer(orNull: 7), .real(orNull: 2.5), .text(orNull: "x"),
                    .blob(orNull: [1]))
            }
            let rows = try await database.read { transaction in
                try transaction.rows("SELECT i, r, t, b FROM t ORDER BY rowid") { row in
                    "\(try row.integerOrNull(0) as Any) \(try row.realOrNull(1) as Any) \(try row.textOrNull(2) as Any) \(try row.blobOrNull(3) as Any)"
                }
            }
            #expect(rows == ["nil nil nil nil", "Optional(7) Optional(2.5) Optional(\"x\") Optional([1])"])
        }
    }

    @Test("what throws takes back everything that it wrote")
    func takenBack() throws {
        try withDatabase { database in
            try await database.open("kept", with: 1)
            await #expect(throws: Interrupted.self) {
                try await database.write { transaction in
                    try transaction.run("UPDATE account SET balance = 2")
                    try transaction.run("INSERT INTO account VALUES ('lost', 3)")
                    throw Interrupted()
                }
            }
            #expect(try await database.balance(of: "kept") == 1)
            let lost = try await database.balance(of: "lost")
            #expect(lost == nil)
        }
    }

    @Test("a write says how many rows it changed, and its answer is read within it")
    func changes() throws {
        try withDatabase { database in
            for name in ["a", "b", "c"] { try await database.open(name, with: 5) }
            let (changed, sum) = try await database.write { transaction in
                let changed = try transaction.run("UPDATE account SET balance = 6 WHERE name <> ?", .text("b"))
                let sum = try transaction.first("SELECT sum(balance) FROM account") { try $0.integer(0) }
                return (changed, sum)
            }
            #expect(changed == 2)
            #expect(sum == 17)
        }
    }

    @Test("text that is bound is never SQL")
    func injection() throws {
        try withDatabase { database in
            let name = "x'); DROP TABLE account; --"
            try await database.open(name, with: 9)
            #expect(try await database.balance(of: name) == 9)
        }
    }

    @Test("a query may be asked within its own rows")
    func nested() throws {
        try withDatabase { database in
            for name in ["a", "b"] { try await database.open(name, with: 1) }
            let pairs = try await database.read { transaction in
                func names(_ depth: Int) throws -> [String] {
                    try transaction.rows("SELECT name FROM account ORDER BY name") { row in
                        let own = try row.text(0)
                        return depth == 0 ? own : "\(own):\(try names(depth - 1).joined())"
                    }
                }
                return try names(1)
            }
            #expect(pairs == ["a:ab", "b:ab"])
        }
    }

    @Test("prepared statements are kept up to their limit, the least recently used go")
    func statementCache() throws {
        let folder = try TestFolder()
        var limits = SQLiteLimits()
        limits.statements = 2
        try SQLiteFile.prepare(folder.file)
        let connection = try SQLiteConnection.open(folder.file, as: .writer, SQLiteSettings(), limits)
        try connection.transaction(.writer, atMost: .seconds(60)) { transaction in
            let statements: [StaticString] = ["SELECT 1", "SELECT 2", "SELECT 3", "SELECT 1"]
            for (index, sql) in statements.enumerated() {
                let value = try transaction.first(sql) { try $0.integer(0) }
                #expect(value == [1, 2, 3, 1][index])
                #expect(connection.idleStatements == min(index + 1, 2))
            }
        }
    }

    @Test("the caller resumes on its own loop, whichever that is")
    func resumes() throws {
        let folder = try TestFolder()
        let database = database(in: folder)
        try database.open()
        defer { database.close() }
        let loops = [try LoopThread(index: 0), try LoopThread(index: 1)]
        for thread in loops {
            let isSame = try thread.run { loop in
                _ = try await database.balance(of: "nobody")
                let afterReading = EventLoop.current === loop
                try await database.write { try $0.run("DELETE FROM note") }
                return afterReading && EventLoop.current === loop
            }
            #expect(isSame)
        }
        for thread in loops { try thread.stop() }
    }
}
