import GatewayHTTP
import GatewayLocks
import GatewayRuntime
import GatewayTestSupport
import GatewayTunnel
import PluginTesting
import Testing

@testable import GatewayAgent

@Suite("An agent's session with the gateway")
struct SessionLifeTests {
    /// Answers in pieces, as many as `go` allows.
    private static func slowModel(_ go: Guarded<Int>, pieces: Int) throws -> Neighbour {
        try Neighbour { talk in
            _ = try talk.readHead()
            try talk.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in 0..<pieces {
                guard eventually({ go.withLock { $0 } > piece }) else { return }
                try talk.write("2\r\n\(piece % 10)\n\r\n")
            }
            try talk.write("0\r\n\r\n")
        }
    }

    /// Never answers; sets `gone` once the agent has let go of the request.
    private static func silentModel(_ gone: Guarded<Bool> = Guarded(false)) throws -> Neighbour {
        try Neighbour { talk in
            _ = try talk.readHead()
            _ = talk.readToEnd()
            gone.withLock { $0 = true }
        }
    }

    @Test("streams go on over the next carrier after one was cut, and no request is made twice")
    func resume() throws {
        let go = Guarded(1)
        let model = try Self.slowModel(go, pieces: 6)
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        let consumer = try rig.far.ask("POST", "/api/chat")
        for piece in 1...5 {
            try #require(eventually { consumer.text.utf8.count == 2 * piece })
            try rig.far.onLoop { $0.carrier?.close(1012) }
            try rig.connected(piece + 1)
            go.withLock { $0 += 1 }
        }
        #expect(try whole(consumer).reason == nil)
        #expect(consumer.text == "0\n1\n2\n3\n4\n5\n" && model.requests.count == 1)
        let hellos = rig.far.state.withLock { $0.hellos }
        #expect(hellos.dropFirst().allSatisfy { $0.resumption?.session == "session-1" })
    }

    @Test("large transfers both ways survive cuts to the byte")
    func cuts() throws {
        let up = pattern(3 << 20)
        let server = try Neighbour { talk in try talk.write(talk.readToEnd()) }
        let rig = try Rig(["--forward", "\(server.port)"])
        try rig.connected()
        let consumer = try rig.far.open(.tcp(port: server.port), ends: false)
        for part in 0..<6 {
            try consumer.write(Array(up[(part * up.count / 6)..<((part + 1) * up.count / 6)]), thenEnd: part == 5)
            try rig.far.onLoop { $0.carrier?.close(1012) }
            try rig.connected(part + 2)
        }
        #expect(try whole(consumer).reason == nil)
        #expect(consumer.now.bytes == up)
    }

    @Test("a gateway that has lost the session begins another, and the old streams' work stops")
    func restarted() throws {
        let gone = Guarded(false)
        let model = try Self.silentModel(gone)
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        _ = try rig.far.ask("POST", "/api/chat")
        try #require(eventually { !model.requests.isEmpty })
        try rig.far.onLoop { far in
            far.greet = { far, carrier, _ in far.welcome(carrier) }
            far.carrier?.close(1012)
        }
        try rig.connected(2)
        #expect(eventually { gone.withLock { $0 } })
        #expect(try whole(try rig.far.ask("GET", "/nothing")).reason == .refused, "the new session works")
    }

    @Test("a session is given up when no carrier comes within its grace")
    func graceOver() throws {
        let gone = Guarded(false)
        let model = try Self.silentModel(gone)
        let rig = try Rig(["--local", model.url])
        rig.far.state.withLock { _ in }
        try #require(eventually { rig.far.state.withLock { !$0.hellos.isEmpty } })
        try rig.far.onLoop { far in
            far.greet = { far, carrier, _ in
                var terms = TunnelTerms()
                terms.resumeGrace = 0
                far.welcome(carrier, terms)
            }
            far.carrier?.close(1012)
        }
        try rig.connected(2)
        _ = try rig.far.ask("POST", "/api/chat")
        try #require(eventually { !model.requests.isEmpty })
        try rig.far.onLoop { far in
            // Nobody greets any more.
            far.greet = { _, carrier, _ in carrier.close(1013) }
            far.carrier?.close(1012)
        }
        #expect(eventually { gone.withLock { $0 } })
    }

    @Test("told that the gateway will end, it opens the next carrier first and finishes what is under way")
    func drain() throws {
        let go = Guarded(1)
        let model = try Self.slowModel(go, pieces: 3)
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        let consumer = try rig.far.ask("POST", "/api/chat")
        try #require(eventually { consumer.text == "0\n" })
        let old = try rig.far.onLoop { far -> ObjectIdentifier? in
            far.session?.tell(.drain)
            return far.session.map { ObjectIdentifier($0) }
        }
        try rig.connected(2)
        #expect(rig.far.state.withLock { $0.hellos[1].resumption == nil }, "a session of its own")
        #expect(try rig.far.onLoop { far in far.session.map { ObjectIdentifier($0) } } != old)
        go.withLock { $0 = 3 }
        #expect(try whole(consumer).reason == nil)
        #expect(consumer.text == "0\n1\n2\n")
        #expect(eventually { rig.far.state.withLock { $0.closed } == [1000] }, "the old one is closed once it is empty")
        #expect(try whole(try rig.far.ask("GET", "/nothing")).reason == .refused, "the new one works")
    }

    @Test("asked to end, it finishes what is under way and takes nothing new")
    func stop() throws {
        let go = Guarded(1)
        let model = try Self.slowModel(go, pieces: 2)
        let rig = try Rig(["--local", model.url])
        try rig.connected()
        let consumer = try rig.far.ask("POST", "/api/chat")
        try #require(eventually { consumer.text == "0\n" })
        rig.stop()
        try #require(eventually { rig.log.text.contains("agent is ending") })
        #expect(try whole(try rig.far.ask("GET", "/api/tags")).reason == .overloaded)
        go.withLock { $0 = 2 }
        #expect(try whole(consumer).reason == nil)
        #expect(try rig.ending() == nil)
        #expect(model.requests.count == 1)
    }

    @Test("asked to end, it waits no longer than its grace for what is under way")
    func stopInTime() throws {
        let model = try Self.silentModel()
        let rig = try Rig(["--local", model.url]) { $0.grace = .milliseconds(50) }
        try rig.connected()
        let consumer = try rig.far.ask("POST", "/api/chat")
        try #require(eventually { !model.requests.isEmpty })
        rig.stop()
        #expect(try rig.ending() == nil)
        #expect(!consumer.now.isOver || consumer.now.reason != nil)
    }

    @Test("a gateway that breaks the protocol is told so, and met again with a new session")
    func violation() throws {
        let rig = try Rig(["--forward", "1"])
        try rig.connected()
        try rig.far.onLoop { $0.carrier?.send(text: Array(#"{"type":"window","stream":7,"consumed":1}"#.utf8)) }
        try rig.connected(2)
        #expect(rig.far.state.withLock { $0.closed.first } == 1002)
        #expect(rig.far.state.withLock { $0.hellos[1].resumption == nil })
    }

    @Test("messages of a later version are passed over")
    func laterVersion() throws {
        let rig = try Rig(["--forward", "1"])
        try rig.connected()
        try rig.far.onLoop { $0.carrier?.send(text: Array(#"{"type":"news","of":["tomorrow"]}"#.utf8)) }
        #expect(try whole(try rig.far.ask("GET", "/api/tags")).reason == .refused)
        #expect(rig.far.state.withLock { $0.hellos.count } == 1)
    }
}
