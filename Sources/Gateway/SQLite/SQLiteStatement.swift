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

    /// - Parameter sql: One statement: the library would leave out what comes behind it, and say nothing.
    static func prepare(_ sql: String, on database: OpaquePointer, isKept: Bool) throws(SQLiteError) -> SQLiteStatement
    {
        var handle: OpaquePointer?
        var rest = ""
        let flags = isKept ? UInt32(SQLITE_PREPARE_PERSISTENT) : 0
        let status = unsafe sql.withCString { text in
            var tail: UnsafePointer<CChar>?
            let status = unsafe sqlite3_prepare_v3(database, text, -1, flags, &handle, &tail)
            if let tail = unsafe tail { rest = unsafe String(cString: tail) }
            return status
        }
        guard status == SQLITE_OK else { throw unsafe SQLiteConnection.error(status, of: database) }
        guard let handle = unsafe handle else { throw .badStatement("there is no statement") }
        let statement = unsafe SQLiteStatement(handle, of: database)
        guard rest.allSatisfy({ $0.isWhitespace || $0 == ";" }) else { throw .badStatement("there is a second one") }
        return statement
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
