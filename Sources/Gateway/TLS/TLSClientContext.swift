internal import COpenSSL
import GatewayBytes

/// Whom a TLS client believes.
package enum TLSVerification: Equatable, Sendable {
    /// The system's certificates: on Debian /etc/ssl/certs, or where SSL_CERT_DIR and SSL_CERT_FILE point. Each is read by
    /// the first handshake that needs it, and kept.
    case systemStore
    /// Only the PEM certificates of this file: roots, intermediates or a server's own.
    case file(String)
    /// Only these PEM certificates.
    case certificates(pem: [UInt8])
    /// Insecure: any certificate of anybody passes. For tests and for nothing else; whoever turns this on by a setting
    /// must log a warning at start.
    case none
}

/// Everything a client's TLS sessions share: trust and policy. TLS 1.2 and 1.3, ALPN `http/1.1`.
// Safe: written only in `make`; OpenSSL allows any number of threads to open sessions of a finished SSL_CTX.
@safe package final class TLSClientContext: @unchecked Sendable {
    let context: Handle
    private let verification: TLSVerification

    private init(_ context: consuming Handle, verification: TLSVerification) {
        self.context = context
        self.verification = verification
    }

    /// Blocks on the disk: for start and reload, never on a loop.
    package static func make(
        verification: TLSVerification = .systemStore, limits: TLSLimits = TLSLimits()
    ) throws(TLSContextError) -> TLSClientContext {
        try make(verification: verification, limits: limits, profile: .client)
    }

    static func make(
        verification: TLSVerification, limits: TLSLimits = TLSLimits(), profile: TLSProfile
    ) throws(TLSContextError) -> TLSClientContext {
        let context = try profile.makeContext(isServer: false)
        try trust(verification, in: context, limits: limits)
        // The wire form: each name after a byte with its length (RFC 7301 §3.1).
        let protocols = profile.applicationProtocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        if !protocols.isEmpty {
            // The one call of OpenSSL that returns 0 for success.
            guard unsafe SSL_CTX_set_alpn_protos(context.pointer, protocols, CUnsignedInt(protocols.count)) == 0 else {
                throw .library(LibraryErrors.takeReason())
            }
        }
        return TLSClientContext(context, verification: verification)
    }

    /// A client session on a connected, non-blocking stream socket.
    ///
    /// The caller keeps the descriptor, and closes it only after the session is gone.
    ///
    /// - Parameters:
    ///   - host: The name the user asked for, never one from DNS. A host name is sent as SNI and must be among the
    ///     certificate's DNS names; an IP address (IPv6 with or without brackets) must be among its addresses.
    ///   - resumption: From ``resumption(of:)``. Ignored if it is another context's or another host's.
    /// - Throws: ``TLSError/invalidPeerName``, or ``TLSError/library(_:)`` for want of memory.
    package func session(
        on descriptor: CInt, host: String, resuming resumption: TLSResumption? = nil
    ) throws(TLSError) -> TLSSession {
        let peer = try PeerName(host)
        let session = try unsafe TLSSession(
            opening: context.pointer, on: descriptor, owner: self, peerName: peer.text)
        try session.willConnect(to: peer, isVerified: verification != .none)
        if let resumption, resumption.owner === self, resumption.host == peer.text { session.offer(resumption) }
        return session
    }

    /// What the next session to the same host needs to resume this one, or `nil` as long as there is nothing.
    ///
    /// A TLS 1.3 ticket arrives after the handshake, so ask when a response has been read. Take it for the same host
    /// only once the session has been verified; a resumed session is not verified again.
    package func resumption(of session: TLSSession) -> TLSResumption? {
        guard session.owner === self, session.isEstablished, let host = session.peerName,
            let copy = session.copyResumption()
        else { return nil }
        return TLSResumption(session: copy, owner: self, host: host)
    }

    private static func trust(
        _ verification: TLSVerification, in context: borrowing Handle, limits: TLSLimits
    ) throws(TLSContextError) {
        let pointer = unsafe context.pointer
        unsafe SSL_CTX_set_verify(pointer, verification == .none ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
        switch verification {
        case .none: return
        case .systemStore:
            try add(.standard(), to: context)
        case .file(let path):
            do throws(TLSCertificateError) {
                try add(PEM.read(file: path, limit: limits.trustFile), to: context, limits: limits)
            } catch { throw .trust(error) }
        case .certificates(let pem):
            do throws(TLSCertificateError) {
                try add(PEM(pem, source: "the certificates in memory"), to: context, limits: limits)
            } catch { throw .trust(error) }
        }
    }

    private static func add(_ trust: SystemTrust, to context: borrowing Handle) throws(TLSContextError) {
        LibraryErrors.clear()
        guard let store = unsafe SSL_CTX_get_cert_store(context.pointer), unsafe trust.add(to: store) else {
            throw .library(LibraryErrors.takeReason())
        }
    }

    private static func add(
        _ text: borrowing PEM, to context: borrowing Handle, limits: TLSLimits
    ) throws(TLSCertificateError) {
        let certificates = try text.certificates(atMost: limits.trustedCertificates)
        let store = unsafe SSL_CTX_get_cert_store(context.pointer)
        LibraryErrors.clear()
        guard unsafe certificates.pointers.allSatisfy({ unsafe X509_STORE_add_cert(store, $0) == 1 }) else {
            throw .library(LibraryErrors.takeReason())
        }
        // What an operator lists by hand is trusted as it is, even if it is not a root.
        unsafe X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
    }
}

/// What a client keeps of a session to resume it later. Bound to the context that verified it and to its host.
package final class TLSResumption {
    let session: Handle
    let owner: TLSClientContext
    package let host: String

    init(session: consuming Handle, owner: TLSClientContext, host: String) {
        self.session = session
        self.owner = owner
        self.host = host
    }
}

/// A host to connect to, told apart into name and address.
struct PeerName {
    let text: String
    let isAddress: Bool

    init(_ host: String) throws(TLSError) {
        let isBracketed = host.utf8.first == UInt8(ascii: "[") && host.utf8.last == UInt8(ascii: "]")
        let bare = isBracketed ? String(host.dropFirst().dropLast()) : host
        // Colons come only with IPv6; every other byte of an address is also one of a name.
        let isPlausible = bare.utf8.count <= 253 && bare.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        guard isPlausible else { throw .invalidPeerName }
        if let address = unsafe a2i_IPADDRESS(bare) {
            unsafe ASN1_OCTET_STRING_free(address)
            text = bare
            isAddress = true
            return
        }
        LibraryErrors.clear()
        guard !isBracketed, let name = ServerNames.normalized(bare.utf8), !name.utf8.contains(UInt8(ascii: "*")) else {
            throw .invalidPeerName
        }
        text = name
        isAddress = false
    }
}
