import Foundation
import GatewayBytes
import GatewayRuntime
import GatewayTLS
import PluginKit
import Testing

@testable import GatewayServer

/// Certificate and key in a folder of their own, removed with the value.
private final class Files {
    let folder: String

    init() throws {
        let name = "gateway-certificates-\(UUID().uuidString)"
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    var settings: [String: String?] {
        ["TLS_CERTIFICATE": "\(folder)/chain.pem", "TLS_KEY": "\(folder)/key.pem", "TLS_RELOAD_INTERVAL": "0"]
    }

    static func make(_ name: String, days: Int = 100) throws -> SelfSignedCertificate {
        try SelfSignedCertificate.make(names: [name], ips: [], validDays: days)
    }

    func write(chain certificate: SelfSignedCertificate) throws {
        try SmallFile.replace("\(folder)/chain.pem", with: certificate.certificatePEM)
    }

    func write(key certificate: SelfSignedCertificate) throws {
        let bytes = unsafe certificate.privateKeyPEM.withBytes { unsafe Array($0) }
        try SmallFile.replace("\(folder)/key.pem", with: bytes)
    }

    func write(_ certificate: SelfSignedCertificate) throws {
        try write(chain: certificate)
        try write(key: certificate)
    }
}

@Suite("Certificates read again")
struct CertificateReloadTests {
    private func gateway(_ files: Files, _ settings: [String: String?] = [:]) throws -> TestGateway {
        try TestGateway(files.settings.merging(settings) { $1 }) { gateway in
            gateway.get("/hello") { _ in .text(literal: "hello") }
        }
    }

    /// The name in the certificate that a new connection gets.
    private func served(_ gateway: TestGateway) throws -> [String] {
        try Client(port: gateway.port(of: .main), isSecure: true).peerNames
    }

    private let request = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"

    @Test("asked for, new connections see the new certificate, and those that are open go on")
    func asked() throws {
        let files = try Files()
        try files.write(Files.make("old.test"))
        let gateway = try gateway(files, ["LOOPS": "2"])
        let open = try Client(port: gateway.port(of: .main), isSecure: true)
        #expect(open.peerNames == ["old.test"])
        try files.write(Files.make("new.test"))
        #expect(try served(gateway) == ["old.test"])
        #expect(gateway.server.reloadCertificates())
        // Each loop is told by a message.
        #expect(eventually { (try? (0..<8).allSatisfy { _ in try served(gateway) == ["new.test"] }) == true })
        try open.send(request)
        #expect(try open.answer().text == "hello")
        #expect(try gateway.metric("gateway_tls_reloads_total{result=\"ok\"}") == 1)
        #expect(gateway.log.contains("\"names\":\"new.test\""))
    }

    @Test("files that cannot be used change nothing, and are told once: in the log and as a metric")
    func broken() throws {
        let files = try Files()
        let old = try Files.make("old.test")
        try files.write(old)
        let gateway = try gateway(files)
        try SmallFile.replace("\(files.folder)/chain.pem", with: Array("nonsense".utf8))
        #expect(!gateway.server.reloadCertificates())
        #expect(try served(gateway) == ["old.test"])
        try FileManager.default.removeItem(atPath: "\(files.folder)/chain.pem")
        #expect(!gateway.server.reloadCertificates())
        #expect(try served(gateway) == ["old.test"])
        #expect(try gateway.metric("gateway_tls_reloads_total{result=\"failed\"}") == 2)
        #expect(gateway.log.contains("chain.pem is not PEM"))
        try files.write(Files.make("new.test"))
        #expect(gateway.server.reloadCertificates())
        #expect(eventually { (try? served(gateway)) == ["new.test"] })
    }

    @Test("files that change are noticed, a chain without its key yet is waited for without an error")
    func watched() throws {
        let files = try Files()
        try files.write(Files.make("old.test"))
        let gateway = try gateway(files)
        let certificates = gateway.server.certificates
        let published = Notes<Int>()
        let failures = "gateway_tls_reloads_total{result=\"failed\"}"
        let settings = TestGateway.configuration(
            files.settings.merging(["TLS_RELOAD_INTERVAL": "100ms"]) { $1 }
        ).core.tls
        // By now the gateway's own watch sleeps, and does not look in this test's place.
        #expect(try gateway.metric(failures) == 0)
        certificates.adopt(try certificates.load(settings))
        func look() { _ = certificates.tick { _ in published.add(1) } }
        func isWaiting() -> Bool {
            look()
            return certificates.isFailing
        }
        func hasPublished() -> Bool {
            look()
            return !published.all.isEmpty
        }
        func hasFailed() -> Bool {
            look()
            return (try? gateway.metric(failures)) == 1
        }

        let new = try Files.make("new.test")
        try files.write(chain: new)
        #expect(eventually(isWaiting))
        #expect(try gateway.metric(failures) == 0)
        #expect(published.all.isEmpty)
        try files.write(key: new)
        #expect(eventually(hasPublished))
        #expect(try gateway.metric(failures) == 0)
        #expect(!gateway.log.contains("could not be read again"))

        // Files that stay as they are, and wrong, are an error at the second look.
        try files.write(chain: Files.make("third.test"))
        #expect(eventually(hasFailed))
        #expect(published.all.count == 1)
    }

