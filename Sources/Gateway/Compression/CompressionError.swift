internal import CZlib

/// Why bytes could not be compressed or inflated.
package enum CompressionError: Error, Equatable, Sendable {
    /// The input is not a deflate (or gzip) stream, or ends in the middle of a block.
    case invalidData
    /// Inflating would have produced more than the caller's limit. Exactly the limit has been written.
    case tooLarge(limit: Int)
    /// zlib or ISA-L could not allocate its state.
    case outOfMemory
    /// A parameter was out of range, or the library was called in the wrong state. A fault in the caller.
    case misuse

    init(zlib status: CInt) {
        switch status {
        case Z_MEM_ERROR: self = .outOfMemory
        case Z_DATA_ERROR, Z_NEED_DICT: self = .invalidData
        default: self = .misuse
        }
    }
}

/// What wraps the deflate blocks.
package enum CompressionFormat: Sendable {
    /// Nothing: RFC 1951, the form inside permessage-deflate.
    case raw
    /// A gzip member with its header and checksum: RFC 1952, `Content-Encoding: gzip`.
    case gzip

    /// zlib's convention: negative for raw, sixteen more for gzip.
    func zlibWindow(_ windowBits: Int) -> CInt {
        switch self {
        case .raw: CInt(-windowBits)
        case .gzip: CInt(windowBits + 16)
        }
    }
}
