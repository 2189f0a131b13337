import COpenSSL
import GatewayBytes
import Glibc
import Testing

@testable import GatewayTLS

/// A client and a server session on the two ends of a socket pair, pumped by one thread.
final class Pair {
    let client: TLSSession
    let server: TLSSession
    private(set) var clientSocket: CInt
    private(set) var serverSocket: CInt

    /// - Parameter socketBuffer: Bytes a socket holds for its reader; the kernel has a floor of some kilobytes.
    init(
        _ clientContext: TLSClientContext, _ serverContext: TLSServerContext, host: String = "site.example",
        resuming resumption: TLSResumption? = nil, socketBuffer: CInt? = nil
    ) throws {
        (clientSocket, serverSocket) = try socketPair(buffer: socketBuffer)
        client = try clientContext.session(on: clientSocket, host: host, resuming: resumption)
        server = try serverContext.session(on: serverSocket)
    }

    deinit {
        closeClientSocket()
        closeServerSocket()
    }

    func closeClientSocket() {
        if clientSocket >= 0 { close(clientSocket) }
        clientSocket = -1
    }

    func closeServerSocket() {
        if serverSocket >= 0 { close(serverSocket) }
        serverSocket = -1
    }

    /// Runs both handshakes until neither can go on.
    @discardableResult
    func handshake() -> (client: TLSSession.HandshakeOutcome, server: TLSSession.HandshakeOutcome) {
        var outcome = (client: TLSSession.HandshakeOutcome.wantRead, server: TLSSession.HandshakeOutcome.wantRead)
        for _ in 0..<10 {
            if !outcome.client.isFinal { outcome.client = client.handshake() }
            if !outcome.server.isFinal { outcome.server = server.handshake() }
        }
        return outcome
    }

    /// A handshake that must succeed, and the ticket that comes after it.
    func establish() throws {
        let outcome = handshake()
        try #require(outcome.client == .complete)
        try #require(outcome.server == .complete)
        var scratch: [UInt8] = []
        #expect(client.receive(into: &scratch) == .wantRead)
    }
}

extension TLSSession.HandshakeOutcome {
    var isFinal: Bool { self != .wantRead && self != .wantWrite }
}

extension TLSSession {
    /// Reads until something else than bytes comes, and returns that.
    func receive(into bytes: inout [UInt8], room: Int = 4096) -> ReadOutcome {
        var chunk = [UInt8](repeating: 0, count: room)
        while true {
            let outcome = unsafe chunk.withUnsafeMutableBytes { unsafe read(into: $0) }
            guard case .bytes(let count) = outcome else { return outcome }
            bytes += chunk.prefix(count)
        }
    }

    func send(_ bytes: some Collection<UInt8>) -> WriteOutcome {
        let copy = Array(bytes)
        return unsafe copy.withUnsafeBytes { unsafe write($0) }
    }
}

/// Two connected, non-blocking stream sockets. SIGPIPE is ignored, as the runtime does for the whole process.
func socketPair(buffer: CInt? = nil) throws -> (CInt, CInt) {
    signal(SIGPIPE, SIG_IGN)
    var ends: [CInt] = [0, 0]
    try #require(unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0, &ends) == 0)
    if var buffer {
        for end in ends {
            unsafe setsockopt(end, SOL_SOCKET, SO_SNDBUF, &buffer, socklen_t(MemoryLayout<CInt>.size))
        }
    }
    return (ends[0], ends[1])
}

/// A self-signed certificate for `site.example` that becomes valid in a day.
func postponedCertificate() throws -> SelfSignedCertificate {
    let made = try SelfSignedCertificate.make(names: ["site.example"], ips: [], validDays: 10)
    let list = try PEM(made.certificatePEM, source: "test").certificates(atMost: 1)
    let text: [UInt8]? = try unsafe made.privateKeyPEM.withBytes { bytes throws(TLSCertificateError) in
        let key = try unsafe PEM(bytes, source: "test").privateKey()
        let certificate = unsafe list.pointers[0]
        guard let sink = MemorySink(), unsafe X509_gmtime_adj(X509_getm_notBefore(certificate), 86_400) != nil,
            unsafe X509_sign(certificate, key.pointer, EVP_sha256()) > 0,
            unsafe PEM_write_bio_X509(sink.pointer, certificate) == 1
        else { return nil }
        return sink.takeBytes()
    }
    return SelfSignedCertificate(certificatePEM: try #require(text), privateKeyPEM: made.privateKeyPEM)
}

/// Contexts over the test authority's certificates.
struct Fixture {
    let authority: Authority
    let keys: TLSTicketKeys

    init() throws {
        authority = try Authority.shared.get()
        keys = try TLSTicketKeys.generate()
    }

    func server(_ names: String..., profile: TLSProfile = .server) throws -> TLSServerContext {
        let certificates = try names.map(authority.certificate)
        return try TLSServerContext.make(certificates: certificates, ticketKeys: keys, profile: profile)
    }

    /// A client that trusts the test root.
    func client(_ change: (inout TLSProfile) -> Void = { _ in }) throws -> TLSClientContext {
        var profile = TLSProfile.client
        change(&profile)
        return try TLSClientContext.make(verification: .file(authority.path("root.pem")), profile: profile)
    }
}
