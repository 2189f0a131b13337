import GatewayBytes
package import GatewayHTTP
package import GatewayTelemetry

/// Who an upstream is told the client is. Written anew for each request, never added to what came in: whoever believes
/// one of these fields must be able to believe them all.
package struct ForwardedClient: Sendable {
    /// The client's own address, not that of a proxy in front.
    package let address: IPAddress
    /// Whether the client came by TLS.
    package let isSecure: Bool
    /// What the client asked for; empty if it named nothing.
    package let host: String
    /// What the gateway's logs call the request.
    package let requestID: RequestID
    /// What the client proved to be, to this gateway.
    package let certificate: ClientCertificate?

    /// For requests that the gateway makes on somebody's behalf without having one of theirs.
    package init(
        address: IPAddress, isSecure: Bool, host: String, requestID: RequestID, certificate: ClientCertificate? = nil
    ) {
        self.certificate = certificate
        self.address = address
        self.isSecure = isSecure
        self.host = host
        self.requestID = requestID
    }

    /// The client of `request`, as TRUSTED_PROXIES and CLIENT_IP_HEADER tell it.
    package init(_ request: Request) {
        self.init(
            address: request.clientAddress, isSecure: request.isSecureForClient, host: request.externalHost,
            requestID: request.id, certificate: request.client.certificate)
    }

    /// `for=192.0.2.1;proto=https;host="example.com"` (RFC 7239).
    fileprivate func writeForwarded(to value: inout OutputSpan<UInt8>) {
        let isV6 = address.bitWidth == 128
        value.append(isV6 ? "for=\"[" : "for=")
        address.append(to: &value)
        value.append(isV6 ? "]\";proto=" : ";proto=")
        value.append(isSecure ? "https" : "http")
        guard !host.isEmpty else { return }
        value.append(";host=\"")
        value.append(text: host)
        value.append("\"")
    }

    /// Most bytes that ``writeForwarded(to:)`` appends.
    fileprivate var forwardedRoom: Int { IPAddress.longestText + host.utf8.count + 32 }
}

extension HeaderFields {
    /// Adds X-Forwarded-For, -Proto and -Host, Forwarded and X-Request-ID, and Client-Cert if the client showed a
    /// certificate. There should be none of them yet.
    ///
    /// - Throws: If the host is not one that a request may carry.
    package mutating func append(_ client: ForwardedClient) throws(FieldValueError) {
        try append(.xForwardedFor, room: IPAddress.longestText) { client.address.append(to: &$0) }
        append(.xForwardedProto, client.isSecure ? "https" : "http")
        if !client.host.isEmpty { try append(.xForwardedHost, checking: client.host) }
        try append(.forwarded, room: client.forwardedRoom) { client.writeForwarded(to: &$0) }
        if let certificate = client.certificate { append(certificate) }
        append(client.requestID)
    }

    /// Adds X-Request-ID: for upstreams, and for answers whose shape a guide fixes and which have no other place for it.
    package mutating func append(_ id: RequestID) {
        // An id is plain characters only.
        id.withBytes { bytes in
            unsafe bytes.withUnsafeBytes { bytes in try? unsafe append(.xRequestID, checking: bytes) }
        }
    }
}
