import GatewayBytes
import GatewayTLS
import GatewayTestSupport
import Glibc
import Testing

@testable import GatewayRuntime
@testable import GatewayTransport

/// What a stream runs over: every test of streams runs over both.
enum Wire: CaseIterable, Sendable, CustomTestStringConvertible {
    case plain
    case tls

    var testDescription: String { self == .plain ? "plain TCP" : "TLS" }
}

/// One side of a connection that remembers what it was told.
final class End: ByteStreamHandler {
    let stream: ByteStream
    var received: [UInt8] = []
    /// Read at once when told to; otherwise left to the test.
    var reads = true
    var onReceived: (End) -> Void = { _ in }
    private(set) var isOpened = false
    private(set) var sawEnd = false
    private(set) var peerFinished = 0
    private(set) var drained = 0
    private(set) var deadlines: [MonotonicTime] = []
    private(set) var closed: [StreamEnd] = []
    private var news = LoopWait()

    init(_ stream: ByteStream) { self.stream = stream }

    struct NothingHappened: Error {}

    /// Suspends until `condition` holds; it is looked at again after each event of this end.
    func until(_ condition: () -> Bool) async throws {
        while !condition() {
            news = LoopWait()
            guard await news.run(on: stream.loop, until: stream.loop.now + .seconds(50)) == .woken else {
                throw NothingHappened()
            }
        }
    }

    func streamOpened() {
        isOpened = true
        news.wake()
    }

    func streamReadable() {
        guard reads else { return stream.pauseInput() }
        switch stream.receive() {
        case .bytes(let count, let fresh):
            #expect(count == fresh)
            unsafe received.append(contentsOf: stream.loop.receiveBuffer[..<count])
            onReceived(self)
        case .wouldBlock: return
        case .end: sawEnd = true
        case .failed: stream.close()
        }
        news.wake()
    }

    func streamPeerFinished() {
        peerFinished += 1
        news.wake()
    }

    func streamDrained() {
        drained += 1
        news.wake()
    }

    func streamDeadline() {
        deadlines.append(stream.loop.now)
        news.wake()
    }

    func streamClosed(_ reason: StreamEnd) {
        closed.append(reason)
        news.wake()
    }
}

/// Sockets and contexts for the tests.
enum Net {
    /// Two connected TCP sockets, both non-blocking.
    ///
    /// - Parameter buffer: Bytes each socket holds either way; the kernel has a floor of some kilobytes.
    static func pair(buffer: CInt? = nil) throws -> (client: CInt, server: CInt) {
        let listener = try Socket.listen(on: .loopback(port: 0), backlog: 1)
        defer { close(listener) }
        if let buffer { limit(listener, buffer) }
        let address = try #require(Socket.localAddress(of: listener))
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        if let buffer { limit(client, buffer) }
        _ = unsafe address.withSockaddr { unsafe connect(client, $0, $1) }
        var watched = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        try #require(unsafe poll(&watched, 1, 50_000) == 1)
        guard case .connection(let server, _) = Socket.accept(listener) else { throw End.NothingHappened() }
        return (client, server)
    }

    private static func limit(_ descriptor: CInt, _ bytes: CInt) {
        for name in [SO_SNDBUF, SO_RCVBUF] {
            var value = bytes
            _ = unsafe setsockopt(descriptor, SOL_SOCKET, name, &value, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    static func setBlocking(_ descriptor: CInt) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL, 0) & ~O_NONBLOCK)
        var patience = timeval(tv_sec: 50, tv_usec: 0)
        for name in [SO_RCVTIMEO, SO_SNDTIMEO] {
            _ = unsafe setsockopt(descriptor, SOL_SOCKET, name, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    /// A client's and a server's context that know each other.
    static func contexts() throws -> (TLSClientContext, TLSServerContext) {
        let made = try SelfSignedCertificate.make(names: ["site.example"], ips: [], validDays: 1)
        let certificate = try TLSCertificate.load(
            chainPEM: made.certificatePEM, keyPEM: made.privateKeyPEM)
        return (
            try TLSClientContext.make(verification: .certificates(pem: made.certificatePEM)),
            try TLSServerContext.make(certificates: [certificate], ticketKeys: TLSTicketKeys.generate())
        )
    }

    /// Two open streams that face each other on `loop`.
    static func streams(
        _ wire: Wire, on loop: EventLoop, buffer: CInt? = nil
    ) async throws -> (client: End, server: End) {
        let (clientSocket, serverSocket) = try pair(buffer: buffer)
        var ciphers: (TLSSession, TLSSession)?
        if wire == .tls {
            let (client, server) = try contexts()
            ciphers = (
                try client.session(on: clientSocket, host: "site.example"), try server.session(on: serverSocket)
            )
        }
        let peer = SocketAddress.loopback(port: 0)
        let server = End(ByteStream(descriptor: serverSocket, peer: peer, loop: loop, cipher: ciphers?.1))
        let client = End(
            ByteStream(descriptor: clientSocket, peer: peer, loop: loop, cipher: ciphers?.0, connecting: true))
        try server.stream.start(server)
        try client.stream.start(client)
        try await client.until { client.isOpened }
        try await server.until { server.isOpened }
        return (client, server)
    }

    /// An open plain stream, and the bare socket that faces it.
    static func streamAndSocket(on loop: EventLoop, buffer: CInt? = nil) throws -> (End, CInt) {
        let (client, server) = try pair(buffer: buffer)
        setBlocking(client)
        let end = End(ByteStream(descriptor: server, peer: .loopback(port: 0), loop: loop))
        try end.stream.start(end)
        return (end, client)
    }

    /// Bytes that show where they were cut or doubled.
    static func pattern(_ count: Int, from start: Int = 0) -> [UInt8] {
        (start..<start + count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    }

    /// Reads a bare socket to its end on a thread of its own; `nil` when it was reset.
    static func readAll(_ descriptor: CInt) -> Outcome<[UInt8]?> {
        let outcome = Outcome<[UInt8]?>()
        Threads.start("reader") {
            var whole: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
                if count < 0 { return outcome.set(.success(nil)) }
                if count == 0 { return outcome.set(.success(whole)) }
                whole.append(contentsOf: chunk[..<count])
            }
        }
        return outcome
    }
}
