package import GatewayHTTP
package import GatewayRuntime

/// Who sent a request, as far as the gateway can tell: TRUSTED_PROXIES and CLIENT_IP_HEADER decide whom it believes.
package struct RequestClient: Equatable, Sendable {
    /// The client's, or the nearest to it that can be believed.
    package var address: IPAddress
    /// Whether the client itself came by TLS, here or at a trusted proxy.
    package var isSecure: Bool
    /// The host that a trusted proxy was asked for, as a range of the request's head; `nil` for the request's own.
    package var host: ByteRange?
    /// Whether ``address`` may stand for many people: a proxy's own, because it is not known whom it speaks for. Nothing
    /// may be held against such an address.
    package var isShared = false
    /// Whether the client is on this machine, by all that can be told. Nobody's claim makes it so; anybody's makes it
    /// not so: a proxy on this machine makes every connection a local one.
    package var isOnThisMachine: Bool
    /// What the client proved to be by TLS, here: `nil` without TLS_CLIENT_CA, for a client that showed no certificate,
    /// and for one that a trusted proxy speaks for, whose certificate would be the proxy's.
    package var certificate: ClientCertificate?

    /// Made by the server.
    package init(address: IPAddress, isSecure: Bool, isOnThisMachine: Bool) {
        self.address = address
        self.isSecure = isSecure
        self.isOnThisMachine = isOnThisMachine
    }

    /// The other end of a connection, when there is nothing else to go by.
    package init(peer: SocketAddress, isSecure: Bool) {
        self.init(address: peer.ipAddress, isSecure: isSecure, isOnThisMachine: peer.isLoopback)
    }
}

extension SocketAddress {
    /// The address alone, without the port.
    package var ipAddress: IPAddress {
        let bytes = bytes
        // A socket address has four or sixteen bytes.
        return IPAddress(networkBytes: bytes.span) ?? .v4(0)
    }
}

extension Request {
    /// The client's address: the peer's, or what a trusted proxy says.
    package var clientAddress: IPAddress { client.address }

    /// Whether the client came by TLS: what it may be told of its scheme, in cookies, links and redirects.
    package var isSecureForClient: Bool { client.isSecure }

    /// The authority that the client asked for, at a trusted proxy in front if that says so: `example.com:8443`. Empty
    /// for HTTP/1.0 without Host.
    package var externalHost: String {
        guard let host = client.host else { return authority }
        return unsafe String(decoding: host.of(headBytes), as: UTF8.self)
    }

    /// The trace that the client says this request belongs to: 32 hexadecimal digits (W3C Trace Context).
    package var traceID: String? {
        guard let range = traceRange else { return nil }
        return unsafe String(decoding: range.of(headBytes), as: UTF8.self)
    }

    /// Where ``traceID`` stands in the head.
    package var traceRange: ByteRange? {
        // The server has removed one that is not valid.
        guard let field = unsafe head.find(.traceparent, in: headBytes),
            field.value.count >= TraceContext.traceID.upperBound
        else { return nil }
        let start = field.value.lowerBound
        return ByteRange(start + TraceContext.traceID.lowerBound, start + TraceContext.traceID.upperBound)
    }
}
