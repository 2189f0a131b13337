package import PluginKit

/// Why a playlist is refused, whole: a playlist with one reference left out or left alone would stall a player later
/// and farther from the cause. Lines count from 1.
package enum PlaylistError: Error, Hashable, Sendable {
    /// More bytes than ``PlaylistLimits/input``.
    case tooLarge(limit: ByteCount)
    /// The first line is not `#EXTM3U` (RFC 8216 §4.3.1.1): an error page, or not a playlist at all.
    case missingHeader
    case lineTooLong(line: Int, limit: ByteCount)
    case tooManyLines(limit: Int)
    case tooManyReferences(line: Int, limit: Int)
    /// More bytes than ``PlaylistLimits/output`` would leave.
    case outputTooLarge(line: Int, limit: ByteCount)
    /// An attribute's opening quote has no closing one on its line.
    case unterminatedQuote(line: Int)
    /// Neither http nor https, where nothing else is let through.
    case refusedScheme(line: Int, scheme: String)
    /// A reference that is no URL the gateway would ask for.
    case badReference(line: Int, HTTPURLError)
    /// `{$name}` before anything gave the name a value.
    case undefinedVariable(line: Int, name: String)
    case duplicateVariable(line: Int, name: String)
    /// A definition without a usable name and value.
    case badDefinition(line: Int)
    case tooManyVariables(line: Int, limit: Int)
    case variableTooLong(line: Int, limit: ByteCount)
}

extension PlaylistError: CustomStringConvertible {
    /// One line, safe to log: what comes from the playlist is cut short and holds visible ASCII only.
    package var description: String {
        switch self {
        case .tooLarge(let limit): "the playlist is larger than \(limit)"
        case .missingHeader: "the first line is not #EXTM3U"
        case .lineTooLong(let line, let limit): "line \(line) is longer than \(limit)"
        case .tooManyLines(let limit): "the playlist has more than \(limit) lines"
        case .tooManyReferences(let line, let limit): "line \(line): more than \(limit) references"
        case .outputTooLarge(let line, let limit): "line \(line): the rewritten playlist exceeds \(limit)"
        case .unterminatedQuote(let line): "line \(line): a quoted attribute does not end"
        case .refusedScheme(let line, let scheme): "line \(line): the scheme \(scheme) is refused"
        case .badReference(let line, let error): "line \(line): not a usable URL (\(error))"
        case .undefinedVariable(let line, let name): "line \(line): the variable \(name) has no value"
        case .duplicateVariable(let line, let name): "line \(line): the variable \(name) is defined twice"
        case .badDefinition(let line): "line \(line): not a usable variable definition"
        case .tooManyVariables(let line, let limit): "line \(line): more than \(limit) variables"
        case .variableTooLong(let line, let limit): "line \(line): a variable is longer than \(limit)"
        }
    }
}
