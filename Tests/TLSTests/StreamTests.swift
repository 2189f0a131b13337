import COpenSSL
import Glibc
import Testing

@testable import GatewayTLS

/// For suites that do not import Glibc, where `close` is ambiguous.
func closeDescriptor(_ descriptor: CInt) { close(descriptor) }

@Suite("Reading, writing and closing")
struct StreamTests {
    let fixture: Fixture

    init() throws { fixture = try Fixture() }

    private static let versions: [CInt] = [0x0303, 0x0304]

    private func pair(_ version: CInt = 0x0304, socketBuffer: CInt? = nil) throws -> Pair {
        let client = try fixture.client { $0.highestVersion = version }
        let pair = try Pair(client, fixture.server("site"), socketBuffer: socketBuffer)
        try pair.establish()
        return pair
    }

    @Test("close_notify ends a stream cleanly, and the other direction stays open", arguments: versions)
    func cleanClose(_ version: CInt) throws {
        let pair = try pair(version)
        #expect(pair.client.send("request".utf8) == .bytes(7))
        #expect(pair.client.shutdown() == .sent)
        var received: [UInt8] = []
        #expect(pair.server.receive(into: &received) == .closed)
        #expect(received == Array("request".utf8))
        #expect(pair.server.send("response".utf8) == .bytes(8))
        #expect(pair.server.shutdown() == .sent)
        received = []
        #expect(pair.client.receive(into: &received) == .closed)
        #expect(received == Array("response".utf8))
        #expect(pair.client.receive(into: &received) == .closed)
    }

    @Test("a stream cut off without close_notify is told from a finished one", arguments: versions)
    func truncated(_ version: CInt) throws {
        let pair = try pair(version)
        #expect(pair.server.send("half of".utf8) == .bytes(7))
        pair.closeServerSocket()
        var received: [UInt8] = []
        #expect(pair.client.receive(into: &received) == .closedDirty)
        #expect(received == Array("half of".utf8))
        #expect(pair.client.receive(into: &received) == .closedDirty)
        #expect(pair.client.hasPending)
    }

    @Test("what a vanished peer said last can be read after a write failed")
    func earlyAnswer() throws {
        let pair = try pair()
        #expect(pair.server.send("413".utf8) == .bytes(3))
        pair.closeServerSocket()
        #expect(pair.client.send([UInt8](repeating: 0, count: 100)) == .closedDirty)
        var received: [UInt8] = []
        #expect(pair.client.receive(into: &received) == .closedDirty)
        #expect(received == Array("413".utf8))
    }

    @Test("a record cut off in the middle is not delivered")
    func partialRecord() throws {
        let pair = try pair()
        // A head that promises 100 bytes, and 10 of them.
        let bytes: [UInt8] = [0x17, 3, 3, 0, 100] + [UInt8](repeating: 7, count: 10)
        #expect(unsafe Glibc.send(pair.serverSocket, bytes, bytes.count, 0) == bytes.count)
        var received: [UInt8] = []
        #expect(pair.client.receive(into: &received) == .wantRead)
        // OpenSSL holds part of a record, which is nothing that a read could return.
        #expect(!pair.client.hasPending)
        pair.closeServerSocket()
        #expect(pair.client.receive(into: &received) == .closedDirty)
        #expect(received.isEmpty)
    }

    @Test("a forged record ends the session in both directions", arguments: versions)
    func forged(_ version: CInt) throws {
        let pair = try pair(version)
        let bytes: [UInt8] = [0x17, 3, 3, 0, 40] + [UInt8](repeating: 7, count: 40)
        #expect(unsafe Glibc.send(pair.serverSocket, bytes, bytes.count, 0) == bytes.count)
        var received: [UInt8] = []
        #expect(pair.client.receive(into: &received) == .failed(.badRecord))
        #expect(pair.client.send([1]) == .failed(.badRecord))
        #expect(pair.client.shutdown() == .failed)
        #expect(pair.server.receive(into: &received) == .failed(.peerAlert(TLSAlert(number: 20))))
        #expect(received.isEmpty)
    }

