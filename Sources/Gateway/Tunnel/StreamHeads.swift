package import GatewayHTTP

/// What a stream is opened for.
package enum StreamRequest: Sendable {
    /// One HTTP exchange; the stream's bytes are the two bodies.
    case http(StreamHTTPRequest)
    /// A TCP connection to a port that the agent offers; the stream's bytes are the connection's.
    case tcp(port: UInt16)
}

extension StreamRequest {
    /// Whether the agent takes it: one that does not fit into a message would cost the session.
    package var fits: Bool {
        guard case .http(let request) = self else { return true }
        guard request.fields.count <= TunnelProtocol.fields else { return false }
        // As JSON no byte becomes more than three, and the rest of a field is short: nearly all need not be written to know.
        if request.fields.byteCount + request.target.utf8.count <= TunnelProtocol.messageSize / 8 { return true }
        return TunnelMessage.open(.max, self, ends: true).text.count <= TunnelProtocol.messageSize
    }
}

/// The head of a request that an agent is to make.
package struct StreamHTTPRequest: Sendable {
    /// As it stands in the request line.
    package var method: String
    /// Path and query, beginning with `/`.
    package var target: String
    /// End-to-end fields only.
    package var fields: HeaderFields
    /// Length of the body; `nil` when only its end will tell.
    package var length: UInt64?

    package init(method: String, target: String, fields: HeaderFields, length: UInt64?) {
        self.method = method
        self.target = target
        self.fields = fields
        self.length = length
    }
}

/// The head of an agent's answer. For TCP: 200 once the connection stands.
package struct StreamAnswer: Sendable {
    package var status: Status
    /// End-to-end fields only.
    package var fields: HeaderFields
    /// Length of the body; `nil` when only its end will tell.
    package var length: UInt64?

    package init(status: Status, fields: HeaderFields = HeaderFields(), length: UInt64? = nil) {
        self.status = status
        self.fields = fields
        self.length = length
    }
}

/// How much of a stream one end has received: what the other end sends again from after a carrier broke.
package struct StreamPosition: Equatable, Sendable {
    package var stream: UInt32
    /// Whether the head arrived: at the agent the request's, at the gateway the answer's.
    package var hasHead: Bool
    /// Bytes received.
    package var received: UInt64
    /// Whether the end arrived.
    package var ended: Bool
    /// Bytes consumed: acknowledgements may have been lost with the carrier.
    package var consumed: UInt64

    package init(stream: UInt32, hasHead: Bool, received: UInt64, ended: Bool, consumed: UInt64) {
        self.stream = stream
        self.hasHead = hasHead
        self.received = received
        self.ended = ended
        self.consumed = consumed
    }
}
