/// Why a request was refused. Each says with which status, and in one line what to mend.
///
/// After any of these nobody knows where the next request starts: answer, then close the connection.
package enum RequestError: Error, Equatable, Sendable {
    // The request line
    case emptyLinesBeforeRequest
    /// The first byte of a TLS handshake, on a port that does not speak TLS.
    case tlsHandshake
    case invalidMethod(UInt8)
    /// A token, but in lower case or longer than any registered method.
    case unsupportedMethod
    case malformedRequestLine
    /// `GET /`, as in HTTP/0.9.
    case missingVersion
    case malformedVersion
    case unsupportedVersion
    case requestLineTooLong(limit: Int)

    // The target
    case invalidTarget(UInt8)
    case fragmentInTarget
    case invalidPercentEncoding
    /// `%00`.
    case encodedNUL
    case asteriskWithoutOptions
    case unsupportedTargetForm
    case unsupportedScheme
    case connectWithoutPort
    case invalidTargetAuthority(AuthorityError)

    // Fields
    case syntax(HeadSyntaxError)
    case framing(FramingError)
    case missingHost
    case repeatedHost
    case invalidHost(AuthorityError)
    /// The authority of an absolute-form target is not that of Host.
    case hostMismatch
    case unsupportedExpectation

    // The body
    case chunk(ChunkError)
    case contentTooLarge(limit: Int)

    // What only the server can know
    case headTimedOut
    case bodyTimedOut
    case methodNotAllowed
    case upgradeRequired

    /// The status to answer with.
    package var status: Status {
        switch self {
        case .unsupportedVersion: .httpVersionNotSupported
        case .unsupportedMethod, .framing(.unsupportedTransferCoding): .notImplemented
        case .requestLineTooLong: .uriTooLong
        case .syntax(let error): error.isSize ? .requestHeaderFieldsTooLarge : .badRequest
        case .chunk(let error): error.isTrailerSize ? .requestHeaderFieldsTooLarge : .badRequest
        case .unsupportedExpectation: .expectationFailed
        case .contentTooLarge: .contentTooLarge
        case .headTimedOut, .bodyTimedOut: .requestTimeout
        case .methodNotAllowed: .methodNotAllowed
        case .upgradeRequired: .upgradeRequired
        default: .badRequest
        }
    }

    /// One line for the person who has to mend the sender. Holds no text of the request.
    package var message: String {
        switch self {
        case .syntax(let error): error.message
        case .framing(let error): error.message
        case .chunk(let error): error.message
        case .invalidHost(let error): "Host is refused: \(error.message)"
        case .invalidTargetAuthority(let error): "the request target is refused: \(error.message)"
        case .missingHost: "an HTTP/1.1 request needs a Host field"
        case .repeatedHost: "Host is sent twice"
        case .hostMismatch: "Host and the authority of the request target differ"
        case .unsupportedExpectation: "the only expectation understood here is 100-continue"
        case .contentTooLarge(let limit): "the body is larger than \(limit) bytes"
        case .headTimedOut: "the head of the request took too long to arrive"
        case .bodyTimedOut: "the body of the request took too long to arrive"
        case .methodNotAllowed: "this resource does not take that method"
        case .upgradeRequired: "this resource speaks WebSocket only; send an upgrade request"
        default: requestLineMessage
        }
    }

    private var requestLineMessage: String {
        switch self {
        case .emptyLinesBeforeRequest: "more than one empty line stands before the request line"
        case .tlsHandshake: "this port speaks plain HTTP and was sent a TLS handshake; use http:// or the TLS port"
        case .invalidMethod(let octet): "the method holds the byte \(hexadecimal(octet))"
        case .unsupportedMethod: "the method is not one in capitals of at most 32 bytes"
        case .missingVersion: "the request line has no version; HTTP/0.9 is not spoken here"
        case .malformedVersion: "the request line must end in HTTP/1.1 or HTTP/1.0"
        case .unsupportedVersion: "only HTTP/1.1 and HTTP/1.0 are spoken here"
        case .requestLineTooLong(let limit): "the request line is longer than \(limit) bytes"
        case .invalidTarget(let octet): "the request target holds the byte \(hexadecimal(octet)); percent-encode it"
        case .fragmentInTarget: "the request target holds a fragment"
        case .invalidPercentEncoding: "a percent sign in the path is not followed by two hexadecimal digits"
        case .encodedNUL: "the path holds an encoded NUL"
        case .asteriskWithoutOptions: "the target * is for OPTIONS only"
        case .unsupportedTargetForm: "the request target must start with a slash or be an http URL"
        case .unsupportedScheme: "the request target must be an http or https URL"
        case .connectWithoutPort: "the target of CONNECT must be a host and a port"
        default: "the request line must be a method, one space, a target, one space and a version"
        }
    }
}