    @Test("a client that renegotiates gets nothing but the warning no_renegotiation")
    func renegotiation() throws {
        let pair = try pair(0x0303)
        // Our own client would not even ask.
        #expect(unsafe SSL_renegotiate(pair.client.ssl.pointer) == 0)
        unsafe SSL_clear_options(pair.client.ssl.pointer, cossl_op_no_renegotiation)
        #expect(unsafe SSL_renegotiate(pair.client.ssl.pointer) == 1)
        // Starts its second handshake, whose first message the server answers with the warning alone.
        _ = unsafe SSL_do_handshake(pair.client.ssl.pointer)
        var received: [UInt8] = []
        #expect(pair.server.receive(into: &received) == .wantRead)
        #expect(unsafe SSL_do_handshake(pair.client.ssl.pointer) != 1)
        #expect(pair.server.send([1]) == .bytes(1))
    }

    @Test("the keys of TLS 1.3 may be updated in mid-stream, by either side")
    func keyUpdate() throws {
        let pair = try pair()
        for session in [pair.client, pair.server] {
            #expect(unsafe SSL_key_update(session.ssl.pointer, SSL_KEY_UPDATE_REQUESTED) == 1)
            #expect(pair.client.send("up".utf8) == .bytes(2))
            #expect(pair.server.send("down".utf8) == .bytes(4))
            var received: [UInt8] = []
            #expect(pair.server.receive(into: &received) == .wantRead)
            #expect(pair.client.receive(into: &received) == .wantRead)
            #expect(received == Array("updown".utf8))
        }
    }

    @Test("a plain request on an established session is a bad record")
    func plainLater() throws {
        let pair = try pair()
        let bytes = Array("GET / HTTP/1.1\r\n\r\n".utf8)
        #expect(unsafe Glibc.send(pair.clientSocket, bytes, bytes.count, 0) == bytes.count)
        var received: [UInt8] = []
        #expect(pair.server.receive(into: &received) == .failed(.badRecord))
    }

