internal import COpenSSL

/// One TLS connection on a descriptor that its caller owns, keeps non-blocking and closes after this is gone.
///
/// Belongs to one event loop. Every call does at most the system calls that are possible at once and never blocks;
/// `wantRead` and `wantWrite` name the readiness to wait for before the same call is made again. Time-outs are the
/// caller's: a peer may take as long as it likes over a handshake.
///
/// OpenSSL writes with write(2), so a vanished peer would raise SIGPIPE: the process must ignore that signal, as the
/// runtime does at start.
@safe package final class TLSSession {
    package enum HandshakeOutcome: Equatable {
        case complete
        case wantRead
        case wantWrite
        /// The alert, if one is due, has been sent; close the descriptor.
        case failed(TLSError)
    }

    package enum ReadOutcome: Equatable {
        /// At least one byte was stored.
        case bytes(Int)
        case wantRead
        case wantWrite
        /// The peer ended its stream with close_notify; everything it sent has been read.
        case closed
        /// The connection ended without close_notify, so the stream may have been cut short by anyone on the way.
        /// A message whose own framing is complete is whole; one that ends with the connection is not.
        case closedDirty
        case failed(TLSError)
    }

    package enum WriteOutcome: Equatable {
        /// So many bytes, from the first, are on their way. If fewer than offered, the socket is full.
        case bytes(Int)
        case wantRead
        case wantWrite
        /// The peer is gone. What it sent before that can still be read.
        case closedDirty
        case failed(TLSError)
    }

    package enum ShutdownOutcome: Equatable {
        /// close_notify is in the socket's buffer.
        case sent
        /// Call again when the socket is writable, or give up and close it.
        case wantWrite
        /// There is nobody to tell, or a record is only half sent, behind which nothing can be said.
        case failed
    }

    /// The largest plaintext of one record (RFC 8446 §5.1).
    private static let recordLimit = 16 << 10

    let ssl: Handle
    /// The context, kept because OpenSSL calls back into it.
    let owner: AnyObject
    /// Whom a client connected to, normalized; `nil` for a server.
    let peerName: String?

    /// The handshake is complete.
    package private(set) var isEstablished = false
    /// Why nothing works any more.
    private var failure: TLSError?
    /// How reading ended.
    private var readEnd: ReadOutcome?
    /// The last read stopped for want of readiness, so what OpenSSL holds is at most part of a record.
    private var isReadBlocked = true
    /// Bytes already sealed in a record that the socket did not take; the next write must begin with them.
    private var promised = 0
    private var hasSentClose = false

    /// - Parameter context: An `SSL_CTX`; the session takes a reference of its own.
    init(
        opening context: OpaquePointer, on descriptor: CInt, owner: AnyObject, peerName: String?
    ) throws(TLSError) {
        LibraryErrors.clear()
        guard let ssl = unsafe Handle(SSL_new(context), freeing: SSL_free),
            unsafe SSL_set_fd(ssl.pointer, descriptor) == 1
        else { throw TLSError(libraryCode: LibraryErrors.take()) }
        self.ssl = ssl
        self.owner = owner
        self.peerName = peerName
    }

    /// Begins or continues the handshake. Call first, and again at each readiness it asks for, until it is complete.
    ///
    /// Request bytes may have come with the handshake's last ones: read once after `complete`, or look at
    /// ``hasPending``, before waiting for readiness.
    package func handshake() -> HandshakeOutcome {
        if let failure { return .failed(failure) }
        LibraryErrors.clear()
        let result = unsafe SSL_do_handshake(ssl.pointer)
        if result == 1 {
            isEstablished = true
            isReadBlocked = false
            return .complete
        }
        switch interruption(after: result) {
        case .wantRead: return .wantRead
        case .wantWrite: return .wantWrite
        case .endOfStream, .closeNotify: return .failed(fail(.closedDuringHandshake))
        case .failure(let error): return .failed(fail(error))
        }
    }

    /// Fills `room`, which must not be empty, from as many records as are there.
    ///
    /// After `.bytes`, look at ``hasPending`` before waiting for readiness: the kernel will not report bytes that
    /// OpenSSL has already taken. `.closed`, `.closedDirty` and `.failed` are final and repeat.
    package func read(into room: UnsafeMutableRawBufferPointer) -> ReadOutcome {
        precondition(isEstablished, "read before the handshake was complete")
        precondition(room.count > 0, "read into no room")
        guard let start = room.baseAddress else { return .wantRead }
        var filled = 0
        repeat {
            if let readEnd { return filled > 0 ? .bytes(filled) : readEnd }
            LibraryErrors.clear()
            var count = 0
            let result = unsafe SSL_read_ex(ssl.pointer, start + filled, room.count - filled, &count)
            filled += count
            isReadBlocked = result != 1
            if result == 1 { continue }
            let outcome = readOutcome(of: interruption(after: result))
            if filled > 0 { return .bytes(filled) }
            return outcome
        } while unsafe filled < room.count && SSL_has_pending(ssl.pointer) == 1
        return .bytes(filled)
    }

    /// True if ``read(into:)`` has something to say without the descriptor becoming readable; for good once reading has
    /// ended.
    package var hasPending: Bool {
        if readEnd != nil { return true }
        return unsafe !isReadBlocked && SSL_has_pending(ssl.pointer) == 1
    }

    /// Seals and sends `bytes`, as many records as the socket takes.
    ///
    /// A record that the socket did not take is sealed already, so the next call must offer the same bytes again from
    /// where this one stopped; more may follow them, and they may have moved in memory. Offering fewer than before,
    /// up to one record of 16 KiB, is a broken promise and traps.
    package func write(_ bytes: UnsafeRawBufferPointer) -> WriteOutcome {
        precondition(isEstablished, "write before the handshake was complete")
        precondition(!hasSentClose, "write after close_notify")
        precondition(bytes.count >= promised, "a write was retried with fewer bytes than it began with")
        if let failure { return .failed(failure) }
        guard let start = bytes.baseAddress else { return .bytes(0) }
        var sent = 0
        while sent < bytes.count {
            LibraryErrors.clear()
            var count = 0
            let result = unsafe SSL_write_ex(ssl.pointer, start + sent, bytes.count - sent, &count)
            if result == 1 {
                sent += count
                promised = 0
                continue
            }
            let outcome = writeOutcome(of: interruption(after: result), left: bytes.count - sent)
            return sent > 0 ? .bytes(sent) : outcome
        }
        return .bytes(sent)
    }

    /// Sends close_notify and does not wait for the peer's: no byte is written after it, reading goes on.
    ///
    /// Call it when everything has been written. Without it the peer sees a stream that was cut off.
    package func shutdown() -> ShutdownOutcome {
        guard isEstablished, failure == nil, promised == 0 else { return .failed }
        LibraryErrors.clear()
        hasSentClose = true
        let result = unsafe SSL_shutdown(ssl.pointer)
        if result >= 0 { return .sent }
        switch interruption(after: result) {
        case .wantRead, .wantWrite: return .wantWrite
        case .closeNotify, .endOfStream: return .failed
        case .failure(let error):
            _ = fail(error)
            return .failed
        }
    }

    // MARK: - What OpenSSL answered

    private enum Interruption {
        case wantRead
        case wantWrite
        case closeNotify
        case endOfStream
        case failure(TLSError)
    }

    private func interruption(after result: CInt) -> Interruption {
        let number = cossl_last_system_error()  // first, before anything can change it
        switch unsafe SSL_get_error(ssl.pointer, result) {
        case SSL_ERROR_WANT_READ: return .wantRead
        case SSL_ERROR_WANT_WRITE: return .wantWrite
        case SSL_ERROR_ZERO_RETURN: return .closeNotify
        case SSL_ERROR_SYSCALL:
            LibraryErrors.clear()
            return number == 0 || number == ECONNRESET || number == EPIPE ? .endOfStream : .failure(.transport(number))
        default: return failureInterruption()
        }
    }

    private func failureInterruption() -> Interruption {
        let verdict = unsafe SSL_get_verify_result(ssl.pointer)
        let code = LibraryErrors.take()
        guard ERR_GET_LIB(code) == ERR_LIB_SSL else { return .failure(TLSError(libraryCode: code)) }
        switch ERR_GET_REASON(code) {
        case SSL_R_UNEXPECTED_EOF_WHILE_READING: return .endOfStream
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
            return .failure(.certificateRefused(TLSVerificationFailure(CInt(clamping: verdict))))
        default:
            let error = TLSError(libraryCode: code)
            // Once records flow, one with a wrong head is forged or damaged, not another protocol.
            return .failure(isEstablished && error == .notTLS ? .badRecord : error)
        }
    }

    private func readOutcome(of interruption: Interruption) -> ReadOutcome {
        switch interruption {
        case .wantRead: return .wantRead
        case .wantWrite: return .wantWrite
        case .closeNotify: readEnd = .closed
        case .endOfStream: readEnd = .closedDirty
        case .failure(let error): readEnd = .failed(fail(error))
        }
        return readEnd ?? .wantRead
    }

    private func writeOutcome(of interruption: Interruption, left: Int) -> WriteOutcome {
        switch interruption {
        case .wantRead, .wantWrite:
            promised = min(left, Self.recordLimit)
            if case .wantRead = interruption { return .wantRead }
            return .wantWrite
        case .closeNotify, .endOfStream: return .closedDirty
        case .failure(let error): return .failed(fail(error))
        }
    }

    private func fail(_ error: TLSError) -> TLSError {
        failure = error
        readEnd = readEnd ?? .failed(error)
        return error
    }
}

