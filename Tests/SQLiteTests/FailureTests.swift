import Foundation
import GatewayBytes
import GatewayLocks
import GatewayRuntime
import GatewayTelemetry
import GatewayTestSupport
import Testing

@testable import GatewaySQLite

@Suite("What the embedded database refuses")
struct FailureTests {
    @Test("each rule of a schema is told by its kind, and names no value")
    func constraints() throws {
        try withDatabase { database in
            try await database.open("secret-name")
            func refused(_ sql: StaticString, _ value: SQLiteValue) async -> SQLiteError? {
                await failure { try await database.write { try $0.run(sql, value) } }
            }
            let attempts: [(StaticString, SQLiteValue, SQLiteError.Rule)] = [
                ("INSERT INTO account VALUES (?, 0)", .text("secret-name"), .unique),
                ("INSERT INTO note VALUES (?, 0)", .text("secret-stranger"), .foreignKey),
                ("INSERT INTO account VALUES ('b', ?)", .null, .notNull),
                ("INSERT INTO account VALUES ('b', ?)", .integer(-1), .check),
                ("INSERT INTO account VALUES ('b', ?)", .text("secret-number"), .other),
            ]
            for (sql, value, rule) in attempts {
                guard case .constraint(let found, let reason) = await refused(sql, value) else {
                    Issue.record("\(rule) was not refused as a constraint")
                    continue
                }
                #expect(found == rule)
                #expect(!reason.contains("secret"))
            }
            let b = try await database.balance(of: "b")
            #expect(b == nil)
        }
    }

    @Test("a file at its size limit takes no more, keeps what it has, and takes more again once there is room")
    func full() throws {
        var settings = SQLiteSettings()
        settings.size = .kibibytes(64)
        try withDatabase(settings: settings) { database in
            try await database.open("a", with: 1)
            let error = await failure {
                try await database.write { transaction in
                    for _ in 0..<100 {
                        try transaction.run(
                            "INSERT INTO note VALUES ('a', ?)", .blob([UInt8](repeating: 7, count: 4096)))
                    }
                }
            }
            #expect(error == .full)
            #expect(try await database.balance(of: "a") == 1)
            let notes = try await database.read { try $0.first("SELECT count(*) FROM note") { try $0.integer(0) } }
            #expect(notes == 0)
            try await database.open("b", with: 2)
        }
    }

    @Test("a transaction that goes on after it was taken back stays without effect")
    func goesOn() throws {
        try withDatabase { database in
            let error = await failure {
                try await database.write { transaction in
                    try transaction.run("INSERT INTO account VALUES ('first', 1)")
                    _ = try? transaction.run("INSERT OR ROLLBACK INTO account VALUES ('first', 1)")
                    try transaction.run("INSERT INTO account VALUES ('second', 1)")
                }
            }
            #expect(error == .rolledBack)
            let unnoticed = await failure {
                try await database.write { transaction in
                    try transaction.run("INSERT INTO account VALUES ('first', 1)")
                    _ = try? transaction.run("INSERT OR ROLLBACK INTO account VALUES ('first', 1)")
                }
            }
            #expect(unnoticed == .rolledBack)
            let count = try await database.read { try $0.first("SELECT count(*) FROM account") { try $0.integer(0) } }
            #expect(count == 0)
        }
    }

    @Test("a file that somebody else holds is waited for, and then told as locked")
    func locked() throws {
        let folder = try TestFolder()
        var settings = SQLiteSettings()
        settings.busyTimeout = .milliseconds(20)
        let database = database(in: folder, settings: settings)
        try database.open()
        defer { database.close() }
        let other = try SQLiteConnection.open(folder.file, as: .writer, settings)
        try other.transaction(.writer, atMost: .seconds(60)) { transaction in
            try transaction.run("INSERT INTO account VALUES ('theirs', 4)")
            try LoopThread.with { _ in
                #expect(await failure { try await database.open("mine") } == .locked)
                // Readers do not mind.
                let theirs = try await database.balance(of: "theirs")
                #expect(theirs == nil)
            }
        }
        try LoopThread.with { _ in
            try await database.open("mine")
            #expect(try await database.balance(of: "theirs") == 4)
        }
    }

