import CSQLite

/// A prepared statement. Belongs to its connection's thread.
@safe final class SQLiteStatement {
    private let handle: OpaquePointer
    private let database: OpaquePointer

    private init(_ handle: OpaquePointer, of database: OpaquePointer) {
        unsafe self.handle = handle
        unsafe self.database = database
    }

    deinit { _ = unsafe sqlite3_finalize(handle) }

    /// - Parameter sql: One statement.
    static func prepare(_ sql: String, on database: OpaquePointer, isKept: Bool) throws(SQLiteError) -> SQLiteStatement
    {
        var handle: OpaquePointer?
        let flags = isKept ? UInt32(SQLITE_PREPARE_PERSISTENT) : 0
        let status = unsafe sqlite3_prepare_v3(database, sql, -1, flags, &handle, nil)
        guard status == SQLITE_OK else { throw unsafe SQLiteConnection.error(status, of: database) }
        guard let handle = unsafe handle else { throw .badStatement("there is no statement") }
        return unsafe SQLiteStatement(handle, of: database)
    }

    // MARK: Values in

    func bind(_ values: [SQLiteValue]) throws(SQLiteError) {
        let wanted = Int(unsafe sqlite3_bind_parameter_count(handle))
        guard values.count == wanted else {
            throw .badStatement("it takes \(wanted) values and was given \(values.count)")
        }
        for (index, value) in values.enumerated() {
            let status = bind(value, at: CInt(index + 1))
            guard status == SQLITE_OK else { throw unsafe SQLiteConnection.error(status, of: database) }
        }
    }

    private func bind(_ value: SQLiteValue, at place: CInt) -> CInt {
        switch value {
        case .null: return unsafe sqlite3_bind_null(handle, place)
        case .integer(let number): return unsafe sqlite3_bind_int64(handle, place, number)
        case .real(let number): return unsafe sqlite3_bind_double(handle, place, number)
        case .text(var text):
            return text.withUTF8 { bytes in
                unsafe csqlite_bind_text(handle, place, bytes.baseAddress, UInt64(bytes.count))
            }
        case .blob(let blob):
            return unsafe blob.withUnsafeBytes { bytes in
                unsafe csqlite_bind_blob(handle, place, bytes.baseAddress, UInt64(bytes.count))
            }
        }
    }

    // MARK: Rows out

    /// - Returns: Whether there is a row; `false` at the end.
    func step() throws(SQLiteError) -> Bool {
        switch unsafe sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let status: throw unsafe SQLiteConnection.error(status, of: database)
        }
    }

    /// Ends what it was doing, and forgets the values it was given.
    func reset() {
        _ = unsafe sqlite3_reset(handle)
        _ = unsafe sqlite3_clear_bindings(handle)
    }

    /// The type of a column of the row that is there, as a code of the library.
    func type(of column: Int) throws(SQLiteError) -> CInt {
        guard column >= 0, column < Int(unsafe sqlite3_data_count(handle)) else {
            throw .unexpectedType(column: column)
        }
        return unsafe sqlite3_column_type(handle, CInt(column))
    }

    func integer(_ column: Int) -> Int64 { unsafe sqlite3_column_int64(handle, CInt(column)) }
    func real(_ column: Int) -> Double { unsafe sqlite3_column_double(handle, CInt(column)) }
    func text(_ column: Int) -> String { String(decoding: blob(column), as: UTF8.self) }

    /// The bytes of a text or a blob.
    func blob(_ column: Int) -> [UInt8] {
        guard let bytes = unsafe sqlite3_column_blob(handle, CInt(column)) else { return [] }
        let count = Int(unsafe sqlite3_column_bytes(handle, CInt(column)))
        return unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count))
    }
}

/// One row of a query's answer, readable until the closure that it is given to returns. Columns count from zero.
///
/// Kept for later it has no columns any more. Nothing is converted: reading a column as what it is not throws ``SQLiteError/unexpectedType(column:)``.
package struct SQLiteRow {
    private let statement: SQLiteStatement

    init(_ statement: SQLiteStatement) { self.statement = statement }

    package func integer(_ column: Int) throws(SQLiteError) -> Int64 {
        try expect(SQLITE_INTEGER, column)
        return statement.integer(column)
    }

    package func real(_ column: Int) throws(SQLiteError) -> Double {
        try expect(SQLITE_FLOAT, column)
        return statement.real(column)
    }

    package func text(_ column: Int) throws(SQLiteError) -> String {
        try expect(SQLITE_TEXT, column)
        return statement.text(column)
    }

    package func blob(_ column: Int) throws(SQLiteError) -> [UInt8] {
        try expect(SQLITE_BLOB, column)
        return statement.blob(column)
    }

    package func isNull(_ column: Int) throws(SQLiteError) -> Bool {
        try statement.type(of: column) == SQLITE_NULL
    }

    package func integerOrNull(_ column: Int) throws(SQLiteError) -> Int64? {
        try isNull(column) ? nil : try integer(column)
    }

    package func realOrNull(_ column: Int) throws(SQLiteError) -> Double? {
        try isNull(column) ? nil : try real(column)
    }

    package func textOrNull(_ column: Int) throws(SQLiteError) -> String? {
        try isNull(column) ? nil : try text(column)
    }

    package func blobOrNull(_ column: Int) throws(SQLiteError) -> [UInt8]? {
        try isNull(column) ? nil : try blob(column)
    }

    private func expect(_ type: CInt, _ column: Int) throws(SQLiteError) {
        guard try statement.type(of: column) == type else { throw .unexpectedType(column: column) }
    }
}
