import PluginKit
import PluginTesting
import SnapshotPlugin
import Testing

/// The server whose document is kept: answers what the test at hand says.
private struct Origin: Plugin {
    static let name: PluginName = "origin"
    static let summary = "Answers GET /document as a test says."
    static let answer = Guarded<(status: Status, text: String)>((.ok, "first"))

    init(settings: NoSettings) {}

    func register(with gateway: inout Registrar) {
        gateway.get("/document") { _ in
            let (status, text) = Self.answer.withLock { $0 }
            return .text(text, status: status)
        }
    }
}

@Suite("The snapshot plugin", .serialized)
struct SnapshotTests {
    private let origin: GatewayUnderTest

    init() throws {
        Origin.answer.withLock { $0 = (.ok, "first") }
        origin = try GatewayUnderTest([Origin.self])
    }

    private func gateway(loops: Int = 1) throws -> GatewayUnderTest {
        let settings = [
            "SNAPSHOT_URL": "http://127.0.0.1:\(origin.port())/document", "SNAPSHOT_INTERVAL": "20ms",
            "SNAPSHOT_LIMIT": "16",
        ]
        return try GatewayUnderTest([Snapshot.self], settings: settings, loops: loops)
    }

    @Test("the copy follows the document, on every loop")
    func follows() throws {
        let gateway = try gateway(loops: 2)
        #expect(try eventually { try gateway.get("/snapshot").text == "first" })
        #expect(try gateway.get("/snapshot")["content-type"] == "text/plain; charset=utf-8")
        Origin.answer.withLock { $0.text = "second" }
        #expect(try eventually { try gateway.get("/snapshot").text == "second" })
        var loops: Set<String> = []
        for _ in 0..<60 where loops.count < 2 {
            let answer = try gateway.get("/snapshot")
            #expect(answer.text == "second")
            loops.insert(answer.loop ?? "")
        }
        #expect(loops.count == 2)
        #expect(try gateway.get("/readyz", at: .operations).text.contains(#""status":"healthy""#))
    }

    @Test("an origin that fails, or whose document is too large, leaves the old copy and a degraded health")
    func staleCopy() throws {
        let gateway = try gateway()
        #expect(try eventually { try gateway.get("/snapshot").text == "first" })
        func health(is word: String) throws -> Bool {
            try eventually { try gateway.get("/readyz", at: .operations).text.contains(word) }
        }
        for (status, text) in [(Status.internalServerError, ""), (.ok, "longer than sixteen bytes")] {
            Origin.answer.withLock { $0 = (status, text) }
            #expect(try health(is: "the last look failed"))
            #expect(try gateway.get("/snapshot").text == "first")
            #expect(try gateway.get("/readyz").status == 200)
            Origin.answer.withLock { $0 = (.ok, "first") }
            #expect(try health(is: #""status":"healthy""#))
        }
    }

    @Test("without a copy it is not ready, and says so")
    func noCopy() throws {
        origin.stop()
        let gateway = try gateway()
        #expect(try gateway.get("/readyz").status == 503)
        let answer = try gateway.get("/snapshot")
        #expect(answer.status == 503)
        #expect(answer.text.contains(#""code":"no_copy""#))
    }

    @Test("a drain ends the service although it is waiting")
    func drain() throws {
        let settings = [
            "SNAPSHOT_URL": "http://127.0.0.1:\(origin.port())/document", "SNAPSHOT_INTERVAL": "1d",
        ]
        let gateway = try GatewayUnderTest([Snapshot.self], settings: settings)
        #expect(try eventually { try gateway.get("/snapshot").status == 200 })
        #expect(gateway.stop())
    }

    @Test("a bad SNAPSHOT_URL stops the start", arguments: ["", "ftp://host/", "no url", "http://a:b@host/"])
    func badURL(_ url: String) {
        #expect(throws: GatewayUnderTest.Refused.self) {
            _ = try GatewayUnderTest([Snapshot.self], settings: ["SNAPSHOT_URL": url])
        }
    }
}
