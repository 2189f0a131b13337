package import GatewayBytes

/// What a certificate or trust file may cost before it is refused, and what a client may send. The files are read at
/// the start and when they change, never for a connection.
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
    /// Authorities of client certificates; all of their names go into each handshake.
    package var clientAuthorities: Int
    /// What a client may send as its certificate and the chain above it.
    package var clientChain: ByteCount
    /// Certificates between a client's own and a trusted one.
    package var clientChainDepth: Int

    package init(
        certificateFile: ByteCount = .mebibytes(1), trustFile: ByteCount = .mebibytes(4), chainLength: Int = 10,
        trustedCertificates: Int = 1000, serverCertificates: Int = 256, clientAuthorities: Int = 64,
        clientChain: ByteCount = .kibibytes(16), clientChainDepth: Int = 4
    ) {
        self.certificateFile = certificateFile
        self.trustFile = trustFile
        self.chainLength = chainLength
        self.trustedCertificates = trustedCertificates
        self.serverCertificates = serverCertificates
        self.clientAuthorities = clientAuthorities
        self.clientChain = clientChain
        self.clientChainDepth = clientChainDepth
    }
}
