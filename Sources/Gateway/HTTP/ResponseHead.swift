/// How the body of a response is delimited (RFC 9112 §6.3).
package enum ResponseFraming: Equatable, Sendable {
    case none
    /// At most `Int.max`.
    case length(UInt64)
    case chunked
    /// Up to the end of the connection; whether it is whole nobody can tell.
    case untilClose
    /// What follows is no longer HTTP: after 101, or after a 2xx to CONNECT.
    case tunnel
}

/// One parsed response head: an index of ranges over bytes somebody else holds, like ``RequestHead``.
package struct ResponseHead: Sendable {
    package internal(set) var status = Status.ok
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    package internal(set) var minorVersion: UInt8 = 1
    /// May be empty. Means nothing (RFC 9112 §4).
    package internal(set) var reasonRange = ByteRange.empty
    package internal(set) var framing = ResponseFraming.none
    /// Whether the connection may carry another request once the body is over.
    package internal(set) var keepAlive = true
    /// What Content-Length said, also where it does not delimit a body: HEAD and 304.
    package internal(set) var declaredLength: UInt64?
    /// Bytes of the head, with the empty line.
    package internal(set) var length = 0
    package internal(set) var fields = FieldTable()

    var steering = SteeringFields()

    package init() {}

    /// 100, 102, 103 and the like: the real response is still to come, in a head of its own.
    package var isInterim: Bool { status.isInformational && status != .switchingProtocols }

    /// 101 with `Connection: upgrade` and `Upgrade: websocket`. The key is the caller's to check.
    package var switchesToWebSocket: Bool {
        status == .switchingProtocols && steering.connection.contains(.upgrade) && steering.offersWebSocket
    }

    /// The first field called `name`. A known name that does not occur costs one bit test.
    @inline(__always)
    package func find(_ name: HeaderName, in bytes: UnsafeRawBufferPointer) -> FieldRange? {
        unsafe fields.find(name, in: bytes)
    }

    /// The value of the first field called `name`.
    @inline(__always)
    package func value(of name: HeaderName, in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard let field = unsafe fields.find(name, in: bytes) else { return nil }
        return unsafe field.value.of(bytes)
    }

    @inline(__always)
    mutating func prepare() {
        fields.removeAll()
        steering = SteeringFields()
    }
}

/// Why the response of an upstream was refused. The connection cannot be used further.
package enum ResponseError: Error, Equatable, Sendable {
    case malformedVersion
    case unsupportedVersion
    /// Not three digits from 100 to 599.
    case malformedStatus
    case invalidReason(UInt8)
    case statusLineTooLong(limit: Int)
    case syntax(HeadSyntaxError)
    case framing(FramingError)
    /// A 1xx that announces a body.
    case interimWithBody
    /// In the body, for whoever decodes it.
    case chunk(ChunkError)

    package var message: String {
        switch self {
        case .malformedVersion: "the response does not start with HTTP/1.1 or HTTP/1.0"
        case .unsupportedVersion: "the response is of a version other than HTTP/1.1 and HTTP/1.0"
        case .malformedStatus: "the status is not a number from 100 to 599"
        case .invalidReason(let octet): "the reason phrase holds the byte \(hexadecimal(octet))"
        case .statusLineTooLong(let limit): "the status line is longer than \(limit) bytes"
        case .syntax(let error): error.message
        case .framing(let error): error.message
        case .interimWithBody: "an interim response announces a body"
        case .chunk(let error): error.message
        }
    }
}
