import CSQLite

/// Why the database did not do what it was asked for. Nothing of the transaction has happened then.
///
/// Texts are the library's, or name files: for logs. They hold no bound value.
package enum SQLiteError: Error, Equatable, Sendable {
    /// A rule of the schema.
    package enum Rule: Sendable { case unique, foreignKey, notNull, check, other }

    /// A rule of the schema forbids it: the caller's data, and no fault of the database.
    case constraint(Rule, String)
    /// As much waits for the database as may.
    case busy
    /// The caller is not on an event loop, so there is nowhere to resume it.
    case offLoop
    /// Not opened yet, or closed already.
    case closed
    /// Another connection or process held the file for longer than the busy time-out.
    case locked
    /// It took longer than a transaction may.
    case timedOut
    /// The disk or the size limit of the file is reached.
    case full
    /// The file or its folder cannot be written.
    case readOnly(String)
    /// The file is no database, or damaged. It is left as it is.
    case corrupt(String)
    /// The file cannot be opened or made.
    case cannotOpen(String)
    /// The file is of a later version of the program, which knows more steps.
    case newerSchema(found: Int, known: Int)
    /// A query found more rows than its caller takes.
    case tooManyRows(limit: Int)
    /// A value is larger than the library takes.
    case tooLarge
    /// A column is of another type than it was read as, or there is none of that number.
    case unexpectedType(column: Int)
    /// An earlier statement of the same transaction failed in a way that took everything back.
    case rolledBack
    /// Reading or writing failed.
    case failed(String)
    /// The statement itself is wrong: a mistake in the program.
    case badStatement(String)
}

extension SQLiteError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .constraint(_, let reason): reason
        case .busy: "too much waits for the database"
        case .offLoop: "the caller is not on an event loop"
        case .closed: "the database is not open"
        case .locked: "somebody else holds the database"
        case .timedOut: "the transaction took too long"
        case .full: "the database or its disk is full"
        case .readOnly(let reason): "the database cannot be written: \(reason)"
        case .corrupt(let reason): "the database is damaged: \(reason)"
        case .cannotOpen(let reason): "the database cannot be opened: \(reason)"
        case .newerSchema(let found, let known):
            "the database is of a later version: its schema is \(found), this program knows \(known)"
        case .tooManyRows(let limit): "more than \(limit) rows"
        case .tooLarge: "a value is too large"
        case .unexpectedType(let column): "column \(column) is of another type"
        case .rolledBack: "the transaction was taken back"
        case .failed(let reason): "the database failed: \(reason)"
        case .badStatement(let reason): "the statement is wrong: \(reason)"
        }
    }

    /// - Parameters:
    ///   - code: The extended result code.
    ///   - message: What the library says to it.
    init(code: CInt, _ message: String) {
        switch code & 0xFF {
        case SQLITE_CONSTRAINT: self = .constraint(Rule(code: code), message)
        case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL: self = .locked
        case SQLITE_INTERRUPT: self = .timedOut
        case SQLITE_FULL: self = .full
        case SQLITE_READONLY, SQLITE_PERM: self = .readOnly(message)
        case SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_FORMAT: self = .corrupt(message)
        case SQLITE_CANTOPEN: self = .cannotOpen(message)
        case SQLITE_TOOBIG: self = .tooLarge
        case SQLITE_ERROR, SQLITE_MISUSE, SQLITE_RANGE, SQLITE_MISMATCH, SQLITE_AUTH, SQLITE_SCHEMA:
            self = .badStatement(message)
        default: self = .failed(message)
        }
    }
}

extension SQLiteError.Rule {
    fileprivate init(code: CInt) {
        self =
            switch code {
            case csqlite_constraint_unique, csqlite_constraint_primary_key, csqlite_constraint_row_id: .unique
            case csqlite_constraint_foreign_key: .foreignKey
            case csqlite_constraint_not_null: .notNull
            case csqlite_constraint_check: .check
            default: .other
            }
    }
}

/// A database could not be opened: which, and why.
package struct SQLiteOpenFailure: Error, Equatable, Sendable, CustomStringConvertible {
    package let path: String
    package let reason: SQLiteError

    package var description: String { "\(path): \(reason)" }
}
