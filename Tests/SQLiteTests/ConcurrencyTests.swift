import GatewayRuntime
import GatewayTestSupport
import Testing

@testable import GatewaySQLite

@Suite("Many loops and one embedded database")
struct ConcurrencyTests {
    @Test("transfers of several loops keep the sum, at every moment that somebody reads")
    func transfers() throws {
        let folder = try TestFolder()
        let database = database(in: folder)
        try database.open()
        defer { database.close() }
        let threads = try (0..<3).map { try LoopThread(index: $0) }
        try threads[0].run { _ in for name in ["a", "b"] { try await database.open(name, with: 100) } }
        let outcomes = threads.map { _ in Outcome<Void>() }
        for (index, thread) in threads.enumerated() {
            let outcome = outcomes[index]
            thread.loop.submit {
                thread.loop.launch {
                    do {
                        for step in 0..<40 {
                            try await Self.move(Int64(step % 3), in: database, forth: (step + index) % 2 == 0)
                            #expect(try await Self.sum(in: database) == 200)
                        }
                        outcome.set(.success(()))
                    } catch {
                        outcome.set(.failure(error))
                    }
                }
            }
        }
        for outcome in outcomes { try outcome.value() }
        for thread in threads { try thread.stop() }
    }

    private static func move(_ amount: Int64, in database: SQLiteDatabase, forth: Bool) async throws {
        try await database.write { transaction in
            let (from, to) = forth ? ("a", "b") : ("b", "a")
            try transaction.run(
                "UPDATE account SET balance = balance - ? WHERE name = ?", .integer(amount), .text(from))
            try transaction.run("UPDATE account SET balance = balance + ? WHERE name = ?", .integer(amount), .text(to))
        }
    }

    private static func sum(in database: SQLiteDatabase) async throws -> Int64? {
        try await database.read { try $0.first("SELECT sum(balance) FROM account") { try $0.integer(0) } }
    }

    @Test("a reader does not wait for a writer, and sees what was committed before it asked")
    func apart() throws {
        try withDatabase { database in
            try await database.open("a", with: 1)
            let loop = try #require(EventLoop.current)
            let (entered, release) = (Signal(), Signal())
            let writing = loop.launch {
                try? await database.write { transaction in
                    try transaction.run("UPDATE account SET balance = 2")
                    entered.raise()
                    release.wait()
                }
            }
            try await loop.offload("wait") { entered.wait() }
            #expect(try await database.balance(of: "a") == 1)
            release.raise()
            await writing.value
            #expect(try await database.balance(of: "a") == 2)
        }
    }

    @Test("a caller that is cancelled has its facts written all the same")
    func cancelled() throws {
        try withDatabase { database in
            let loop = try #require(EventLoop.current)
            let (entered, release) = (Signal(), Signal())
            let task = loop.launch {
                _ = try? await database.write { transaction in
                    entered.raise()
                    release.wait()
                    try transaction.run("INSERT INTO account VALUES ('a', 1)")
                }
            }
            try await loop.offload("wait") { entered.wait() }
            task.cancel()
            release.raise()
            await task.value
            #expect(try await database.balance(of: "a") == 1)
        }
    }

    @Test("two databases on one file, as two generations of a plugin have them, take turns")
    func twoOnOneFile() throws {
        let folder = try TestFolder()
        let (old, new) = (database(in: folder), database(in: folder))
        try old.open()
        try new.open()
        let count = try LoopThread.with { _ in
            for number in 0..<20 { try await (number % 2 == 0 ? old : new).open("n\(number)") }
            return try await old.read { try $0.first("SELECT count(*) FROM account") { try $0.integer(0) } }
        }
        #expect(count == 20)
        old.close()
        try LoopThread.with { _ in try await new.open("after") }
        new.close()
    }
}
