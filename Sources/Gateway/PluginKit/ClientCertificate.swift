import GatewayBytes
package import GatewayHTTP

/// The certificate that a client proved to hold, by TLS at this gateway: TLS_CLIENT_CA vouches for it.
///
/// It says who the client is, not what it may do: that is the plugin's to decide, by one of the names or by the
/// ``fingerprint``. Compare names from ``dnsNames``, ``uris``, ``mailAddresses`` and ``addresses``; ``subject`` is for
/// people. Shared by all requests of its connection.
package final class ClientCertificate: Sendable {
    /// RFC 4514 text, such as `CN=reporter,O=Example`, safe in a log.
    package let subject: String
    /// The same of who signed it.
    package let issuer: String
    /// From the subjectAltName: lower case.
    package let dnsNames: [String]
    /// IP addresses of the subjectAltName, in their usual text form.
    package let addresses: [String]
    /// Such as `spiffe://example.org/reporter`.
    package let uris: [String]
    /// Mail addresses of the subjectAltName, ASCII only.
    package let mailAddresses: [String]
    /// SHA-256 of the certificate, as 64 lower-case hexadecimal digits.
    package let fingerprint: String
    /// Seconds since 1970. A connection may outlive its certificate.
    package let notAfter: Int
    /// Ready to be sent as the value of `Client-Cert` (RFC 9440 §2.1).
    let fieldValue: String

    /// Made by the server, once for a connection; a plugin's tests make one to see what the plugin does with it.
    ///
    /// - Parameters:
    ///   - fingerprint: SHA-256 of `der`, 32 bytes.
    ///   - der: The whole certificate.
    package init(
        subject: String, issuer: String, dnsNames: [String], addresses: [String], uris: [String],
        mailAddresses: [String], fingerprint: [UInt8], notAfter: Int, der: [UInt8]
    ) {
        self.subject = subject
        self.issuer = issuer
        self.dnsNames = dnsNames
        self.addresses = addresses
        self.uris = uris
        self.mailAddresses = mailAddresses
        self.fingerprint = fingerprint.map(Self.hexadecimal).joined()
        self.notAfter = notAfter
        fieldValue = ":\(Base64.encode(der)):"
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        let text = String(byte, radix: 16)
        return byte < 16 ? "0" + text : text
    }
}

extension ClientCertificate: Equatable {
    /// Whether both are the same certificate, by their fingerprints.
    package static func == (left: ClientCertificate, right: ClientCertificate) -> Bool {
        left.fingerprint == right.fingerprint
    }
}

extension HeaderFields {
    /// Adds Client-Cert: the certificate itself, for upstreams that want to read it. There should be none yet.
    package mutating func append(_ certificate: ClientCertificate) {
        // Base64 between two colons.
        try? append(.clientCert, checking: certificate.fieldValue)
    }
}
