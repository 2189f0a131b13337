import GatewayHTTP
import GatewayLocks
import GatewayTestSupport
import GatewayTunnel
import PluginTesting
import Testing

@testable import GatewayAgent

@Suite("An agent forwards ports")
struct PortTests {
    @Test("bytes pass both ways at once, many times the window, and each direction ends by itself")
    func bothWays() throws {
        let up = pattern(2 << 20)
        let down = pattern(3 << 20, seed: 5)
        let received = Guarded<[UInt8]>([])
        let server = try Neighbour { talk in
            // All is read, and the end, before anything is said.
            let bytes = talk.readToEnd()
            received.withLock { $0 = bytes }
            try talk.write(down)
        }
        let rig = try Rig(["--forward", "\(server.port)"])
        try rig.connected()
        let consumer = try rig.far.open(.tcp(port: server.port), ends: false)
        try consumer.write(up, thenEnd: true)
        let seen = try whole(consumer)
        #expect(seen.reason == nil && seen.answer?.status.code == 200)
        #expect(seen.bytes == down && received.withLock { $0 } == up)
    }

    @Test("a server that has finished both ways is still read to its end by a slow consumer")
    func slowAfterEnd() throws {
        let down = pattern(2 << 20)
        let server = try Neighbour { talk in
            _ = talk.readToEnd()
            try talk.write(down)
        }
        let rig = try Rig(["--forward", "\(server.port)"])
        try rig.connected()
        let port = server.port
        let consumer = try rig.far.onLoop { far in
            let consumer = Consumer(far)
            consumer.consumes = false
            consumer.stream = far.session?.open(.tcp(port: port), ends: false, handler: consumer)
            consumer.stream?.end()
            return consumer
        }
        let window = TunnelTerms().streamWindow
        for part in 1...8 {
            try #require(eventually { consumer.now.bytes.count == part * window })
            try rig.far.onLoop { _ in consumer.stream?.consume(window) }
        }
        #expect(try whole(consumer).reason == nil)
        #expect(consumer.now.bytes == down)
    }

    @Test("the server ends first, and what was still sent to it costs none of its last words")
    func serverEndsFirst() throws {
        let server = try Neighbour { talk in
            _ = try talk.read(1)
            try talk.write("goodbye")
        }
        let rig = try Rig(["--forward", "\(server.port)"])
        try rig.connected()
        let consumer = try rig.far.open(.tcp(port: server.port), ends: false)
        try consumer.write([1])
        try #require(eventually { consumer.now.isInputEnded })
        for _ in 0..<3 { try consumer.write([2]) }
        try consumer.write([3], thenEnd: true)
        #expect(try whole(consumer).reason == nil)
        #expect(consumer.text == "goodbye")
    }

    @Test("a connection that is reset ends the stream as broken, and a reset stream the connection")
    func resets() throws {
        let (heard, gone) = (Guarded(false), Guarded(false))
        let server = try Neighbour { talk in
            if try talk.read(1) == [1] { return talk.reset() }
            heard.withLock { $0 = true }
            _ = talk.readToEnd()
            gone.withLock { $0 = true }
        }
        let rig = try Rig(["--forward", "\(server.port)"])
        try rig.connected()
        let broken = try rig.far.open(.tcp(port: server.port), ends: false)
        try broken.write([1])
        #expect(try whole(broken).reason == .broken)
        let left = try rig.far.open(.tcp(port: server.port), ends: false)
        try left.write([2])
        try #require(eventually { heard.withLock { $0 } })
        try left.reset()
        #expect(eventually { gone.withLock { $0 } })
    }

    @Test("a port that nobody listens on is unreachable, and one that was not given is refused")
    func unreachable() throws {
        let server = try Neighbour { _ in }
        let port = server.port
        _ = consume server
        let rig = try Rig(["--forward", "\(port)"])
        try rig.connected()
        #expect(try whole(try rig.far.open(.tcp(port: port))).reason == .unreachable)
        #expect(try whole(try rig.far.open(.tcp(port: port ^ 1))).reason == .refused)
    }
}
