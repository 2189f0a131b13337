import GatewayBytes
import Testing

@testable import GatewayTLS

@Suite("Loading certificates")
struct CertificateTests {
    let authority: Authority

    init() throws { authority = try Authority.shared.get() }

    private func load(_ chain: String, _ key: String, limits: TLSLimits = TLSLimits()) throws -> TLSCertificate {
        try TLSCertificate.load(chainFile: authority.path(chain), keyFile: authority.path(key), limits: limits)
    }

    @Test("a chain and its key say what they are for")
    func summary() throws {
        let certificate = try load("site.pem", "site.key")
        #expect(certificate.subject == "CN=site")
        #expect(certificate.summary.issuer == "CN=Test intermediate")
        #expect(certificate.dnsNames == ["site.example", "*.site.example"])
        #expect(certificate.summary.addresses == ["127.0.0.1", "::1"])
        #expect(certificate.summary.key == .ecdsa(curve: "P-256"))
        #expect(certificate.chain.count == 2)
        #expect(certificate.warnings.isEmpty)
        #expect(certificate.notAfter > .now)
        #expect(certificate.summary.notBefore <= .now)
    }

    @Test(
        "keys are read in every PEM form operators have",
        arguments: [
            ("siteRSA.pem", "siteRSA.key"), ("siteRSA.pem", "traditional.key"), ("params.pem", "params.key"),
            ("together.pem", "together.pem"), ("curve384.pem", "curve384.key"), ("bare.pem", "bare.key"),
        ])
    func keyForms(_ chain: String, _ key: String) throws {
        #expect(throws: Never.self) { try load(chain, key) }
    }

    @Test("text in memory loads like files")
    func inMemory() throws {
        let certificate = try TLSCertificate.load(
            chainPEM: authority.bytes("site.pem"), keyPEM: Secret(authority.bytes("site.key")))
        #expect(certificate.dnsNames == ["site.example", "*.site.example"])
        #expect(certificate.source == "the certificate in memory")
    }

    @Test("a missing file, a folder and an unreadable path are named with the system's reason")
    func unreadable() {
        let missing = authority.path("missing.pem")
        #expect(throws: TLSCertificateError.unreadable(source: missing, reason: "No such file or directory")) {
            try load("missing.pem", "site.key")
        }
        #expect(throws: TLSCertificateError.unreadable(source: missing, reason: "No such file or directory")) {
            try load("site.pem", "missing.pem")
        }
        #expect(throws: TLSCertificateError.unreadable(source: authority.path("."), reason: "Is a directory")) {
            try load(".", "site.key")
        }
    }

    @Test("a file over the limit is refused, even an endless one")
    func tooLarge() {
        let limits = TLSLimits(certificateFile: .bytes(100))
        #expect(throws: TLSCertificateError.tooLarge(source: authority.path("site.pem"), limit: .bytes(100))) {
            try load("site.pem", "site.key", limits: limits)
        }
        #expect(throws: TLSCertificateError.tooLarge(source: "/dev/zero", limit: .mebibytes(1))) {
            try TLSCertificate.load(chainFile: "/dev/zero", keyFile: "/dev/zero")
        }
    }

    @Test("what is not PEM is told from PEM without a certificate", arguments: ["text.pem", "empty.pem", "binary.pem"])
    func notPEM(_ file: String) {
        #expect(throws: TLSCertificateError.notPEM(source: authority.path(file))) { try load(file, "site.key") }
        #expect(throws: TLSCertificateError.notPEM(source: authority.path(file))) { try load("site.pem", file) }
    }

    @Test("a key where the chain should be, and a chain where the key should be")
    func swapped() {
        #expect(throws: TLSCertificateError.emptyChain(source: authority.path("site.key"))) {
            try load("site.key", "site.key")
        }
        #expect(throws: TLSCertificateError.noPrivateKey(source: authority.path("site.pem"))) {
            try load("site.pem", "site.pem")
        }
    }

    @Test("a damaged certificate is named by its place", arguments: [("badCertificate.pem", 1), ("badSecond.pem", 2)])
    func malformed(_ file: String, _ position: Int) throws {
        let error = try #require(throws: TLSCertificateError.self) { try load(file, "site.key") }
        guard case .malformedCertificate(authority.path(file), position, _) = error else {
            Issue.record("\(error)")
            return
        }
    }

    @Test("a damaged key is refused")
    func malformedKey() throws {
        let error = try #require(throws: TLSCertificateError.self) { try load("site.pem", "bad.key") }
        guard case .malformedKey(authority.path("bad.key"), _) = error else {
            Issue.record("\(error)")
            return
        }
    }

    @Test("an encrypted key is refused by name", arguments: ["encrypted8.key", "encryptedEC.key"])
    func encrypted(_ key: String) {
        #expect(throws: TLSCertificateError.encryptedKey(source: authority.path(key))) { try load("site.pem", key) }
    }

    @Test("keys that few clients accept are refused")
    func unservable() {
        #expect(throws: TLSCertificateError.unsupportedKey(source: authority.path("ed25519.key"), kind: "ED25519")) {
            try load("ed25519.pem", "ed25519.key")
        }
        #expect(throws: TLSCertificateError.unsupportedKey(source: authority.path("curve521.key"), kind: "ECDSA P-521"))
        {
            try load("curve521.pem", "curve521.key")
        }
        #expect(throws: TLSCertificateError.weakKey(source: authority.path("weak.key"), bits: 1024)) {
            try load("weak.pem", "weak.key")
        }
    }

    @Test("a key of another certificate is refused, of the same kind or not", arguments: ["other.key", "siteRSA.key"])
    func mismatch(_ key: String) {
        let error = TLSCertificateError.keyDoesNotMatch(
            certificate: authority.path("site.pem"), key: authority.path(key))
        #expect(throws: error) { try load("site.pem", key) }
    }

    @Test("a chain longer than the limit is refused")
    func longChain() {
        let path = authority.path("site.pem")
        #expect(throws: TLSCertificateError.tooManyCertificates(source: path, limit: 1)) {
            try load("site.pem", "site.key", limits: TLSLimits(chainLength: 1))
        }
    }

    @Test("an expired, a nameless and an unlinked certificate load with a warning")
    func warnings() throws {
        let expired = try load("expired.pem", "expired.key")
        #expect(expired.warnings == [.expired(since: expired.notAfter)])
        #expect("\(expired.warnings[0])" == "the certificate expired at \(expired.notAfter)")
        #expect(try load("nameless.pem", "nameless.key").warnings == [.namesNothing])
        #expect(try load("unlinked.pem", "unlinked.key").warnings == [.chainDoesNotLink])
    }

    @Test("whoever renews a certificate is reminded two weeks ahead, or when a fifth of a short life is left")
    func reminder() throws {
        let long = try load("site.pem", "site.key").summary
        let end = long.notAfter.secondsSince1970
        let day = 86_400
        #expect(long.expiryWarning(at: CertificateTime(secondsSince1970: end - 14 * day)) == nil)
        let late = CertificateTime(secondsSince1970: end - 14 * day + 1)
        #expect(long.expiryWarning(at: late) == .expiresSoon(at: long.notAfter))
        #expect(long.expiryWarning(at: long.notAfter) == .expiresSoon(at: long.notAfter))
        #expect(long.expiryWarning(at: CertificateTime(secondsSince1970: end + 1)) == .expired(since: long.notAfter))
        let made = try SelfSignedCertificate.make(names: ["site.example"], ips: [], validDays: 5)
        let short = try TLSCertificate.load(chainPEM: made.certificatePEM, keyPEM: made.privateKeyPEM).summary
        let fifth = (short.notAfter.secondsSince1970 - short.notBefore.secondsSince1970) / 5
        let moment = short.notAfter.secondsSince1970 - fifth
        #expect(short.expiryWarning(at: CertificateTime(secondsSince1970: moment)) == nil)
        let soon = TLSCertificate.Warning.expiresSoon(at: short.notAfter)
        #expect(short.expiryWarning(at: CertificateTime(secondsSince1970: moment + 1)) == soon)
        #expect("\(soon)" == "the certificate expires at \(short.notAfter); nobody has renewed it yet")
    }

    @Test("an error tells its file and what to do, and never shows the key")
    func words() {
        let error = TLSCertificateError.encryptedKey(source: "/etc/tls.key")
        #expect("\(error)".hasPrefix("the private key in /etc/tls.key is encrypted; decrypt it with: openssl pkey"))
    }

    @Test(
        "a time is printed as a date",
        arguments: [
            (0, "1970-01-01 00:00:00 UTC"), (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"), (1_790_856_245, "2026-10-01 12:04:05 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"), (-1, "1969-12-31 23:59:59 UTC"),
        ])
    func dates(_ seconds: Int, _ text: String) {
        #expect(CertificateTime(secondsSince1970: seconds).description == text)
    }
}

