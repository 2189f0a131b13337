import Foundation
import GatewayRuntime
import GatewayTelemetry
import GatewayTestSupport
import PluginTesting
import Testing

@testable import GatewaySQLite

@Suite("What the embedded database keeps")
struct DurabilityTests {
    @Test(
        "no committed transaction is lost, and none is there by half, when the process is killed",
        arguments: [1, 7, 60])
    func killed(after count: Int) throws {
        let folder = try TestFolder()
        let told = try Self.killWriter(in: folder, after: count)
        let database = SQLiteDatabase("kill", in: folder.path, steps: Self.pairs, log: .silent)
        try database.open()
        defer { database.close() }
        let numbers = try LoopThread.with { _ in
            try await database.read { transaction in
                try transaction.rows(
                    "SELECT number, count(*) FROM pair GROUP BY number ORDER BY number", atMost: 1_000_000
                ) { row in
                    #expect(try row.integer(1) == 2)
                    return Int(try row.integer(0))
                }
            }
        }
        #expect(told >= count)
        // One may have been committed that was not told any more.
        #expect(numbers == Array(1...told) || numbers == Array(1...(told + 1)))
    }

    private static let pairs: [StaticString] = [
        "CREATE TABLE pair (number INTEGER NOT NULL, half TEXT NOT NULL, PRIMARY KEY (number, half)) STRICT"
    ]

    /// Runs a program that commits one transaction after another, and kills it once it has told of `count`.
    ///
    /// - Returns: How many it has told of at the end.
    private static func killWriter(in folder: TestFolder, after count: Int) throws -> Int {
        let process = Process()
        let program = try #require(CommandLine.arguments.first)
        process.executableURL = URL(fileURLWithPath: program).deletingLastPathComponent()
            .appendingPathComponent("sqlitewriter")
        process.arguments = [folder.path]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        var text = Data()
        while text.count(where: { $0 == UInt8(ascii: "\n") }) < count {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { break }
            text += more
        }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        text += output.fileHandleForReading.readDataToEndOfFile()
        #expect(process.terminationReason == .uncaughtSignal)
        return String(decoding: text, as: UTF8.self).split(separator: "\n").last.flatMap { Int($0) } ?? 0
    }

    @Test("what was written is there after closing and opening, in one file that only its user reads")
    func reopened() throws {
        let folder = try TestFolder()
        do {
            let database = database(in: folder)
            try database.open()
            try LoopThread.with { _ in try await database.open("a", with: 41) }
            for name in try folder.names { #expect(try folder.permissions(of: name) == 0o600) }
            database.close()
        }
        #expect(try folder.names == ["facts.sqlite"])
        let database = database(in: folder)
        try database.open()
        defer { database.close() }
        let balance = try LoopThread.with { _ in try await database.balance(of: "a") }
        #expect(balance == 41)
    }

    @Test("closing does first what was asked for before")
    func closing() throws {
        let folder = try TestFolder()
        let asked = database(in: folder)
        try asked.open()
        let thread = try LoopThread()
        let tasks = try thread.run { loop in
            (0..<50).map { number in loop.launch { try? await asked.open("n\(number)") } }
        }
        // They have been asked for: a task of the loop runs to its first wait before another does.
        try thread.run { _ in }
        asked.close()
        try thread.run { _ in for task in tasks { await task.value } }
        try thread.stop()
        let again = database(in: folder)
        try again.open()
        defer { again.close() }
        let count = try LoopThread.with { _ in
            try await again.read { try $0.first("SELECT count(*) FROM account") { try $0.integer(0) } }
        }
        #expect(count == 50)
    }

    @Test("the last reference closes it, without the caller's waiting")
    func letGo() throws {
        let folder = try TestFolder()
        do {
            let database = database(in: folder)
            try database.open()
            try LoopThread.with { _ in try await database.open("a") }
        }
        // Its thread tells nobody when it is done; SQLite's two other files go as the last connection closes.
        #expect(try eventually { try folder.names == ["facts.sqlite"] })
    }

    @Test("a file and a folder that others could read are closed to them")
    func permissions() throws {
        let folder = try TestFolder()
        #expect(
            FileManager.default.createFile(atPath: folder.file, contents: nil, attributes: [.posixPermissions: 0o644]))
        let database = database(in: folder)
        try database.open()
        defer { database.close() }
        #expect(try folder.permissions(of: "facts.sqlite") == 0o600)
        let deeper = SQLiteDatabase("deeper", in: "\(folder.path)/made", steps: ledger, log: .silent)
        try deeper.open()
        defer { deeper.close() }
        #expect(try folder.permissions(of: "made") == 0o700)
        #expect(try folder.permissions(of: "made/deeper.sqlite") == 0o600)
    }
}

