import Foundation
import FoundationNetworking
import GatewayServer
import GatewayTelemetry
import HelloPlugin
import PluginKit
import Testing

@Suite("The hello plugin of README.md")
struct HelloTests {
    /// A gateway with this one plugin, on a free port.
    private static func serve(_ settings: [String: String] = [:]) throws -> (server: GatewayServer, base: String) {
        let own = [
            "LISTEN_ADDRESS": "127.0.0.1", "WEBSOCKET_PORT": "0", "OPS_LISTEN": "127.0.0.1:0", "LOOPS": "1",
            "MAX_CONNECTIONS": "16", "PLUGINS": "hello",
        ]
        let configuration = Configuration(
            environment: own.merging(settings) { _, given in given }, compiled: [Hello.self]
        ) { (_, _) throws(SettingError) in throw SettingError("no files here") }
        #expect(configuration.problems == [])
        let logs = LogSystem(level: .error, format: .text, sink: LogSink(limit: .zero) { _ in true })
        let server = try GatewayServer(assembly: try ServerAssembly(configuration, logs: logs))
        let address = try server.start()
        return (server, "http://127.0.0.1:\(address.port)")
    }

    private static func get(_ url: String) async throws -> (status: Int, text: String, signature: String?) {
        let url = try #require(URL(string: url))
        let (data, response) = try await URLSession.shared.data(from: url)
        let head = try #require(response as? HTTPURLResponse)
        return (head.statusCode, String(decoding: data, as: UTF8.self), head.value(forHTTPHeaderField: "X-Signed-By"))
    }

    @Test("it greets as HELLO_GREETING says, signs the answer, and counts")
    func greeting() async throws {
        let (server, base) = try Self.serve(["HELLO_GREETING": "Good morning."])
        defer { _ = server.drain() }

        let answer = try await Self.get("\(base)/hello")
        #expect(answer.status == 200)
        #expect(answer.text == "Good morning.")
        #expect(answer.signature == "hello")

        let operations = try #require(server.addresses.first { $0.entry == .operations }).address
        let metrics = try await Self.get("http://127.0.0.1:\(operations.port)/metrics")
        #expect(metrics.text.contains("\ngateway_hello_greeted_total 1\n"))
    }

    @Test("its middleware sees the routes of others too")
    func everyRequest() async throws {
        let (server, base) = try Self.serve()
        defer { _ = server.drain() }
        let answer = try await Self.get("\(base)/livez")
        #expect(answer.status == 200)
        #expect(answer.signature == "hello")
    }

    @Test("README.md shows the file as it is")
    func readme() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let code = try String(contentsOf: root.appending(path: "Examples/Hello/Hello.swift"), encoding: .utf8)
        let readme = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
        #expect(readme.contains("\n```swift\n\(code)```\n"))
    }
}
