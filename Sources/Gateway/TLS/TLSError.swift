internal import COpenSSL

/// Why a TLS session ended or never began. Small and without references, so passing one costs nothing.
package enum TLSError: Error, Equatable, Sendable {
    /// The peer sent a fatal alert: it found our side wanting.
    case peerAlert(TLSAlert)
    /// The peer speaks plain HTTP to a TLS port.
    case plainHTTP
    /// The peer's first bytes are not a TLS record.
    case notTLS
    /// No protocol version in common; here TLS 1.2 and 1.3 are spoken.
    case protocolVersion
    case noSharedCipher
    /// No key exchange group in common (X25519, P-256, P-384).
    case noSharedGroup
    case noSharedSignatureAlgorithm
    /// ALPN names no protocol in common (RFC 7301 §3.2).
    case noSharedApplicationProtocol
    /// The peer's certificate was refused here.
    case certificateRefused(TLSVerificationFailure)
    /// The client showed no certificate, though one is required.
    case noClientCertificate
    /// A record that was forged, damaged, or out of place.
    case badRecord
    /// The peer hung up before the handshake was complete.
    case closedDuringHandshake
    /// The socket failed; the value is an `errno`.
    case transport(CInt)
    /// The name to connect to is not a host name or an IP address.
    case invalidPeerName
    /// Anything else, as OpenSSL's packed error code.
    case library(UInt)
}

extension TLSError: CustomStringConvertible {
    /// A short reason for logs; never contains bytes of the peer's.
    package var description: String {
        switch self {
        case .peerAlert(let alert): "the peer answered with alert \"\(alert)\""
        case .plainHTTP: "plain HTTP on a TLS port"
        case .notTLS: "not TLS"
        case .protocolVersion: "no TLS version in common"
        case .noSharedCipher: "no cipher in common"
        case .noSharedGroup: "no key exchange group in common"
        case .noSharedSignatureAlgorithm: "no signature algorithm in common"
        case .noSharedApplicationProtocol: "no application protocol in common"
        case .certificateRefused(let failure): "certificate refused: \(failure)"
        case .noClientCertificate: "the client showed no certificate"
        case .badRecord: "bad record"
        case .closedDuringHandshake: "closed during the handshake"
        case .transport(let number): LibraryErrors.systemReason(number)
        case .invalidPeerName: "not a host name or an IP address"
        case .library(let code): LibraryErrors.reason(of: code)
        }
    }

    /// Translates an entry of OpenSSL's error queue.
    init(libraryCode code: UInt) {
        if code != 0, cossl_is_system_error(code) != 0 {
            self = .transport(CInt(ERR_GET_REASON(code)))
            return
        }
        guard ERR_GET_LIB(code) == ERR_LIB_SSL else {
            self = .library(code)
            return
        }
        let reason = ERR_GET_REASON(code)
        if reason > SSL_AD_REASON_OFFSET, let number = UInt8(exactly: reason - SSL_AD_REASON_OFFSET) {
            self = .peerAlert(TLSAlert(number: number))
            return
        }
        self = Self.byReason[reason] ?? .library(code)
    }

    private static let byReason: [CInt: TLSError] = [
        SSL_R_HTTP_REQUEST: .plainHTTP,
        SSL_R_HTTPS_PROXY_REQUEST: .plainHTTP,
        SSL_R_WRONG_VERSION_NUMBER: .notTLS,
        SSL_R_PACKET_LENGTH_TOO_LONG: .notTLS,
        SSL_R_UNSUPPORTED_PROTOCOL: .protocolVersion,
        SSL_R_VERSION_TOO_LOW: .protocolVersion,
        SSL_R_UNKNOWN_PROTOCOL: .protocolVersion,
        SSL_R_WRONG_SSL_VERSION: .protocolVersion,
        SSL_R_NO_PROTOCOLS_AVAILABLE: .protocolVersion,
        SSL_R_NO_SHARED_CIPHER: .noSharedCipher,
        SSL_R_NO_SHARED_GROUPS: .noSharedGroup,
        SSL_R_NO_SUITABLE_KEY_SHARE: .noSharedGroup,
        SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM: .noSharedSignatureAlgorithm,
        SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS: .noSharedSignatureAlgorithm,
        SSL_R_NO_APPLICATION_PROTOCOL: .noSharedApplicationProtocol,
        SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: .noClientCertificate,
        SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: .badRecord,
        SSL_R_BAD_RECORD_TYPE: .badRecord,
        SSL_R_ENCRYPTED_LENGTH_TOO_LONG: .badRecord,
        SSL_R_DATA_LENGTH_TOO_LONG: .badRecord,
        SSL_R_UNEXPECTED_RECORD: .badRecord,
        SSL_R_UNEXPECTED_MESSAGE: .badRecord,
        SSL_R_APP_DATA_IN_HANDSHAKE: .badRecord,
        SSL_R_UNEXPECTED_EOF_WHILE_READING: .closedDuringHandshake,
    ]
}

