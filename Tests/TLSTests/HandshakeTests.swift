import Glibc
import Testing

@testable import GatewayTLS

@Suite("Handshakes")
struct HandshakeTests {
    let fixture: Fixture

    init() throws { fixture = try Fixture() }

    private static let tls11: CInt = 0x0302
    private static let tls12: CInt = 0x0303

    @Test("TLS 1.3 is spoken by default, with http/1.1 and X25519")
    func modern() throws {
        let pair = try Pair(fixture.client(), fixture.server("site"))
        try pair.establish()
        for info in [pair.client.info, pair.server.info] {
            #expect(info.version == .tls13)
            #expect(info.cipher == "TLS_AES_128_GCM_SHA256")
            #expect(info.group == "X25519")
            #expect(info.serverName == "site.example")
            #expect(info.applicationProtocol == "http/1.1")
            #expect(!info.isResumed)
        }
        #expect(pair.client.peerCertificate?.subject == "CN=site")
        #expect(pair.server.peerCertificate == nil)
    }

    @Test("TLS 1.2 is spoken to clients that know no better")
    func tls12() throws {
        let pair = try Pair(fixture.client { $0.highestVersion = Self.tls12 }, fixture.server("site"))
        try pair.establish()
        #expect(pair.server.info.version == .tls12)
        #expect(pair.server.info.cipher == "ECDHE-ECDSA-AES128-GCM-SHA256")
        #expect(pair.server.info.group == "X25519")
    }

    @Test("TLS 1.1 is refused with the alert protocol_version")
    func tls11() throws {
        let client = try fixture.client {
            $0.lowestVersion = Self.tls11
            $0.highestVersion = Self.tls11
            $0.ciphers = "ALL:@SECLEVEL=0"
            $0.securityLevel = 0
            $0.signatureAlgorithms = "RSA+SHA1:ECDSA+SHA1:ECDSA+SHA256"
        }
        let outcome = try Pair(client, fixture.server("site")).handshake()
        #expect(outcome.server == .failed(.protocolVersion))
        #expect(outcome.client == .failed(.peerAlert(.protocolVersion)))
    }

    @Test(
        "every TLS 1.2 suite of the guideline works, chosen by the client",
        arguments: [
            "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
        ])
    func suites(_ cipher: String) throws {
        let client = try fixture.client {
            $0.highestVersion = Self.tls12
            $0.ciphers = cipher
        }
        let pair = try Pair(client, fixture.server("site", "siteRSA"))
        try pair.establish()
        #expect(pair.server.info.cipher == cipher)
    }

