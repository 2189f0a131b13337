import GatewayHTTP
import GatewayLocks
import GatewayTLS
import GatewayTestSupport
import Testing

@testable import GatewayRuntime
@testable import GatewayUpstream

@Suite("Upstream: settings that change while connections are open")
struct ChangedSettingsTests {
    private func server() throws -> ScriptedServer {
        try ScriptedServer { peer, _ in
            while true {
                _ = try peer.readHead()
                try peer.answer("hello")
            }
        }
    }

    /// Asks before and after the change.
    private func ask(
        _ server: ScriptedServer, changing environment: [String: String], tls: Bool = false
    ) throws -> [String] {
        try Rig.with { rig in
            let context = try TLSClientContext.make(verification: .none)
            if !tls {
                // What it works by from here on keeps its context through the change.
                rig.client.replaceSettings(try Rig.settings([:]), sockets: UpstreamSocketSettings(), tls: context)
                rig.client.adopt()
            }
            var texts = [try await rig.text(.get, server.url())]
            rig.client.replaceSettings(
                try Rig.settings(environment), sockets: UpstreamSocketSettings(), tls: context)
            rig.client.adopt()
            texts.append(await rig.failure { texts.append(try await rig.text(.get, server.url())) }.name)
            return texts
        }
    }

    @Test("a time-out changes, and the idle connection serves on")
    func timeouts() throws {
        let server = try server()
        #expect(try ask(server, changing: ["UPSTREAM_IDLE_TIMEOUT": "5s"]).prefix(2) == ["hello", "hello"])
        #expect(server.accepted == 1)
    }

    /// Changes UPSTREAM_ORIGIN_CONNECTIONS on the loop.
    private func limit(_ rig: Rig, to count: Int, _ context: TLSClientContext) throws {
        let settings = try Rig.settings(["UPSTREAM_ORIGIN_CONNECTIONS": "\(count)"])
        rig.client.replaceSettings(settings, sockets: UpstreamSocketSettings(), tls: context)
        rig.client.adopt()
    }

    /// Holds what is asked for /slow until `gate` is raised; counts the connections that end.
    private func slowServer(_ gate: Signal, _ arrived: Signal, _ ended: Signal) throws -> ScriptedServer {
        try ScriptedServer { peer, _ in
            defer { ended.raise() }
            while true {
                if try peer.readHead().contains("/slow") {
                    arrived.raise()
                    gate.wait()
                }
                try peer.answer("x")
            }
        }
    }

    @Test("more connections allowed: those who wait get them at once")
    func raised() throws {
        let (gate, arrived, ended) = (Signal(), Signal(), Signal())
        let server = try slowServer(gate, arrived, ended)
        let context = try TLSClientContext.make(verification: .none)
        let text = try Rig.with { rig in
            try limit(rig, to: 1, context)
            let done = Counted()
            rig.loop.launch {
                _ = try? await rig.text(.get, server.url("/slow"))
                done.next()
            }
            try await rig.loop.offload("test") { arrived.wait() }
            let next = Guarded<String?>(nil)
            rig.loop.launch {
                let text = (try? await rig.text(.get, server.url())) ?? "failed"
                next.withLock { $0 = text }
            }
            for _ in 0..<3 { try await rig.loop.sleep(.milliseconds(1)) }
            try limit(rig, to: 2, context)
            try await rig.until { next.withLock { $0 } != nil }
            gate.raise()
            try await rig.until { done.value == 1 }
            return next.withLock { $0 }
        }
        #expect(text == "x")
        #expect(server.accepted == 2)
    }

    @Test("fewer connections allowed: those too many end, however many wait")
    func lowered() throws {
        let (gate, arrived, ended) = (Signal(), Signal(), Signal())
        let server = try slowServer(gate, arrived, ended)
        let context = try TLSClientContext.make(verification: .none)
        let hasEnded = try Rig.with { rig in
            try limit(rig, to: 2, context)
            let done = Counted()
            for _ in 0..<4 {
                rig.loop.launch {
                    _ = try? await rig.text(.get, server.url("/slow"))
                    done.next()
                }
            }
            try await rig.loop.offload("test") {
                arrived.wait()
                arrived.wait()
            }
            try limit(rig, to: 1, context)
            gate.raise()
            let hasEnded = try await rig.loop.offload("test") { ended.wait(atMost: .seconds(10)) }
            for _ in 0..<3 { gate.raise() }
            try await rig.until { done.value == 4 }
            return hasEnded
        }
        #expect(hasEnded)
        #expect(server.accepted == 2)
    }

    @Test("other authorities, and no connection from before is used again")
    func authorities() throws {
        let server = try server()
        #expect(try ask(server, changing: [:], tls: true).prefix(2) == ["hello", "hello"])
        #expect(server.accepted == 2)
    }

    @Test("a network that is allowed no more is not reached by a connection that is still open")
    func networks() throws {
        let server = try server()
        let texts = try ask(server, changing: ["ALLOW_PRIVATE_NETWORKS": "10.0.0.0/8"])
        #expect(texts == ["hello", "destinationRefused"])
        #expect(server.accepted == 1)
    }

    @Test("a connection that was in use during the change is not kept either")
    func inUse() throws {
        let isChanged = Signal()
        let server = try ScriptedServer { peer, number in
            while true {
                _ = try peer.readHead()
                if number == 0 { isChanged.wait() }
                try peer.answer("\(number)")
            }
        }
        let texts = try Rig.with { rig in
            let client = rig.client
            rig.loop.submit {
                let context = try? TLSClientContext.make(verification: .none)
                guard let context, let settings = try? Rig.settings([:]) else { return }
                client.replaceSettings(settings, sockets: UpstreamSocketSettings(), tls: context)
                client.adopt()
                isChanged.raise()
            }
            return [try await rig.text(.get, server.url()), try await rig.text(.get, server.url())]
        }
        #expect(texts == ["0", "1"])
    }
}
