import PluginKit
import PluginTesting
import Testing

@testable import TunnelPlugin

@Suite("The tunnel's configuration, as operators see and change it")
struct ConfigRoutesTests {
    private func ask(_ gateway: GatewayUnderTest, _ method: String, _ path: String, _ body: String = "") throws -> (
        status: Int, json: JSON
    ) {
        let token = try GatewayUnderTest.token(isAdmin: true)
        let reply = try gateway.ask(method, "/api/tunnel/config\(path)", token: token, body: body)
        return (reply.status, try JSON.parse(reply.body))
    }

    @Test("the log level changes while it runs, in any case, and goes back to what the settings say")
    func level() throws {
        let gateway = try GatewayUnderTest([Tunnel.self], settings: ["TUNNEL_STORE": "none", "LOG_LEVEL": "error"])
        #expect(try ask(gateway, "GET", "/log-level").json["level"]?.string == "ERROR")
        let changed = try ask(gateway, "PUT", "/log-level", #"{"level":"debug"}"#)
        #expect(changed.status == 200)
        #expect(changed.json["level"]?.string == "DEBUG")
        #expect(try ask(gateway, "GET", "").json["config"]?["LOG_LEVEL"]?.string == "DEBUG")
        let reset = try ask(gateway, "POST", "/reset")
        #expect(reset.json["config"]?["LOG_LEVEL"]?.string == "ERROR")
        #expect(try ask(gateway, "PUT", "", #"{"LOG_LEVEL":"WARN"}"#).status == 200)
        #expect(try ask(gateway, "GET", "/log-level").json["level"]?.string == "WARN")
    }

    @Test(
        "a level that does not exist is refused with those that do",
        arguments: ["", "[]", "{}", #"{"level":"LOUD"}"#])
    func badLevel(_ body: String) throws {
        let gateway = try GatewayUnderTest([Tunnel.self], settings: ["TUNNEL_STORE": "none", "LOG_LEVEL": "error"])
        let (status, json) = try ask(gateway, "PUT", "/log-level", body)
        #expect(status == 400)
        #expect(json["validLevels"]?.strings == ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"])
        #expect(json["timestamp"]?.string?.hasSuffix("Z") == true)
    }

    @Test("settings that need a reload are refused with the way to it, and nothing changes")
    func notHere() throws {
        let gateway = try GatewayUnderTest([Tunnel.self], settings: ["TUNNEL_STORE": "none", "LOG_LEVEL": "error"])
        for body in [
            #"{"TUNNEL_CONNECT_TIMEOUT":5}"#, #"{"LOG_LEVEL":"DEBUG","TUNNEL_AGENTS":5}"#, #"{"LOG_LEVEL":5}"#,
        ] {
            let (status, json) = try ask(gateway, "PUT", "", body)
            #expect(status == 409)
            #expect(json["error"]?.string?.contains("gateway reload") == true)
        }
        #expect(try ask(gateway, "PUT", "", #"{"LOG_LEVEL":"LOUD"}"#).status == 400)
        #expect(try ask(gateway, "PUT", "", #"{"NO_SUCH":1}"#).status == 400)
        #expect(try ask(gateway, "PUT", "", "{}").status == 400)
        #expect(try ask(gateway, "PUT", "", "no json").status == 400)
        #expect(try ask(gateway, "GET", "/log-level").json["level"]?.string == "ERROR")
    }

    @Test("settings are shown by their names, times in milliseconds and sizes in bytes")
    func shown() throws {
        let gateway = try GatewayUnderTest(
            [Tunnel.self],
            settings: [
                "TUNNEL_STORE": "none", "TUNNEL_CONNECT_TIMEOUT": "7s", "TUNNEL_MAX_BODY": "2MiB",
            ])
        let config = try ask(gateway, "GET", "").json["config"]
        #expect(config?["TUNNEL_CONNECT_TIMEOUT"] == .number(JSONNumber(7000)))
        #expect(config?["TUNNEL_MAX_BODY"] == .number(JSONNumber(2 << 20)))
        #expect(try ask(gateway, "GET", "").json["changeable"]?.strings == ["LOG_LEVEL"])
    }

    @Test("a body that is too large is refused")
    func large() throws {
        let gateway = try GatewayUnderTest([Tunnel.self], settings: ["TUNNEL_STORE": "none", "LOG_LEVEL": "error"])
        let body = #"{"level":""# + String(repeating: "x", count: 20_000) + #""}"#
        #expect(try ask(gateway, "PUT", "/log-level", body).status == 413)
    }
}
