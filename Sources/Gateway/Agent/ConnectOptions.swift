import GatewayTunnel

/// The command line of `gateway connect`.
package struct ConnectOptions: Sendable {
    package let connection: ConnectionOptions
    /// A name among the user's agents; never looked up in DNS.
    package let agent: String
    package let port: UInt16

    /// - Parameter environment: Of the process.
    package init(_ words: [String], environment: [String: String]) throws(UsageError) {
        var words = CommandWords(words)
        var connection = ConnectionOptions.Reader()
        var target: String?
        while let word = try words.next() {
            if try connection.take(word, from: &words) { continue }
            guard !word.hasPrefix("-"), target == nil else {
                throw UsageError("connect cannot be told \(word); see gateway connect --help")
            }
            target = word
        }
        guard let target else { throw UsageError("connect takes AGENT:PORT, such as desk:22") }
        (agent, port) = try Self.read(target)
        self.connection = try connection.finish(environment)
    }

    private static func read(_ target: String) throws(UsageError) -> (String, UInt16) {
        let parts = target.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, TunnelProtocol.isAgentName(String(parts[0])), let port = UInt16(parts[1]), port > 0
        else {
            throw UsageError(
                "\(target) is not AGENT:PORT, such as desk:22; AGENT is a name of the tunnel's, not of DNS")
        }
        return (String(parts[0]), port)
    }
}

/// The command line of `gateway agent enrol`.
package struct EnrolOptions: Sendable {
    package let connection: ConnectionOptions
    /// The one agent that the enrolment is good for.
    package let name: String
    /// Where the credential goes; `nil` is standard output.
    package let output: String?
    /// Whether an enrolment that the name has already is revoked instead of being a reason to refuse.
    package let replaces: Bool

    /// - Parameter environment: Of the process.
    package init(_ words: [String], environment: [String: String]) throws(UsageError) {
        var words = CommandWords(words)
        var connection = ConnectionOptions.Reader()
        var (name, output): (String?, String?)
        var replaces = false
        while let option = try words.next() {
            if try connection.take(option, from: &words) { continue }
            switch option {
            case "--name": name = try AgentOptions.checked(name: try words.value(of: option))
            case "--output": output = try words.value(of: option)
            case "--replace": replaces = true
            default: throw UsageError("enrol has no option \(option); see gateway agent --help")
            }
        }
        guard let name else { throw UsageError("--name is missing: an enrolment is good for one agent, and names it") }
        self.name = name
        self.output = output
        self.replaces = replaces
        self.connection = try connection.finish(environment)
    }
}
