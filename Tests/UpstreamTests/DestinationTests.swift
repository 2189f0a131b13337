import Foundation
import GatewayBytes
import GatewayConfig
import GatewayHTTP
import GatewayLocks
import GatewayTLS
import GatewayTelemetry
import GatewayTestSupport
import Testing

@testable import GatewayRuntime
@testable import GatewayTransport
@testable import GatewayUpstream

@Suite("Upstream: where it connects")
struct DestinationTests {
    private static func greeting() throws -> ScriptedServer {
        try ScriptedServer { peer, _ in
            while true {
                _ = try peer.readHead()
                try peer.answer("x")
            }
        }
    }

    private static func loopback(_ last: Int = 1) throws -> SocketAddress {
        try #require(SocketAddress(literal: "127.0.0.\(last)", port: 0))
    }

    @Test("an address out of a request may not be this machine's unless a setting says so")
    func foreign() throws {
        let server = try Self.greeting()
        let outcome = try Rig.with(["ALLOW_PRIVATE_NETWORKS": "10.0.0.0/8"]) { rig in
            var outcomes: [String] = []
            for url in [server.url(), server.url(host: "home.example"), server.url(host: "[::ffff:127.0.0.1]")] {
                outcomes.append(await rig.failure { _ = try await rig.send(.get, url) }.name)
            }
            return outcomes
        }
        #expect(outcome.prefix(1) == ["destinationRefused"])
        #expect(outcome.suffix(1) == ["destinationRefused"])
        #expect(server.accepted == 0)
    }

