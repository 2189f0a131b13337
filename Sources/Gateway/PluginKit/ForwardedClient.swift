package import GatewayHTTP
package import GatewayTelemetry

/// Who an upstream is told the client is. Written anew for each request, never added to what came in: whoever believes
/// one of these fields must be able to believe them all.
package struct ForwardedClient: Sendable {
    package let address: IPAddress
    /// Whether the client came by TLS.
    package let isSecure: Bool
    /// What the client asked for; empty if it named nothing.
    package let host: String
    package let requestID: RequestID
    package let certificate: ClientCertificate?

    package init(
        address: IPAddress, isSecure: Bool, host: String, requestID: RequestID, certificate: ClientCertificate? = nil
    ) {
        self.certificate = certificate
        self.address = address
        self.isSecure = isSecure
        self.host = host
        self.requestID = requestID
    }

    package init(_ request: Request) {
        self.init(
            address: request.clientAddress, isSecure: request.isSecureForClient, host: request.externalHost,
            requestID: request.id, certificate: request.client.certificate)
    }

    /// `for=192.0.2.1;proto=https;host="example.com"` (RFC 7239).
    fileprivate var forwarded: String {
        let node = address.bitWidth == 128 ? "\"[\(address)]\"" : "\(address)"
        let known = "for=\(node);proto=\(isSecure ? "https" : "http")"
        return host.isEmpty ? known : "\(known);host=\"\(host)\""
    }
}

extension HeaderFields {
    /// Adds X-Forwarded-For, -Proto and -Host, Forwarded and X-Request-ID, and Client-Cert if the client showed a
    /// certificate. There should be none of them yet.
    ///
    /// - Throws: If the host is not one that a request may carry.
    package mutating func append(_ client: ForwardedClient) throws(FieldValueError) {
        try append(.xForwardedFor, checking: client.address.description)
        append(.xForwardedProto, client.isSecure ? "https" : "http")
        if !client.host.isEmpty { try append(.xForwardedHost, checking: client.host) }
        try append(.forwarded, checking: client.forwarded)
        if let certificate = client.certificate { append(certificate) }
        append(client.requestID)
    }

    /// Adds X-Request-ID: for upstreams, and for answers whose shape a guide fixes and which have no other place for it.
    package mutating func append(_ id: RequestID) {
        // An id is plain characters only.
        try? append(.xRequestID, checking: id.description)
    }
}
