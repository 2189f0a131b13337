import CSQLite

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
