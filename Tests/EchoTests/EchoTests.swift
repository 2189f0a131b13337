import PluginKit
import Testing

@testable import EchoPlugin

@Suite("Echo")
struct EchoTests {
    @Test(
        "a socket path is declared once, whatever WEBSOCKET_PATH is",
        arguments: [
            (["/", "/ws"], ["/echo", "/", "/ws"]), (["/", "/echo"], ["/echo", "/"]), (["/", "/"], ["/echo", "/"]),
            ([], ["/echo"]),
        ])
    func paths(_ main: [String], _ expected: [String]) {
        #expect(Echo.socketPaths(and: main) == expected)
    }

    @Test(
        "a body comes back as what it was sent as, and never as a page to be guessed",
        arguments: [
            ("text/plain; charset=latin1", "text/plain; charset=latin1"), (nil, "application/octet-stream"),
            ("a\r\nb", "application/octet-stream"),
        ])
    func contentType(_ sent: String?, _ expected: String) {
        let fields = EchoedBody.fields(contentType: sent)
        #expect(fields.all(.contentType) == [expected])
        #expect(fields.first(.xContentTypeOptions) == "nosniff")
    }

    @Test("sockets ask for a token unless the setting says otherwise", arguments: [(nil, true), ("false", false)])
    func token(_ text: String?, _ expected: Bool) {
        var reader = SettingsReader(environment: text.map { ["ECHO_REQUIRE_TOKEN": $0] } ?? [:])
        let reading = reader.read(EchoSettings.self, prefix: Echo.name.settingsPrefix, section: "echo")
        #expect(reading.isUsable)
        #expect(reading.settings.requiresToken == expected)
        #expect(!Echo.isOnByDefault)
    }
}