@Suite("Steps of a schema")
struct MigrationTests {
    private static let steps: [StaticString] = [
        "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1)",
        "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 5",
        "INSERT INTO a VALUES (2, 6)",
    ]

    private func sum(_ folder: TestFolder, steps: [StaticString], _ sql: StaticString) throws -> Int64? {
        let database = database(in: folder, steps: steps)
        try database.open()
        defer { database.close() }
        return try LoopThread.with { _ in try await database.read { try $0.first(sql) { try $0.integer(0) } } }
    }

    @Test("each is taken once, from whatever version the file has")
    func once() throws {
        let folder = try TestFolder()
        #expect(try sum(folder, steps: Array(Self.steps.prefix(1)), "SELECT sum(x) FROM a") == 1)
        #expect(try sum(folder, steps: Self.steps, "SELECT sum(x * 10 + y) FROM a") == 41)
        #expect(try sum(folder, steps: Self.steps, "SELECT sum(x * 10 + y) FROM a") == 41)
    }

    @Test("one that fails leaves the file as it was, with none of the others taken")
    func allOrNone() throws {
        let folder = try TestFolder()
        #expect(try sum(folder, steps: Array(Self.steps.prefix(1)), "SELECT sum(x) FROM a") == 1)
        let broken = Self.steps + ["CREATE TABLE a (x INTEGER)"]
        #expect(throws: SQLiteOpenFailure.self) { try database(in: folder, steps: broken).open() }
        #expect(try sum(folder, steps: Array(Self.steps.prefix(1)), "SELECT sum(x) FROM a") == 1)
        #expect(try sum(folder, steps: Self.steps, "SELECT count(*) FROM a") == 2)
    }

    @Test("a file of a later version is refused")
    func newer() throws {
        let folder = try TestFolder()
        #expect(try sum(folder, steps: Self.steps, "SELECT count(*) FROM a") == 2)
        let reason = SQLiteError.newerSchema(found: 3, known: 2)
        #expect(throws: SQLiteOpenFailure(path: folder.file, reason: reason)) {
            try database(in: folder, steps: Array(Self.steps.prefix(2))).open()
        }
    }

    @Test("a file whose version is none is refused as damaged")
    func negative() throws {
        let folder = try TestFolder()
        #expect(try sum(folder, steps: Self.steps, "SELECT count(*) FROM a") == 2)
        let file = unsafe open(folder.file, O_WRONLY)
        // `user_version` in the header of the file.
        #expect(unsafe pwrite(file, [0xFF, 0xFF, 0xFF, 0xFF] as [UInt8], 4, 60) == 4)
        close(file)
        let reason = SQLiteError.corrupt("its schema is of version -1")
        #expect(throws: SQLiteOpenFailure(path: folder.file, reason: reason)) {
            try database(in: folder, steps: Self.steps).open()
        }
    }

    @Test("two that open one file at once take the steps once")
    func together() throws {
        let folder = try TestFolder()
        let pool = WorkerPool(threads: 4, queue: 8)
        let outcomes = (0..<4).map { _ in Outcome<Void>() }
        let databases = outcomes.map { _ in database(in: folder, steps: Self.steps) }
        for (outcome, database) in zip(outcomes, databases) {
            #expect(pool.submit { outcome.set(Result { try database.open() }) })
        }
        for outcome in outcomes { try outcome.value() }
        for database in databases { database.close() }
        pool.stop()
        #expect(try sum(folder, steps: Self.steps, "SELECT count(*) FROM a") == 2)
    }
}