    @Test("a file that is no database is refused and left as it is", arguments: [0, 100])
    func corrupt(_ offset: Int) throws {
        let folder = try TestFolder()
        do {
            let database = database(in: folder)
            try database.open()
            database.close()
        }
        var bytes = try Data(contentsOf: URL(fileURLWithPath: folder.file))
        bytes.replaceSubrange(offset..<(offset + 16), with: Data(repeating: 0x5A, count: 16))
        try bytes.write(to: URL(fileURLWithPath: folder.file))
        let error = #expect(throws: SQLiteOpenFailure.self) { try database(in: folder).open() }
        guard case .corrupt = error?.reason else {
            Issue.record("it was told as \(error.map { "\($0)" } ?? "nothing")")
            return
        }
        #expect(error?.path == folder.file)
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.file)) == bytes)
    }

    @Test("a place where nothing can be made is named", arguments: ["/proc/gateway", "/dev/null/gateway"])
    func noPlace(_ folder: String) throws {
        let database = SQLiteDatabase("facts", in: folder, steps: ledger, log: .silent)
        let error = #expect(throws: SQLiteOpenFailure.self) { try database.open() }
        #expect(error.map { "\($0)".contains("\(folder)/facts.sqlite: ") } == true)
    }

    @Test("what reads cannot write")
    func readOnly() throws {
        try withDatabase { database in
            let error = await failure {
                try await database.read { try $0.run("INSERT INTO account VALUES ('a', 1)") }
            }
            guard case .readOnly = error else {
                Issue.record("it was told as \(error.map { "\($0)" } ?? "nothing")")
                return
            }
            let a = try await database.balance(of: "a")
            #expect(a == nil)
        }
    }

    @Test("more rows than the caller takes are an error, not a shorter answer")
    func rows() throws {
        try withDatabase { database in
            for name in ["a", "b", "c"] { try await database.open(name) }
            let error = await failure {
                try await database.read { try $0.rows("SELECT name FROM account", atMost: 2) { try $0.text(0) } }
            }
            #expect(error == .tooManyRows(limit: 2))
            let all = try await database.read { try $0.rows("SELECT name FROM account", atMost: 3) { try $0.text(0) } }
            #expect(all.count == 3)
        }
    }

    @Test("a column read as another type, or that is not there, is an error")
    func wrongType() throws {
        try withDatabase { database in
            try await database.open("a", with: 1)
            func read(_ look: @escaping @Sendable (SQLiteRow) throws -> Void) async -> SQLiteError? {
                await failure {
                    try await database.read { try $0.first("SELECT name, balance FROM account", read: look) }
                }
            }
            #expect(await read { _ = try $0.integer(0) } == .unexpectedType(column: 0))
            #expect(await read { _ = try $0.text(1) } == .unexpectedType(column: 1))
            #expect(await read { _ = try $0.text(2) } == .unexpectedType(column: 2))
            #expect(await read { _ = try $0.text(-1) } == .unexpectedType(column: -1))
        }
    }

    @Test("a statement that is wrong, two at once, or too few values are told as the program's mistake")
    func badStatement() throws {
        try withDatabase { database in
            for sql: StaticString in [
                "SELEC 1", "SELECT nothing", "SELECT ?", "", "SELECT 1; DELETE FROM account",
            ] {
                let error = await failure { try await database.read { try $0.run(sql) } }
                guard case .badStatement = error else {
                    Issue.record("\(sql): \(error.map { "\($0)" } ?? "nothing")")
                    continue
                }
            }
        }
    }

    @Test("a value over the limit is refused")
    func tooLarge() throws {
        var limits = SQLiteLimits()
        limits.value = .kibibytes(16)
        try withDatabase(limits: limits) { database in
            try await database.open("a")
            let error = await failure {
                try await database.write {
                    try $0.run("INSERT INTO note VALUES ('a', ?)", .blob([UInt8](repeating: 1, count: 20_000)))
                }
            }
            #expect(error == .tooLarge)
        }
    }

    @Test("a transaction that takes too long is taken back, and the next has its time")
    func timedOut() throws {
        var settings = SQLiteSettings()
        settings.timeLimit = .milliseconds(20)
        var limits = SQLiteLimits()
        limits.stepsBetweenLooks = 100
        try withDatabase(settings: settings, limits: limits) { database in
            let error = await failure {
                try await database.write { transaction in
                    try transaction.run("INSERT INTO account VALUES ('a', 1)")
                    try transaction.run(
                        "INSERT INTO note SELECT 'a', i FROM (WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)"
                    )
                }
            }
            #expect(error == .timedOut)
            let a = try await database.balance(of: "a")
            #expect(a == nil)
        }
    }

    @Test("beyond the queue work is refused at once, and what waits is done")
    func busy() throws {
        var settings = SQLiteSettings()
        settings.queue = 2
        try withDatabase(settings: settings) { database in
            try await database.open("a", with: 0)
            let loop = try #require(EventLoop.current)
            let (entered, release) = (Signal(), Signal())
            let errors = Guarded<[SQLiteError]>([])
            func deposit(_ wait: @escaping @Sendable () -> Void) -> Task<Void, Never> {
                loop.launch {
                    let error = await failure {
                        try await database.write { transaction in
                            wait()
                            try transaction.run("UPDATE account SET balance = balance + 1")
                        }
                    }
                    if let error { errors.withLock { $0.append(error) } }
                }
            }
            let first = deposit {
                entered.raise()
                release.wait()
            }
            try await loop.offload("wait") { entered.wait() }
            let others = (0..<5).map { _ in deposit {} }
            // Tasks of a loop begin in their order: two take the room there is, and the rest is back before the first.
            for task in others.dropFirst(2) { await task.value }
            #expect(errors.withLock { $0 } == [.busy, .busy, .busy])
            release.raise()
            for task in others + [first] { await task.value }
            #expect(try await database.balance(of: "a") == 3)
            #expect(errors.withLock { $0.count } == 3)
        }
    }

    @Test("before it opens and after it closes nothing is asked of it, and off a loop neither")
    func closed() throws {
        let folder = try TestFolder()
        let database = database(in: folder)
        try LoopThread.with { _ in #expect(await failure { try await database.balance(of: "a") } == .closed) }
        try database.open()
        database.close()
        try LoopThread.with { _ in #expect(await failure { try await database.open("a") } == .closed) }
    }

    @Test("a caller that is on no loop is refused")
    func offLoop() async throws {
        let folder = try TestFolder()
        let database = database(in: folder)
        try database.open()
        defer { database.close() }
        #expect(await failure { try await database.balance(of: "a") } == .offLoop)
    }
}
