import GatewayBytes
import GatewayTestSupport
import GatewayWebSocket
import Testing

@Suite("Heartbeat")
struct HeartbeatTests {
    private let policy = HeartbeatPolicy(interval: .seconds(30), patience: .seconds(5), allowedMisses: 3)
    private let second: UInt64 = 1_000_000_000

    @Test("a dead peer is known after 30 + 3 x 5 = 45 seconds")
    func dead() {
        var heart = Heartbeat(policy, startingAt: 0)
        #expect(heart.tick(at: 0, policy) == .wait(until: 30 * second))
        #expect(heart.tick(at: 30 * second - 1, policy) == .wait(until: 30 * second))
        #expect(heart.tick(at: 30 * second, policy) == .ping(until: 35 * second))
        #expect(heart.tick(at: 34 * second, policy) == .wait(until: 35 * second))
        #expect(heart.tick(at: 35 * second, policy) == .ping(until: 40 * second))
        #expect(heart.tick(at: 40 * second, policy) == .ping(until: 45 * second))
        #expect(heart.tick(at: 45 * second, policy) == .close(.goingAway))
    }

    @Test("any frame is a sign of life and forgives the misses")
    func heard() {
        var heart = Heartbeat(policy, startingAt: 0)
        _ = heart.tick(at: 30 * second, policy)
        _ = heart.tick(at: 35 * second, policy)
        _ = heart.tick(at: 40 * second, policy)
        heart.heard(at: 41 * second, policy)
        #expect(heart.tick(at: 45 * second, policy) == .wait(until: 71 * second))
        #expect(heart.tick(at: 71 * second, policy) == .ping(until: 76 * second))
        #expect(heart.tick(at: 76 * second, policy) == .ping(until: 81 * second))
        #expect(heart.tick(at: 81 * second, policy) == .ping(until: 86 * second))
        #expect(heart.tick(at: 86 * second, policy) == .close(.goingAway))
    }

    @Test("with one miss allowed the first closes")
    func oneMiss() {
        let strict = HeartbeatPolicy(interval: .milliseconds(10), patience: .milliseconds(1), allowedMisses: 1)
        var heart = Heartbeat(strict, startingAt: 0)
        #expect(heart.tick(at: 10_000_000, strict) == .ping(until: 11_000_000))
        #expect(heart.tick(at: 11_000_000, strict) == .close(.goingAway))
    }

    @Test("the answer to the last ping tells the round trip, once")
    func roundTrip() {
        var heart = Heartbeat(policy, startingAt: 0)
        #expect(roundTrip([0, 0, 0, 0], &heart, at: 1) == nil)
        _ = heart.tick(at: 30 * second, policy)
        let first = heart.payload
        _ = heart.tick(at: 35 * second, policy)
        let second = heart.payload
        #expect(first != second)
        #expect(roundTrip(first, &heart, at: 36 * self.second) == nil)
        #expect(roundTrip([], &heart, at: 36 * self.second) == nil)
        #expect(roundTrip(second + [0], &heart, at: 36 * self.second) == nil)
        // Another frame in between does not spoil the measurement.
        heart.heard(at: 36 * self.second, policy)
        #expect(roundTrip(second, &heart, at: 35 * self.second + 1234) == 1234)
        #expect(roundTrip(second, &heart, at: 36 * self.second) == nil)
    }

    @Test("durations keep their nanoseconds")
    func durations() {
        let policy = HeartbeatPolicy(interval: .microseconds(1500), patience: .nanoseconds(7), allowedMisses: 255)
        #expect(policy.interval == 1_500_000 && policy.patience == 7 && policy.allowedMisses == 255)
    }

    private func roundTrip(_ payload: [UInt8], _ heart: inout Heartbeat, at now: UInt64) -> UInt64? {
        var copy = heart
        let result = unsafe payload.withUnsafeBytes { unsafe copy.roundTrip($0, at: now) }
        heart = copy
        return result
    }
}

