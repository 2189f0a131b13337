import HelloPlugin
import PluginTesting
import Testing

@Suite("The hello plugin")
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
}
