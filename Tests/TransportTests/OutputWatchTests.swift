import GatewayBytes
import GatewayTestSupport
import Testing

@testable import GatewayRuntime
@testable import GatewayTransport

/// What an end says on its own, behind output that waits.
@Suite("Output of one's own", .serialized)
struct OutputWatchTests {
    private static let answer = [UInt8](repeating: 1, count: 300)

    @Test("what has left does not count, though something always waits")
    func taken() throws {
        let isOpen = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(.plain, on: loop, buffer: 16384)
            var own = OwnOutput()
            var written = 0
            var alwaysWaited = true
            for _ in 0..<20 {
                client.stream.write { $0.append(Net.pattern(300_000)) }
                client.stream.flush()
                own.write(to: client.stream, limit: 2000) { $0.append(Self.answer) }
                // All but the last large write.
                let before = written
                try await server.until { server.received.count >= before }
                alwaysWaited = alwaysWaited && client.stream.unsent > 0
                written += 300_300
            }
            defer {
                client.stream.close()
                server.stream.close()
            }
            return client.stream.isOpen && alwaysWaited
        }
        #expect(isOpen)
    }

    @Test("a peer that asks and never reads is reset once more has piled up than allowed")
    func piled() throws {
        let open = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(.plain, on: loop, buffer: 16384)
            server.stream.pauseInput()
            var own = OwnOutput()
            client.stream.write { $0.append(Net.pattern(300_000)) }
            client.stream.flush()
            var open: [Bool] = []
            for _ in 0..<4 {
                own.write(to: client.stream, limit: 1000) { $0.append(Self.answer) }
                open.append(client.stream.isOpen)
            }
            server.stream.close()
            return open
        }
        #expect(open == [true, true, true, false])
    }

    @Test("what others wrote in the same turn, and the kernel did not take, is not one's own")
    func others() throws {
        let isOpen = try LoopThread.with { loop in
            let (client, server) = try await Net.streams(.plain, on: loop, buffer: 16384)
            let (other, far) = try await Net.streams(.plain, on: loop)
            var own = OwnOutput()
            client.stream.write { $0.append(Net.pattern(60_000)) }
            other.stream.write { $0.append(Self.answer) }
            own.write(to: client.stream, limit: 1000) { $0.append(Self.answer) }
            let isOpen = client.stream.isOpen && client.stream.unsent > 1000
            for end in [client, server, other, far] { end.stream.close() }
            return isOpen
        }
        #expect(isOpen)
    }
}
