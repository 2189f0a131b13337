import GatewayBytes
import GatewayTestSupport
import Testing

@testable import GatewayRuntime
@testable import GatewayTransport

/// Streams whose output waits in the loop's buffer together. What stands between two `await` is one turn.
@Suite("Output that waits for the end of a turn", .serialized)
struct CorkTests {
    /// Open pairs of streams on `loop`.
    private static func pairs(_ count: Int, _ wire: Wire, on loop: EventLoop) async throws -> [(End, End)] {
        var pairs: [(End, End)] = []
        for _ in 0..<count { pairs.append(try await Net.streams(wire, on: loop)) }
        return pairs
    }

    private static func close(_ pairs: [(End, End)]) {
        for (client, server) in pairs {
            client.stream.close()
            server.stream.close()
        }
    }

    @Test("ten streams write by turns, and each peer gets its own, whole and in order", arguments: Wire.allCases)
    func byTurns(_ wire: Wire) throws {
        var limits = RuntimeLimits()
        limits.corkedOutputs = 4
        let whole = try LoopThread.with(limits: limits) { loop in
            let pairs = try await Self.pairs(10, wire, on: loop)
            for part in 0..<3 {
                for (place, pair) in pairs.enumerated() {
                    pair.0.stream.write { $0.append(Net.pattern(1000, from: place * 50_000 + part * 1000)) }
                }
            }
            var whole = 0
            for (place, pair) in pairs.enumerated() {
                try await pair.1.until { pair.1.received.count >= 3000 }
                if pair.1.received == Net.pattern(3000, from: place * 50_000) { whole += 1 }
            }
            Self.close(pairs)
            return whole
        }
        #expect(whole == 10)
    }

    @Test("the kernel gets it when the turn ends, when too many wait, or when too much does")
    func moments() throws {
        var limits = RuntimeLimits()
        limits.corkedOutputs = 2
        let sent = try LoopThread.with(limits: limits) { loop in
            let pairs = try await Self.pairs(3, .plain, on: loop)
            let streams = pairs.map { $0.0.stream }
            func sent() -> [UInt64] { streams.map(\.sent) }
            var seen: [[UInt64]] = []
            for stream in streams {
                stream.write { $0.append(Net.pattern(10)) }
                seen.append(sent())
            }
            // The first may come in this very turn.
            for _ in 0..<2 { await loop.nextTurn() }
            seen.append(sent())
            streams[0].write { $0.append(Net.pattern(10)) }
            streams[1].write { $0.append(Net.pattern(65_536)) }
            seen.append(sent())
            Self.close(pairs)
            return seen
        }
        #expect(sent == [[0, 0, 0], [0, 0, 0], [10, 10, 0], [10, 10, 10], [20, 65_546, 10]])
    }

    @Test("a stream that flushes in the midst of others sends what is its own", arguments: [0, 1, 2])
    func flush(_ place: Int) throws {
        let outcome = try LoopThread.with { loop in
            let pairs = try await Self.pairs(3, .plain, on: loop)
            for (client, _) in pairs { client.stream.write { $0.append(Net.pattern(100)) } }
            pairs[place].0.stream.flush()
            let sent = pairs[place].0.stream.sent
            for (client, _) in pairs { client.stream.write { $0.append(Net.pattern(100, from: 100)) } }
            for (_, server) in pairs { try await server.until { server.received.count >= 200 } }
            let whole = pairs.allSatisfy { $0.1.received == Net.pattern(200) }
            Self.close(pairs)
            return (sent, whole)
        }
        #expect(outcome.0 == 100)
        #expect(outcome.1)
    }

    @Test("what a closed stream had written is dropped, and nobody else's", arguments: [0, 1, 2])
    func closing(_ place: Int) throws {
        let received = try LoopThread.with { loop in
            let pairs = try await Self.pairs(3, .plain, on: loop)
            for (number, pair) in pairs.enumerated() {
                pair.0.stream.write { $0.append([UInt8](repeating: UInt8(number), count: 100)) }
            }
            pairs[place].0.stream.close()
            let next = (place + 1) % 3
            pairs[next].0.stream.write { $0.append([9]) }
            for (number, pair) in pairs.enumerated() {
                if number == place {
                    try await pair.1.until { pair.1.sawEnd }
                } else {
                    try await pair.1.until { pair.1.received.count >= (number == next ? 101 : 100) }
                }
            }
            let received = pairs.map { $0.1.received }
            Self.close(pairs)
            return received
        }
        for number in 0..<3 {
            let own = [UInt8](repeating: UInt8(number), count: 100)
            #expect(received[number] == (number == place ? [] : number == (place + 1) % 3 ? own + [9] : own))
        }
    }

    @Test("what the kernel does not take of one keeps nobody else's back")
    func unsent() throws {
        let outcome = try LoopThread.with { loop in
            let (slow, deaf) = try await Net.streams(.plain, on: loop, buffer: 4096)
            let (quick, reader) = try await Net.streams(.plain, on: loop)
            deaf.reads = false
            slow.stream.write { $0.append(Net.pattern(60_000)) }
            quick.stream.write { $0.append(Net.pattern(100)) }
            try await reader.until { reader.received.count >= 100 }
            let waiting = slow.stream.unsent
            deaf.reads = true
            deaf.stream.resumeInput()
            try await deaf.until { deaf.received.count >= 60_000 }
            let outcome = (waiting, deaf.received == Net.pattern(60_000))
            Self.close([(slow, deaf), (quick, reader)])
            return outcome
        }
        #expect(outcome.0 > 0)
        #expect(outcome.1)
    }

    @Test("what is written by turns stays in order when the kernel takes a part of it", arguments: Wire.allCases)
    func byTurnsUnsent(_ wire: Wire) throws {
        let outcome = try LoopThread.with { loop in
            let (slow, deaf) = try await Net.streams(wire, on: loop, buffer: 4096)
            let (quick, reader) = try await Net.streams(wire, on: loop)
            deaf.reads = false
            for part in 0..<3 {
                let (count, start) = part == 0 ? (60_000, 0) : (100, 59_900 + part * 100)
                slow.stream.write { $0.append(Net.pattern(count, from: start)) }
                quick.stream.write { $0.append(Net.pattern(100, from: part * 100)) }
            }
            try await reader.until { reader.received.count >= 300 }
            let waiting = slow.stream.unsent
            deaf.reads = true
            deaf.stream.resumeInput()
            try await deaf.until { deaf.received.count >= 60_200 || !deaf.closed.isEmpty }
            let outcome = (waiting, deaf.received == Net.pattern(60_200), reader.received == Net.pattern(300))
            Self.close([(slow, deaf), (quick, reader)])
            return outcome
        }
        #expect(outcome.0 > 0)
        #expect(outcome.1)
        #expect(outcome.2)
    }
}
