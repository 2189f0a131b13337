import KeyedPlugin
import PluginKit
import PluginTesting
import Testing

@Suite("The example of credentials that are not tokens")
struct KeyedTests {
    private func gateway() throws -> GatewayUnderTest {
        try GatewayUnderTest(
            [Keyed.self],
            settings: ["KEYED_KEY": "spring", "KEYED_FORMER_KEY": "winter", "TRUSTED_PROXIES": "127.0.0.1"],
            loops: 2)
    }

    private func ask(_ gateway: GatewayUnderTest, _ key: String, from address: String = "192.0.2.1") throws -> Reply {
        try gateway.ask("GET", "/keyed", token: key, fields: "X-Forwarded-For: \(address)\r\n")
    }

    @Test("whoever shows the key is let in, and nobody without one")
    func keys() throws {
        let gateway = try gateway()
        #expect(try ask(gateway, "spring").text == "welcome")
        #expect(try gateway.get("/keyed").status == 401)
        #expect(try ask(gateway, "summer").status == 401)
    }

    @Test("guesses end in 429, on both loops and for who guesses only; the key before this one is no guess")
    func guesses() throws {
        let gateway = try gateway()
        for _ in 0..<9 { #expect(try ask(gateway, "winter").text.contains("key_replaced")) }
        for number in 0..<5 { #expect(try ask(gateway, "guess \(number)").status == 401) }
        for number in 5..<9 { #expect(try ask(gateway, "guess \(number)").status == 429) }
        #expect(try ask(gateway, "guess 9", from: "192.0.2.2").status == 401)
        #expect(try ask(gateway, "spring").status == 200)
    }
}
