import GatewayHTTP
package import GatewayUpstream

extension GatewayFault {
    /// What a client is told when an upstream gave no answer: out of reach, broken, late and busy are told apart, and
    /// nothing is said of names or addresses behind the gateway. Log the error itself.
    package init(_ error: UpstreamError) {
        var fields = HeaderFields()
        let (status, code) = error.answer
        if status == .serviceUnavailable { fields.append(.retryAfter, "1") }
        self.init(status, code, "\(error.summary).", source: .upstream, fields: fields)
    }
}

extension GatewayFault {
    /// What a client is told when the service it asks for is known to be down. Names nothing.
    package init(_ error: CircuitOpen) {
        var fields = HeaderFields()
        fields.append(.retryAfter, decimal: error.retryAfterSeconds)
        self.init(
            .serviceUnavailable, "circuit_open", "The service has failed repeatedly and is left alone for a while.",
            source: .upstream, fields: fields)
    }
}

extension UpstreamError {
    fileprivate var answer: (Status, String) {
        switch self {
        case .connectTimedOut, .firstByteTimedOut, .idleTimedOut: (.gatewayTimeout, "upstream_timeout")
        case .tooManyWaiting, .tooManyConnections: (.serviceUnavailable, "upstream_busy")
        case .destinationRefused: (.forbidden, "destination_refused")
        case .nameNotFound, .nameLookupFailed, .connectFailed, .cipher: (.badGateway, "upstream_unreachable")
        case .closedBeforeAnswer, .malformed, .bodyIncomplete, .bodyTooLarge, .upgradeFailed:
            (.badGateway, "upstream_broken")
        case .unsendable: (.badGateway, "upstream_unsendable")
        }
    }

    /// ``description`` for strangers: without host names, addresses, and words of the upstream's own.
    package var summary: String {
        switch self {
        case .destinationRefused: "The upstream's address is not one that the gateway connects to"
        case .nameNotFound: "The upstream's host name does not exist"
        case .nameLookupFailed: "The upstream's host name could not be looked up"
        case .connectFailed: "The upstream does not accept connections"
        case .cipher: "No trusted TLS connection to the upstream could be made"
        case .connectTimedOut: "Connecting to the upstream took too long"
        case .firstByteTimedOut: "The upstream did not answer in time"
        case .idleTimedOut: "The upstream stopped in the middle of its answer"
        case .closedBeforeAnswer: "The upstream closed the connection before it answered"
        case .malformed: "The upstream's answer is not valid HTTP"
        case .bodyIncomplete: "The upstream closed the connection in the middle of its answer"
        case .bodyTooLarge(let limit): "The upstream's answer is larger than \(limit) bytes"
        case .tooManyWaiting: "Too many requests wait for the upstream"
        case .tooManyConnections: "Too many connections to upstreams are open"
        case .upgradeFailed: "The upstream did not open the WebSocket in order"
        case .unsendable: "The request cannot be sent to the upstream"
        }
    }
}