    @Test("TLS_RELOAD_INTERVAL lets new files take effect by themselves")
    func byItself() throws {
        let files = try Files()
        try files.write(Files.make("old.test"))
        let gateway = try gateway(files, ["TLS_RELOAD_INTERVAL": "100ms"])
        #expect(try served(gateway) == ["old.test"])
        try files.write(Files.make("new.test"))
        #expect(eventually { (try? served(gateway)) == ["new.test"] })
    }

    @Test("a metric says when each certificate expires")
    func expiry() throws {
        let files = try Files()
        let certificate = try Files.make("short.test", days: 1)
        try files.write(certificate)
        let gateway = try gateway(files)
        let summary = try TLSCertificate.load(
            chainPEM: certificate.certificatePEM, keyPEM: certificate.privateKeyPEM)
        let line = "gateway_tls_certificate_not_after_seconds{certificate=\"\(files.folder)/chain.pem\"}"
        #expect(try gateway.metric(line) == Double(summary.notAfter.secondsSince1970))
    }

    @Test("the metric is there while new files are read and told to the loops")
    func scrape() throws {
        let files = try Files()
        try files.write(Files.make("one.test"))
        let gateway = try gateway(files)
        let certificates = gateway.server.certificates
        let line = "gateway_tls_certificate_not_after_seconds{certificate=\"\(files.folder)/chain.pem\"}"
        let expected = try gateway.metric(line)
        var seen: Double?
        certificates.adopt(try certificates.load(TestGateway.configuration(files.settings).core.tls)) {
            seen = try? gateway.metric(line)
        }
        #expect(seen != nil)
        #expect(seen == expected)
    }

    @Test("a shorter TLS_TICKET_ROTATION counts from the change on")
    func rotation() throws {
        let files = try Files()
        try files.write(Files.make("one.test"))
        let gateway = try gateway(files)
        let certificates = gateway.server.certificates
        #expect(certificates.tick { _ in } > .seconds(2))
        #expect(gateway.reload(["TLS_TICKET_ROTATION": "1s"]).problems.isEmpty)
        #expect(certificates.tick { _ in } <= .seconds(1))
    }

    @Test("clients must show certificates from now on: who is connected without one is let go")
    func clients() throws {
        let files = try Files()
        try files.write(Files.make("one.test"))
        let gate = Gate()
        let gateway = try TestGateway(files.settings) { gateway in
            gateway.get("/hello") { _ in .text(literal: "hello") }
            gateway.get("/slow") { request in
                try await gate.pass(on: request.loop)
                return .text(literal: "slow")
            }
        }
        func connect() throws -> Client { try Client(port: gateway.port(of: .main), isSecure: true) }
        let (idle, busy) = (try connect(), try connect())
        try idle.send(request)
        #expect(try idle.answer().text == "hello")
        try busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(gate.awaitArrival())
        let changes = ["TLS_CLIENT_CA": "\(files.folder)/chain.pem", "TLS_CLIENT_VERIFY": "require"]
        #expect(gateway.reload(changes).problems.isEmpty)
        #expect(try idle.isEnded())

        // Whoever has asked is answered, but cannot stay by asking on and on.
        try busy.send(request + request + request)
        gate.open()
        #expect(try busy.answer().text == "slow")
        let answers = String(decoding: try busy.readToEnd(), as: UTF8.self)
        #expect(answers.components(separatedBy: "HTTP/1.1 200").count <= 2)
    }

    @Test("handshakes are counted, resumed ones apart")
    func handshakes() throws {
        let files = try Files()
        try files.write(Files.make("one.test"))
        let gateway = try gateway(files)
        _ = try served(gateway)
        #expect(eventually { (try? gateway.metric("gateway_tls_handshakes_total{kind=\"full\"}")) == 1 })
        #expect(try gateway.metric("gateway_tls_handshakes_total{kind=\"resumed\"}") == 0)
    }

    @Test("settings that contradict each other stop the start")
    func contradictions() throws {
        let files = try Files()
        let authority = "\(files.folder)/chain.pem"
        for settings in [["TLS_CLIENT_CA": authority], ["TLS_CLIENT_VERIFY": "require"]] {
            let problems = TestGateway.configuration(files.settings.merging(settings) { $1 }).problems
            #expect(problems.count == 1)
            #expect(problems.first?.contains("TLS_CLIENT_VERIFY") == true)
        }
    }

    @Test("client certificates are not silently forgotten where there is no TLS")
    func withoutTLS() throws {
        let files = try Files()
        try files.write(Files.make("one.test"))
        #expect(throws: StartError.self) {
            try TestGateway(["TLS_CLIENT_CA": "\(files.folder)/chain.pem", "TLS_CLIENT_VERIFY": "require"])
        }
    }
}
