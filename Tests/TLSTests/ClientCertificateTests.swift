import COpenSSL
import GatewayBytes
import Glibc
import Testing

@testable import GatewayTLS

@Suite("Certificates of clients")
struct ClientCertificateTests {
    let fixture: Fixture

    init() throws { fixture = try Fixture() }

    private static let versions: [CInt] = [0x0303, 0x0304]

    private func policy(
        _ file: String = "root.pem", _ demand: TLSClientPolicy.Demand = .require, limits: TLSLimits = TLSLimits()
    ) throws -> TLSClientPolicy {
        try TLSClientPolicy.load(authorities: fixture.authority.path(file), demand: demand, limits: limits)
    }

    private func server(_ policy: TLSClientPolicy?, _ names: String...) throws -> TLSServerContext {
        let certificates = try (names.isEmpty ? ["site"] : names).map(fixture.authority.certificate)
        return try TLSServerContext.make(certificates: certificates, ticketKeys: fixture.keys, clients: policy)
    }

    /// A client that shows `name`, or nothing.
    private func client(_ name: String?, _ version: CInt = 0x0304) throws -> TLSClientContext {
        let client = try fixture.client { $0.highestVersion = version }
        if let name { try show(fixture.authority.path("\(name).pem"), fixture.authority.path("\(name).key"), client) }
        return client
    }

    private func show(_ chain: String, _ key: String, _ client: TLSClientContext) throws {
        // Some of these certificates are bad on purpose.
        unsafe SSL_CTX_set_security_level(client.context.pointer, 0)
        try #require(unsafe SSL_CTX_use_certificate_chain_file(client.context.pointer, chain) == 1)
        try #require(unsafe SSL_CTX_use_PrivateKey_file(client.context.pointer, key, X509_FILETYPE_PEM) == 1)
    }

    private func resumption(_ client: TLSClientContext, _ server: TLSServerContext) throws -> TLSResumption {
        let pair = try Pair(client, server)
        try pair.establish()
        return try #require(client.resumption(of: pair.client))
    }

    /// A connection that offers `ticket`.
    private func pair(
        _ client: TLSClientContext, _ server: TLSServerContext, with ticket: TLSResumption
    ) throws -> Pair {
        let pair = try Pair(client, server, resuming: ticket)
        try pair.establish()
        return pair
    }

    // MARK: Asked for and shown

    @Test("a client that shows one is known by its names and its fingerprint", arguments: versions)
    func shown(_ version: CInt) throws {
        for demand in [TLSClientPolicy.Demand.optional, .require] {
            let pair = try Pair(client("reporter", version), server(policy("root.pem", demand)))
            try pair.establish()
            let identity = try #require(pair.server.verifiedClient)
            #expect(identity.summary.subject == "CN=reporter")
            #expect(identity.summary.issuer == "CN=Test intermediate")
            #expect(identity.summary.dnsNames == ["reporter.example"])
            #expect(identity.summary.uris == ["spiffe://site.example/reporter"])
            #expect(identity.summary.mailAddresses == ["r@site.example"])
            #expect(identity.summary.addresses == ["192.0.2.7"])
            #expect(fingerprint(ofDER: identity.der) == identity.fingerprint)
        }
    }

    private func fingerprint(ofDER bytes: [UInt8]) -> [UInt8]? {
        unsafe bytes.withUnsafeBufferPointer { buffer in
            var start = buffer.baseAddress
            guard let parsed = unsafe Handle(d2i_X509(nil, &start, buffer.count), freeing: X509_free) else {
                return nil
            }
            return unsafe TLSClientIdentity.fingerprint(of: parsed.pointer)
        }
    }

    @Test("where it is optional a client may come without, and is nobody", arguments: versions)
    func without(_ version: CInt) throws {
        let pair = try Pair(client(nil, version), server(policy("root.pem", .optional)))
        try pair.establish()
        #expect(pair.server.verifiedClient == nil)
    }

    @Test("nobody is asked unless there is a policy, and a certificate is not sent unasked")
    func unasked() throws {
        let pair = try Pair(client("reporter"), server(nil))
        try pair.establish()
        #expect(pair.server.verifiedClient == nil)
        #expect(pair.server.peerCertificate == nil)
    }

    @Test(
        "where it is required a client without is refused with the alert of its version",
        arguments: [(0x0303 as CInt, TLSAlert.handshakeFailure), (0x0304, .certificateRequired)])
    func missing(_ version: CInt, _ alert: TLSAlert) throws {
        let pair = try Pair(client(nil, version), server(policy()))
        let outcome = pair.handshake()
        #expect(outcome.server == .failed(.noClientCertificate))
        expectAlert(alert, pair, outcome.client)
    }

    /// A client of TLS 1.3 is through with its handshake before the server has its say.
    private func expectAlert(_ alert: TLSAlert, _ pair: Pair, _ outcome: TLSSession.HandshakeOutcome) {
        guard outcome == .complete else {
            #expect(outcome == .failed(.peerAlert(alert)))
            return
        }
        var scratch: [UInt8] = []
        #expect(pair.client.receive(into: &scratch) == .failed(.peerAlert(alert)))
    }

    @Test(
        "a bad one is refused, where it is optional too, and the client is told why",
        arguments: [
            ("visitor", TLSVerificationFailure.unknownIssuer, TLSAlert.unknownIssuer),
            ("lapsed", .expired, .certificateExpired),
            ("site", .wrongPurpose, TLSAlert(number: 43)),
            ("alone", .selfSigned, .unknownIssuer),
            ("faker", .badSignature, TLSAlert(number: 51)),
        ])
    func bad(_ name: String, _ failure: TLSVerificationFailure, _ alert: TLSAlert) throws {
        for demand in [TLSClientPolicy.Demand.optional, .require] {
            let pair = try Pair(client(name), server(policy("root.pem", demand)))
            let outcome = pair.handshake()
            #expect(outcome.server == .failed(.certificateRefused(failure)))
            #expect(pair.server.verifiedClient == nil)
            expectAlert(alert, pair, outcome.client)
        }
    }

