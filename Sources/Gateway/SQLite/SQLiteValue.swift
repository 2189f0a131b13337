/// What a statement is given in place of a `?`.
///
/// Secrets are not kept: bind the digest of one, as a blob.
package enum SQLiteValue: Equatable, Sendable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)
    case blob([UInt8])

    package static func integer(of value: Int) -> SQLiteValue { .integer(Int64(value)) }
    package static func integer(of value: Bool) -> SQLiteValue { .integer(value ? 1 : 0) }
    package static func integer(orNull value: Int64?) -> SQLiteValue { value.map { .integer($0) } ?? .null }
    package static func real(orNull value: Double?) -> SQLiteValue { value.map { .real($0) } ?? .null }
    package static func text(orNull value: String?) -> SQLiteValue { value.map { .text($0) } ?? .null }
    package static func blob(orNull value: [UInt8]?) -> SQLiteValue { value.map { .blob($0) } ?? .null }
}
