internal import COpenSSL

/// What one side offers and accepts: Mozilla's "intermediate" guideline, less its two DHE suites, which nobody needs
/// who has ECDHE and which cost the server ten times as much.
///
/// Everything is set here in full, so the system's openssl.cnf can neither loosen nor tighten it.
struct TLSProfile: Sendable {
    var lowestVersion = TLS1_2_VERSION
    var highestVersion = TLS1_3_VERSION
    /// TLS 1.2 suites. All are AEAD with forward secrecy, all good: so the client's order decides, which knows whether
    /// it has AES in hardware.
    var ciphers = """
        ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
        ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305
        """
    var suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    var groups = "X25519:P-256:P-384"
    var signatureAlgorithms: String
    /// ALPN, in order of preference.
    var applicationProtocols = ["http/1.1"]
    /// 2 asks for 112 bits everywhere: RSA from 2048 bits, no SHA-1 in chains.
    var securityLevel: CInt = 2
    /// One read(2) takes up to this much; freed whenever it is empty.
    var readBuffer: Int

    /// No SHA-1, and nothing for keys that ``TLSCertificate`` refuses.
    static let server = TLSProfile(
        signatureAlgorithms: """
            ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:\
            RSA+SHA256:RSA+SHA384:RSA+SHA512
            """,
        // Requests are small; 16 KiB holds the largest record.
        readBuffer: 16 << 10)

    /// Accepts a few more kinds of server certificate than are served here.
    static let client = TLSProfile(
        signatureAlgorithms: """
            ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:\
            RSA+SHA256:RSA+SHA384:RSA+SHA512
            """,
        // Media segments come this way: four full records a read.
        readBuffer: 64 << 10)

    /// A new `SSL_CTX` with all of this and the house rules of every session.
    func makeContext(isServer: Bool) throws(TLSContextError) -> Handle {
        LibraryErrors.clear()
        let method = unsafe isServer ? TLS_server_method() : TLS_client_method()
        guard let context = unsafe Handle(SSL_CTX_new(method), freeing: SSL_CTX_free) else {
            throw .library(LibraryErrors.takeReason())
        }
        let pointer = unsafe context.pointer
        unsafe SSL_CTX_set_security_level(pointer, securityLevel)
        let isConfigured =
            unsafe cossl_set_versions(pointer, lowestVersion, highestVersion) == 1
            && SSL_CTX_set_cipher_list(pointer, ciphers) == 1
            && SSL_CTX_set_ciphersuites(pointer, suites) == 1
            && cossl_set_groups(pointer, groups) == 1
            && cossl_set_signature_algorithms(pointer, signatureAlgorithms) == 1
            && SSL_CTX_set_max_early_data(pointer, 0) == 1  // replayable, so never
        guard isConfigured else { throw .library(LibraryErrors.takeReason()) }
        unsafe applyHouseRules(to: pointer)
        return context
    }

    private func applyHouseRules(to context: OpaquePointer) {
        unsafe SSL_CTX_set_options(context, cossl_op_no_renegotiation | cossl_op_no_compression)
        // A stream cut short must not look complete, and clients order the suites.
        unsafe SSL_CTX_clear_options(
            context, cossl_op_ignore_unexpected_eof | cossl_op_cipher_server_preference | cossl_op_no_ticket)
        // Idle sessions hold no record buffers; a write may be retried from a buffer that moved; a write stops at a
        // record when the socket is full; chains are sent as given, not searched for at every handshake.
        let modes =
            SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE
            | SSL_MODE_NO_AUTO_CHAIN
        unsafe cossl_set_mode(context, Int(modes))
        unsafe cossl_set_session_cache(context, Int(SSL_SESS_CACHE_OFF))
        // One read(2) a record or less, instead of two a record; see docs/decisions/0002.
        unsafe cossl_set_read_ahead(context, 1)
        unsafe SSL_CTX_set_default_read_buffer_len(context, readBuffer)
    }
}

/// Why a context cannot be made. All of these stop the start; later, what was there before goes on.
package enum TLSContextError: Error, Equatable, Sendable {
    case noCertificates
    case tooManyCertificates(limit: Int)
    /// OpenSSL will not serve this certificate, for instance because its chain is signed with SHA-1.
    case certificateRefused(source: String, reason: String)
    /// The file of trusted certificates is unusable.
    case trust(TLSCertificateError)
    /// A file of session ticket keys is unusable.
    case ticketKey(source: String, reason: String)
    case library(String)
}

extension TLSContextError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .noCertificates: "no certificate to serve"
        case .tooManyCertificates(let limit): "more than \(limit) certificates to serve"
        case .certificateRefused(let source, let reason): "\(source) cannot be served: \(reason)"
        case .trust(let error): "trusted certificates: \(error)"
        case .ticketKey(let source, let reason): "ticket key \(source): \(reason)"
        case .library(let reason): "OpenSSL: \(reason)"
        }
    }
}

/// Names of key exchange groups.
enum TLSGroup {
    /// OpenSSL's short name turned into the one people and RFC 8446 use, less "secp256r1".
    static func name(of short: String) -> String {
        switch short {
        case "prime256v1": "P-256"
        case "secp384r1": "P-384"
        case "secp521r1": "P-521"
        default: short
        }
    }
}
