import GatewayHTTP
import GatewayRuntime
import GatewayTLS
import GatewayTelemetry
import PluginKit
import Synchronization

/// Who is at the other end of a connection, before it has sent a request.
struct ConnectionClient {
    /// Who each of its requests is from, unless a field is believed that says otherwise.
    private(set) var client: RequestClient
    /// Whether whoever writes the requests is a trusted proxy.
    let isProxy: Bool

    /// - Parameter header: What the PROXY protocol said, if it is spoken on this connection.
    init(peer: SocketAddress, isSecure: Bool, header: ProxyProtocolHeader?, rule: ClientAddressRule) {
        var client = RequestClient(peer: peer, isSecure: isSecure)
        switch header?.client {
        case nil: isProxy = rule.trusts(client.address)
        case .proxyItself: isProxy = true
        case .address(let address, _):
            // The requests are the client's own work, whoever passes them on; it may itself be a proxy of ours.
            client.address = address
            client.isOnThisMachine = client.isOnThisMachine && address.kind == .loopback
            isProxy = rule.trusts(address)
        case .unknown:
            client.isOnThisMachine = false
            isProxy = false
            client.isShared = true
        }
        // A proxy's address says nothing of whom it speaks for.
        if isProxy { client.isShared = true }
        self.client = client
    }

    /// What the TLS handshake proved. With a PROXY header in front it was the client's own handshake too.
    mutating func prove(_ identity: TLSClientIdentity) { client.certificate = ClientCertificate(identity) }
}

extension ClientCertificate {
    convenience init(_ identity: TLSClientIdentity) {
        let summary = identity.summary
        self.init(
            subject: summary.subject, issuer: summary.issuer, dnsNames: summary.dnsNames,
            addresses: summary.addresses, uris: summary.uris, mailAddresses: summary.mailAddresses,
            fingerprint: identity.fingerprint, notAfter: summary.notAfter.secondsSince1970, der: identity.der)
    }
}

/// Told once for the process, however many requests give reason.
final class OnceNotice: Sendable {
    private let isTold = Atomic<Bool>(false)

    /// `true` the first time.
    func take() -> Bool {
        !isTold.load(ordering: .relaxed) && !isTold.exchange(true, ordering: .relaxed)
    }
}

extension HTTPConnection {
    /// Settles who sent a request whose head was just parsed, and what it is called; then takes out of the head what
    /// others said of that.
    @inline(__always)
    func identify(_ request: Request, _ head: inout RequestHead, _ bytes: UnsafeRawBufferPointer) {
        request.client = origin.client
        if head.fields.mayTellIdentity { unsafe readIdentity(request, &head, bytes) }
        if request.client.address != remoteAddress { writeRemote(request.client.address) }
    }

    @inline(never)
    private func readIdentity(_ request: Request, _ head: inout RequestHead, _ bytes: UnsafeRawBufferPointer) {
        // Why no copy of the fields is kept: removing some from a table that is shared would copy all of it.
        if request.client.isOnThisMachine {
            let believed: HeaderName? = origin.isProxy ? settings.clients.rule.source.field : nil
            request.client.isOnThisMachine = unsafe head.fields.addressesAreLoopback(in: bytes, except: believed)
        }
        if origin.isProxy {
            unsafe believe(head.fields, bytes, request)
        } else if head.fields.tellsAddress {
            suspect(request)
        }
        unsafe head.removeIdentity(in: bytes)
    }

    private func believe(_ fields: FieldTable, _ bytes: UnsafeRawBufferPointer, _ request: Request) {
        if let id = unsafe Self.requestID(fields, bytes) { request.id = id }
        do throws(ClientAddressError) {
            let claim = try unsafe settings.clients.rule.read(fields, in: bytes)
            if let address = claim.address {
                request.client.address = address
                request.client.isShared = false
                // It spoke TLS with the proxy, and the certificate here is the proxy's.
                request.client.certificate = nil
                if address.kind != .loopback { request.client.isOnThisMachine = false }
            } else if fields.tellsAddress {
                if unsafe Self.holds(settings.clients.rule.source.field, fields, bytes) {
                    request.client.isOnThisMachine = false
                }
                server.noteUnreadable(request, reason: "the field is missing or names nobody")
            }
            if let isSecure = claim.isSecure { request.client.isSecure = isSecure }
            request.client.host = claim.host
        } catch {
            request.client.isOnThisMachine = false
            server.noteUnreadable(request, reason: error.message)
        }
    }

    private static func holds(_ name: HeaderName?, _ fields: FieldTable, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let name else { return false }
        return unsafe fields.contains(name, in: bytes)
    }

    private static func requestID(_ fields: FieldTable, _ bytes: UnsafeRawBufferPointer) -> RequestID? {
        guard let field = unsafe fields.find(.xRequestID, in: bytes),
            unsafe fields.count(of: .xRequestID, in: bytes) == 1
        else { return nil }
        return RequestID(foreign: unsafe field.value.of(bytes).assumingMemoryBound(to: UInt8.self).span)
    }

    /// Somebody unlisted speaks for somebody else. From a private network that is most likely an ingress: nobody behind
    /// it must pay for what another one does.
    private func suspect(_ request: Request) {
        switch request.client.address.kind {
        case .private, .loopback, .linkLocal: break
        default: return
        }
        request.client.isShared = true
        server.noteUnlistedProxy(request)
    }
}

extension LoopServer {
    fileprivate func noteUnlistedProxy(_ request: Request) {
        guard clients.source.field != nil, shared.unlistedProxy.take() else { return }
        log.warn(
            "a proxy that is not listed names clients: all of them count as one, and none is blocked",
            .string("peer", request.peer.host), .string("remedy", "TRUSTED_PROXIES=\(request.peer.host)"),
            .request(request.id))
    }

    fileprivate func noteUnreadable(_ request: Request, reason: String) {
        guard clients.source.field != nil, shared.unreadableProxy.take() else { return }
        log.warn(
            "a trusted proxy does not say who its client is: check CLIENT_IP_HEADER",
            .string("peer", request.peer.host), .string("field", clients.source.rawValue), .string("reason", reason),
            .request(request.id))
    }
}
