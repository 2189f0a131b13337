import GatewayBytes

/// Why a command ended before it was asked to: one sentence for a person, and its exit code.
package struct Ending: Error, Equatable, Sendable {
    package let message: String
    package let exitCode: Int32

    init(_ message: String, _ exitCode: Int32) {
        self.message = message
        self.exitCode = exitCode
    }

    // As in sysexits(3). docs/TUNNEL.md and --help list them.
    /// The gateway cannot be had, or does not want this agent.
    static let unavailable: Int32 = 69
    /// A file cannot be written.
    static let cannotCreate: Int32 = 73
    /// A connection broke that cannot be taken up again.
    static let broken: Int32 = 74
    /// The other end speaks another protocol.
    static let protocolError: Int32 = 76
    /// The credential is not good enough.
    static let notPermitted: Int32 = 77
    /// A file or command that the options name cannot be used.
    static let configuration: Int32 = 78
}

/// What the gateway answered where it should have opened a socket or done as it was asked.
enum Refusal {
    /// The words of the gateway's error, or of its status, fit for a log line.
    static func reason(status: Int, body: [UInt8]) -> String {
        let json = try? JSON.parse(body)
        let message = json?["error"]?["message"]?.string ?? json?["error"]?.string
        guard let message, !message.isEmpty else { return "status \(status)" }
        return "\(message.prefix(200)) (status \(status))"
    }
}
