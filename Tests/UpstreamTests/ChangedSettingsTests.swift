import GatewayHTTP
import GatewayTLS
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
