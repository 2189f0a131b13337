package import PluginKit

/// What `HELLO_*` can say.
package struct HelloSettings: Settings {
    let greeting: String

    package init(from env: inout SettingsReader) {
        greeting = env.optional("GREETING", default: "Hello, world!", "What GET /hello answers.")
    }
}

/// Greets callers, and counts them.
package struct Hello: Plugin {
    package static let name: PluginName = "hello"
    package static let summary = "Answers GET /hello and signs what plugins answer."

    let settings: HelloSettings

    package init(settings: HelloSettings) { self.settings = settings }

    package func register(with gateway: inout Registrar) {
        let greeted = gateway.metrics.counter("greeted_total", "Requests answered by /hello.")
        gateway.use(Signature(value: "hello"), on: .everyRequest)
        gateway.get("/hello") { _ in
            greeted.increment()
            return .text(settings.greeting)
        }
    }
}

/// Adds `X-Signed-By` to a response on its way out.
struct Signature: Middleware {
    let value: StaticString

    func handle(_ request: Request, next: Next) async throws -> Response {
        var response = try await next(request)
        response.fields.append(HeaderName(literal: "X-Signed-By"), value)
        return response
    }
}