    @Test("bytes OpenSSL already holds are announced by hasPending, not by the kernel")
    func pending() throws {
        let pair = try pair()
        for text in ["one ", "two ", "three"] { #expect(pair.client.send(text.utf8) == .bytes(text.utf8.count)) }
        #expect(!pair.server.hasPending)
        var room = [UInt8](repeating: 0, count: 2)
        #expect(unsafe room.withUnsafeMutableBytes { unsafe pair.server.read(into: $0) } == .bytes(2))
        #expect(pair.server.hasPending)
        #expect(isReadable(pair.serverSocket) == false)
        var rest: [UInt8] = []
        var room2 = [UInt8](repeating: 0, count: 100)
        if case .bytes(let count) = unsafe room2.withUnsafeMutableBytes({ unsafe pair.server.read(into: $0) }) {
            rest = Array(room2.prefix(count))
        }
        // One call returns what several records hold.
        #expect(room + rest == Array("one two three".utf8))
        #expect(!pair.server.hasPending)
    }

    @Test("a request that comes with the end of the handshake is announced")
    func pendingAfterHandshake() throws {
        let pair = try Pair(fixture.client(), fixture.server("site"))
        #expect(pair.client.handshake() == .wantRead)
        #expect(pair.server.handshake() == .wantRead)
        #expect(pair.client.handshake() == .complete)
        #expect(pair.client.send("early".utf8) == .bytes(5))
        #expect(pair.server.handshake() == .complete)
        #expect(pair.server.hasPending || isReadable(pair.serverSocket))
        var received: [UInt8] = []
        #expect(pair.server.receive(into: &received) == .wantRead)
        #expect(received == Array("early".utf8))
    }

    private func isReadable(_ descriptor: CInt) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, 0) == 1
    }

    @Test("large streams cross both ways at once through tiny socket buffers", arguments: versions)
    func large(_ version: CInt) throws {
        let pair = try pair(version, socketBuffer: 4096)
        let size = 3_000_000
        let upward = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 8)) }
        let downward = Array(upward.reversed())
        var sent = (0, 0)
        var received: ([UInt8], [UInt8]) = ([], [])
        var partialWrites = 0
        for _ in 0..<1_000_000 where received.0.count < size || received.1.count < size {
            // Odd sizes, copied each time, so that every retry comes from another address.
            try sendMore(pair.client, upward, at: &sent.0, atMost: 70_001, partial: &partialWrites)
            #expect(pair.server.receive(into: &received.0, room: 9_999) == .wantRead)
            try sendMore(pair.server, downward, at: &sent.1, atMost: 40_003, partial: &partialWrites)
            #expect(pair.client.receive(into: &received.1, room: 20_001) == .wantRead)
        }
        #expect(received.0 == upward)
        #expect(received.1 == downward)
        #expect(partialWrites > 0)
    }

    private func sendMore(
        _ session: TLSSession, _ bytes: [UInt8], at position: inout Int, atMost limit: Int, partial: inout Int
    ) throws {
        let offered = bytes[position..<min(position + limit, bytes.count)]
        switch session.send(offered) {
        case .bytes(let count):
            position += count
            if count < offered.count { partial += 1 }
        case .wantWrite: partial += 1
        case let outcome: Issue.record("\(outcome)")
        }
    }

    @Test("a retried write may have grown and moved, and nothing is lost or doubled")
    func grownRetry() throws {
        let pair = try pair(socketBuffer: 4096)
        var bytes = (0..<50_000).map { UInt8(truncatingIfNeeded: $0) }
        var sent = 0
        while case .bytes(let count) = pair.client.send(bytes[sent...]), sent + count < bytes.count { sent += count }
        bytes += (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
        var received: [UInt8] = []
        for _ in 0..<1000 where received.count < bytes.count {
            _ = pair.server.receive(into: &received)
            if case .bytes(let count) = pair.client.send(bytes[sent...]) { sent += count }
        }
        #expect(received == bytes)
    }

    @Test("an empty write does nothing")
    func emptyWrite() throws {
        let pair = try pair()
        #expect(pair.client.send([]) == .bytes(0))
        var received: [UInt8] = []
        #expect(pair.server.receive(into: &received) == .wantRead)
        #expect(received.isEmpty)
    }

    @Test("a close_notify that does not fit waits for room")
    func blockedShutdown() throws {
        let pair = try pair(socketBuffer: 4096)
        // Bytes from beside the session fill the socket, and are taken out again before the session's own.
        let filler: [UInt8] = [1]
        var count = 0
        while unsafe Glibc.send(pair.clientSocket, filler, 1, 0) == 1 { count += 1 }
        #expect(pair.client.shutdown() == .wantWrite)
        var byte: UInt8 = 0
        for _ in 0..<count { #expect(unsafe recv(pair.serverSocket, &byte, 1, 0) == 1) }
        #expect(pair.client.shutdown() == .sent)
        var received: [UInt8] = []
        #expect(pair.server.receive(into: &received) == .closed)
        #expect(received.isEmpty)
    }

    @Test("behind half a record no close_notify can be sent")
    func shutdownInsideRecord() throws {
        let pair = try pair(socketBuffer: 4096)
        let filler = [UInt8](repeating: 1, count: 1000)
        while pair.client.send(filler) == .bytes(1000) {}
        #expect(pair.client.send(filler) == .wantWrite)
        #expect(pair.client.shutdown() == .failed)
    }

    @Test("shutting down before the handshake tells nobody")
    func earlyShutdown() throws {
        let pair = try Pair(fixture.client(), fixture.server("site"))
        #expect(pair.client.shutdown() == .failed)
    }
}