// MARK: - Set-up by the contexts, and what was agreed

extension TLSSession {
    func willAccept() { unsafe SSL_set_accept_state(ssl.pointer) }

    func willConnect(to peer: PeerName, isVerified: Bool) throws(TLSError) {
        unsafe SSL_set_connect_state(ssl.pointer)
        LibraryErrors.clear()
        let parameters = unsafe SSL_get0_param(ssl.pointer)
        // RFC 6066 §3 allows no addresses in SNI.
        var isReady = unsafe peer.isAddress || cossl_set_server_name(ssl.pointer, peer.text) == 1
        if isVerified {
            unsafe X509_VERIFY_PARAM_set_hostflags(
                parameters, CUnsignedInt(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
            let isNamed =
                unsafe peer.isAddress
                ? X509_VERIFY_PARAM_set1_ip_asc(parameters, peer.text) == 1
                : X509_VERIFY_PARAM_set1_host(parameters, peer.text, peer.text.utf8.count) == 1
            isReady = isReady && isNamed
        }
        if !isReady { throw TLSError(libraryCode: LibraryErrors.take()) }
    }

    /// Offers a copy, so that one ticket serves several connections: OpenSSL marks a session as spoilt when a
    /// connection that used it ends without close_notify. A session it will not take is simply not resumed.
    func offer(_ resumption: TLSResumption) {
        if let copy = unsafe Handle(SSL_SESSION_dup(resumption.session.pointer), freeing: SSL_SESSION_free) {
            unsafe SSL_set_session(ssl.pointer, copy.pointer)
        }
        LibraryErrors.clear()
    }

    /// A copy for the same reason.
    func copyResumption() -> Handle? {
        guard let session = unsafe SSL_get_session(ssl.pointer), unsafe SSL_SESSION_is_resumable(session) == 1 else {
            return nil
        }
        return unsafe Handle(SSL_SESSION_dup(session), freeing: SSL_SESSION_free)
    }

    /// What the handshake agreed on; ask after it is complete.
    package var info: TLSSessionInfo {
        let pointer = unsafe ssl.pointer
        var name: UnsafePointer<UInt8>?
        var length: CUnsignedInt = 0
        unsafe SSL_get0_alpn_selected(pointer, &name, &length)
        let alpn = unsafe UnsafeBufferPointer(start: name, count: Int(length))
        let group = unsafe OBJ_nid2sn(cossl_negotiated_group(pointer)).map { unsafe String(cString: $0) }
        let serverName = unsafe SSL_get_servername(pointer, TLSEXT_NAMETYPE_host_name)
        return unsafe TLSSessionInfo(
            version: SSL_version(pointer) == TLS1_3_VERSION ? .tls13 : .tls12,
            cipher: SSL_CIPHER_get_name(SSL_get_current_cipher(pointer)).map { unsafe String(cString: $0) } ?? "",
            group: group.map(TLSGroup.name(of:)) ?? "",
            serverName: serverName.flatMap { unsafe ServerNames.normalized(String(cString: $0).utf8) },
            applicationProtocol: alpn.isEmpty ? nil : String(decoding: alpn, as: UTF8.self),
            isResumed: SSL_session_reused(pointer) == 1)
    }

    /// The peer's own certificate, verified or not: the server's for a client, and what the client showed for a server.
    package var peerCertificate: CertificateSummary? {
        guard let certificate = unsafe SSL_get0_peer_certificate(ssl.pointer) else { return nil }
        return unsafe CertificateSummary(certificate)
    }
}

/// A protocol version that is spoken here.
package enum TLSVersion: String, Sendable {
    case tls12 = "TLSv1.2"
    case tls13 = "TLSv1.3"
}

/// What a handshake agreed on, for logs and metrics.
package struct TLSSessionInfo: Equatable, Sendable {
    package let version: TLSVersion
    /// OpenSSL's name: `TLS_AES_128_GCM_SHA256`, `ECDHE-RSA-AES128-GCM-SHA256`.
    package let cipher: String
    /// `X25519`, `P-256` or `P-384`.
    package let group: String
    /// What the client sent as SNI, lower case; `nil` if it sent none, or one that is no host name.
    package let serverName: String?
    package let applicationProtocol: String?
    /// A ticket was accepted, so certificates were not exchanged again.
    package let isResumed: Bool
}
