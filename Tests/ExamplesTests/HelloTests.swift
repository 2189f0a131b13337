import Foundation
import HelloPlugin
import PluginTesting
import Testing

@Suite("The hello plugin of README.md")
struct HelloTests {
    @Test("it greets as HELLO_GREETING says, signs the answer, and counts")
    func greeting() throws {
        let gateway = try GatewayUnderTest([Hello.self], settings: ["HELLO_GREETING": "Good morning."])
        let answer = try gateway.get("/hello")
        #expect(answer.status == 200)
        #expect(answer.text == "Good morning.")
        #expect(answer["x-signed-by"] == "hello")
        #expect(try gateway.metric("gateway_hello_greeted_total") == 1)
    }

    @Test("its middleware sees the routes of others too")
    func everyRequest() throws {
        let gateway = try GatewayUnderTest([Hello.self])
        #expect(try gateway.get("/livez")["x-signed-by"] == "hello")
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
