import COpenSSL
import Foundation
import Testing

@testable import GatewayTLS

@Suite("Whom the system trusts")
struct SystemTrustTests {
    let fixture: Fixture
    let missing: String

    init() throws {
        fixture = try Fixture()
        missing = fixture.authority.path("missing")
    }

    private func client(directory: String, bundle: String) throws -> TLSClientContext {
        let client = try TLSClientContext.make(verification: .file(fixture.authority.path("alone.pem")))
        let store = try unsafe #require(unsafe SSL_CTX_get_cert_store(client.context.pointer))
        #expect(unsafe SystemTrust(directory: directory, bundle: bundle).add(to: store))
        return client
    }

    @Test("an issuer of the directory is found, where there is no bundle too")
    func directory() throws {
        let directory = fixture.authority.path("hashed")
        let client = try client(directory: "\(missing):\(directory)", bundle: missing)
        try Pair(client, fixture.server("site")).establish()
    }

    @Test("an issuer of the bundle is found, whichever its place, once and again")
    func bundle() throws {
        for name in ["both.pem", "htob.pem"] {
            let client = try client(directory: missing, bundle: fixture.authority.path(name))
            for _ in 0..<2 { try Pair(client, fixture.server("site")).establish() }
        }
    }

    @Test("whom neither knows is refused, also behind a bundle that cannot be read")
    func nobody() throws {
        for bundle in [fixture.authority.path("visitors.crt"), fixture.authority.path("root.key"), missing] {
            let client = try client(directory: missing, bundle: bundle)
            for _ in 0..<2 {
                let outcome = try Pair(client, fixture.server("site")).handshake()
                #expect(outcome.client == .failed(.certificateRefused(.unknownIssuer)))
            }
        }
    }

    @Test("the bundle is read when it is needed, not before")
    func later() throws {
        let bundle = NSTemporaryDirectory() + "gateway-bundle-\(UUID().uuidString).pem"
        defer { try? FileManager.default.removeItem(atPath: bundle) }
        let client = try client(directory: missing, bundle: bundle)
        let early = try Pair(client, fixture.server("site")).handshake()
        #expect(early.client == .failed(.certificateRefused(.unknownIssuer)))
        try Data(fixture.authority.bytes("root.pem")).write(to: URL(fileURLWithPath: bundle))
        try Pair(client, fixture.server("site")).establish()
        try FileManager.default.removeItem(atPath: bundle)
        try Pair(client, fixture.server("site")).establish()
    }

    @Test("sessions of many threads wait until a long bundle has been read, whose last is their issuer")
    func together() async throws {
        let bundle = NSTemporaryDirectory() + "gateway-bundle-\(UUID().uuidString).pem"
        defer { try? FileManager.default.removeItem(atPath: bundle) }
        let other = try fixture.authority.bytes("visitors.crt")
        let root = try fixture.authority.bytes("root.pem")
        try Data(Array(repeatElement(other, count: 1000).joined()) + root).write(to: URL(fileURLWithPath: bundle))
        let client = try client(directory: missing, bundle: bundle)
        let server = try fixture.server("site")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { try Pair(client, server).establish() } }
            try await group.waitForAll()
        }
    }
}
