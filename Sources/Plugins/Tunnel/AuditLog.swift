import PluginKit

/// What happened to rights: who did what, from where. One line each under the component `audit`, and never a secret.
struct AuditLog: Sendable {
    private let log: Logger

    init(_ log: Logger) { self.log = log.named("audit") }

    /// - Parameters:
    ///   - who: The user by token, or the one that a credential speaks for; `nil` for somebody who proved nothing.
    ///   - details: What it was about.
    func note(_ what: StaticString, by who: String?, _ request: Request, _ details: LogField...) {
        log.log(.info, what, fields: Self.fields(who, request) + details)
    }

    /// The same for what was not allowed.
    func refusal(_ what: StaticString, of who: String?, _ request: Request, _ details: LogField...) {
        log.log(.warn, what, fields: Self.fields(who, request) + details)
    }

    private static func fields(_ who: String?, _ request: Request) -> [LogField] {
        [
            who.map { .string("user", $0) } ?? .none, .string("address", "\(request.clientAddress)"),
            .request(request.id),
        ]
    }
}
