import CSQLite
import GatewayBytes
import GatewayRuntime

/// One connection to a database file. Everything about it happens on one thread, and blocks.
@safe final class SQLiteConnection {
    enum Role { case reader, writer }

    private let handle: OpaquePointer
    /// When the transaction under way must be over, in monotonic nanoseconds. On the heap, since the library is given its
    /// address.
    private let deadline: UnsafeMutablePointer<UInt64>
    /// Prepared and not in use, the least recently used first; by the address of their text, which is part of the program.
    private var idle: [(key: UInt, statement: SQLiteStatement)] = []
    private let limits: SQLiteLimits

    private init(_ handle: OpaquePointer, _ limits: SQLiteLimits) {
        unsafe self.handle = handle
        self.limits = limits
        unsafe deadline = .allocate(capacity: 1)
        unsafe deadline.initialize(to: .max)
        unsafe sqlite3_progress_handler(
            handle, limits.stepsBetweenLooks,
            { context in
                guard let context = unsafe context else { return 0 }
                return unsafe MonotonicTime.read().nanoseconds > context.load(as: UInt64.self) ? 1 : 0
            }, unsafe deadline)
    }

    deinit {
        idle = []
        // Writes what is in the log to the file, if this is the last connection.
        _ = unsafe sqlite3_close_v2(handle)
        unsafe deadline.deallocate()
    }

    // MARK: Opening

    /// Opens a file that exists; an empty one becomes a database.
    static func open(
        _ path: String, as role: Role, _ settings: SQLiteSettings, _ limits: SQLiteLimits = SQLiteLimits()
    ) throws(SQLiteError) -> SQLiteConnection {
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE
        let status = unsafe sqlite3_open_v2(path, &handle, flags, nil)
        guard status == SQLITE_OK, let handle = unsafe handle else {
            let error = unsafe handle.map { unsafe Self.error(status, of: $0) } ?? .failed("out of memory")
            _ = unsafe sqlite3_close_v2(handle)
            throw error
        }
        let connection = unsafe SQLiteConnection(handle, limits)
        try connection.configure(role, settings)
        return connection
    }

    private func configure(_ role: Role, _ settings: SQLiteSettings) throws(SQLiteError) {
        let patience = settings.busyTimeout.wholeNanoseconds / 1_000_000
        _ = unsafe sqlite3_busy_timeout(handle, CInt(clamping: patience))
        _ = unsafe sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, CInt(clamping: limits.value.bytes))
        let status = unsafe csqlite_harden(handle)
        guard status == SQLITE_OK else { throw unsafe Self.error(status, of: handle) }
        // A reader and a writer do not wait for each other, and a commit is one append to the log.
        let mode = try value(of: "PRAGMA journal_mode = WAL")
        guard mode == "wal" else { throw .cannotOpen("its file system cannot hold a write-ahead log") }
        // A commit is on the disk when it is told, not only with the kernel.
        try execute("PRAGMA synchronous = FULL")
        try execute("PRAGMA temp_store = MEMORY")
        try execute("PRAGMA journal_size_limit = \(limits.logFile.bytes)")
        switch role {
        case .reader: try execute("PRAGMA query_only = ON")
        case .writer:
            let page = max(Int(try value(of: "PRAGMA page_size")) ?? 4096, 512)
            try execute("PRAGMA max_page_count = \(max(1, settings.size.bytes / page))")
        }
    }

    /// Brings the schema up to date, in one transaction.
    ///
    /// - Parameter steps: Each is one or several statements; the file remembers how many of them it has seen.
    /// - Returns: How many it had seen.
    func migrate(_ steps: [StaticString]) throws(SQLiteError) -> Int {
        try execute("BEGIN IMMEDIATE")
        do throws(SQLiteError) {
            let known = Int(try value(of: "PRAGMA user_version")) ?? 0
            guard known >= 0 else { throw .corrupt("its schema is of version \(known)") }
            guard known <= steps.count else { throw .newerSchema(found: known, known: steps.count) }
            for step in steps.dropFirst(known) { try execute(step.description) }
            if known < steps.count { try execute("PRAGMA user_version = \(steps.count)") }
            try execute("COMMIT")
            return known
        } catch {
            rollBack()
            throw error
        }
    }

    // MARK: Transactions

    /// Runs `body` in a transaction, which is committed when it returns and taken back when it throws.
    func transaction<R>(
        _ role: Role, atMost limit: Duration, _ body: (SQLiteTransaction) throws -> R
    ) throws -> R {
        try execute(role == .writer ? "BEGIN IMMEDIATE" : "BEGIN")
        do {
            unsafe deadline.pointee = (MonotonicTime.read() + limit).nanoseconds
            let result = try body(SQLiteTransaction(connection: self))
            unsafe deadline.pointee = .max
            guard isInTransaction else { throw SQLiteError.rolledBack }
            try execute("COMMIT")
            return result
        } catch {
            unsafe deadline.pointee = .max
            rollBack()
            throw error
        }
    }

    private var isInTransaction: Bool { unsafe sqlite3_get_autocommit(handle) == 0 }

    private func rollBack() {
        guard isInTransaction else { return }
        try? execute("ROLLBACK")
    }

    /// Moves everything from the log to the file. For the end.
    func flush() { try? execute("PRAGMA wal_checkpoint(TRUNCATE)") }

    // MARK: Statements

    /// Runs a statement of a transaction to its end, or until `row` says that it is enough.
    ///
    /// - Parameter row: Whether to go on.
    /// - Returns: Rows that were changed.
    @discardableResult
    func perform(
        _ sql: StaticString, _ values: [SQLiteValue], _ row: (SQLiteRow) throws -> Bool
    ) throws -> Int {
        // Otherwise it would stand for itself, outside of any transaction.
        guard isInTransaction else { throw SQLiteError.rolledBack }
        let key = unsafe UInt(bitPattern: sql.utf8Start)
        let statement = try take(key, sql)
        defer { putBack(key, statement) }
        try statement.bind(values)
        while try statement.step() {
            guard try row(SQLiteRow(statement)) else { break }
        }
        return Int(unsafe sqlite3_changes64(handle))
    }

    /// One that is in use already, because a query's rows ask the same query, is prepared a second time.
    private func take(_ key: UInt, _ sql: StaticString) throws(SQLiteError) -> SQLiteStatement {
        if let place = idle.lastIndex(where: { $0.key == key }) { return idle.remove(at: place).statement }
        return unsafe try SQLiteStatement.prepare(sql.description, on: handle, isKept: true)
    }

    private func putBack(_ key: UInt, _ statement: SQLiteStatement) {
        statement.reset()
        idle.append((key, statement))
        if idle.count > limits.statements { idle.removeFirst() }
    }

    var idleStatements: Int { idle.count }

    /// Runs SQL without values: the driver's own.
    private func execute(_ sql: String) throws(SQLiteError) {
        let status = unsafe sqlite3_exec(handle, sql, nil, nil, nil)
        guard status == SQLITE_OK else { throw unsafe Self.error(status, of: handle) }
    }

    /// The one value of a pragma, as text.
    private func value(of sql: String) throws(SQLiteError) -> String {
        let statement = unsafe try SQLiteStatement.prepare(sql, on: handle, isKept: false)
        defer { statement.reset() }
        return try statement.step() ? statement.text(0) : ""
    }

    static func error(_ status: CInt, of handle: OpaquePointer) -> SQLiteError {
        let message = unsafe sqlite3_errmsg(handle).map { unsafe String(cString: $0) } ?? "error \(status)"
        return SQLiteError(code: status, message)
    }
}
