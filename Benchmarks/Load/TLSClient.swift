import CLinux
import COpenSSL
import Glibc

/// What every TLS connection of a run shares.
///
/// Nothing is left to choose: TLS 1.3, one cipher suite, one key exchange group. So both sides of a comparison do the
/// same cryptography, and a handshake that comes out otherwise cannot happen.
@safe final class TLSClient {
    static let suite = "TLS_AES_128_GCM_SHA256"
    static let group = "P-256"
    private static let serverName = "localhost"
    /// Read at once: fewer calls for a large body.
    private static let readBuffer = 128 << 10

    private let context: OpaquePointer
    /// The one certificate that counts.
    private let expected: OpaquePointer

    /// - Parameter certificate: PEM file of the certificate that the server must show. Comparing it costs less than
    ///   verifying a chain; that the server holds its key is verified by OpenSSL in any case.
    init(certificate: String) throws(Fault) {
        _ = signal(SIGPIPE, SIG_IGN)  // OpenSSL writes without MSG_NOSIGNAL
        unsafe expected = try Self.readCertificate(certificate)
        guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
            unsafe X509_free(expected)
            throw Fault("OpenSSL makes no context")
        }
        unsafe self.context = context
        // Certificates are compared, after the handshake; building chains would take the time of the load's core.
        unsafe SSL_CTX_set_cert_verify_callback(context, { _, _ in 1 }, nil)
        unsafe cossl_set_mode(context, Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER))
        unsafe cossl_set_read_ahead(context, 1)
        unsafe SSL_CTX_set_default_read_buffer_len(context, Self.readBuffer)
        let isReady =
            unsafe cossl_set_versions(context, TLS1_3_VERSION, TLS1_3_VERSION) == 1
            && SSL_CTX_set_ciphersuites(context, Self.suite) == 1
            && cossl_set_groups(context, Self.group) == 1
        guard isReady else { throw Fault("OpenSSL refuses \(Self.suite) with \(Self.group)") }
    }

    deinit {
        unsafe SSL_CTX_free(context)
        unsafe X509_free(expected)
    }

    private static func readCertificate(_ path: String) throws(Fault) -> OpaquePointer {
        guard let file = unsafe BIO_new_file(path, "r") else { throw Fault("\(path) cannot be read") }
        defer { unsafe BIO_free(file) }
        guard let certificate = unsafe PEM_read_bio_X509(file, nil, nil, nil) else {
            throw Fault("\(path) holds no certificate")
        }
        return unsafe certificate
    }

    /// A session on a connected, non-blocking socket, which must outlive it.
    func session(on socket: Socket, resuming ticket: TLSTicket? = nil) throws(Fault) -> TLSSession {
        guard let session = unsafe SSL_new(context), unsafe SSL_set_fd(session, socket.descriptor) == 1,
            unsafe cossl_set_server_name(session, Self.serverName) == 1
        else { throw Fault("OpenSSL makes no session") }
        unsafe SSL_set_connect_state(session)
        let result = unsafe TLSSession(owning: session, of: self, offered: ticket)
        if let ticket, unsafe SSL_set_session(session, ticket.pointer) != 1 {
            throw Fault("a ticket cannot be offered")
        }
        return result
    }

    /// - Throws: When the server showed another certificate than the expected one.
    fileprivate func check(_ session: OpaquePointer) throws(Fault) {
        guard let shown = unsafe SSL_get0_peer_certificate(session), unsafe X509_cmp(shown, expected) == 0 else {
            throw Fault("the server shows another certificate")
        }
    }
}

/// What a server gave to resume a session with.
@safe final class TLSTicket {
    fileprivate let pointer: OpaquePointer

    fileprivate init(owning pointer: OpaquePointer) { unsafe self.pointer = pointer }

    deinit { unsafe SSL_SESSION_free(pointer) }
}

/// One TLS connection.
@safe final class TLSSession {
    private let session: OpaquePointer
    private let client: TLSClient
    private let offered: TLSTicket?
    private var isOpen = false
    /// Bytes that OpenSSL holds may be waiting: the kernel will not report those.
    private(set) var mayHoldMore = false

    fileprivate init(owning session: OpaquePointer, of client: TLSClient, offered: TLSTicket?) {
        unsafe self.session = session
        self.client = client
        self.offered = offered
    }

    deinit { unsafe SSL_free(session) }

    /// Goes on with the handshake: now, and whenever the socket is readable.
    ///
    /// - Returns: Whether it is complete.
    /// - Throws: When it failed, or the certificate is another one.
    func handshake() throws(Fault) -> Bool {
        ERR_clear_error()
        let result = unsafe SSL_do_handshake(session)
        guard result == 1 else {
            try stopped(result, during: "TLS handshake")
            return false
        }
        try unsafe client.check(session)
        isOpen = true
        return true
    }

    /// The ticket that was offered was taken.
    var isResumed: Bool { unsafe SSL_session_reused(session) == 1 }

    /// The ticket that this connection brought; `nil` until it has come.
    var ticket: TLSTicket? {
        guard let newest = unsafe SSL_get_session(session), unsafe SSL_SESSION_is_resumable(newest) == 1 else {
            return nil
        }
        if let offered, unsafe offered.pointer == newest { return nil }
        guard unsafe SSL_SESSION_up_ref(newest) == 1 else { return nil }
        return unsafe TLSTicket(owning: newest)
    }

    /// Fills `buffer` from `start` as far as bytes are there. Zero is the end of the stream, `nil` nothing to read yet.
    func receive(into buffer: inout [UInt8], from start: Int) throws(Fault) -> Int? {
        var filled = start
        mayHoldMore = true
        while mayHoldMore, filled < buffer.count {
            var count = 0
            ERR_clear_error()
            let result = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe SSL_read_ex(session, bytes.baseAddress.map { unsafe $0 + filled }, bytes.count - filled, &count)
            }
            filled += count
            if result == 1 {
                mayHoldMore = unsafe SSL_has_pending(session) == 1
                continue
            }
            mayHoldMore = false
            if unsafe SSL_get_error(session, result) == SSL_ERROR_ZERO_RETURN { return filled - start }
            try stopped(result, during: "TLS read")
        }
        return filled > start ? filled - start : nil
    }

    /// How much of `bytes` from `start` was sealed and taken; zero when the kernel's buffer is full.
    func send(_ bytes: [UInt8], from start: Int) throws(Fault) -> Int {
        var count = 0
        ERR_clear_error()
        let result = unsafe bytes.withUnsafeBytes { all in
            unsafe SSL_write_ex(session, all.baseAddress.map { unsafe $0 + start }, all.count - start, &count)
        }
        if result != 1 { try stopped(result, during: "TLS write") }
        return count
    }

    /// Says goodbye, without waiting for an answer: so that the server need not take it for an attack.
    func end() { if isOpen { unsafe SSL_shutdown(session) } }

    /// - Throws: When `result` says more than that the socket is not ready.
    private func stopped(_ result: CInt, during step: String) throws(Fault) {
        let number = cossl_last_system_error()
        switch unsafe SSL_get_error(session, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return
        case SSL_ERROR_SYSCALL where number != 0: throw Fault("\(step): \(unsafe String(cString: strerror(number)))")
        default:
            let reason = unsafe ERR_reason_error_string(ERR_get_error()).map { unsafe String(cString: $0) }
            throw Fault("\(step): \(reason ?? "the server closed the connection")")
        }
    }
}