@Suite("Closing handshake (RFC 6455 §7.1)")
struct CloseHandshakeTests {
    @Test("the server closes TCP when both have said goodbye, the client waits")
    func peerCloses() {
        var state = CloseHandshake.open
        #expect(state.mayRead && state.mayWrite && state.transport(.server) == .keep)
        #expect(state.receive() == true)
        #expect(!state.mayRead && state.transport(.server) == .keep)
        #expect(state.send() == true)
        #expect(state.isComplete && !state.mayWrite)
        #expect(state.transport(.server) == .close && state.transport(.client) == .awaitPeer)
    }

    @Test("who closes first reads on until the answer, and needs no answer of its own")
    func thisEndCloses() {
        var state = CloseHandshake.open
        #expect(state.send() == true)
        #expect(state == .sent && state.mayRead && !state.mayWrite)
        #expect(state.send() == false)
        #expect(state.receive() == false)
        #expect(state.isComplete)
    }

    @Test("nothing is sent or answered twice")
    func twice() {
        var state = CloseHandshake.both
        #expect(state.send() == false)
        #expect(state.receive() == false)
        #expect(state == .both)
        state = .received
        #expect(state.receive() == false)
        #expect(state == .received)
    }
}

@Suite("Frames on their way out")
struct FrameWriterTests {
    @Test(
        "a frame is read back as it was written, bare and masked", arguments: [0, 1, 125, 126, 65_535, 65_536, 200_000])
    func roundTrip(_ size: Int) {
        let payload = noise(size)
        var bare = OutputBuffer()
        FrameWriter.append(.binary, payload, to: &bare)
        #expect(Peer(role: .client).receive(bare.array) == [.message(.binary, payload)])
        #expect(bare.array == Frame(2, payload, mask: nil).bytes)
        var masked = OutputBuffer()
        FrameWriter.append(.binary, payload, mask: 0x3D21_FA37, to: &masked)
        #expect(masked.array == Frame(2, payload).bytes)
    }

    @Test("fragments and control frames can be written by hand")
    func fragments() {
        var output = OutputBuffer()
        FrameWriter.append(.text, Array("a".utf8), isFinal: false, to: &output)
        FrameWriter.append(.ping, [1, 2], to: &output)
        FrameWriter.append(.continuation, Array("b".utf8), isFinal: false, to: &output)
        FrameWriter.append(.pong, [], to: &output)
        FrameWriter.append(.continuation, [], to: &output)
        FrameWriter.appendClose(.tokenExpired, reason: "token expired", to: &output)
        #expect(
            Peer(role: .client).receive(output.array) == [
                .ping([1, 2]), .pong([]), .message(.text, Array("ab".utf8)),
                .close(.tokenExpired, Array("token expired".utf8)),
            ])
    }

    @Test("a close frame may be empty, and a long reason is cut between characters")
    func close() {
        var output = OutputBuffer()
        FrameWriter.appendClose(nil, reason: "ignored", to: &output)
        #expect(output.array == [0x88, 0x00])
        for reason in [
            String(repeating: "x", count: 200), String(repeating: "é", count: 100), String(repeating: "😀", count: 50),
        ] {
            var output = OutputBuffer()
            FrameWriter.appendClose(.goingAway, reason: reason, to: &output)
            guard case .close(.goingAway, let cut)? = Peer(role: .client).receive(output.array).first else {
                Issue.record("not a close frame")
                continue
            }
            #expect((120...123).contains(cut.count))
            #expect(reason.utf8.starts(with: cut))
        }
    }

    @Test("every close code this project sends may be sent")
    func codes() {
        let codes: [CloseCode] = [
            .normal, .goingAway, .protocolError, .unsupportedData, .invalidPayload, .policyViolation, .messageTooBig,
            .internalError, .serviceRestart, .tryAgainLater, .badGateway, .tokenExpired,
        ]
        #expect(codes.allSatisfy { $0.isAllowedOnWire } == true)
        #expect(codes.map(\.rawValue) == [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014, 4401])
    }
}