/// A TLS alert by its number (RFC 8446 §6).
package struct TLSAlert: Hashable, Sendable, CustomStringConvertible {
    package let number: UInt8

    package init(number: UInt8) { self.number = number }

    package static let handshakeFailure = TLSAlert(number: 40)
    package static let certificateExpired = TLSAlert(number: 45)
    package static let certificateUnknown = TLSAlert(number: 46)
    package static let unknownIssuer = TLSAlert(number: 48)
    package static let protocolVersion = TLSAlert(number: 70)
    package static let certificateRequired = TLSAlert(number: 116)
    package static let noApplicationProtocol = TLSAlert(number: 120)

    /// The RFC's name with spaces: `certificate unknown`.
    package var description: String {
        unsafe String(cString: SSL_alert_desc_string_long(CInt(number)))
    }
}

/// Which check a peer's certificate failed (RFC 5280 §6, RFC 9525).
package enum TLSVerificationFailure: Hashable, Sendable {
    case expired
    case notYetValid
    /// The certificate is for other names or addresses than the one connected to.
    case nameMismatch
    /// It, or the root it came with, is signed by itself and not among the trusted ones.
    case selfSigned
    /// The chain does not lead to a trusted certificate; often the peer left out an intermediate.
    case unknownIssuer
    case badSignature
    /// A key or a hash in the chain is too weak for security level 2 (112 bits).
    case tooWeak
    case revoked
    /// The certificate is not for servers, or not for clients, or its issuer is not an authority.
    case wrongPurpose
    case chainTooLong
    /// Another check, by OpenSSL's `X509_V_ERR_` number.
    case other(CInt)

    init(_ code: CInt) {
        self =
            switch code {
            case X509_V_ERR_CERT_HAS_EXPIRED: .expired
            case X509_V_ERR_CERT_NOT_YET_VALID: .notYetValid
            case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: .nameMismatch
            case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: .selfSigned
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
                .unknownIssuer
            case X509_V_ERR_CERT_SIGNATURE_FAILURE: .badSignature
            case X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL, X509_V_ERR_CA_MD_TOO_WEAK: .tooWeak
            case X509_V_ERR_CERT_REVOKED: .revoked
            case X509_V_ERR_INVALID_PURPOSE, X509_V_ERR_INVALID_CA: .wrongPurpose
            case X509_V_ERR_CERT_CHAIN_TOO_LONG, X509_V_ERR_PATH_LENGTH_EXCEEDED: .chainTooLong
            default: .other(code)
            }
    }
}

extension TLSVerificationFailure: CustomStringConvertible {
    package var description: String {
        switch self {
        case .expired: "it has expired"
        case .notYetValid: "it is not valid yet"
        case .nameMismatch: "it is for another name"
        case .selfSigned: "it is self-signed and not trusted"
        case .unknownIssuer: "its issuer is unknown"
        case .badSignature: "its signature is wrong"
        case .tooWeak: "its key or hash is too weak"
        case .revoked: "it has been revoked"
        case .wrongPurpose: "it is for another purpose"
        case .chainTooLong: "its chain is too long"
        case .other(let code): unsafe String(cString: X509_verify_cert_error_string(Int(code)))
        }
    }
}
