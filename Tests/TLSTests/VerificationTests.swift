import COpenSSL
import GatewayBytes
import Testing

@testable import GatewayTLS

@Suite("What a client verifies")
struct VerificationTests {
    let fixture: Fixture

    init() throws { fixture = try Fixture() }

    @Test(
        "a chain to the trusted root for the right name or address passes",
        arguments: ["site.example", "SITE.example.", "www.site.example", "127.0.0.1", "::1", "[::1]"])
    func passes(_ host: String) throws { try Pair(fixture.client(), fixture.server("site"), host: host).establish() }

    @Test(
        "each failed check is named",
        arguments: [
            ("expired", "site.example", TLSVerificationFailure.expired),
            ("site", "bank.example", .nameMismatch),
            ("site", "a.b.site.example", .nameMismatch),
            ("site", "127.0.0.2", .nameMismatch),
            // The common name says "nameless", and is not looked at.
            ("nameless", "nameless", .nameMismatch),
            ("alone", "site.example", .selfSigned),
            ("bare", "site.example", .unknownIssuer),
            ("mailer", "site.example", .wrongPurpose),
            ("sha1", "site.example", .tooWeak),
            ("forged", "site.example", .badSignature),
        ])
    func refused(_ certificate: String, _ host: String, _ failure: TLSVerificationFailure) throws {
        // A server that does not mind what it serves.
        var lax = TLSProfile.server
        lax.securityLevel = 0
        let outcome = try Pair(fixture.client(), fixture.server(certificate, profile: lax), host: host).handshake()
        #expect(outcome.client == .failed(.certificateRefused(failure)))
        guard case .failed(.peerAlert) = outcome.server else {
            Issue.record("the server was not told: \(outcome.server)")
            return
        }
    }

    @Test("a certificate of the future is refused, and loads with a warning")
    func notYetValid() throws {
        let made = try postponedCertificate()
        let certificate = try TLSCertificate.load(chainPEM: made.certificatePEM, keyPEM: made.privateKeyPEM)
        #expect(certificate.warnings == [.notYetValid(until: certificate.summary.notBefore)])
        let server = try TLSServerContext.make(certificates: [certificate], ticketKeys: fixture.keys)
        let client = try TLSClientContext.make(verification: .certificates(pem: made.certificatePEM))
        let outcome = try Pair(client, server).handshake()
        #expect(outcome.client == .failed(.certificateRefused(.notYetValid)))
    }

    @Test(
        "OpenSSL's other verdicts have names too",
        arguments: [
            (X509_V_ERR_CERT_REVOKED, TLSVerificationFailure.revoked), (X509_V_ERR_CERT_CHAIN_TOO_LONG, .chainTooLong),
            (X509_V_ERR_PATH_LENGTH_EXCEEDED, .chainTooLong), (X509_V_ERR_INVALID_CA, .wrongPurpose),
            (X509_V_ERR_EE_KEY_TOO_SMALL, .tooWeak), (X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, .selfSigned),
            (X509_V_ERR_CRL_HAS_EXPIRED, .other(X509_V_ERR_CRL_HAS_EXPIRED)),
        ])
    func verdicts(_ code: CInt, _ failure: TLSVerificationFailure) {
        #expect(TLSVerificationFailure(code) == failure)
        #expect(!"\(failure)".isEmpty)
    }

    @Test("the reason reads as a sentence")
    func words() {
        #expect("\(TLSError.certificateRefused(.expired))" == "certificate refused: it has expired")
        #expect("\(TLSError.peerAlert(.certificateUnknown))" == "the peer answered with alert \"certificate unknown\"")
    }

    @Test("the system's store does not know the test root")
    func systemStore() throws {
        let client = try TLSClientContext.make()
        let outcome = try Pair(client, fixture.server("site")).handshake()
        #expect(outcome.client == .failed(.certificateRefused(.unknownIssuer)))
    }

    @Test("an intermediate, or the server's own certificate, may be trusted as it is")
    func partialChain() throws {
        for file in ["middle.crt", "site.crt", "alone.pem"] {
            let client = try TLSClientContext.make(verification: .file(fixture.authority.path(file)))
            try Pair(client, fixture.server(file == "alone.pem" ? "alone" : "site")).establish()
        }
    }

    @Test("with verification off anything passes")
    func none() throws {
        let client = try TLSClientContext.make(verification: .none)
        for certificate in ["expired", "alone", "bare"] {
            try Pair(client, fixture.server(certificate), host: "bank.example").establish()
        }
    }

