import GatewayConfig
import GatewayTunnel
import GatewayUpstream

/// The command line of `gateway agent`.
package struct AgentOptions: Sendable {
    package let connection: ConnectionOptions
    /// How consumers call this agent.
    package let name: String
    package let local: LocalTarget?
    /// TCP ports of this machine that are offered.
    package let ports: [UInt16]
    package let operations: Set<ModelOperation>
    package let limits: AgentLimits

    /// - Parameters:
    ///   - environment: Of the process.
    ///   - hostName: What the machine calls itself: the name of the agent unless it is given another.
    ///   - limits: What no option changes.
    package init(
        _ words: [String], environment: [String: String], hostName: String, limits: AgentLimits = AgentLimits()
    ) throws(UsageError) {
        var words = CommandWords(words)
        var connection = ConnectionOptions.Reader()
        var (name, local): (String?, LocalTarget?)
        var ports: [UInt16] = []
        var operations: Set<ModelOperation> = []
        var limits = limits
        while let option = try words.next() {
            if try connection.take(option, from: &words) { continue }
            switch option {
            case "--name": name = try Self.checked(name: try words.value(of: option))
            case "--local":
                guard local == nil else { throw UsageError("an agent speaks for one --local") }
                local = try LocalTarget(try words.value(of: option))
            case "--forward": try Self.add(try words.value(of: option), to: &ports)
            case "--allow": operations.formUnion(try Self.operations(try words.value(of: option)))
            case "--first-byte-timeout": limits.local.firstByte = try words.seconds(of: option, in: 1...86_400)
            case "--idle-timeout": limits.local.idle = try words.seconds(of: option, in: 1...86_400)
            case "--grace": limits.grace = try words.seconds(of: option, in: 0...3600)
            default: throw UsageError("agent has no option \(option); see gateway agent --help")
            }
        }
        self.connection = try connection.finish(environment)
        guard local != nil || !ports.isEmpty else {
            throw UsageError("an agent offers something: --local http://127.0.0.1:11434, --forward 22, or both")
        }
        self.name = name ?? Self.agentName(from: hostName)
        self.local = local
        self.ports = ports
        self.operations = operations
        self.limits = limits
    }

    static func checked(name: String) throws(UsageError) -> String {
        guard TunnelProtocol.isAgentName(name) else {
            throw UsageError(
                "--name takes 1 to \(TunnelProtocol.nameLength) letters, digits, dots, hyphens and underscores")
        }
        return name
    }

    /// The machine's own name without its domain, what an agent's cannot hold made hyphens.
    static func agentName(from hostName: String) -> String {
        let own = hostName.prefix { $0 != "." }.unicodeScalars.prefix(TunnelProtocol.nameLength)
        let name = String(
            String.UnicodeScalarView(own.map { TunnelProtocol.isAgentName("\($0)") || $0 == "." ? $0 : "-" }))
        return TunnelProtocol.isAgentName(name) ? name : "agent"
    }

    private static func add(_ text: String, to ports: inout [UInt16]) throws(UsageError) {
        guard let port = UInt16(text), port > 0 else {
            throw UsageError("--forward takes a port of this machine, such as 22; an agent dials no other machine")
        }
        guard ports.count < 64 else { throw UsageError("an agent offers at most 64 ports") }
        if !ports.contains(port) { ports.append(port) }
    }

    private static func operations(_ text: String) throws(UsageError) -> [ModelOperation] {
        var operations: [ModelOperation] = []
        for part in settingElements(of: text) {
            guard let operation = ModelOperation(rawValue: part) else {
                throw UsageError("--allow takes pull, push, delete and create, separated by commas")
            }
            operations.append(operation)
        }
        return operations
    }
}
