import GatewayBytes

/// The options that say which gateway to ask, and as whom. All commands of the tunnel have them.
package struct ConnectionOptions: Sendable {
    package let address: GatewayAddress
    package let credentials: CredentialSource
    /// PEM file of the authorities that the gateway's certificate is verified against, in place of the system's.
    package let authorities: String?

    /// What to tell a person who starts it so.
    package var warnings: [String] {
        var warnings: [String] = []
        if case .argument = credentials {
            warnings.append("every user of this machine can read --token in the list of processes; use --token-file")
        }
        if !address.isEncrypted, !address.isLoopback {
            warnings.append("the token travels in clear to \(address.description); use wss://")
        }
        return warnings
    }

    /// Collects them from the words of a command, in whatever order they come.
    struct Reader {
        private var url: String?
        private var source: CredentialSource?
        private var authorities: String?

        /// - Returns: Whether `option` was one of these.
        mutating func take(_ option: String, from words: inout CommandWords) throws(UsageError) -> Bool {
            switch option {
            case "--url": url = try words.value(of: option)
            case "--ca": authorities = try words.value(of: option)
            case "--token-file": try set(.file(try words.value(of: option)))
            case "--token-command": try set(.command(try words.value(of: option)))
            case "--token": try set(.argument(Secret(try words.value(of: option))))
            default: return false
            }
            return true
        }

        private mutating func set(_ source: CredentialSource) throws(UsageError) {
            guard self.source == nil else {
                throw UsageError("one of --token-file, --token-command and --token, not two")
            }
            self.source = source
        }

        /// - Parameter environment: Of the process; GATEWAY_TOKEN counts when no option names a credential.
        func finish(_ environment: [String: String]) throws(UsageError) -> ConnectionOptions {
            guard let url else {
                throw UsageError("--url is missing: where is the gateway? Such as wss://gateway.example")
            }
            let address = try GatewayAddress(url)
            let given = environment["GATEWAY_TOKEN"].flatMap {
                $0.isEmpty ? nil : CredentialSource.environment(Secret($0))
            }
            guard let credentials = source ?? given else {
                throw UsageError("a credential is missing: --token-file, --token-command or GATEWAY_TOKEN")
            }
            return ConnectionOptions(address: address, credentials: credentials, authorities: authorities)
        }
    }
}
