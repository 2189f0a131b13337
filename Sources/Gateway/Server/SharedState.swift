import GatewayBackplane
import GatewayBytes
import GatewayCompression
import GatewayRuntime
import GatewayTelemetry
import GatewayUpstream
import PluginKit
import Synchronization

/// The few things all loops count together. Everything else is per loop or immutable.
final class SharedState: Sendable {
    let connections: ConnectionCount
    let report: @Sendable (RuntimeReport) -> Void
    /// Messages of all sockets that are still arriving.
    let assembly: ByteBudget
    /// Compression windows of all sockets.
    let compression: ByteBudget
    /// What was used, who is blocked, what is being done for whom. Stays when settings change.
    let backplane: MemoryBackplane
    let unlistedProxy = OnceNotice()
    let unreadableProxy = OnceNotice()

    init(settings: CoreSettings, report: @escaping @Sendable (RuntimeReport) -> Void) {
        connections = ConnectionCount(limit: settings.listen.maxConnections)
        assembly = ByteBudget(limit: settings.webSocket.assemblyBudget)
        compression = ByteBudget(limit: settings.webSocket.compressionBudget)
        backplane = MemoryBackplane(limits: settings.limits.backplane)
        self.report = report
    }

    /// What is over a limit that was lowered stays, and nothing is added until it is below.
    func adopt(_ settings: CoreSettings) {
        connections.limit = settings.listen.maxConnections
        assembly.limit = settings.webSocket.assemblyBudget
        compression.limit = settings.webSocket.compressionBudget
    }

    /// Sockets towards upstreams live by the same rules as those of clients, and out of the same memory.
    func upstreamSockets(_ settings: CoreSettings) -> UpstreamSocketSettings {
        UpstreamSocketSettings(
            limits: settings.webSocket.messageLimits, heartbeat: settings.webSocket.heartbeat,
            deflate: settings.webSocket.deflate, closeTimeout: settings.webSocket.closeTimeout,
            messageTimeout: settings.webSocket.messageTimeout, stallTimeout: settings.upstream.timeouts.idle,
            sendLimit: settings.webSocket.sendBuffer.bytes,
            compressionBudget: compression, assemblyBudget: assembly)
    }

    /// What is read only when somebody asks for it.
    var samples: [MetricSample] {
        let facts = backplane.figures(at: MonotonicTime.read().nanoseconds)
        return [
            MetricSample(
                "gateway_backplane_keys", "Users, addresses and tokens of whom a rule remembers something.",
                kind: .gauge, labels: [], value: Double(facts.keys)),
            MetricSample(
                "gateway_backplane_leases", "Places taken by concurrent requests.", kind: .gauge, labels: [],
                value: Double(facts.leases)),
            MetricSample(
                "gateway_backplane_evicted_total", "Facts forgotten before their time for want of room.",
                kind: .counter, labels: [], value: Double(facts.evicted)),
            MetricSample(
                "gateway_backplane_crowded_out_total", "Places refused for want of room, not by a limit.",
                kind: .counter, labels: [], value: Double(facts.crowdedOut)),
            MetricSample(
                "gateway_connections_open", "Client connections open now.", kind: .gauge, labels: [],
                value: Double(connections.count)),
            MetricSample(
                "gateway_websocket_assembly_bytes", "Memory of messages still arriving.", kind: .gauge,
                labels: [], value: Double(assembly.inUse.bytes)),
            MetricSample(
                "gateway_websocket_compression_bytes", "Memory of compression windows.", kind: .gauge,
                labels: [], value: Double(compression.inUse.bytes)),
        ]
    }
}

/// Client connections of the process, against MAX_CONNECTIONS.
final class ConnectionCount: Sendable {
    private let open = Atomic<Int>(0)
    private let most: Atomic<Int>

    init(limit: Int) { most = Atomic(limit) }

    var limit: Int {
        get { most.load(ordering: .relaxed) }
        set { most.store(newValue, ordering: .relaxed) }
    }

    var count: Int { open.load(ordering: .relaxed) }

    /// A full gateway still answers its probes: whoever restarts it for being full would only make it fuller.
    private static let reservedForOperations = 64

    func hasRoom(for entry: EntryPoint) -> Bool {
        count < (entry == .operations ? limit + Self.reservedForOperations : limit)
    }

    func enter() { open.wrappingAdd(1, ordering: .relaxed) }
    func leave() { open.wrappingSubtract(1, ordering: .relaxed) }
}
