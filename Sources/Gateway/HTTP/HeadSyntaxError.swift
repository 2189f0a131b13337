/// What is wrong with the lines of a head or of a trailer section, whoever sent it.
package enum HeadSyntaxError: Error, Equatable, Sendable {
    case bareCarriageReturn
    case bareLineFeed
    /// A blank at the start of the first field line.
    case leadingWhitespace
    /// A line that continues the one before (obs-fold).
    case foldedLine
    case whitespaceBeforeColon
    case missingColon
    case emptyFieldName
    case invalidFieldName(UInt8)
    /// `X_Forwarded_For`: a name that some far ends take for another one that carries framing, routing or identity.
    case lookalikeFieldName
    case invalidFieldValue(UInt8)
    case fieldLineTooLong(limit: Int)
    case headTooLarge(limit: Int)
    case tooManyFields(limit: Int)

    package var isSize: Bool {
        switch self {
        case .fieldLineTooLong, .headTooLarge, .tooManyFields: true
        default: false
        }
    }

    /// One line for the person who has to mend the sender.
    package var message: String {
        switch self {
        case .bareCarriageReturn: "a carriage return stands without a line feed; end lines with CR LF"
        case .bareLineFeed: "a line ends in a bare line feed; end lines with CR LF"
        case .leadingWhitespace: "the first field line starts with white space"
        case .foldedLine: "a field value is folded over two lines; send it on one line"
        case .whitespaceBeforeColon: "white space stands between a field name and its colon"
        case .missingColon: "a field line has no colon"
        case .emptyFieldName: "a field line has no name before its colon"
        case .invalidFieldName(let octet): "a field name holds the byte \(hexadecimal(octet))"
        case .lookalikeFieldName: "a field name spells a protected name with underscores; use dashes"
        case .invalidFieldValue(let octet): "a field value holds the control byte \(hexadecimal(octet))"
        case .fieldLineTooLong(let limit): "a field line is longer than \(limit) bytes"
        case .headTooLarge(let limit): "the head is larger than \(limit) bytes"
        case .tooManyFields(let limit): "there are more than \(limit) fields"
        }
    }
}

/// `0x0A`, for messages about bytes that had better not be printed.
func hexadecimal(_ octet: UInt8) -> String {
    let digits = String(octet, radix: 16, uppercase: true)
    return "0x" + (octet < 16 ? "0" : "") + digits
}
