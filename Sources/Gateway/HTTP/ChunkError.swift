/// Why a chunked body was refused (RFC 9112 §7.1). Nobody knows any more where the message ends: close the connection.
package enum ChunkError: Error, Equatable, Sendable {
    /// The size line starts with something other than a hexadecimal digit.
    case missingSize
    /// After the digits of the size.
    case invalidSize(UInt8)
    case sizeTooLarge
    case malformedExtension
    case extensionsTooLong(limit: Int)
    /// A carriage return without a line feed, at the end of a size line or of a chunk.
    case bareCarriageReturn
    case bareLineFeed
    /// The bytes of a chunk are not followed by a line end: the size was wrong.
    case missingDataEnd
    case trailer(HeadSyntaxError)
    /// A trailer field that would change the framing, the route or the connection after the fact.
    case forbiddenTrailer
    case trailersTooLarge(limit: Int)

    var isTrailerSize: Bool {
        switch self {
        case .trailersTooLarge: true
        case .trailer(let error): error.isSize
        default: false
        }
    }

    package var message: String {
        switch self {
        case .missingSize: "a chunk does not start with its size"
        case .invalidSize(let octet): "a chunk size is followed by the byte \(hexadecimal(octet))"
        case .sizeTooLarge: "a chunk size is too large or has too many digits"
        case .malformedExtension: "a chunk extension is malformed"
        case .extensionsTooLong(let limit): "the chunk extensions are longer than \(limit) bytes"
        case .bareCarriageReturn: "a carriage return in the chunked coding stands without a line feed"
        case .bareLineFeed: "a line of the chunked coding ends in a bare line feed"
        case .missingDataEnd: "the data of a chunk is not followed by a line end; its size is wrong"
        case .trailer(let error): "in the trailer section, \(error.message)"
        case .forbiddenTrailer: "a trailer field is about framing, routing or the connection"
        case .trailersTooLarge(let limit): "the trailer section is larger than \(limit) bytes"
        }
    }
}

/// How much of a chunked body may be something other than data.
package struct ChunkLimits: Equatable, Sendable {
    /// Hexadecimal digits of a chunk size, leading zeros included.
    package let sizeDigits: Int
    /// Bytes of chunk extensions in the whole body, so that many small chunks cannot smuggle in a large cost.
    package let extensionBytes: Int
    /// The whole trailer section with its line ends.
    package let trailerBytes: Int
    package let trailerFields: Int

    package init(
        sizeDigits: Int = 16, extensionBytes: Int = 4096, trailerBytes: Int = 8192, trailerFields: Int = 32
    ) {
        self.sizeDigits = min(max(1, sizeDigits), 16)
        self.extensionBytes = max(0, extensionBytes)
        self.trailerBytes = min(max(2, trailerBytes), 65_535)
        self.trailerFields = max(0, trailerFields)
    }
}

extension KnownName {
    enum TrailerRule { case keep, drop, refuse }

    /// Framing, routing and connection fields in a trailer are an attack on a reader that merges them: refused.
    /// Fields that must be known before the body (RFC 9110 §6.5.1: credentials, conditions, content, caching, cookies)
    /// are dropped. The rest is kept, apart from the head.
    var asTrailer: TrailerRule {
        switch self {
        case .host, .contentLength, .transferEncoding, .connection, .upgrade, .expect, .te, .trailer, .keepAlive,
            .proxyConnection, .http2Settings, .maxForwards, .forwarded, .xForwardedFor, .xForwardedHost,
            .xForwardedPort, .xForwardedPrefix, .xForwardedProto, .xForwardedServer, .xRealIP, .xClientIP,
            .trueClientIP, .cfConnectingIP, .xOriginalURL, .xRewriteURL, .xHTTPMethodOverride:
            .refuse
        case .contentDigest, .date, .eTag, .link, .serverTiming, .server, .via, .warning, .xRequestID, .traceparent,
            .tracestate:
            .keep
        default:
            .drop
        }
    }
}
