internal import COpenSSL
package import GatewayBytes

/// A certificate chain with its private key, checked to belong together. The first certificate is the server's own.
// Safe: nothing is changed after loading, and OpenSSL counts references to X509 and EVP_PKEY atomically.
@safe package final class TLSCertificate: @unchecked Sendable {
    /// Not a reason to stop, but clients will refuse or distrust the certificate until someone acts.
    package enum Warning: Equatable, Sendable {
        case expired(since: CertificateTime)
        case notYetValid(until: CertificateTime)
        /// The certificate names neither a DNS name nor an address, so no client can match it to a server.
        case namesNothing
        /// The second certificate of the file did not issue the first: a wrong order, or the wrong file.
        case chainDoesNotLink
        /// Less than two weeks are left, or less than a fifth of a short life.
        case expiresSoon(at: CertificateTime)
    }

    /// Where the chain came from: the file's path, or that it came from memory.
    package let source: String
    package let summary: CertificateSummary
    /// What was wrong by the system's clock when the certificate was loaded.
    package let warnings: [Warning]
    let chain: CertificateList
    private let key: Handle

    private init(_ chain: CertificateList, key: consuming Handle, summary: CertificateSummary, source: String) {
        self.chain = chain
        self.key = key
        self.summary = summary
        self.source = source
        warnings = Self.warnings(about: summary, chain: chain)
    }

    /// DNS names of the subjectAltName, lower case, wildcards included.
    package var dnsNames: [String] { summary.dnsNames }
    package var notAfter: CertificateTime { summary.notAfter }
    /// The subject for logs, safe to print.
    package var subject: String { summary.subject }

    var leaf: OpaquePointer { unsafe chain.pointers[0] }
    var privateKey: OpaquePointer { unsafe key.pointer }
    var isRSA: Bool { if case .rsa = summary.key { true } else { false } }

    /// Reads two PEM files, which may be the same one.
    ///
    /// Blocks on the disk: for start and reload, never on a loop.
    package static func load(
        chainFile: String, keyFile: String, limits: TLSLimits = TLSLimits()
    ) throws(TLSCertificateError) -> TLSCertificate {
        let chain = try PEM.read(file: chainFile, limit: limits.certificateFile)
        let key = try PEM.read(file: keyFile, limit: limits.certificateFile)
        return try make(chain: chain, key: key, limits: limits)
    }

    /// The same from PEM text in memory.
    package static func load(
        chainPEM: [UInt8], keyPEM: Secret, limits: TLSLimits = TLSLimits()
    ) throws(TLSCertificateError) -> TLSCertificate {
        let chain = PEM(chainPEM, source: "the certificate in memory")
        return try unsafe keyPEM.withBytes { bytes throws(TLSCertificateError) in
            let key = unsafe PEM(bytes, source: "the key in memory")
            return try make(chain: chain, key: key, limits: limits)
        }
    }

    private static func make(
        chain chainText: borrowing PEM, key keyText: borrowing PEM, limits: TLSLimits
    ) throws(TLSCertificateError) -> TLSCertificate {
        let chain = try chainText.certificates(atMost: limits.chainLength)
        let leaf = unsafe chain.pointers[0]
        guard let summary = unsafe CertificateSummary(leaf) else {
            throw .malformedCertificate(source: chainText.source, position: 1, reason: "bad validity dates")
        }
        let key = try keyText.privateKey()
        try checkServable(unsafe TLSKeyKind(key.pointer), source: keyText.source)
        LibraryErrors.clear()
        guard unsafe X509_check_private_key(leaf, key.pointer) == 1 else {
            LibraryErrors.clear()
            throw .keyDoesNotMatch(certificate: chainText.source, key: keyText.source)
        }
        return TLSCertificate(chain, key: key, summary: summary, source: chainText.source)
    }

    private static func checkServable(_ kind: TLSKeyKind, source: String) throws(TLSCertificateError) {
        switch kind {
        case .rsa(let bits) where bits < 2048: throw .weakKey(source: source, bits: bits)
        case .rsa, .ecdsa("P-256"), .ecdsa("P-384"): return
        case .ecdsa, .other: throw .unsupportedKey(source: source, kind: kind.description)
        }
    }

    private static func warnings(about summary: CertificateSummary, chain: CertificateList) -> [Warning] {
        var warnings: [Warning] = []
        let now = CertificateTime.now
        if let warning = summary.expiryWarning(at: now) { warnings.append(warning) }
        if now < summary.notBefore { warnings.append(.notYetValid(until: summary.notBefore)) }
        if summary.dnsNames.isEmpty && summary.addresses.isEmpty { warnings.append(.namesNothing) }
        let isLinked = unsafe chain.count < 2 || X509_check_issued(chain.pointers[1], chain.pointers[0]) == X509_V_OK
        if !isLinked { warnings.append(.chainDoesNotLink) }
        LibraryErrors.clear()
        return warnings
    }
}

extension CertificateSummary {
    private static let notice = 14 * 86_400

    /// What to tell about the end of its life: nothing as long as whoever renews it has time.
    package func expiryWarning(at now: CertificateTime) -> TLSCertificate.Warning? {
        let left = notAfter.secondsSince1970 - now.secondsSince1970
        if left < 0 { return .expired(since: notAfter) }
        let life = notAfter.secondsSince1970 - notBefore.secondsSince1970
        return left < min(Self.notice, life / 5) ? .expiresSoon(at: notAfter) : nil
    }
}

extension TLSCertificate.Warning: CustomStringConvertible {
    package var description: String {
        switch self {
        case .expired(let since): "the certificate expired at \(since)"
        case .notYetValid(let until): "the certificate is not valid before \(until)"
        case .namesNothing: "the certificate has no subjectAltName, so every client will refuse it"
        case .chainDoesNotLink: "the second certificate of the file did not issue the first"
        case .expiresSoon(let moment): "the certificate expires at \(moment); nobody has renewed it yet"
        }
    }
}
