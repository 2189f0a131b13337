/// Why nobody can say for certain where a message ends, or who the fields of one connection belong to.
///
/// Every case but the first is the ground on which request smuggling grows (RFC 9112 §11.2).
package enum FramingError: Error, Equatable, Sendable {
    /// `Transfer-Encoding: gzip, chunked`: well formed, but this gateway only knows `chunked`.
    case unsupportedTransferCoding
    case malformedTransferEncoding
    case repeatedTransferEncoding
    /// `chunked` does not exist before HTTP/1.1 (RFC 9112 §6.1).
    case transferEncodingInHTTP10
    case contentLengthWithTransferEncoding
    /// Also when the values are equal: two readers may still disagree on the list form.
    case repeatedContentLength
    /// Empty, signed, a list, with leading zeros, or anything else but digits.
    case malformedContentLength
    case contentLengthTooLarge
    case malformedConnection
    /// `Connection: host`: asks a proxy to drop a field that the far end needs.
    case forbiddenConnectionOption
    case malformedUpgrade

    package var message: String {
        switch self {
        case .unsupportedTransferCoding: "the only transfer coding understood here is chunked"
        case .malformedTransferEncoding: "Transfer-Encoding must be the one word chunked"
        case .repeatedTransferEncoding: "Transfer-Encoding is sent twice"
        case .transferEncodingInHTTP10: "HTTP/1.0 has no Transfer-Encoding"
        case .contentLengthWithTransferEncoding: "Content-Length and Transfer-Encoding are both sent; send one"
        case .repeatedContentLength: "Content-Length is sent twice"
        case .malformedContentLength: "Content-Length must be one decimal number without sign or leading zeros"
        case .contentLengthTooLarge: "Content-Length is beyond any body"
        case .malformedConnection: "Connection must be a list of tokens"
        case .forbiddenConnectionOption: "Connection names a field that is not about the connection"
        case .malformedUpgrade: "Upgrade must be a list of protocols"
        }
    }
}
