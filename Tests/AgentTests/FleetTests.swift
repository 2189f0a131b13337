import GatewayBytes
import GatewayLocks
import GatewayRuntime
import GatewayTelemetry
import GatewayTestSupport
import Glibc
import PluginTesting
import Testing
import TunnelPlugin

@testable import GatewayAgent

/// Many agents on one loop, each of a user of its own.
private final class Fleet {
    private let thread: LoopThread
    private let log = MemoryLog()
    private let sink: LogSink
    private final class Place {
        var agents: [Agent] = []
    }
    private let place: LoopBound<Place>
    private let endings = Guarded<[String]>([])
    private let over = Signal()
    private let count: Int

    /// What each pause is drawn from.
    static let bound = Duration.milliseconds(800)

    init(_ count: Int, at port: UInt16) throws {
        self.count = count
        thread = try LoopThread()
        place = LoopBound(Place(), on: thread.loop)
        sink = LogSink(limit: .mebibytes(64)) { [log] in log.write($0) }
        sink.start()
        var limits = AgentLimits()
        (limits.shortestPause, limits.longestPause) = (Self.bound, Self.bound)
        let all = try (0..<count).map { number in
            try AgentOptions(
                ["--url", "ws://127.0.0.1:\(port)", "--name", "desk", "--forward", "22"],
                environment: ["GATEWAY_TOKEN": GatewayUnderTest.token(for: "user-\(number)", isAdmin: true)],
                hostName: "host", limits: limits)
        }
        // One for all: each would read the system's certificates.
        let client = try Clients.forGateway(all[0].connection, sockets: Agent.sockets)
        let logger = LogSystem(level: .info, format: .json, sink: sink).logger("agent")
        let (loop, endings, over) = (thread.loop, endings, over)
        for options in all {
            place.run { place in
                let agent = Agent(options, gateway: client, server: nil, on: loop, log: logger)
                place.agents.append(agent)
                loop.launch {
                    if let ending = await agent.run() { endings.withLock { $0.append(ending.message) } }
                    over.raise()
                }
            }
        }
    }

    deinit {
        place.run { for agent in $0.agents { agent.stop() } }
        for _ in 0..<count { _ = over.wait(atMost: .seconds(20)) }
        try? thread.stop()
        _ = sink.stop(atMost: .seconds(2))
    }

    /// Why agents ended that were not asked to.
    var lost: [String] { endings.withLock { $0 } }

    /// Every pause that was taken, in milliseconds.
    func pauses() throws -> [Double] {
        sink.flush(atMost: .seconds(10))
        return try log.lines.map { try JSON.parse(Array($0.utf8)) }
            .filter { $0["message"]?.string == "reconnecting to the gateway" }
            .compactMap { $0["after"]?.number?.double }
    }
}

@Suite("Many agents whose gateway goes away")
struct FleetTests {
    /// FLEET_AGENTS, so that the long form is the same test.
    private static var size: Int {
        unsafe getenv("FLEET_AGENTS").flatMap { unsafe Int(String(cString: $0)) } ?? 200
    }

    private func gateway(port: UInt16) throws -> GatewayUnderTest {
        try GatewayUnderTest(
            [Tunnel.self],
            settings: [
                "WEBSOCKET_PORT": "\(port)", "MAX_CONNECTIONS": "\(3 * Self.size)", "TUNNEL_AGENT_PERMISSION": "admin",
                "TUNNEL_STORE": "none",
            ], loops: 2)
    }

    @Test("all come back to one that was started again, each once, none is refused for good, and pauses are spread")
    func restart() throws {
        let size = Self.size
        let port = try HeldPort()
        let first = try gateway(port: port.number)
        let fleet = try Fleet(size, at: port.number)
        try #require(try eventually { try first.metric("gateway_tunnel_agents") == size })
        first.stop()
        // Each has been refused once at least: nobody listens.
        try #require(try eventually { try fleet.pauses().count >= size })
        let second = try gateway(port: port.number)
        try #require(try eventually { try second.metric("gateway_tunnel_agents") == size })
        #expect(fleet.lost.isEmpty)
        #expect(try second.metric("gateway_tunnel_sessions_total{how=\"new\"}") == size)
        let pauses = try fleet.pauses()
        let width = Double(Fleet.bound.components.attoseconds / 1_000_000_000_000_000) / 4
        let windows = pauses.reduce(into: [Int](repeating: 0, count: 4)) { $0[min(3, Int($1 / width))] += 1 }
        // A quarter each. By chance a test in a hundred million is as far off as this.
        #expect(windows.allSatisfy { $0 > pauses.count / 12 && $0 < pauses.count / 2 }, "\(windows)")
    }

    @Test(
        "of a thousand that lost their gateway at one moment, no second after its return has more than a tenth",
        arguments: [60, 600], [UInt64(1), 2, 3])
    func arrivals(secondsAway: Int, seed: UInt64) {
        var dice = Dice(seed)
        let back = Duration.seconds(secondsAway)
        var windows: [Int: Int] = [:]
        for _ in 0..<1000 {
            var backoff = Backoff()
            var now = Duration.zero
            repeat { now += backoff.next(using: &dice) } while now < back
            windows[Int((now - back) / .seconds(1)), default: 0] += 1
        }
        #expect(windows.values.reduce(0, +) == 1000)
        #expect(windows.keys.allSatisfy { $0 < 30 }, "nobody waits longer than the longest pause: \(windows)")
        #expect(windows.values.allSatisfy { $0 <= 100 }, "\(windows)")
    }
}
