internal import COpenSSL
import GatewayBytes

/// Everything a server's TLS sessions share: certificates by name, policy, ticket keys.
///
/// TLS 1.2 and 1.3; SNI picks a certificate, and an unknown or absent name gets the first one, because health checks
/// and clients that connect by address send none. ALPN is `http/1.1`; a client that insists on something else is
/// refused with `no_application_protocol` (RFC 7301 §3.2). Never changes after it is made: a reload makes a new one,
/// and sessions keep the one they began with.
// Safe: written only in `make`; OpenSSL allows any number of threads to open sessions of a finished SSL_CTX.
@safe package final class TLSServerContext: @unchecked Sendable {
    private let choices: ContextChoices

    private init(_ choices: ContextChoices) { self.choices = choices }

    /// - Parameter certificates: The first is the default. Where two have the same name and key type the earlier wins;
    ///   an RSA and an ECDSA certificate for one name are both offered.
    /// - Parameter clients: What certificates to ask clients for; `nil` for none.
    package static func make(
        certificates: [TLSCertificate], ticketKeys: TLSTicketKeys, clients: TLSClientPolicy? = nil,
        limits: TLSLimits = TLSLimits()
    ) throws(TLSContextError) -> TLSServerContext {
        try make(
            certificates: certificates, ticketKeys: ticketKeys, clients: clients, limits: limits, profile: .server)
    }

    static func make(
        certificates: [TLSCertificate], ticketKeys: TLSTicketKeys, clients: TLSClientPolicy? = nil,
        limits: TLSLimits = TLSLimits(), profile: TLSProfile
    ) throws(TLSContextError) -> TLSServerContext {
        guard !certificates.isEmpty else { throw .noCertificates }
        guard certificates.count <= limits.serverCertificates else {
            throw .tooManyCertificates(limit: limits.serverCertificates)
        }
        let names = ServerNames(
            certificates.map { ServerNames.Candidate(names: $0.dnsNames, isRSA: $0.isRSA) })
        let choices = ContextChoices(names: names, ticketKeys: ticketKeys)
        for group in names.groups {
            let context = try profile.makeContext(isServer: true)
            for index in group { try use(certificates[index], in: context) }
            try prepareTickets(in: context, keys: ticketKeys, clients: clients)
            unsafe SSL_CTX_set_alpn_select_cb(context.pointer, selectApplicationProtocol, nil)
            unsafe SSL_CTX_set_verify(context.pointer, SSL_VERIFY_NONE, nil)
            try unsafe clients?.apply(to: context.pointer)
            choices.adopt(context)
        }
        choices.listenForNames()
        return TLSServerContext(choices)
    }

    /// A server session on a connected, non-blocking stream socket.
    ///
    /// The caller keeps the descriptor, and closes it only after the session is gone.
    package func session(on descriptor: CInt) throws(TLSError) -> TLSSession {
        let session = try unsafe TLSSession(
            opening: choices.initial, on: descriptor, owner: choices, peerName: nil)
        session.willAccept()
        return session
    }

    private static func use(
        _ certificate: TLSCertificate, in context: borrowing Handle
    ) throws(TLSContextError) {
        LibraryErrors.clear()
        let issuers = unsafe OPENSSL_sk_new_null()
        defer { unsafe OPENSSL_sk_free(issuers) }
        // The stack only lends them: the call below takes references of its own.
        unsafe certificate.chain.pointers.dropFirst().forEach { issuer in
            _ = unsafe OPENSSL_sk_push(issuers, UnsafeRawPointer(issuer))
        }
        let status = unsafe SSL_CTX_use_cert_and_key(
            context.pointer, certificate.leaf, certificate.privateKey, issuers, 1)
        guard status == 1 else {
            throw .certificateRefused(source: certificate.source, reason: LibraryErrors.takeReason())
        }
    }

    private static func prepareTickets(
        in context: borrowing Handle, keys: TLSTicketKeys, clients: TLSClientPolicy?
    ) throws(TLSContextError) {
        let pointer = unsafe context.pointer
        // OpenSSL opens no ticket of another identity, or one would carry a client from one policy to another.
        let identity = TLSClientPolicy.identity(of: clients)
        LibraryErrors.clear()
        let isReady =
            unsafe keys.serve(pointer) && SSL_CTX_set_num_tickets(pointer, 1) == 1
            && SSL_CTX_set_session_id_context(pointer, identity, CUnsignedInt(identity.count)) == 1
        guard isReady else { throw .library(LibraryErrors.takeReason()) }
        unsafe SSL_CTX_set_timeout(pointer, Int(TLSTicketKeys.lifetime.components.seconds))
    }
}

/// One `SSL_CTX` per set of certificates, and the names that lead to each. Sessions keep it alive: OpenSSL calls back
/// into it during a handshake.
@safe final class ContextChoices {
    private let names: ServerNames
    /// Kept because OpenSSL asks it for the key of each ticket.
    private let ticketKeys: TLSTicketKeys
    private var contexts = unsafe [OpaquePointer]()

    init(names: ServerNames, ticketKeys: TLSTicketKeys) {
        self.names = names
        self.ticketKeys = ticketKeys
    }

    deinit { unsafe contexts.forEach { unsafe SSL_CTX_free($0) } }

    /// Every session begins with this one, whose ticket keys and modes it keeps.
    var initial: OpaquePointer { unsafe contexts[0] }

    func adopt(_ context: consuming Handle) {
        unsafe SSL_CTX_up_ref(context.pointer)
        unsafe contexts.append(context.pointer)
    }

    func listenForNames() {
        let argument = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe cossl_set_server_name_callback(
            initial,
            { session, _, argument in
                guard let session = unsafe session, let argument = unsafe argument else { return SSL_TLSEXT_ERR_NOACK }
                unsafe Unmanaged<ContextChoices>.fromOpaque(argument).takeUnretainedValue().choose(for: session)
                return SSL_TLSEXT_ERR_OK
            }, argument)
    }

    private func choose(for session: OpaquePointer) {
        guard let text = unsafe SSL_get_servername(session, TLSEXT_NAMETYPE_host_name),
            let name = unsafe ServerNames.normalized(String(cString: text).utf8)
        else { return }
        let group = names.group(for: name)
        if group != 0 { unsafe SSL_set_SSL_CTX(session, contexts[group]) }
    }
}

/// Picks `http/1.1` if the client offers it, else ends the handshake with `no_application_protocol`.
/// OpenSSL calls this only for a client that sends ALPN, and has checked that the list is well formed.
private func selectApplicationProtocol(
    _ session: OpaquePointer?, _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ chosenLength: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?, _ length: CUnsignedInt,
    _ argument: UnsafeMutableRawPointer?
) -> CInt {
    let wanted: StaticString = "http/1.1"
    let list = unsafe UnsafeBufferPointer(start: offered, count: Int(length))
    var start = 0
    while start < list.count {
        let end = unsafe start + 1 + Int(list[start])
        guard end <= list.count else { break }
        let name = unsafe UnsafeBufferPointer(rebasing: list[(start + 1)..<end])
        if unsafe name.elementsEqual(UnsafeBufferPointer(start: wanted.utf8Start, count: wanted.utf8CodeUnitCount)) {
            unsafe chosen?.pointee = name.baseAddress
            unsafe chosenLength?.pointee = UInt8(name.count)
            return SSL_TLSEXT_ERR_OK
        }
        start = end
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL
}
