import GatewayRuntime
import GatewaySQLite
import GatewayTelemetry

// Usage: sqlitewriter FOLDER
//
// Commits one transaction after another, each of two rows, and says the number of each once it is committed: by that a
// test knows what must still be there after it has killed this program.

let database = SQLiteDatabase(
    "kill", in: CommandLine.arguments[1],
    steps: ["CREATE TABLE pair (number INTEGER NOT NULL, half TEXT NOT NULL, PRIMARY KEY (number, half)) STRICT"],
    log: .silent)
try database.open()

let loop = try EventLoop(
    index: 0, limits: RuntimeLimits(), workers: WorkerPool(threads: 1), report: { _ in })
loop.submit {
    loop.launch {
        do {
            for number in Int64(1)...1_000_000 {
                try await database.write { transaction in
                    try transaction.run("INSERT INTO pair VALUES (?, 'left')", .integer(number))
                    try transaction.run("INSERT INTO pair VALUES (?, 'right')", .integer(number))
                }
                ProcessContext.say("\(number)")
            }
        } catch {
            ProcessContext.complain("\(error)")
            ProcessContext.exit(1)
        }
    }
}
loop.run()