    @Test("every name's own context asks, with the same authorities")
    func everyName() throws {
        let server = try server(policy(), "site", "other")
        for host in ["site.example", "other.example"] {
            let pair = try Pair(client("reporter"), server, host: host)
            try pair.establish()
            #expect(pair.server.verifiedClient?.summary.subject == "CN=reporter")
            let stranger = try Pair(client("visitor"), server, host: host).handshake()
            #expect(stranger.server == .failed(.certificateRefused(.unknownIssuer)))
            #expect(try Pair(client(nil), server, host: host).handshake().server == .failed(.noClientCertificate))
        }
    }

    @Test("an intermediate, or the client's own certificate, may be trusted as it is")
    func partialChain() throws {
        for file in ["middle.crt", "reporter.crt"] {
            let pair = try Pair(client("reporter"), server(policy(file)))
            try pair.establish()
            #expect(pair.server.verifiedClient != nil)
        }
    }

    // MARK: Limits

    @Test("a chain of more bytes than allowed is refused before it is looked at")
    func bulky() throws {
        let generous = TLSLimits(clientChain: .kibibytes(64))
        let pair = try Pair(client("bulky"), server(policy("visitors.crt", limits: generous)))
        try pair.establish()
        let outcome = try Pair(client("bulky"), server(policy("visitors.crt"))).handshake()
        guard case .failed = outcome.server else {
            Issue.record("a certificate of 40 KB passed: \(outcome)")
            return
        }
    }

    @Test("a chain of more certificates than allowed is refused")
    func deep() throws {
        let outcome = try Pair(client("reporter"), server(policy(limits: TLSLimits(clientChainDepth: 0)))).handshake()
        #expect(outcome.server == .failed(.certificateRefused(.chainTooLong)))
    }

    @Test("a useless file of authorities is refused")
    func files() {
        let path = fixture.authority.path
        #expect(throws: TLSContextError.trust(.notPEM(source: path("text.pem")))) { try policy("text.pem") }
        #expect(throws: TLSContextError.trust(.emptyChain(source: path("site.key")))) { try policy("site.key") }
        #expect(throws: TLSContextError.trust(.tooLarge(source: path("both.pem"), limit: .bytes(100)))) {
            try policy("both.pem", limits: TLSLimits(trustFile: .bytes(100)))
        }
        #expect(throws: TLSContextError.trust(.tooManyCertificates(source: path("both.pem"), limit: 1))) {
            try policy("both.pem", limits: TLSLimits(clientAuthorities: 1))
        }
    }

    // MARK: Tickets

    @Test("a resumed session is still the client's, also after the authorities were read again", arguments: versions)
    func resumed(_ version: CInt) throws {
        let client = try client("reporter", version)
        let first = try server(policy("both.pem"))
        let ticket = try resumption(client, first)
        for again in [first, try server(policy("both.pem")), try server(policy("htob.pem"))] {
            let pair = try pair(client, again, with: ticket)
            #expect(pair.server.isResumed)
            #expect(pair.server.verifiedClient?.summary.subject == "CN=reporter")
        }
    }

    @Test("no ticket carries a client from one policy to another", arguments: versions)
    func otherPolicy(_ version: CInt) throws {
        let client = try client("reporter", version)
        let policies = [nil, try policy("root.pem", .optional), try policy("root.pem"), try policy("both.pem")]
        for (from, policy) in policies.enumerated() {
            let ticket = try resumption(client, server(policy))
            for (to, other) in policies.enumerated() {
                let pair = try pair(client, server(other), with: ticket)
                #expect(pair.server.isResumed == (from == to), "from \(from) to \(to)")
                #expect((pair.server.verifiedClient != nil) == (other != nil))
            }
        }
    }

    @Test("who came without while that was allowed does not come back without", arguments: versions)
    func nobody(_ version: CInt) throws {
        let client = try client(nil, version)
        let ticket = try resumption(client, server(policy("root.pem", .optional)))
        let outcome = try Pair(client, server(policy()), resuming: ticket).handshake()
        #expect(outcome.server == .failed(.noClientCertificate))
    }

    @Test("a ticket is worth nothing once the certificate has expired", arguments: versions)
    func expiredTicket(_ version: CInt) throws {
        let server = try server(policy("visitors.crt"))
        let client = try client("visitor", version)
        let lifetime: CInt = 3
        try shorten(client, seconds: lifetime)
        let ticket = try resumption(client, server)
        #expect(try pair(client, server, with: ticket).server.isResumed)
        let certificate = try unsafe #require(SSL_CTX_get0_certificate(client.context.pointer))
        for _ in 0..<1000 where unsafe X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0 { usleep(10_000) }
        let outcome = try Pair(client, server, resuming: ticket).handshake()
        #expect(outcome.server == .failed(.certificateRefused(.expired)))
    }

    /// Signs the client's certificate anew, to end soon.
    private func shorten(_ client: TLSClientContext, seconds: CInt) throws {
        let key = try PEM(fixture.authority.bytes("visitors.key"), source: "test").privateKey()
        let certificate = try unsafe #require(SSL_CTX_get0_certificate(client.context.pointer))
        try #require(unsafe X509_gmtime_adj(X509_getm_notAfter(certificate), Int(seconds)) != nil)
        try #require(unsafe X509_sign(certificate, key.pointer, EVP_sha256()) > 0)
    }
}
