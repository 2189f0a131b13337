internal import COpenSSL
import GatewayBytes

/// The keys that seal session tickets (RFC 5077, RFC 8446 §4.6.1).
///
/// Made once per process and given to every server context, so that a ticket from one event loop, one server name or
/// the settings before a reload resumes at any other. They live as long as the process: whoever steals them can read
/// recorded TLS 1.2 sessions that were resumed. TLS 1.3 adds a fresh key exchange to each resumption and is not hurt.
package struct TLSTicketKeys: Sendable {
    /// 16 bytes of name, 32 for HMAC-SHA256, 32 for AES-256.
    static let length = 80
    let bytes: Secret

    package static func generate() throws(TLSContextError) -> TLSTicketKeys {
        LibraryErrors.clear()
        var bytes = [UInt8](repeating: 0, count: length)
        guard unsafe RAND_priv_bytes(&bytes, CInt(length)) == 1 else { throw .library(LibraryErrors.takeReason()) }
        return TLSTicketKeys(bytes: Secret(bytes))
    }
}
