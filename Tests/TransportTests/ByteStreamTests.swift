import GatewayBytes
import GatewayTestSupport
import Glibc
import Testing

@testable import GatewayRuntime
@testable import GatewayTransport

@Suite("Byte streams", .serialized)
struct ByteStreamTests {
    @Test("5 MiB come back whole through sockets that hold little", arguments: Wire.allCases)
    func echo(_ wire: Wire) throws {
        let size = 5 << 20
        let (same, unsent) = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop, buffer: 4096)
            var mostUnsent = 0
            server.onReceived = { end in
                let bytes = end.received
                end.received = []
                end.stream.write { $0.append(bytes) }
                mostUnsent = max(mostUnsent, end.stream.unsent)
                if end.stream.unsent > 0 { end.stream.pauseInput() }
            }
            let resume = loop.launch {
                while server.closed.isEmpty {
                    let before = server.drained
                    guard (try? await server.until({ server.drained > before || !server.closed.isEmpty })) != nil else {
                        return
                    }
                    server.stream.resumeInput()
                }
            }
            let pattern = Net.pattern(size)
            var offset = 0
            while offset < size {
                let piece = Array(pattern[offset..<min(offset + 50_000, size)])
                client.stream.write { $0.append(piece) }
                offset += piece.count
                client.stream.flush()
                try await client.until { client.stream.unsent == 0 }
            }
            try await client.until { client.received.count >= size }
            let same = client.received == pattern
            client.stream.close()
            server.stream.close()
            await resume.value
            return (same, mostUnsent)
        }
        #expect(same)
        // Bounded by one reading of the loop's buffer, not by what is sent.
        #expect(unsent <= 256 << 10)
    }

    @Test("unsent output piles up, drains, and its owner is told once", arguments: Wire.allCases)
    func backPressure(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop, buffer: 4096)
            server.reads = false
            let pattern = Net.pattern(1 << 20)
            for start in stride(from: 0, to: pattern.count, by: 16 << 10) {
                client.stream.write { $0.append(pattern[start..<start + 16 << 10]) }
            }
            client.stream.flush()
            for _ in 0..<10 { await loop.nextTurn() }
            let piledUp = client.stream.unsent
            let toldEarly = client.drained
            server.reads = true
            server.stream.resumeInput()
            try await client.until { client.drained > 0 }
            try await server.until { server.received.count >= pattern.count }
            for _ in 0..<5 { await loop.nextTurn() }
            let outcome = (piledUp, toldEarly, client.drained, client.stream.unsent, server.received == pattern)
            client.stream.close()
            server.stream.close()
            return outcome
        }
        #expect(outcome.0 > 512 << 10)
        #expect(outcome.1 == 0)
        #expect(outcome.2 == 1)
        #expect(outcome.3 == 0)
        #expect(outcome.4)
    }

    @Test("a paused stream is not told of input, and of all of it once it resumes", arguments: Wire.allCases)
    func pause(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop)
            server.stream.pauseInput()
            client.stream.write { $0.append(Net.pattern(40_000)) }
            client.stream.flush()
            for _ in 0..<20 { await loop.nextTurn() }
            let early = server.received.count
            server.stream.resumeInput()
            try await server.until { server.received.count == 40_000 }
            let outcome = (early, server.received == Net.pattern(40_000))
            client.stream.close()
            server.stream.close()
            return outcome
        }
        #expect(outcome.0 == 0)
        #expect(outcome.1)
    }

    @Test("a handler that reads only a little at a time is told again and again", arguments: Wire.allCases)
    func partialReads(_ wire: Wire) throws {
        let whole = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop)
            // After each reading, pause and resume: what the cipher holds must not be forgotten.
            server.onReceived = { end in
                end.stream.pauseInput()
                end.stream.resumeInput()
            }
            client.stream.write { $0.append(Net.pattern(1 << 20)) }
            client.stream.flush()
            try await server.until { server.received.count >= 1 << 20 }
            let whole = server.received == Net.pattern(1 << 20)
            client.stream.close()
            server.stream.close()
            return whole
        }
        #expect(whole)
    }

    @Test("half-close: what is unsent goes first, and what the peer still says is read, however late")
    func halfClose() throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(.plain, on: loop, buffer: 4096)
            server.stream.pauseInput()
            client.stream.pauseInput()
            client.reads = false
            client.stream.write { $0.append(Net.pattern(1 << 20)) }
            client.stream.finishSending()
            let hadUnsent = client.stream.unsent > 0
            server.stream.resumeInput()
            try await server.until { server.sawEnd }
            // Both sides have finished sending now: the kernel calls the client's socket hung up.
            server.stream.write { $0.append(Net.pattern(2000)) }
            server.stream.finish()
            try await client.until { client.peerFinished > 0 }
            for _ in 0..<20 { await loop.nextTurn() }
            let early = (client.closed, client.received.count)
            client.reads = true
            client.stream.resumeInput()
            try await client.until { !client.closed.isEmpty }
            let isWhole = server.received == Net.pattern(1 << 20) && client.received == Net.pattern(2000)
            return (hadUnsent, early.0, early.1, isWhole, client.sawEnd, client.closed)
        }
        #expect(outcome.0)
        #expect(outcome.1 == [] && outcome.2 == 0)
        #expect(outcome.3 && outcome.4)
        #expect(outcome.5 == [.peer])
    }

    @Test("finish delivers everything, then the peer reads the end", arguments: Wire.allCases)
    func finish(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop, buffer: 4096)
            client.stream.write { $0.append(Net.pattern(3 << 20)) }
            client.stream.finish()
            client.stream.write { $0.append(Net.pattern(10)) }  // too late, dropped
            try await server.until { server.sawEnd }
            try await server.until { server.peerFinished > 0 }
            let whole = server.received == Net.pattern(3 << 20)
            let stillThere = client.closed.isEmpty
            server.stream.finish()
            try await client.until { !client.closed.isEmpty }
            try await server.until { !server.closed.isEmpty }
            return (whole, stillThere, client.closed, server.closed, server.peerFinished)
        }
        #expect(outcome.0)
        #expect(outcome.1)
        #expect(outcome.2 == [.local])
        #expect(outcome.3 == [.local])
        #expect(outcome.4 == 1)
    }

    @Test("after the peer's end this side still sends", arguments: Wire.allCases)
    func halfClose(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop)
            client.stream.write { $0.append(Net.pattern(100)) }
            client.stream.finish()
            try await server.until { server.sawEnd }
            let isOpen = server.stream.isOpen
            // It goes unread, but it does go.
            server.stream.write { $0.append(Net.pattern(100_000)) }
            server.stream.flush()
            for _ in 0..<5 { await loop.nextTurn() }
            let (sent, failures) = (server.stream.sent, server.closed)
            server.stream.finish()
            try await client.until { !client.closed.isEmpty }
            return (isOpen, sent, failures, client.closed)
        }
        #expect(outcome.0)
        #expect(outcome.1 == 100_000)
        #expect(outcome.2.isEmpty)
        #expect(outcome.3 == [.local])
    }

    @Test("what a half-closed peer is sent arrives")
    func halfClosedSocket() throws {
        let outcome = try LoopThread.with { loop in
            let (end, socket) = try Net.streamAndSocket(on: loop)
            shutdown(socket, Int32(SHUT_WR))
            try await end.until { end.sawEnd && end.peerFinished == 1 }
            end.stream.write { $0.append(Net.pattern(300_000)) }
            end.stream.finish()
            let reading = Net.readAll(socket)
            try await end.until { !end.closed.isEmpty }
            let read = try await loop.offload("test") { try reading.value() }
            close(socket)
            return read == Net.pattern(300_000)
        }
        #expect(outcome)
    }

    @Test("input that is not read does not destroy the answer")
    func linger() throws {
        let answer = try LoopThread.with { loop in
            let (end, socket) = try Net.streamAndSocket(on: loop)
            end.reads = false
            let request = Net.pattern(100_000)
            _ = unsafe send(socket, request, request.count, 0)
            await loop.nextTurn()
            end.stream.write { $0.append(Net.pattern(50_000)) }
            end.stream.finish()
            let reading = Net.readAll(socket)
            let read = try await loop.offload("test") { try reading.value() }
            shutdown(socket, Int32(SHUT_WR))
            try await end.until { !end.closed.isEmpty }
            close(socket)
            return read
        }
        #expect(answer == Net.pattern(50_000))
    }

    @Test("a peer that goes on sending after the end is cut off")
    func lingerLimit() throws {
        let closed = try LoopThread.with { loop in
            let (end, socket) = try Net.streamAndSocket(on: loop)
            end.stream.finish()
            let sending = Outcome<Int>()
            Threads.start("sender") {
                let bytes = [UInt8](repeating: 1, count: 65536)
                var sent = 0
                while sent < 256 << 20 {
                    let count = unsafe send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
                    if count < 0 { break }
                    sent += count
                }
                sending.set(.success(sent))
            }
            try await end.until { !end.closed.isEmpty }
            let sent = try await loop.offload("test") { try sending.value() }
            close(socket)
            return (end.closed, sent)
        }
        #expect(closed.0 == [.local])
        #expect(closed.1 < 256 << 20)
    }

    @Test("a peer that never reads cannot keep a finished stream", arguments: Wire.allCases)
    func finishPatience(_ wire: Wire) throws {
        let closed = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop, buffer: 4096)
            server.reads = false
            client.stream.write { $0.append(Net.pattern(4 << 20)) }
            client.stream.finish(patience: .milliseconds(10))
            try await client.until { !client.closed.isEmpty }
            server.stream.close()
            return client.closed
        }
        #expect(closed == [.local])
    }

    @Test("abort resets: the peer learns that what it got is not whole", arguments: Wire.allCases)
    func abort(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop)
            client.stream.write { $0.append(Net.pattern(100)) }
            client.stream.flush()
            try await server.until { server.received.count == 100 }
            client.stream.abort()
            try await server.until { !server.closed.isEmpty }
            return (client.closed, server.closed, server.sawEnd)
        }
        #expect(outcome.0 == [.local])
        #expect(outcome.1.count == 1)
        #expect(outcome.1 != [.local] || !outcome.2)
        #expect(!outcome.2)
    }

    @Test("a peer that goes while output waits ends the stream, and whoever waits for it", arguments: Wire.allCases)
    func goneWhileUnsent(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop, buffer: 4096)
            server.reads = false
            client.stream.write { $0.append(Net.pattern(1 << 20)) }
            client.stream.flush()
            var thrown: RelayError?
            let done = LoopWait()
            loop.launch {
                do throws(RelayError) {
                    try await client.stream.drainCompletely(patience: .seconds(50))
                } catch {
                    thrown = error
                }
                done.wake()
            }
            await loop.nextTurn()
            server.stream.abort()
            _ = await done.run(on: loop)
            try await client.until { !client.closed.isEmpty }
            return (thrown, client.closed.count, client.stream.unsent)
        }
        #expect(outcome.0 == .sinkClosed)
        #expect(outcome.1 == 1)
        #expect(outcome.2 == 0)
    }

    @Test("a sink that takes nothing for too long is reset", arguments: Wire.allCases)
    func drainStalled(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(wire, on: loop, buffer: 4096)
            server.reads = false
            client.stream.write { $0.append(Net.pattern(1 << 20)) }
            var thrown: RelayError?
            do throws(RelayError) {
                try await client.stream.drainCompletely(patience: .milliseconds(5))
            } catch {
                thrown = error
            }
            server.stream.close()
            return (thrown, client.closed)
        }
        #expect(outcome.0 == .sinkStalled)
        #expect(outcome.1 == [.local])
    }

    @Test("waiting for output to drain ends with the task that waits")
    func drainCancelled() throws {
        let outcome = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(.plain, on: loop, buffer: 4096)
            server.reads = false
            client.stream.write { $0.append(Net.pattern(1 << 20)) }
            var thrown: RelayError?
            let done = LoopWait()
            let task = loop.launch {
                do throws(RelayError) {
                    try await client.stream.drainCompletely(patience: .seconds(50))
                } catch {
                    thrown = error
                }
                done.wake()
            }
            await loop.nextTurn()
            task.cancel()
            _ = await done.run(on: loop)
            let isOpen = client.stream.isOpen
            client.stream.close()
            server.stream.close()
            return (thrown, isOpen)
        }
        #expect(outcome.0 == .cancelled)
        #expect(outcome.1)
    }

    @Test("what had arrived before the peer reset is read before the stream ends")
    func resetAfterAnswer() throws {
        let outcome = try LoopThread.with { loop in
            let (end, socket) = try Net.streamAndSocket(on: loop)
            // The answer and the reset are both there before the loop looks.
            let answer = Net.pattern(300_000)
            _ = unsafe send(socket, answer, answer.count, 0)
            Socket.resetOnClose(socket)
            close(socket)
            end.stream.write { $0.append(Net.pattern(10)) }
            end.stream.flush()
            try await end.until { !end.closed.isEmpty }
            return (end.received.count, end.received == Array(answer[..<end.received.count]), end.sawEnd, end.closed)
        }
        #expect(outcome.1)
        #expect(outcome.0 > 0)
        #expect(!outcome.2)
        #expect(outcome.3.count == 1)
    }

    @Test("a stream that nobody wants to read from, and whose peer is gone, ends and does not spin")
    func resetWhilePaused() throws {
        let closed = try LoopThread.with { loop in
            let (end, socket) = try Net.streamAndSocket(on: loop)
            end.stream.pauseInput()
            Socket.resetOnClose(socket)
            close(socket)
            try await end.until { !end.closed.isEmpty }
            return end.closed
        }
        #expect(closed == [.failed(SystemError("recv", code: ECONNRESET))])
    }
}
