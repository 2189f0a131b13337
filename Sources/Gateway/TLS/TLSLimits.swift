package import GatewayBytes

/// What a certificate or trust file may cost before it is refused. All of it is read at start, none per connection.
package struct TLSLimits: Sendable {
    /// The largest PEM file that is read, certificate chain or key.
    package var certificateFile: ByteCount
    /// The largest file of trusted certificates; Debian's own bundle is about 220 KiB.
    package var trustFile: ByteCount
    /// Certificates in one chain, the server's own included.
    package var chainLength: Int
    /// Certificates in a trust file.
    package var trustedCertificates: Int
    /// Certificates one server context chooses from.
    package var serverCertificates: Int

    package init(
        certificateFile: ByteCount = .mebibytes(1), trustFile: ByteCount = .mebibytes(4), chainLength: Int = 10,
        trustedCertificates: Int = 1000, serverCertificates: Int = 256
    ) {
        self.certificateFile = certificateFile
        self.trustFile = trustFile
        self.chainLength = chainLength
        self.trustedCertificates = trustedCertificates
        self.serverCertificates = serverCertificates
    }
}
