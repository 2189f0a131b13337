package import PluginKit

/// What `KEYED_*` can say.
package struct KeyedSettings: Settings {
    let current: Secret
    let former: Secret?

    package init(from env: inout SettingsReader) {
        current = env.required("KEY", example: "a-long-random-word", "The key that machines show.")
        former = env.optional("FORMER_KEY", "The key before it, which is refused with a word about the new one.")
    }
}

/// Answers machines that show a key instead of a token.
package struct Keyed: Plugin {
    package static let name: PluginName = "keyed"
    package static let summary = "Answers GET /keyed to whoever shows the key."

    private let settings: KeyedSettings

    package init(settings: KeyedSettings) { self.settings = settings }

    // docs: check
    package func register(with gateway: inout Registrar) {
        let credentials = gateway.credentials
        gateway.get("/keyed") { request in
            guard let field = request.header(.authorization) else { throw refusal("key_missing", "Show a key.") }
            let sent = Array(field.utf8.dropFirst("Bearer ".utf8.count))
            try await credentials.check(sent, of: request) { verdict(sent) }
            return .text("welcome")
        }
    }

    private func verdict(_ sent: [UInt8]) -> CredentialVerdict<Void> {
        if settings.current.equals(sent) { return .good(()) }
        if settings.former?.equals(sent) == true {
            return .refused(refusal("key_replaced", "There is a new key. Ask for it."), of: nil)
        }
        return .unknown(refusal("key_unknown", "This is not the key."))
    }
    // docs: end

    private func refusal(_ code: String, _ message: String) -> GatewayFault {
        var fields = HeaderFields()
        fields.append(.wwwAuthenticate, "Bearer")
        return GatewayFault(.unauthorized, code, message, fields: fields)
    }
}
