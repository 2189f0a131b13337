import GatewayRuntime
package import GatewayTelemetry
import PluginKit

/// A file of durable facts, embedded in the process.
///
/// Made when a plugin registers, which does no I/O; the gateway opens it before the first request and closes it after the
/// last: `gateway.resource("facts", facts)`. Reading and writing have a thread each, so a reader never waits for a
/// commit, and no loop waits for a disk. A committed transaction survives the process and the machine.
package final class SQLiteDatabase: PluginResource {
    private let path: String
    private let steps: [StaticString]
    private let settings: SQLiteSettings
    private let limits: SQLiteLimits
    private let log: Logger
    private let writer: SQLiteLane
    private let reader: SQLiteLane

    /// - Parameters:
    ///   - name: Of the file, without its ending: the plugin's name.
    ///   - folder: Made when it is opened, for this user only; ``Registrar/stateDirectory``.
    ///   - steps: The schema, as numbered steps from an empty file to what this version needs. A step that was once part
    ///     of a release never changes; what is new is appended. All that are due happen in one transaction.
    package init(
        _ name: String, in folder: String, steps: [StaticString], settings: SQLiteSettings = SQLiteSettings(),
        limits: SQLiteLimits = SQLiteLimits(), log: Logger
    ) {
        path = "\(folder)/\(name).sqlite"
        self.steps = steps
        self.settings = settings
        self.limits = limits
        self.log = log
        writer = SQLiteLane(queue: settings.queue)
        reader = SQLiteLane(queue: settings.queue)
    }

    deinit {
        reader.close(atMost: .zero)
        writer.close(atMost: .zero)
    }

    // MARK: Life

    /// Opens the file, makes it if there is none, and brings its schema up to date. Blocks.
    ///
    /// - Throws: ``SQLiteOpenFailure``.
    package func open() throws {
        do {
            try openBoth()
        } catch let error as SQLiteError {
            throw SQLiteOpenFailure(path: path, reason: error)
        }
    }

    private func openBoth() throws {
        try SQLiteFile.prepare(path)
        try writer.open(atMost: limits.opening) { [path, steps, settings, limits, log] in
            let connection = try SQLiteConnection.open(path, as: .writer, settings, limits)
            let known = try connection.migrate(steps)
            log.info(
                "database opened", .string("file", path), .int("schema", steps.count), .int("schema_before", known))
            return connection
        }
        try reader.open(atMost: limits.opening) { [path, settings, limits] in
            try SQLiteConnection.open(path, as: .reader, settings, limits)
        }
    }

    /// Does what was asked for before, and closes the file. Blocks, for ``SQLiteLimits/closing`` at most; what was
    /// committed by then is safe in any case.
    package func close() {
        let end = MonotonicTime.read() + limits.closing
        reader.close(atMost: limits.closing)
        let left = Int64(clamping: end.nanoseconds(since: .read()))
        writer.close(atMost: max(.milliseconds(1), .nanoseconds(left)))
    }

    // MARK: Work

    /// Reads, in one transaction: everything that `body` sees is of one moment, and everything written before is there.
    ///
    /// `body` runs on the database's thread; the caller, which must be on a loop, resumes there. A caller that is
    /// cancelled meanwhile still waits.
    ///
    /// - Throws: What `body` throws, or ``SQLiteError``: `busy` when the queue is full.
    package func read<R: Sendable>(
        _ body: @escaping @Sendable (SQLiteTransaction) throws -> R
    ) async throws -> R {
        try await reader.run { [limit = settings.timeLimit] in try $0.transaction(.reader, atMost: limit, body) }
    }

    /// Reads and writes, in one transaction: it is on the disk when this returns, and nothing of it is when this throws.
    ///
    /// Writers take turns, so what `body` has read stays true until it is done. Threads and cancellation are as in
    /// ``read(_:)``: what was asked for is done, whether or not somebody still waits for it.
    ///
    /// - Throws: What `body` throws, or ``SQLiteError``: `constraint` for what the schema forbids.
    @discardableResult
    package func write<R: Sendable>(
        _ body: @escaping @Sendable (SQLiteTransaction) throws -> R
    ) async throws -> R {
        try await writer.run { [limit = settings.timeLimit] in try $0.transaction(.writer, atMost: limit, body) }
    }
}

/// The file, before the library sees it.
enum SQLiteFile {
    /// Makes the folder and an empty file that only this user can read, or takes other people's rights to it away.
    static func prepare(_ path: String) throws(SQLiteError) {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        do throws(SystemError) {
            try ProcessContext.makeFolder(folder)
            try SmallFile.makePrivate(path)
        } catch {
            throw .cannotOpen(error.reason)
        }
    }
}
