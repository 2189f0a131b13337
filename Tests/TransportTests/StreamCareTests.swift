import GatewayBytes
import GatewayTLS
import GatewayTestSupport
import Glibc
import Testing

@testable import GatewayRuntime
@testable import GatewayTransport

@Suite("Byte streams: shared buffer, deadlines, ends", .serialized)
struct StreamCareTests {
    @Test("flushing, finishing or closing one stream sends nothing of another's", arguments: Wire.allCases)
    func noCrossTalk(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (first, firstPeer) = try await Net.streams(wire, on: loop)
            let (second, secondPeer) = try await Net.streams(wire, on: loop)
            let (third, thirdPeer) = try await Net.streams(wire, on: loop)
            first.stream.write { $0.append(Net.pattern(100)) }
            second.stream.flush()
            third.stream.finish()
            try await firstPeer.until { firstPeer.received.count >= 100 }
            try await thirdPeer.until { thirdPeer.sawEnd }
            let outcome = (firstPeer.received, secondPeer.received, thirdPeer.received)
            for end in [first, firstPeer, second, secondPeer, third, thirdPeer] { end.stream.close() }
            return outcome
        }
        #expect(outcome.0 == Net.pattern(100))
        #expect(outcome.1 == [])
        #expect(outcome.2 == [])
    }

    @Test("what an aborted or closed stream had written goes nowhere", arguments: Wire.allCases)
    func noLeftovers(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (first, firstPeer) = try await Net.streams(wire, on: loop)
            let (second, secondPeer) = try await Net.streams(wire, on: loop)
            let (third, thirdPeer) = try await Net.streams(wire, on: loop)
            first.stream.write { $0.append(Net.pattern(100)) }
            first.stream.abort()
            second.stream.write { $0.append(Net.pattern(7)) }
            second.stream.flush()
            second.stream.write { $0.append(Net.pattern(100)) }
            second.stream.close()
            third.stream.write { $0.append(Net.pattern(9)) }
            third.stream.flush()
            try await secondPeer.until { secondPeer.received.count >= 7 }
            try await thirdPeer.until { thirdPeer.received.count >= 9 }
            let outcome = (firstPeer.received, secondPeer.received, thirdPeer.received)
            for end in [firstPeer, secondPeer, third, thirdPeer] { end.stream.close() }
            return outcome
        }
        #expect(outcome.0 == [])
        #expect(outcome.1 == Net.pattern(7))
        #expect(outcome.2 == Net.pattern(9))
    }

    @Test("many streams that write in one turn each send their own", arguments: Wire.allCases)
    func interleaved(_ wire: Wire) throws {
        let isRight = try LoopThread.with { loop in
            var pairs: [(End, End)] = []
            for _ in 0..<10 { pairs.append(try await Net.streams(wire, on: loop)) }
            for round in 0..<20 {
                for (place, pair) in pairs.enumerated() {
                    pair.0.stream.write { $0.append([UInt8](repeating: UInt8(place), count: round * 50 + 1)) }
                }
            }
            let total = (0..<20).reduce(0) { $0 + $1 * 50 + 1 }
            var isRight = true
            for (place, pair) in pairs.enumerated() {
                try await pair.1.until { pair.1.received.count >= total }
                isRight = isRight && pair.1.received.count == total && pair.1.received.allSatisfy { $0 == UInt8(place) }
            }
            for pair in pairs {
                pair.0.stream.close()
                pair.1.stream.close()
            }
            return isRight
        }
        #expect(isRight)
    }

    @Test("large and small writes keep their order", arguments: Wire.allCases)
    func mixedSizes(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop, buffer: 16384)
            var offset = 0
            for size in [10, 200_000, 5, 65_536, 65_535, 1, 300_000, 70_000] {
                let bytes = Net.pattern(size, from: offset)
                if size % 2 == 0 {
                    unsafe bytes.withUnsafeBytes { unsafe client.stream.write($0) }
                } else {
                    client.stream.write { $0.append(bytes) }
                }
                offset += size
            }
            try await server.until { server.received.count >= offset }
            let isRight = server.received == Net.pattern(offset)
            let counted = (client.stream.sent, server.stream.received, UInt64(offset))
            client.stream.close()
            server.stream.close()
            return (isRight, counted)
        }
        #expect(outcome.0)
        #expect(outcome.1.0 == outcome.1.2)
        #expect(outcome.1.1 == outcome.1.2)
    }

    @Test("a deadline moved later waits longer, moved earlier fires earlier, and each fires once")
    func deadline() throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(.plain, on: loop)
            let later = loop.now + .milliseconds(40)
            client.stream.deadline = loop.now + .milliseconds(5)
            client.stream.deadline = later
            server.stream.deadline = loop.now + .seconds(3600)
            server.stream.deadline = loop.now + .milliseconds(5)
            try await server.until { !server.deadlines.isEmpty }
            try await client.until { !client.deadlines.isEmpty }
            let first = (client.deadlines.first ?? later) >= later
            client.stream.deadline = loop.now + .milliseconds(1)
            try await client.until { client.deadlines.count == 2 }
            client.stream.deadline = loop.now + .milliseconds(1)
            client.stream.deadline = .distantFuture
            // Its timer still fires, and finds that nothing is due.
            while loop.timerCount > 0 { await loop.nextTurn() }
            let outcome = (first, client.deadlines.count, server.deadlines.count)
            client.stream.close()
            server.stream.close()
            client.stream.deadline = loop.now + .milliseconds(1)
            await loop.nextTurn()
            return (outcome.0, outcome.1, outcome.2, loop.timerCount)
        }
        #expect(outcome.0)
        #expect(outcome.1 == 2)
        #expect(outcome.2 == 1)
        #expect(outcome.3 == 0)
    }

    @Test("a closed stream answers nothing, takes nothing and tells nobody", arguments: Wire.allCases)
    func afterClose(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop)
            client.stream.close()
            client.stream.close()
            client.stream.abort()
            client.stream.finish()
            client.stream.write { $0.append(Net.pattern(10)) }
            client.stream.resumeInput()
            client.stream.flush()
            var isLocal = false
            if case .failed(.local) = client.stream.receive() { isLocal = true }
            let stranger = End(client.stream)
            let adopted = client.stream.adopt(stranger)
            try await server.until { server.sawEnd || !server.closed.isEmpty }
            server.stream.close()
            return (isLocal, adopted, client.closed, stranger.closed.count, client.stream.isSecure)
        }
        #expect(outcome.0)
        #expect(!outcome.1)
        #expect(outcome.2 == [.local])
        #expect(outcome.3 == 0)
        #expect(outcome.4 == (wire == .tls))
    }

    @Test("a connection that is quiet is told from one with bytes or an end", arguments: Wire.allCases)
    func quiet(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            var answers: [Bool] = []
            for disturb in [{ (_: End) in }, { $0.stream.write { $0.append([1]) } }, { $0.stream.finish() }] {
                let (client, server) = try await Net.streams(wire, on: loop)
                client.reads = false
                disturb(server)
                server.stream.flush()
                for _ in 0..<5 { await loop.nextTurn() }
                answers.append(client.stream.isQuiet)
                client.stream.close()
                server.stream.close()
            }
            return answers
        }
        #expect(outcome == [true, false, false])
    }

    @Test("to ask whether it is quiet leaves the loop's receive buffer to whoever uses it", arguments: Wire.allCases)
    func quietElsewhere(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop)
            client.reads = false
            server.stream.write { $0.append(Net.pattern(4096)) }
            server.stream.flush()
            for _ in 0..<5 { await loop.nextTurn() }
            let filling = loop.receiveGeneration
            unsafe loop.receiveBuffer.copyBytes(from: [UInt8](repeating: 0xA5, count: 8192))
            let isQuiet = client.stream.isQuiet
            let isKept = unsafe loop.receiveBuffer[..<8192].allSatisfy { $0 == 0xA5 }
            client.stream.close()
            server.stream.close()
            return (isQuiet, isKept, loop.receiveGeneration == filling)
        }
        #expect(!outcome.0)
        #expect(outcome.1)
        #expect(outcome.2)
    }

    @Test("connecting to a port where nobody listens ends with that reason")
    func refused() throws {
        let closed = try LoopThread.with { loop in
            let listener = try Socket.listen(on: .loopback(port: 0), backlog: 1)
            let address = try #require(Socket.localAddress(of: listener))
            close(listener)
            let descriptor = try Socket.connect(to: address)
            let end = End(ByteStream(descriptor: descriptor, peer: address, loop: loop, connecting: true))
            try end.stream.start(end)
            try await end.until { !end.closed.isEmpty }
            return (end.closed, end.isOpened)
        }
        #expect(closed.0 == [.failed(SystemError("connect", code: ECONNREFUSED))])
        #expect(!closed.1)
    }

    @Test(
        "a peer that speaks no TLS, or hangs up in the handshake, ends the stream before it opened",
        arguments: ["HTTP/1.1 400 Bad Request\r\n\r\n", ""])
    func noHandshake(_ answer: String) throws {
        let outcome = try LoopThread.with { loop in
            let (clientSocket, serverSocket) = try Net.pair()
            let session = try Net.contexts().0.session(on: clientSocket, host: "site.example")
            let end = End(
                ByteStream(
                    descriptor: clientSocket, peer: .loopback(port: 0), loop: loop, cipher: session, connecting: true))
            try end.stream.start(end)
            for _ in 0..<3 { await loop.nextTurn() }
            let bytes = Array(answer.utf8)
            _ = unsafe send(serverSocket, bytes, bytes.count, 0)
            if answer.isEmpty { close(serverSocket) }
            try await end.until { !end.closed.isEmpty }
            if !answer.isEmpty { close(serverSocket) }
            return (end.isOpened, end.closed)
        }
        #expect(!outcome.0)
        guard case .cipher? = outcome.1.first else {
            Issue.record("ended with \(outcome.1)")
            return
        }
    }

    @Test("TLS that ends without its notice is no orderly end")
    func truncated() throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(.tls, on: loop)
            server.stream.write { $0.append(Net.pattern(10)) }
            server.stream.flush()
            try await client.until { client.received.count == 10 }
            Socket.finishSending(server.stream.descriptor.number)
            try await client.until { !client.closed.isEmpty || client.sawEnd }
            server.stream.close()
            return (client.sawEnd, client.closed)
        }
        #expect(!outcome.0)
        #expect(outcome.1.count == 1)
    }

    @Test(
        "a TLS peer is told the end, unless it has ended stream and connection and was sent nothing since",
        arguments: [(false, false, true), (true, true, true), (true, false, false)])
    func closeNotify(_ hasLeft: Bool, _ wasAnswered: Bool, _ isTold: Bool) throws {
        let wasTold = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(.tls, on: loop)
            #expect(client.stream.cipher?.shutdown() == .sent)
            if hasLeft { Socket.finishSending(client.stream.descriptor.number) }
            try await server.until { server.sawEnd && (!hasLeft || server.peerFinished == 1) }
            if wasAnswered { server.stream.write { $0.append(Net.pattern(10)) } }
            server.stream.finish()
            try await client.until { client.sawEnd || !client.closed.isEmpty }
            client.stream.close()
            return client.sawEnd
        }
        #expect(wasTold == isTold)
    }

    @Test("a peer that takes a little is noticed, though the kernel has no room for more")
    func taken() throws {
        let outcome = try LoopThread.with { loop in
            let (end, socket) = try Net.streamAndSocket(on: loop)
            end.stream.write { $0.append(Net.pattern(16 << 20)) }
            // Until the kernel is full on both sides.
            var (before, looks) = (end.stream.taken, 0)
            while looks < 50 {
                try await loop.sleep(.milliseconds(1))
                looks = end.stream.taken == before ? looks + 1 : 0
                before = end.stream.taken
            }
            let sent = end.stream.sent
            // The peer's kernel opens its window when a sixteenth of its buffer is free.
            var piece = [UInt8](repeating: 0, count: 64 << 10)
            for _ in 0..<200 where end.stream.taken <= before {
                _ = unsafe recv(socket, &piece, piece.count, Int32(MSG_DONTWAIT))
                try await loop.sleep(.milliseconds(1))
            }
            let outcome = (end.stream.taken > before, end.stream.isOwed, end.stream.sent == sent)
            end.stream.close()
            close(socket)
            return outcome
        }
        #expect(outcome == (true, true, true))
    }

    @Test("when the loop stops, its streams are closed and everything is let go", arguments: Wire.allCases)
    func loopStops(_ wire: Wire) throws {
        final class Token: Sendable {
            let gone: Signal
            init(_ gone: Signal) { self.gone = gone }
            deinit { gone.raise() }
        }
        let gone = Signal()
        do {
            // Held by the loop, which a stream holds, whose handler holds the stream.
            let token = Token(gone)
            let thread = try LoopThread { _ in withExtendedLifetime(token) {} }
            try thread.run { loop in
                let (client, _) = try await Net.streams(wire, on: loop)
                client.stream.deadline = loop.now + .seconds(3600)
            }
            try thread.stop()
        }
        #expect(gone.wait(atMost: .seconds(50)))
    }

    @Test("streams and their handlers are let go once closed", arguments: Wire.allCases)
    func lifetime(_ wire: Wire) throws {
        let seen = try LoopThread.with { loop in
            weak var stream: ByteStream?
            weak var handler: End?
            do {
                let (client, server) = try await Net.streams(wire, on: loop)
                stream = client.stream
                handler = client
                client.stream.deadline = loop.now + .seconds(3600)
                client.stream.write { $0.append(Net.pattern(10)) }
                client.stream.close()
                server.stream.close()
            }
            for _ in 0..<3 { await loop.nextTurn() }
            return (stream == nil, handler == nil, loop.timerCount)
        }
        #expect(seen.0)
        #expect(seen.1)
        #expect(seen.2 == 0)
    }
}
