package import GatewayBytes
package import GatewayConfig

/// Bounds of one database. A plugin reads them in its own settings, under its own prefix:
/// `database = SQLiteSettings(from: &env)`.
package struct SQLiteSettings: Settings {
    /// Pieces of work that wait, for reading and for writing each.
    package var queue = 1024
    package var busyTimeout = Duration.seconds(5)
    package var timeLimit = Duration.seconds(5)
    package var size = ByteCount.gibibytes(1)

    package init() {}

    package init(from env: inout SettingsReader) {
        let defaults = SQLiteSettings()
        queue = env.optional(
            "DATABASE_QUEUE", default: defaults.queue, in: 1...65536,
            "Pieces of work that may wait for the database, for reading and for writing each; more are refused.")
        busyTimeout = env.optional(
            "DATABASE_BUSY_TIMEOUT", default: defaults.busyTimeout, in: .zero ... .seconds(60), bare: .milliseconds,
            "How long to wait for the file while another process holds it.")
        timeLimit = env.optional(
            "DATABASE_TIME_LIMIT", default: defaults.timeLimit, in: .milliseconds(10) ... .seconds(60),
            bare: .milliseconds, "How long the statements of one transaction may run; then it is taken back.")
        size = env.optional(
            "DATABASE_LIMIT", default: defaults.size, in: .kibibytes(64) ... .gibibytes(64), bare: .bytes,
            "Largest size of the database file; beyond it nothing more is stored.")
    }
}

/// Bounds that no operator needs to change.
package struct SQLiteLimits: Sendable {
    /// Prepared statements kept for the next use, per connection.
    package var statements = 64
    /// Rows of one query whose caller names no other number.
    package static let rows = 1000
    /// Largest text, blob or row.
    package var value = ByteCount.mebibytes(16)
    /// What the write-ahead log is cut back to, once its content is in the file.
    package var logFile = ByteCount.mebibytes(16)
    /// How often a running statement looks at the clock, in steps of the library's virtual machine.
    package var stepsBetweenLooks: Int32 = 10_000
    /// How long opening may take, with every step of the schema that is due.
    package var opening = Duration.seconds(60)
    /// How long closing waits for work that was taken; commits are safe without.
    package var closing = Duration.seconds(1)

    package init() {}
}
