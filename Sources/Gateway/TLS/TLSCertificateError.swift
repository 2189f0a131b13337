package import GatewayBytes

/// Why a certificate or its key was refused. `source` is the file's path, or says that it came from memory.
package enum TLSCertificateError: Error, Equatable, Sendable {
    /// The file is missing, a folder, or not readable for this user; `reason` in the system's words.
    case unreadable(source: String, reason: String)
    case tooLarge(source: String, limit: ByteCount)
    /// Nothing in it looks like PEM. A DER (binary) file ends here.
    case notPEM(source: String)
    /// It is PEM and holds no certificate.
    case emptyChain(source: String)
    case tooManyCertificates(source: String, limit: Int)
    /// The certificate at `position`, from 1, cannot be decoded.
    case malformedCertificate(source: String, position: Int, reason: String)
    /// It is PEM and holds no private key.
    case noPrivateKey(source: String)
    case malformedKey(source: String, reason: String)
    /// A pass phrase would be needed, and nobody is there to type it.
    case encryptedKey(source: String)
    /// The key's kind or curve is one that TLS clients do not commonly accept; RSA, P-256 and P-384 are served.
    case unsupportedKey(source: String, kind: String)
    /// An RSA key under 2048 bits.
    case weakKey(source: String, bits: Int)
    /// The key does not belong to the first certificate of the chain.
    case keyDoesNotMatch(certificate: String, key: String)
    /// OpenSSL could not do its part, most likely for want of memory.
    case library(String)
}

extension TLSCertificateError: CustomStringConvertible {
    /// One line that says what to do about it, where that is known.
    package var description: String {
        switch self {
        case .unreadable(let source, let reason): "\(source) cannot be read: \(reason)"
        case .tooLarge(let source, let limit): "\(source) is larger than \(limit)"
        case .notPEM(let source): "\(source) is not PEM (text between -----BEGIN and -----END lines)"
        case .emptyChain(let source): "\(source) holds no certificate"
        case .tooManyCertificates(let source, let limit): "\(source) holds more than \(limit) certificates"
        case .malformedCertificate(let source, let position, let reason):
            "certificate \(position) in \(source) cannot be decoded: \(reason)"
        case .noPrivateKey(let source): "\(source) holds no private key"
        case .malformedKey(let source, let reason): "the private key in \(source) cannot be decoded: \(reason)"
        case .encryptedKey(let source):
            "the private key in \(source) is encrypted; decrypt it with: openssl pkey -in <file> -out <new file>"
        case .unsupportedKey(let source, let kind):
            "the private key in \(source) is \(kind); RSA, ECDSA P-256 and ECDSA P-384 are served"
        case .weakKey(let source, let bits): "the RSA key in \(source) has \(bits) bits; at least 2048 are needed"
        case .keyDoesNotMatch(let certificate, let key):
            "the private key in \(key) does not belong to the first certificate in \(certificate)"
        case .library(let reason): "OpenSSL: \(reason)"
        }
    }
}