    @Test("a useless trust file is refused at start")
    func trustFile() {
        let missing = fixture.authority.path("missing.pem")
        let reason = "No such file or directory"
        #expect(throws: TLSContextError.trust(.unreadable(source: missing, reason: reason))) {
            try TLSClientContext.make(verification: .file(missing))
        }
        #expect(throws: TLSContextError.trust(.notPEM(source: "the certificates in memory"))) {
            try TLSClientContext.make(verification: .certificates(pem: [1, 2, 3]))
        }
        let two = fixture.authority.path("site.pem")
        #expect(throws: TLSContextError.trust(.tooManyCertificates(source: two, limit: 1))) {
            try TLSClientContext.make(verification: .file(two), limits: TLSLimits(trustedCertificates: 1))
        }
    }

    @Test(
        "what is no host is refused before anything is sent",
        arguments: ["", "a b", "a\0.example", "*.example", "[a]", "[1", "a/b", String(repeating: "a", count: 300)])
    func badHost(_ host: String) throws {
        let client = try fixture.client()
        let (one, two) = try socketPair()
        defer { for end in [one, two] { closeDescriptor(end) } }
        #expect(throws: TLSError.invalidPeerName) { try client.session(on: one, host: host) }
    }
}

@Suite("Session tickets")
struct TicketTests {
    let fixture: Fixture

    init() throws { fixture = try Fixture() }

    private static let versions: [CInt] = [0x0303, 0x0304]

    private func client(_ version: CInt) throws -> TLSClientContext {
        try fixture.client { $0.highestVersion = version }
    }

    private func resumption(
        _ client: TLSClientContext, _ server: TLSServerContext, host: String
    ) throws -> TLSResumption {
        let pair = try Pair(client, server, host: host)
        try pair.establish()
        #expect(!pair.client.info.isResumed)
        return try #require(client.resumption(of: pair.client))
    }

    private func resumes(
        _ client: TLSClientContext, _ server: TLSServerContext, host: String, with resumption: TLSResumption
    ) throws -> Bool {
        let pair = try Pair(client, server, host: host, resuming: resumption)
        try pair.establish()
        #expect(pair.client.info.isResumed == pair.server.info.isResumed)
        #expect(pair.server.info.serverName == host)
        return pair.client.info.isResumed
    }

    @Test("a session resumes, for each name's own context", arguments: versions)
    func resumes(_ version: CInt) throws {
        let client = try client(version)
        let server = try fixture.server("site", "other")
        for host in ["site.example", "other.example"] {
            let ticket = try resumption(client, server, host: host)
            #expect(try resumes(client, server, host: host, with: ticket))
        }
    }

    @Test("it resumes at another context of the same process, where the name has another place", arguments: versions)
    func acrossContexts(_ version: CInt) throws {
        let client = try client(version)
        let ticket = try resumption(client, fixture.server("site", "other"), host: "other.example")
        #expect(try resumes(client, fixture.server("other"), host: "other.example", with: ticket))
        #expect(try resumes(client, fixture.server("siteRSA", "other"), host: "other.example", with: ticket))
    }

    @Test("with other ticket keys the handshake is a full one", arguments: versions)
    func otherKeys(_ version: CInt) throws {
        let client = try client(version)
        let ticket = try resumption(client, fixture.server("site"), host: "site.example")
        #expect(try !resumes(client, Fixture().server("site"), host: "site.example", with: ticket))
    }

    @Test("a session is never offered to another host or by another context", arguments: versions)
    func bound(_ version: CInt) throws {
        let client = try client(version)
        let server = try fixture.server("site", "other")
        let ticket = try resumption(client, server, host: "site.example")
        #expect(ticket.host == "site.example")
        #expect(try !resumes(client, server, host: "other.example", with: ticket))
        #expect(try !resumes(self.client(version), server, host: "site.example", with: ticket))
    }

    @Test("one ticket is sent, and none of it before the handshake is complete")
    func early() throws {
        let client = try fixture.client()
        let pair = try Pair(client, fixture.server("site"))
        #expect(client.resumption(of: pair.client) == nil)
        try pair.establish()
        #expect(client.resumption(of: pair.client) != nil)
        #expect(try fixture.client().resumption(of: pair.client) == nil)
    }

    @Test("ticket keys print as a secret")
    func secret() throws { #expect("\(fixture.keys)".contains("<secret>")) }
}
