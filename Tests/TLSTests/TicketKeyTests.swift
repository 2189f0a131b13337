import COpenSSL
import Testing

@testable import GatewayTLS

@Suite("Session ticket keys")
struct TicketKeyTests {
    let fixture: Fixture
    private let start = ContinuousClock.now

    init() throws { fixture = try Fixture() }

    private static let versions: [CInt] = [0x0303, 0x0304]

    private func server(_ keys: TLSTicketKeys, _ names: String...) throws -> TLSServerContext {
        let certificates = try (names.isEmpty ? ["site"] : names).map(fixture.authority.certificate)
        return try TLSServerContext.make(certificates: certificates, ticketKeys: keys)
    }

    private func files(_ names: String...) throws -> TLSTicketKeyFiles {
        try TLSTicketKeyFiles.load(names.map(fixture.authority.path))
    }

    private func keys(_ names: String...) throws -> TLSTicketKeys {
        let keys = try TLSTicketKeys.generate()
        keys.replace(with: try TLSTicketKeyFiles.load(names.map(fixture.authority.path)))
        return keys
    }

    private func ticket(_ client: TLSClientContext, _ server: TLSServerContext) throws -> TLSResumption {
        let pair = try Pair(client, server)
        try pair.establish()
        return try #require(client.resumption(of: pair.client))
    }

    /// Whether `ticket` resumes, and what ticket came of it.
    private func resume(
        _ client: TLSClientContext, _ server: TLSServerContext, _ ticket: TLSResumption
    ) throws -> (isResumed: Bool, next: TLSResumption) {
        let pair = try Pair(client, server, resuming: ticket)
        try pair.establish()
        return (pair.server.isResumed, try #require(client.resumption(of: pair.client)))
    }

    @Test("a ticket outlives the rotation of its key, and is replaced by one of the new key", arguments: versions)
    func rotation(_ version: CInt) throws {
        let keys = try TLSTicketKeys.generate()
        let server = try server(keys)
        let client = try fixture.client { $0.highestVersion = version }
        let old = try ticket(client, server)
        try keys.rotate(at: start)
        let (isResumed, fresh) = try resume(client, server, old)
        #expect(isResumed)
        // Two hours later the first key is gone: the ticket from before is worth nothing, its replacement is.
        keys.dropExpired(at: start + TLSTicketKeys.lifetime)
        #expect(keys.count == 1)
        #expect(try !resume(client, server, old).isResumed)
        #expect(try resume(client, server, fresh).isResumed)
    }

    @Test("under TLS 1.3 each use of a ticket brings the next (RFC 8446 §C.4)", arguments: versions)
    func renewal(_ version: CInt) throws {
        func bytes(_ ticket: TLSResumption) -> [UInt8] {
            var start: UnsafePointer<UInt8>?
            var count = 0
            unsafe SSL_SESSION_get0_ticket(ticket.session.pointer, &start, &count)
            return unsafe Array(UnsafeBufferPointer(start: start, count: count))
        }
        let server = try server(TLSTicketKeys.generate())
        let client = try fixture.client { $0.highestVersion = version }
        let first = try ticket(client, server)
        let (isResumed, second) = try resume(client, server, first)
        #expect(isResumed && !bytes(second).isEmpty)
        #expect((bytes(first) != bytes(second)) == (version == TLS1_3_VERSION))
    }

    @Test("a key opens tickets as long as they may live, however often others follow, and then it goes")
    func retirement() throws {
        let keys = try TLSTicketKeys.generate()
        try keys.rotate(at: start)
        try keys.rotate(at: start + .seconds(3600))
        #expect(keys.count == 3)
        keys.dropExpired(at: start + TLSTicketKeys.lifetime - .seconds(1))
        #expect(keys.count == 3)
        keys.dropExpired(at: start + TLSTicketKeys.lifetime)
        #expect(keys.count == 2)
        keys.dropExpired(at: start + .seconds(1_000_000))
        #expect(keys.count == 1)
    }

    @Test("there are never more than sixteen")
    func most() throws {
        let keys = try TLSTicketKeys.generate()
        for _ in 0..<40 { try keys.rotate(at: start) }
        #expect(keys.count == TLSTicketKeys.most)
    }

    @Test("two processes with the same files resume each other's sessions", arguments: versions)
    func shared(_ version: CInt) throws {
        let client = try fixture.client { $0.highestVersion = version }
        let ticket = try ticket(client, server(keys("ticket1.key")))
        #expect(try resume(client, server(keys("ticket1.key")), ticket).isResumed)
        #expect(try resume(client, server(keys("ticket2.key", "ticket1.key"), "other", "site"), ticket).isResumed)
        #expect(try !resume(client, server(keys("ticket2.key")), ticket).isResumed)
    }

    @Test("the first file seals")
    func first() throws {
        let client = try fixture.client()
        let ticket = try ticket(client, server(keys("ticket1.key", "ticket2.key")))
        #expect(try resume(client, server(keys("ticket1.key")), ticket).isResumed)
        #expect(try !resume(client, server(keys("ticket2.key")), ticket).isResumed)
    }

    @Test("other files take the place of those before; none change nothing")
    func replaced() throws {
        let keys = try keys("ticket1.key", "ticket2.key")
        keys.replace(with: try files())
        #expect(keys.count == 2)
        keys.replace(with: try files("ticket3.key"))
        #expect(keys.count == 1)
        let client = try fixture.client()
        let ticket = try ticket(client, server(keys))
        #expect(try resume(client, server(self.keys("ticket3.key")), ticket).isResumed)
    }

    @Test(
        "a file that is no key is refused by name",
        arguments: [
            ("short.key", "not exactly 80 bytes; make one with: openssl rand 80"),
            ("long.key", "not exactly 80 bytes; make one with: openssl rand 80"),
            ("empty.pem", "not exactly 80 bytes; make one with: openssl rand 80"),
            ("missing.key", "No such file or directory"),
            ("namesake.key", "a second key with the same name, its first 16 bytes"),
        ])
    func refused(_ name: String, _ reason: String) throws {
        let path = fixture.authority.path(name)
        #expect(throws: TLSContextError.ticketKey(source: path, reason: reason)) {
            try files("ticket1.key", name)
        }
        #expect("\(TLSContextError.ticketKey(source: path, reason: reason))" == "ticket key \(path): \(reason)")
    }

    @Test("more than sixteen files are refused")
    func tooMany() {
        let path = fixture.authority.path("ticket1.key")
        #expect(throws: TLSContextError.ticketKey(source: path, reason: "more than 16 keys")) {
            try TLSTicketKeyFiles.load(Array(repeating: path, count: 17))
        }
    }
}