@Suite("Self-signed certificates for development")
struct SelfSignedTests {
    @Test("one is made for its names and addresses, and a client that is given it believes it")
    func made() throws {
        let made = try SelfSignedCertificate.make(
            names: ["localhost", "*.dev.test"], ips: ["127.0.0.1", "::1"], validDays: 30)
        let certificate = try TLSCertificate.load(chainPEM: made.certificatePEM, keyPEM: made.privateKeyPEM)
        #expect(certificate.dnsNames == ["localhost", "*.dev.test"])
        #expect(certificate.summary.addresses == ["127.0.0.1", "::1"])
        #expect(certificate.warnings.isEmpty)
        let days = (certificate.notAfter.secondsSince1970 - CertificateTime.now.secondsSince1970 + 43_200) / 86_400
        #expect(days == 30)

        let server = try TLSServerContext.make(certificates: [certificate], ticketKeys: .generate())
        let client = try TLSClientContext.make(verification: .certificates(pem: made.certificatePEM))
        for host in ["localhost", "app.dev.test", "127.0.0.1", "::1", "[::1]"] {
            try Pair(client, server, host: host).establish()
        }
    }

    @Test("the key prints as a secret")
    func secret() throws {
        let made = try SelfSignedCertificate.make(names: ["localhost"], ips: [], validDays: 1)
        #expect("\(made.privateKeyPEM)" == "<secret>")
        #expect(!"\(made)".contains("PRIVATE"))
    }

    @Test("a name cannot smuggle in another", arguments: ["a,DNS:bank.example", "", "a b", "a.*", "**", "a\n"])
    func badNames(_ name: String) {
        #expect(throws: SelfSignedCertificate.Failure.invalidName(name)) {
            try SelfSignedCertificate.make(names: [name], ips: [], validDays: 1)
        }
    }

    @Test("bad addresses, no names at all and odd lifetimes are refused")
    func badRest() {
        #expect(throws: SelfSignedCertificate.Failure.invalidAddress("1.2.3")) {
            try SelfSignedCertificate.make(names: [], ips: ["1.2.3"], validDays: 1)
        }
        #expect(throws: SelfSignedCertificate.Failure.namesNothing) {
            try SelfSignedCertificate.make(names: [], ips: [], validDays: 1)
        }
        for days in [0, 826] {
            #expect(throws: SelfSignedCertificate.Failure.invalidLifetime(days: days)) {
                try SelfSignedCertificate.make(names: ["a"], ips: [], validDays: days)
            }
        }
    }
}