    @Test(
        "a name that leads to a private address is refused like the address",
        arguments: ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:192.168.0.1"])
    func foreignName(_ address: String) throws {
        let outcome = try Rig.with(
            ["ALLOW_PRIVATE_NETWORKS": "192.0.2.0/24"],
            names: { _ in
                [SocketAddress(literal: address, port: 0)].compactMap { $0 }
            }
        ) { rig in await rig.failure { _ = try await rig.send(.get, "http://rebound.example/") } }
        #expect(outcome.name == "destinationRefused")
    }

    @Test("an operator's URL may be private, but neither link-local nor a metadata service")
    func operatorRule() throws {
        let server = try Self.greeting()
        let outcome = try Rig.with(["ALLOW_PRIVATE_NETWORKS": "10.0.0.0/8"]) { rig in
            var outcomes = [await rig.failure { _ = try await rig.text(.get, server.url(), .operator) }.name]
            for host in ["169.254.169.254", "169.254.1.1", "[fe80::1]"] {
                outcomes.append(await rig.failure { _ = try await rig.text(.get, "http://\(host)/", .operator) }.name)
            }
            return outcomes
        }
        #expect(outcome == ["nothing"] + Array(repeating: "destinationRefused", count: 3))
    }

    @Test("of several addresses only those allowed are tried, and the one checked is the one connected to")
    func mixedAnswer() throws {
        let server = try Self.greeting()
        let asked = Counted()
        let text = try Rig.with(
            ["ALLOW_PRIVATE_NETWORKS": "127.0.0.1"],
            names: { _ in
                // A second look-up would lead elsewhere.
                asked.next() == 0
                    ? [try Self.loopback(9), try Self.loopback(1)] : [try Self.loopback(9)]
            }
        ) { rig in try await rig.text(.get, server.url(host: "mixed.example")) }
        #expect(text == "x")
        #expect(asked.value == 1)
    }

    @Test("private networks are listed as networks and addresses; a mapped address is the IPv4 address it stands for")
    func privateNetworks() throws {
        let settings = try Rig.settings(["ALLOW_PRIVATE_NETWORKS": "10.0.0.0/8 ,,\n\t::ffff:192.168.0.5, fd00::1"])
        #expect(settings.allowedPrivateNetworks.map(\.description) == ["10.0.0.0/8", "192.168.0.5/32", "fd00::1/128"])
    }

    @Test(
        "a private network that cannot be meant is refused by its place and with the remedy",
        arguments: [
            ("10.1.2.3/8", "element 1 is not where a network begins; write 10.0.0.0/8"),
            ("10.0.0.1,10.0.0.0/33", "element 2 is a network of an impossible length; write 0 to 32"),
            ("10.0.0.1, 1.2.3.4 5", "element 2 is not a network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8"),
            ("home", "element 1 is not a network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8"),
        ])
    func notPrivateNetworks(_ text: String, _ expected: String) {
        var reader = SettingsReader(environment: ["ALLOW_PRIVATE_NETWORKS": text])
        _ = UpstreamSettings(from: &reader)
        let problems = reader.problems.map(\.description)
        #expect(problems.count == 1)
        #expect(problems.first?.hasPrefix("ALLOW_PRIVATE_NETWORKS=\(text): \(expected)") == true, "\(problems)")
    }

    @Test("as many networks as a setting takes, and one more")
    func manyNetworks() throws {
        let list = (0...256).map { "10.0.\($0 / 256).\($0 % 256)" }
        let text = list.dropLast().joined(separator: ",")
        #expect(try Rig.settings(["ALLOW_PRIVATE_NETWORKS": text]).allowedPrivateNetworks.count == 256)
        var reader = SettingsReader(environment: ["ALLOW_PRIVATE_NETWORKS": list.joined(separator: ",")])
        _ = UpstreamSettings(from: &reader)
        let problems = reader.problems.map(\.description)
        #expect(problems.count == 1 && problems.first?.contains("more than 256 networks") == true, "\(problems)")
    }

    @Test("a connection made for the operator is not lent to a request's own URL")
    func notShared() throws {
        let server = try Self.greeting()
        let outcome = try Rig.with(["ALLOW_PRIVATE_NETWORKS": "10.0.0.0/8"]) { rig in
            _ = try await rig.text(.get, server.url(), .operator)
            return await rig.failure { _ = try await rig.text(.get, server.url(), .foreign) }
        }
        #expect(outcome.name == "destinationRefused")
    }

    // MARK: Several addresses

    @Test("when the first address refuses or keeps silent, the second is used")
    func secondAddress() throws {
        let server = try Self.greeting()
        let hole = try BlackHole()
        let closed = try Self.loopback(2)
        let texts = try Rig.with { rig in
            var texts: [String] = []
            for first in [closed.with(port: server.address.port), hole.address] {
                let dialer = Dialer(loop: rig.loop, addresses: [first, server.address], host: "x", tls: nil)
                let stream = try await dialer.open(until: rig.loop.now + .seconds(50))
                texts.append("\(stream.peer)")
                stream.close()
            }
            return texts
        }
        #expect(texts == ["\(server.address)", "\(server.address)"])
        withExtendedLifetime(hole) {}
    }

    @Test("when all addresses refuse, the reason is told at once")
    func allRefuse() throws {
        let closed = try (2...5).map { try Self.loopback($0).with(port: 1) }
        let outcome = try Rig.with(names: { _ in closed }) { rig in
            await rig.failure { _ = try await rig.send(.get, "http://closed.example:1/") }
        }
        guard case .upstream(.connectFailed(let reason)) = outcome else {
            Issue.record("failed with \(outcome)")
            return
        }
        #expect(reason == "connection refused")
    }

    @Test("families take turns, beginning with the system's first")
    func interleaved() throws {
        let four = try (1...3).map { try Self.loopback($0) }
        let six = try (1...2).map { try #require(SocketAddress(literal: "2001:db8::\($0)", port: 0)) }
        #expect(Dialer.interleaved(six + four) == [six[0], four[0], six[1], four[1], four[2]])
        #expect(Dialer.interleaved(four + six) == [four[0], six[0], four[1], six[1], four[2]])
        #expect(Dialer.interleaved([]) == [])
    }

    // MARK: Names

    @Test("requests at the same time share one look-up, and those after it its result")
    func coalesced() throws {
        let server = try Self.greeting()
        let asked = Counted()
        let gate = Signal()
        let count = try Rig.with(names: { _ in
            asked.next()
            gate.wait()
            return [try Self.loopback()]
        }) { rig in
            let texts = Guarded<[String]>([])
            let tasks = (0..<10).map { _ in
                rig.loop.launch {
                    let text = (try? await rig.text(.get, server.url(host: "one.example"))) ?? "failed"
                    texts.withLock { $0.append(text) }
                }
            }
            await rig.loop.nextTurn()
            gate.raise()
            for task in tasks { await task.value }
            _ = try await rig.text(.get, server.url(host: "one.example"))
            return texts.withLock { $0.filter { $0 == "x" }.count }
        }
        #expect(count == 10)
        #expect(asked.value == 1)
    }

    @Test("a look-up goes on for the others when the one who began it is cancelled")
    func beginnerCancelled() throws {
        let server = try Self.greeting()
        let gate = Signal()
        let outcome = try Rig.with(names: { _ in
            gate.wait()
            return [try Self.loopback()]
        }) { rig in
            let first = rig.loop.launch { _ = try? await rig.text(.get, server.url(host: "one.example")) }
            await rig.loop.nextTurn()
            let text = Guarded("")
            let second = rig.loop.launch {
                let answer = (try? await rig.text(.get, server.url(host: "one.example"))) ?? "failed"
                text.withLock { $0 = answer }
            }
            await rig.loop.nextTurn()
            first.cancel()
            await first.value
            gate.raise()
            await second.value
            return text.withLock { $0 }
        }
        #expect(outcome == "x")
    }

    @Test("a name that does not exist is remembered for a while, and then asked for again", arguments: [true, false])
    func failureRemembered(_ isRemembered: Bool) throws {
        let asked = Counted()
        let outcomes = try Rig.with(
            ["DNS_FAILURE_TTL": isRemembered ? "60s" : "0ms"],
            names: { _ in
                asked.next()
                throw NameLookup.Failure(description: "no such name", isNoSuchName: true)
            }
        ) { rig in
            var outcomes: [String] = []
            for _ in 0..<3 {
                outcomes.append(await rig.failure { _ = try await rig.send(.get, "http://none.example/") }.name)
            }
            return outcomes
        }
        #expect(outcomes == Array(repeating: "nameNotFound", count: 3))
        #expect(asked.value == (isRemembered ? 1 : 3))
    }

    @Test("that nobody could be asked is another error than that there is no such name")
    func lookupFailed() throws {
        let outcome = try Rig.with(names: { _ in
            throw NameLookup.Failure(description: "temporary failure in name resolution", isNoSuchName: false)
        }) { rig in await rig.failure { _ = try await rig.send(.get, "http://down.example/") } }
        #expect(outcome.name == "nameLookupFailed")
    }

    @Test("too much work for the workers says nothing about the name")
    func busy() throws {
        let server = try Self.greeting()
        let workers = WorkerPool(threads: 1, queue: 1)
        let outcome = try Rig.with(workers: workers, names: { _ in [try Self.loopback()] }) { rig in
            let (started, gate, finished) = (Signal(), Signal(), Signal())
            _ = workers.submit {
                started.raise()
                gate.wait()
            }
            started.wait()
            _ = workers.submit { finished.raise() }
            let busy = await rig.failure { _ = try await rig.send(.get, server.url(host: "one.example")) }
            gate.raise()
            finished.wait()
            let text = try await rig.text(.get, server.url(host: "one.example"))
            return (busy, text)
        }
        #expect(outcome.0.name == "nameLookupFailed")
        #expect(outcome.1 == "x")
    }

    @Test("the memory of names does not grow beyond its size")
    func memoryBound() throws {
        let asked = Counted()
        let settings = try Rig.settings(["DNS_CACHE_SIZE": "4"])
        let count = try Rig.with { rig in
            let resolver = Resolver(loop: rig.loop, settings: settings) { _ in
                asked.next()
                return [try Self.loopback()]
            }
            for number in 0..<40 {
                _ = try await resolver.addresses(of: "\(number).example", port: 80, until: .distantFuture)
            }
            return resolver.count
        }
        #expect(count <= 4)
        #expect(asked.value == 40)
    }
}

@Suite("Upstream: TLS")
struct UpstreamTLSTests {
    /// Answers every head with a small response, over TLS, on a loop of its own.
    private final class Site: Sendable {
        let address: SocketAddress
        private let thread: LoopThread

        init(_ certificate: TLSCertificate) throws {
            let thread = try LoopThread()
            let context = try TLSServerContext.make(certificates: [certificate], ticketKeys: TLSTicketKeys.generate())
            let descriptor = try Socket.listen(on: .loopback(port: 0), backlog: 16)
            address = try #require(Socket.localAddress(of: descriptor))
            self.thread = thread
            thread.loop.submit {
                let loop = thread.loop
                let listener = Listener(descriptor: descriptor, loop: loop) { connection, peer in
                    guard let session = try? context.session(on: connection) else { return }
                    let visitor = Visitor(
                        ByteStream(descriptor: connection, peer: peer, loop: loop, cipher: session))
                    do { try visitor.stream.start(visitor) } catch { Issue.record(error) }
                }
                do { try listener.start() } catch { Issue.record(error) }
            }
        }

        deinit { try? thread.stop() }
    }

    private final class Visitor: ByteStreamHandler {
        let stream: ByteStream
        private var received: [UInt8] = []

        init(_ stream: ByteStream) { self.stream = stream }

        func streamOpened() {}
        func streamReadable() {
            switch stream.receive() {
            case .bytes(let count, _):
                unsafe received.append(contentsOf: stream.loop.receiveBuffer[..<count])
                guard received.suffix(4).elementsEqual("\r\n\r\n".utf8) else { return }
                received = []
                stream.write { $0.append("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret") }
            case .wouldBlock: return
            case .end, .failed: stream.close()
            }
        }
        func streamPeerFinished() {}
        func streamDrained() {}
        func streamDeadline() {}
        func streamClosed(_ reason: StreamEnd) {}
    }

    private static func selfSigned(_ names: [String]) throws -> (pem: [UInt8], certificate: TLSCertificate) {
        let made = try SelfSignedCertificate.make(names: names, ips: ["127.0.0.2"], validDays: 1)
        return (made.certificatePEM, try .load(chainPEM: made.certificatePEM, keyPEM: made.privateKeyPEM))
    }

    private static func expired() throws -> (pem: [UInt8], certificate: TLSCertificate) {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("expired-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.currentDirectoryURL = folder
        process.arguments = [
            "-euc",
            """
            openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -subj /CN=old -out r.pem
            echo subjectAltName=DNS:site.example > ext
            openssl x509 -req -in r.pem -signkey k.pem -extfile ext -days -1 -out c.pem
            """,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        let pem = [UInt8](try Data(contentsOf: folder.appendingPathComponent("c.pem")))
        let key = Secret([UInt8](try Data(contentsOf: folder.appendingPathComponent("k.pem"))))
        return (pem, try .load(chainPEM: pem, keyPEM: key))
    }

    private static func run(
        _ certificate: TLSCertificate, trusting trust: TLSVerification, host: String = "site.example"
    ) throws -> (Rig.Failure, UInt64) {
        let site = try Site(certificate)
        return try Rig.with(trusting: trust, names: { _ in [.loopback(port: 0)] }) { rig in
            let url = "https://\(host):\(site.address.port)/"
            let outcome = await rig.failure {
                for _ in 0..<3 {
                    let text = try await rig.text(.get, url)
                    #expect(text == "secret")
                }
            }
            return (outcome, rig.metrics.reused.value)
        }
    }

    private static func reason(_ failure: Rig.Failure) -> String {
        guard case .upstream(.cipher(let reason)) = failure else { return failure.name }
        return reason
    }

    @Test("a server with the right name under a trusted certificate is served by one connection")
    func trusted() throws {
        let (pem, certificate) = try Self.selfSigned(["site.example"])
        let outcome = try Self.run(certificate, trusting: .certificates(pem: pem))
        #expect(outcome.0.name == "nothing")
        // Session tickets that arrive on an idle connection do not end it.
        #expect(outcome.1 == 2)
    }

    @Test("a certificate for another name is refused")
    func wrongName() throws {
        let (pem, certificate) = try Self.selfSigned(["other.example"])
        let outcome = try Self.run(certificate, trusting: .certificates(pem: pem))
        #expect(Self.reason(outcome.0).contains("another name"))
    }

    @Test("an address must be in the certificate, too")
    func wrongAddress() throws {
        let (pem, certificate) = try Self.selfSigned(["site.example"])
        let outcome = try Self.run(certificate, trusting: .certificates(pem: pem), host: "127.0.0.1")
        #expect(Self.reason(outcome.0).contains("another name"))
    }

    @Test("a certificate of an unknown issuer is refused")
    func unknownIssuer() throws {
        let (_, certificate) = try Self.selfSigned(["site.example"])
        let (other, _) = try Self.selfSigned(["site.example"])
        let outcome = try Self.run(certificate, trusting: .certificates(pem: other))
        #expect(Self.reason(outcome.0).hasPrefix("certificate refused"))
    }

    @Test("an expired certificate is refused")
    func expiredCertificate() throws {
        let (pem, certificate) = try Self.expired()
        let outcome = try Self.run(certificate, trusting: .certificates(pem: pem))
        #expect(Self.reason(outcome.0).contains("expired"))
    }

    @Test("a server that speaks no TLS is told as such")
    func plainServer() throws {
        let server = try ScriptedServer { peer, _ in try peer.write("HTTP/1.1 400 Bad Request\r\n\r\n") }
        let outcome = try Rig.with { rig in
            await rig.failure { _ = try await rig.send(.get, "https://\(server.address)/") }
        }
        #expect(outcome.name == "cipher")
    }
}