    @Test("the client's order of suites decides")
    func clientOrder() throws {
        let tls12 = try fixture.client {
            $0.highestVersion = Self.tls12
            $0.ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"
        }
        let tls13 = try fixture.client { $0.suites = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256" }
        let server = try fixture.server("site")
        for (client, cipher) in [
            (tls12, "ECDHE-ECDSA-CHACHA20-POLY1305"), (tls13, "TLS_CHACHA20_POLY1305_SHA256"),
        ] {
            let pair = try Pair(client, server)
            try pair.establish()
            #expect(pair.server.info.cipher == cipher)
        }
    }

    @Test(
        "suites without AEAD or forward secrecy are refused",
        arguments: [
            "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA256", "AES128-GCM-SHA256",
            "DHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-CCM",
        ])
    func refusedSuites(_ cipher: String) throws {
        let client = try fixture.client {
            $0.highestVersion = Self.tls12
            $0.ciphers = cipher
        }
        let outcome = try Pair(client, fixture.server("site", "siteRSA")).handshake()
        #expect(outcome.server == .failed(.noSharedCipher))
        #expect(outcome.client == .failed(.peerAlert(.handshakeFailure)))
    }

    @Test("each group of the guideline works", arguments: ["X25519", "P-256", "P-384"])
    func groups(_ group: String) throws {
        for version in [Self.tls12, 0x0304] as [CInt] {
            let client = try fixture.client {
                $0.highestVersion = version
                $0.groups = group == "X25519" ? "X25519:P-256" : group == "P-384" ? "P-384:P-256" : group
            }
            let pair = try Pair(client, fixture.server("site"))
            try pair.establish()
            #expect(pair.server.info.group == group)
        }
    }

    @Test("a client with other groups only is refused", arguments: ["P-521", "X448", "ffdhe2048"])
    func refusedGroups(_ group: String) throws {
        let modern = try Pair(fixture.client { $0.groups = group }, fixture.server("siteRSA")).handshake()
        #expect(modern.server == .failed(.noSharedGroup) || modern.server == .failed(.noSharedCipher))
        let older = try fixture.client {
            $0.groups = group
            $0.highestVersion = Self.tls12
        }
        #expect(try Pair(older, fixture.server("siteRSA")).handshake().server == .failed(.noSharedCipher))
    }

    @Test("a client that knows only SHA-1 signatures is refused", arguments: [0x0303, 0x0304] as [CInt])
    func sha1(_ version: CInt) throws {
        let client = try fixture.client {
            $0.highestVersion = version
            $0.lowestVersion = Self.tls12
            $0.securityLevel = 0
            $0.ciphers = "ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"
            $0.signatureAlgorithms = "RSA+SHA1"
        }
        let outcome = try Pair(client, fixture.server("siteRSA")).handshake()
        guard case .failed = outcome.server else {
            Issue.record("\(outcome)")
            return
        }
    }

    @Test("a client that offers only h2 gets no_application_protocol; with http/1.1 among others it is served")
    func alpn() throws {
        let server = try fixture.server("site")
        let h2 = try Pair(fixture.client { $0.applicationProtocols = ["h2"] }, server)
        let outcome = h2.handshake()
        #expect(outcome.server == .failed(.noSharedApplicationProtocol))
        #expect(outcome.client == .failed(.peerAlert(.noApplicationProtocol)))

        let both = try Pair(fixture.client { $0.applicationProtocols = ["h2", "http/1.1"] }, server)
        try both.establish()
        #expect(both.server.info.applicationProtocol == "http/1.1")

        let none = try Pair(fixture.client { $0.applicationProtocols = [] }, server)
        try none.establish()
        #expect(none.server.info.applicationProtocol == nil)
    }

    @Test(
        "SNI picks the certificate: exact, wildcard, one label only, else the default",
        arguments: [
            ("other.example", "CN=other"), ("OTHER.example.", "CN=other"), ("exact.site.example", "CN=other"),
            ("any.site.example", "CN=site"), ("p384.example", "CN=curve384"),
        ])
    func sni(_ host: String, _ subject: String) throws {
        let pair = try Pair(fixture.client(), fixture.server("site", "other", "curve384"), host: host)
        try pair.establish()
        #expect(pair.client.peerCertificate?.subject == subject)
    }

    @Test("an unknown name, a deeper one and none at all get the first certificate")
    func sniDefault() throws {
        let client = try TLSClientContext.make(verification: .none)
        let server = try fixture.server("site", "other")
        for host in ["unknown.example", "a.b.site.example", "127.0.0.1"] {
            let pair = try Pair(client, server, host: host)
            try pair.establish()
            #expect(pair.client.peerCertificate?.subject == "CN=site")
            #expect(pair.server.info.serverName == (host == "127.0.0.1" ? nil : host))
        }
    }

    @Test("of an RSA and an ECDSA certificate for one name the client's signature algorithms choose")
    func keyPair() throws {
        let server = try fixture.server("other", "site", "siteRSA")
        for (algorithms, subject) in [("RSA-PSS+SHA256:RSA+SHA256", "CN=siteRSA"), ("ECDSA+SHA256", "CN=site")] {
            let client = try TLSClientContext.make(
                verification: .none,
                profile: {
                    var profile = TLSProfile.client
                    profile.signatureAlgorithms = algorithms
                    return profile
                }())
            let pair = try Pair(client, server)
            try pair.establish()
            #expect(pair.client.peerCertificate?.subject == subject)
        }
    }

    @Test("plain HTTP on the TLS port is named as such", arguments: ["GET / HTTP/1.1\r\n\r\n", "POST /x HTTP/1.1\r\n"])
    func plainHTTP(_ request: String) throws {
        #expect(try handshake(afterReceiving: Array(request.utf8)) == .failed(.plainHTTP))
    }

    @Test("bytes that are neither TLS nor HTTP are named as such")
    func garbage() throws {
        #expect(try handshake(afterReceiving: Array("SSH-2.0-OpenSSH_9.2\r\n".utf8)) == .failed(.notTLS))
    }

    @Test("a client that hangs up is told from one that misbehaves")
    func hangUp() throws {
        #expect(try handshake(afterReceiving: [], thenClose: true) == .failed(.closedDuringHandshake))
        #expect(try handshake(afterReceiving: [0x16, 0x03, 0x01], thenClose: true) == .failed(.closedDuringHandshake))
        #expect(try handshake(afterReceiving: [0x16, 0x03, 0x01]) == .wantRead)
    }

    private func handshake(
        afterReceiving bytes: [UInt8], thenClose: Bool = false
    ) throws -> TLSSession.HandshakeOutcome {
        let (peer, own) = try socketPair()
        defer { close(own) }
        #expect(unsafe send(peer, bytes, bytes.count, 0) == bytes.count)
        if thenClose { close(peer) }
        defer { if !thenClose { close(peer) } }
        let session = try fixture.server("site").session(on: own)
        let outcome = session.handshake()
        // A failure is final and repeats.
        #expect(session.handshake() == outcome)
        return outcome
    }

    @Test("a handshake works when every byte arrives alone")
    func byteByByte() throws {
        let (clientEnd, fromClient) = try socketPair()
        let (toServer, serverEnd) = try socketPair()
        defer { for end in [clientEnd, fromClient, toServer, serverEnd] { close(end) } }
        let client = try fixture.client().session(on: clientEnd, host: "site.example")
        let server = try fixture.server("site").session(on: serverEnd)
        var outcome = (client.handshake(), server.handshake())
        for _ in 0..<10_000 where outcome != (.complete, .complete) {
            let moved = [relayByte(fromClient, toServer), relayByte(toServer, fromClient)]
            if outcome.0 != .complete { outcome.0 = client.handshake() }
            if outcome.1 != .complete { outcome.1 = server.handshake() }
            try #require(moved != [false, false] || outcome == (.complete, .complete))
        }
        #expect(outcome == (.complete, .complete))
    }

    private func relayByte(_ source: CInt, _ destination: CInt) -> Bool {
        var byte: UInt8 = 0
        guard unsafe recv(source, &byte, 1, 0) == 1 else { return false }
        return unsafe send(destination, &byte, 1, 0) == 1
    }

    @Test("a context without certificates, or with too many, is not made")
    func contextErrors() throws {
        #expect(throws: TLSContextError.noCertificates) {
            try TLSServerContext.make(certificates: [], ticketKeys: fixture.keys)
        }
        let site = try fixture.authority.certificate("site")
        #expect(throws: TLSContextError.tooManyCertificates(limit: 1)) {
            try TLSServerContext.make(
                certificates: [site, site], ticketKeys: fixture.keys, limits: TLSLimits(serverCertificates: 1))
        }
    }

    @Test("a certificate that OpenSSL will not serve stops the start, with its file and the reason")
    func unservable() throws {
        let path = fixture.authority.path("sha1.pem")
        #expect(throws: TLSContextError.certificateRefused(source: path, reason: "ca md too weak")) {
            try fixture.server("sha1")
        }
    }

    @Test("contexts are freed with the last session, after a thousand handshakes")
    func lifetimes() throws {
        weak var freed: TLSServerContext?
        weak var freedClient: TLSClientContext?
        var last: Pair?
        do {
            let server = try fixture.server("site", "other")
            let client = try fixture.client()
            freed = server
            freedClient = client
            for turn in 0..<1000 {
                let pair = try Pair(client, server, host: turn % 2 == 0 ? "site.example" : "other.example")
                try pair.establish()
                last = pair
            }
        }
        // The last session needs the client's context and the server's table of names, not the object around it.
        #expect(freedClient != nil)
        #expect(freed == nil)
        #expect(last?.client.send([1]) == .bytes(1))
        last = nil
        #expect(freedClient == nil)
    }
}
