internal import COpenSSL
import GatewayBytes

/// Which certificates clients must or may show, and who vouches for them.
///
/// A client may always resume a session for which it has shown one (RFC 8446 §4.6.1), but never under another policy:
/// ``identity`` is part of every ticket, and a ticket of another policy is not opened. That covers other authorities,
/// and a session without a certificate from a time when none was required.
// Safe: nothing is changed after loading, and OpenSSL counts references to certificates and stores atomically.
@safe package final class TLSClientPolicy: @unchecked Sendable {
    package enum Demand: String, Sendable {
        /// A client may come without a certificate; one that it shows must be good.
        case optional
        /// The handshake fails without one: alert `certificate_required`, in TLS 1.2 `handshake_failure`.
        case require
    }

    package let demand: Demand
    private let authorities: CertificateList
    private let store: Handle
    private let identity: [UInt8]
    private let limits: TLSLimits

    private init(
        _ demand: Demand, _ authorities: CertificateList, store: consuming Handle, identity: [UInt8], limits: TLSLimits
    ) {
        self.demand = demand
        self.authorities = authorities
        self.store = store
        self.identity = identity
        self.limits = limits
    }

    /// - Parameter file: PEM certificates. Each is trusted as it is: a root, an intermediate, or a client's own.
    ///
    /// Blocks on the disk: for start and reload, never on a loop.
    package static func load(
        authorities file: String, demand: Demand, limits: TLSLimits = TLSLimits()
    ) throws(TLSContextError) -> TLSClientPolicy {
        let authorities: CertificateList
        do throws(TLSCertificateError) {
            authorities = try PEM.read(file: file, limit: limits.trustFile).certificates(
                atMost: limits.clientAuthorities)
        } catch {
            throw .trust(error)
        }
        LibraryErrors.clear()
        guard let store = unsafe Handle(X509_STORE_new(), freeing: X509_STORE_free),
            unsafe authorities.pointers.allSatisfy({ unsafe X509_STORE_add_cert(store.pointer, $0) == 1 }),
            unsafe X509_STORE_set_flags(store.pointer, UInt(X509_V_FLAG_PARTIAL_CHAIN)) == 1,
            let identity = identity(of: authorities, demand)
        else { throw .library(LibraryErrors.takeReason()) }
        return TLSClientPolicy(demand, authorities, store: store, identity: identity, limits: limits)
    }

    /// The same for the same certificates in any order, so that replicas may share tickets.
    private static func identity(of authorities: CertificateList, _ demand: Demand) -> [UInt8]? {
        var prints: [[UInt8]] = []
        for index in 0..<authorities.count {
            guard let print = unsafe TLSClientIdentity.fingerprint(of: authorities.pointers[index]) else { return nil }
            prints.append(print)
        }
        prints.sort { $0.lexicographicallyPrecedes($1) }
        let text = Array("gateway \(demand.rawValue)".utf8) + prints.joined()
        // As long as a session id context may be.
        var digest = [UInt8](repeating: 0, count: 32)
        guard unsafe EVP_Digest(text, text.count, &digest, nil, EVP_sha256(), nil) == 1 else { return nil }
        return digest
    }

    /// What marks the tickets of `policy`.
    static func identity(of policy: TLSClientPolicy?) -> [UInt8] { policy?.identity ?? Array("gateway".utf8) }

    /// Makes the sessions of `context` ask for certificates.
    ///
    /// Every context of a server needs it: the one that the client's name leads to is the one whose store is asked.
    func apply(to context: OpaquePointer) throws(TLSContextError) {
        let mode = demand == .require ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER
        unsafe SSL_CTX_set_verify(context, mode, nil)
        unsafe SSL_CTX_set_verify_depth(context, CInt(limits.clientChainDepth))
        _ = unsafe cossl_set_max_certificates(context, limits.clientChain.bytes)
        LibraryErrors.clear()
        // The names tell a client with several certificates which one is wanted.
        let isReady =
            unsafe cossl_share_store(context, store.pointer) == 1
            && authorities.pointers.allSatisfy { unsafe SSL_CTX_add_client_CA(context, $0) == 1 }
            && SSL_CTX_set_session_ticket_cb(context, nil, judgeTicket, nil) == 1
        guard isReady else { throw .library(LibraryErrors.takeReason()) }
    }
}

/// A certificate proves nothing once it has expired, and neither does a ticket that stands for it: OpenSSL would not look
/// at it again, for as long as the client keeps resuming.
private func judgeTicket(
    _ session: OpaquePointer?, _ opened: OpaquePointer?, _ name: UnsafePointer<UInt8>?, _ nameLength: Int,
    _ status: SSL_TICKET_STATUS, _ argument: UnsafeMutableRawPointer?
) -> SSL_TICKET_RETURN {
    guard let opened = unsafe opened, status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW else {
        return SSL_TICKET_RETURN_IGNORE_RENEW
    }
    if let certificate = unsafe SSL_SESSION_get0_peer(opened),
        unsafe X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0
    {
        return SSL_TICKET_RETURN_IGNORE_RENEW
    }
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW
}

/// Who a client has proved to be, in this handshake or in the one that it resumes.
package struct TLSClientIdentity: Equatable, Sendable {
    package let summary: CertificateSummary
    /// SHA-256 of the whole certificate.
    package let fingerprint: [UInt8]
    /// The certificate in DER, bounded by ``TLSLimits/clientChain``.
    package let der: [UInt8]

    /// - Parameter certificate: An `X509`, borrowed.
    init?(_ certificate: OpaquePointer) {
        guard let summary = unsafe CertificateSummary(certificate),
            let fingerprint = unsafe Self.fingerprint(of: certificate)
        else { return nil }
        let length = unsafe i2d_X509(certificate, nil)
        guard length > 0 else { return nil }
        self.summary = summary
        self.fingerprint = fingerprint
        der = unsafe [UInt8](unsafeUninitializedCapacity: Int(length)) { room, count in
            var end = room.baseAddress
            count = unsafe Int(max(0, i2d_X509(certificate, &end)))
        }
    }

    static func fingerprint(of certificate: OpaquePointer) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: 32)
        guard unsafe X509_digest(certificate, EVP_sha256(), &digest, nil) == 1 else { return nil }
        return digest
    }
}

extension TLSSession {
    /// The client's certificate, if it showed one and it was good. Costs a few microseconds: ask once, after the
    /// handshake.
    package var verifiedClient: TLSClientIdentity? {
        guard isEstablished, peerName == nil, let certificate = unsafe SSL_get0_peer_certificate(ssl.pointer),
            unsafe SSL_get_verify_result(ssl.pointer) == Int(X509_V_OK)
        else { return nil }
        return unsafe TLSClientIdentity(certificate)
    }

    /// Whether a ticket saved the exchange of certificates; ask after the handshake.
    package var isResumed: Bool { unsafe SSL_session_reused(ssl.pointer) == 1 }
}
