package import PluginKit

/// What `ECHO_*` can say.
package struct EchoSettings: Settings {
    let requiresToken: Bool

    package init(from env: inout SettingsReader) {
        requiresToken = env.optional(
            "REQUIRE_TOKEN", default: true,
            "Whether the WebSockets of this plugin ask for a token. `GET` and `POST /echo` never do.")
    }
}

/// Says everything back: the first thing to try, and what conformance tests and benchmarks talk to.
///
/// | request | answer |
/// |---|---|
/// | `GET /echo` | `ok` |
/// | `POST /echo` | the body, as it streams in |
/// | WebSocket on `/echo` | each message |
/// | WebSocket on `/` and WEBSOCKET_PATH | the same, so that `wscat -c 'wss://host?token=…'` finds somebody to talk to |
package struct Echo: Plugin {
    package static let name: PluginName = "echo"
    package static let summary = "Answers GET /echo with ok, and returns bodies and WebSocket messages to their sender."
    package static let isOnByDefault = false

    private let settings: EchoSettings

    package init(settings: EchoSettings) { self.settings = settings }

    package func register(with gateway: inout Registrar) {
        gateway.get("/echo") { _ in .text(literal: "ok") }
        gateway.post("/echo", EchoedBody.answer)

        let handler = EchoedMessages()
        for path in Self.socketPaths(and: gateway.context.mainSocketPaths) {
            gateway.webSocket(path, access: settings.requiresToken ? .signedIn : .anyone) { _ in handler }
        }
    }

    /// `/echo` and the main paths, once each: WEBSOCKET_PATH may be `/` or `/echo`.
    static func socketPaths(and main: [String]) -> [String] {
        main.reduce(into: ["/echo"]) { paths, path in
            if !paths.contains(path) { paths.append(path) }
        }
    }
}
