import GatewayTunnel
package import PluginKit

/// What the tunnel's settings say.
package struct TunnelSettings: Settings {
    let terms: TunnelTerms
    let agentsPerUser: Int
    let agents: Int
    let heartbeat: HeartbeatPolicy
    let helloTimeout: Duration
    let connectTimeout: Duration
    let firstByteTimeout: Duration
    let idleTimeout: Duration
    let consumerIdle: Duration
    let maxBody: ByteCount
    let envelopeBody: ByteCount
    let rememberedUsers: Int
    let agentPermission: String
    let connectPermission: String
    let store: TunnelStoreSettings

    package init(from env: inout SettingsReader) {
        terms = Self.readTerms(from: &env)
        agentsPerUser = env.optional(
            exactly: "MAX_CONNECTIONS_PER_USER", default: 3, in: 1...100,
            "How many agents of one user may be connected, and how many WebSockets of one user may ask them.")
        agents = env.optional(
            "AGENTS", default: 10_000, in: 1...1_000_000, "Most agents connected to this process.")
        heartbeat = Self.readHeartbeat(from: &env)
        helloTimeout = env.optional(
            "HELLO_TIMEOUT", default: .seconds(10), in: .milliseconds(10) ... .seconds(300), bare: .milliseconds,
            "How long an agent may take to introduce itself.")
        connectTimeout = env.optional(
            "CONNECT_TIMEOUT", default: .seconds(10), in: .milliseconds(10) ... .seconds(300), bare: .milliseconds,
            "How long a request waits for an agent whose connection has just broken, and for its TCP connections.")
        firstByteTimeout = env.optional(
            "FIRST_BYTE_TIMEOUT", default: .seconds(300), in: .milliseconds(10) ... .seconds(86400),
            bare: .milliseconds,
            "How long an answer may take to begin, from the last progress of its request: models load slowly.")
        idleTimeout = env.optional(
            "IDLE_TIMEOUT", default: .seconds(120), in: .milliseconds(10) ... .seconds(86400), bare: .milliseconds,
            "How long an answer that has begun may pause.")
        consumerIdle = env.optional(
            exactly: "IDLE_TIMEOUT", default: .seconds(300), in: .milliseconds(10) ... .seconds(86400),
            bare: .milliseconds,
            "How long the WebSocket of a consumer may be without a message and without a request under way.")
        maxBody = env.optional(
            "MAX_BODY", default: .mebibytes(10), in: .kibibytes(1) ... .gibibytes(64), bare: .bytes,
            "Largest body of a request to an agent; a larger one is answered 413.")
        envelopeBody = env.optional(
            "ENVELOPE_BODY", default: .mebibytes(1), in: .kibibytes(1) ... .mebibytes(64), bare: .bytes,
            "Largest answer that is sent as one WebSocket message; a larger one must be asked for as a stream.")
        rememberedUsers = env.optional(
            "REMEMBERED_USERS", default: 10_000, in: 0...1_000_000,
            "Users without an agent whose figures are kept for `/api/tunnel/metrics/user/…`; the longest gone are "
                + "forgotten first.")
        agentPermission = env.optional(
            "AGENT_PERMISSION", default: "tunnel:agent",
            "The permission that a token needs to be an agent. Enrolments need none.")
        connectPermission = env.optional(
            "CONNECT_PERMISSION", default: "tunnel:connect",
            "The permission that a token needs for TCP connections through an agent.")
        store = TunnelStoreSettings(from: &env)
        env.require(
            !terms.letsOneStreamStallOthers, "TUNNEL_AGENT_WINDOW",
            "must be at least SSH_MAX_CHANNELS times TUNNEL_STREAM_WINDOW, or one slow reader could stall the others")
    }

    private static func readTerms(from env: inout SettingsReader) -> TunnelTerms {
        var terms = TunnelTerms()
        let stream: ByteCount = env.optional(
            "STREAM_WINDOW", default: .kibibytes(256), in: .kibibytes(4) ... .mebibytes(16), bare: .bytes,
            "Bytes of one stream and direction that may be under way between gateway and agent.")
        let session: ByteCount = env.optional(
            "AGENT_WINDOW", default: .mebibytes(4), in: .kibibytes(4) ... .mebibytes(256), bare: .bytes,
            "The same over all streams of an agent.")
        terms.streamWindow = stream.bytes
        terms.sessionWindow = session.bytes
        terms.streams = env.optional(
            exactly: "SSH_MAX_CHANNELS", default: 10, in: 1...100,
            "Requests and connections that one agent serves at once.")
        let grace: Duration = env.optional(
            "RESUME_GRACE", default: .seconds(30), in: .zero ... .seconds(600), bare: .milliseconds,
            "How long an agent whose connection broke may take to come back and go on with its streams.")
        // Agents are told whole seconds, and no time at all means another thing than a short one.
        terms.resumeGrace = Int(grace.components.seconds) + (grace.components.attoseconds > 0 ? 1 : 0)
        return terms
    }

    private static func readHeartbeat(from env: inout SettingsReader) -> HeartbeatPolicy {
        let interval: Duration = env.optional(
            "HEARTBEAT_INTERVAL", default: .seconds(10), in: .milliseconds(10) ... .seconds(3600), bare: .milliseconds,
            "Silence after which an agent is pinged.")
        let patience: Duration = env.optional(
            "HEARTBEAT_TIMEOUT", default: .seconds(5), in: .milliseconds(10) ... .seconds(3600), bare: .milliseconds,
            "How long an agent may take to answer a ping.")
        let misses: Int = env.optional(
            "HEARTBEAT_MISSES", default: 2, in: 1...255, "Pings without an answer after which its connection is dead.")
        return HeartbeatPolicy(interval: interval, patience: patience, allowedMisses: misses)
    }
}
