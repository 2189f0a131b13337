import GatewayBytes
import GatewayHTTP
import GatewayLocks
import GatewayRuntime
import GatewayTelemetry
import GatewayTestSupport
import GatewayTunnel
import PluginTesting
import Testing

@testable import GatewayAgent

/// An agent on a loop of its own, and the gateway that it connects to.
final class Rig {
    let far: FarEnd
    let gateway: GatewayUnderTest
    let log = MemoryLog()
    private let agent: RunningAgent
    private let sink: LogSink

    /// - Parameters:
    ///   - words: Options besides `--url`; without a credential among them GATEWAY_TOKEN is `good`.
    ///   - change: Other limits, so that no test waits long.
    init(
        _ words: [String], far: FarEnd = FarEnd(), changing change: (inout AgentLimits) -> Void = { _ in }
    ) throws {
        self.far = far
        gateway = try GatewayUnderTest([FarPlugin.self], settings: ["FAR_ID": far.id])
        var limits = AgentLimits()
        limits.shortestPause = .milliseconds(5)
        limits.longestPause = .milliseconds(50)
        limits.renewal = .milliseconds(200)
        limits.renewalPause = .milliseconds(5)
        limits.grace = .seconds(20)
        change(&limits)
        let all = ["--url", "ws://127.0.0.1:\(gateway.port())", "--name", "desk"] + words
        let options = try AgentOptions(
            all, environment: ["GATEWAY_TOKEN": "good"], hostName: "host", limits: limits)
        sink = LogSink(limit: .mebibytes(1)) { [log] in log.write($0) }
        sink.start()
        agent = try RunningAgent(options, log: LogSystem(level: .debug, format: .text, sink: sink).logger("agent"))
    }

    deinit {
        stop()
        agent.stopLoop()
        gateway.stop()
        _ = sink.stop(atMost: .seconds(2))
    }

    func stop() { agent.stop() }

    /// How the agent ended; waits for it.
    func ending() throws -> Ending? { try agent.ending() }

    /// Waits for the agent's hello and its answer; `count` of them since the start.
    func connected(_ count: Int = 1) throws {
        let far = far
        try #require(eventually { far.state.withLock { $0.hellos.count } >= count })
        try #require(try eventually { try far.onLoop { $0.session?.isAttached == true } })
    }
}

/// Waits until a stream is over, and returns what was seen of it.
func whole(_ consumer: Consumer) throws -> Consumer.Seen {
    try #require(eventually { consumer.now.isOver }, "the stream never ended: \(consumer.text.prefix(200))")
    return consumer.now
}

/// Bytes whose order and completeness show.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8 &+ seed) }
}
