package import GatewayHTTP

/// A request to another server.
package struct UpstreamRequest {
    package enum Body {
        case none
        case bytes([UInt8])
        /// Read while it is sent; such a request is never sent twice.
        case stream(length: UInt64?, next: () async throws -> [UInt8]?)
    }

    package var method: Method
    package var url: HTTPURL
    /// Without Host, framing and connection fields: those are the client's business.
    package var fields: HeaderFields
    package var body: Body
    /// Whether the URL is the operator's or somebody else's: decides which addresses may be connected to.
    package var destination: DestinationKind
    package var timeouts: UpstreamTimeouts?
    /// Sent in place of the URL's authority.
    package var host: String?

    package init(
        _ method: Method = .get, _ url: HTTPURL, destination: DestinationKind, fields: HeaderFields = HeaderFields(),
        body: Body = .none
    ) {
        self.method = method
        self.url = url
        self.destination = destination
        self.fields = fields
        self.body = body
    }

    var isRepeatable: Bool {
        if case .stream = body { return false }
        return method.isIdempotent
    }

    var outgoingBody: OutgoingBody {
        switch body {
        case .none: .empty
        case .bytes(let bytes): .length(UInt64(bytes.count))
        case .stream(let length?, _): .length(length)
        case .stream(nil, _): .unknownLength
        }
    }
}

/// Who chose a URL.
package enum DestinationKind: Hashable, Sendable {
    /// A setting: any address but link-local and metadata services.
    case `operator`
    /// A request, playlist, redirect or catalogue: public addresses, and ALLOW_PRIVATE_NETWORKS.
    case foreign
}

/// Why an upstream gave no answer, or not all of it.
package enum UpstreamError: Error, Sendable, CustomStringConvertible {
    case destinationRefused(DestinationRefusal)
    case nameNotFound(String)
    case nameLookupFailed(String)
    case connectFailed(String)
    case connectTimedOut
    case cipher(String)
    case firstByteTimedOut
    case idleTimedOut
    case closedBeforeAnswer
    case malformed(String)
    case bodyIncomplete
    case bodyTooLarge(limit: Int)
    case tooManyWaiting
    /// UPSTREAM_MAX_CONNECTIONS are open, and none of them is idle on this loop.
    case tooManyConnections
    case unsendable(String)
    /// It says that it switches to WebSocket, but not in answer to what was asked.
    case upgradeFailed(String)

    package var description: String {
        switch self {
        case .destinationRefused(let refusal): "the address is not one to connect to: \(refusal)"
        case .nameNotFound(let host): "there is no host \(host)"
        case .nameLookupFailed(let reason): "the host name could not be looked up: \(reason)"
        case .connectFailed(let reason): "connecting failed: \(reason)"
        case .connectTimedOut: "connecting took too long"
        case .cipher(let reason): "TLS failed: \(reason)"
        case .firstByteTimedOut: "no answer came in time"
        case .idleTimedOut: "the answer stopped arriving"
        case .closedBeforeAnswer: "the connection closed before an answer"
        case .malformed(let reason): "the answer is not HTTP: \(reason)"
        case .bodyIncomplete: "the connection closed within the body"
        case .bodyTooLarge(let limit): "the body is larger than \(limit) bytes"
        case .tooManyWaiting: "too many requests wait for this upstream"
        case .tooManyConnections: "too many connections to upstreams are open"
        case .unsendable(let reason): "the request cannot be sent: \(reason)"
        case .upgradeFailed(let reason): "the WebSocket was not opened: \(reason)"
        }
    }

    /// Whether nothing of the request was sent, so that any other server may get it.
    package var isBeforeRequest: Bool {
        switch self {
        case .nameNotFound, .nameLookupFailed, .connectFailed, .connectTimedOut, .cipher, .tooManyWaiting,
            .tooManyConnections:
            true
        default: false
        }
    }

    /// Whether the time ran out, which is 504 and not 502 (RFC 9110 §15.6.5).
    package var isTimeout: Bool {
        switch self {
        case .connectTimedOut, .firstByteTimedOut, .idleTimedOut: true
        default: false
        }
    }
}
