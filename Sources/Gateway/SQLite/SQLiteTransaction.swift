/// Statements that happen together or not at all.
///
/// SQL is part of the program: it is a literal, and what comes from elsewhere is bound to its `?`.
package struct SQLiteTransaction {
    let connection: SQLiteConnection

    /// Runs a statement that answers nothing.
    ///
    /// - Returns: How many rows it inserted, updated or deleted.
    /// - Throws: ``SQLiteError``.
    @discardableResult
    package func run(_ sql: StaticString, _ values: SQLiteValue...) throws -> Int {
        try connection.perform(sql, values) { _ in true }
    }

    /// Reads the rows of a query.
    ///
    /// - Parameter limit: Most rows; a query that finds more throws ``SQLiteError/tooManyRows(limit:)``.
    package func rows<R>(
        _ sql: StaticString, _ values: SQLiteValue..., atMost limit: Int = SQLiteLimits.rows,
        _ read: (SQLiteRow) throws -> R
    ) throws -> [R] {
        var rows: [R] = []
        try connection.perform(sql, values) { row in
            guard rows.count < limit else { throw SQLiteError.tooManyRows(limit: limit) }
            rows.append(try read(row))
            return true
        }
        return rows
    }

    /// Reads the first row of a query; `nil` when there is none.
    package func first<R>(
        _ sql: StaticString, _ values: SQLiteValue..., read: (SQLiteRow) throws -> R
    ) throws -> R? {
        var found: R?
        try connection.perform(sql, values) { row in
            found = try read(row)
            return false
        }
        return found
    }
}
