import GatewayBytes
import GatewayHTTP
import GatewayLocks
package import GatewayRuntime
package import GatewayTLS
package import GatewayTelemetry

/// HTTP requests to other servers, each on the caller's loop and out of that loop's own pool.
///
/// Streams both ways with back-pressure. Follows no redirect: where one leads is the caller's decision. Retries once,
/// and only when a reused connection died before it answered an idempotent request (RFC 9112 §9.3.1).
package final class UpstreamClient: Sendable {
    private let pools: PerLoop<UpstreamPool>
    private let loopCount: Int
    private let newest: NewestRules
    private let capacity: UpstreamCapacity
    private let metrics: UpstreamMetrics

    package convenience init(
        loopCount: Int, settings: UpstreamSettings, sockets: UpstreamSocketSettings = UpstreamSocketSettings(),
        tls: TLSClientContext, metrics: UpstreamMetrics
    ) {
        self.init(loopCount: loopCount, settings: settings, sockets: sockets, tls: tls, metrics: metrics) { host in
            try NameLookup.addresses(of: host, port: 0)
        }
    }

    /// - Parameter names: Looks up host names, on a worker thread, in place of the system.
    package init(
        loopCount: Int, settings: UpstreamSettings, sockets: UpstreamSocketSettings = UpstreamSocketSettings(),
        tls: TLSClientContext, metrics: UpstreamMetrics, names: @escaping @Sendable (String) throws -> [SocketAddress]
    ) {
        self.loopCount = loopCount
        self.metrics = metrics
        let newest = NewestRules(UpstreamRules(settings: settings, sockets: sockets, tls: tls))
        self.newest = newest
        let capacity = UpstreamCapacity(limit: settings.maxConnections)
        self.capacity = capacity
        pools = PerLoop(count: loopCount) { loop in
            UpstreamPool(
                loop: loop, rules: newest.value, metrics: metrics, capacity: capacity, loopCount: loopCount,
                names: names)
        }
    }

    /// What the loops work by from their next ``adopt()`` on; a loop that has not begun yet, from its first request on.
    package func replaceSettings(
        _ settings: UpstreamSettings, sockets: UpstreamSocketSettings, tls: TLSClientContext
    ) {
        newest.value = UpstreamRules(settings: settings, sockets: sockets, tls: tls)
        capacity.limit = settings.maxConnections
    }

    /// Has the calling loop work by the newest settings. Requests and sockets under way go on as they began.
    package func adopt() {
        guard let loop = EventLoop.current, loop.index < loopCount else { return }
        pools.value(on: loop).adopt(newest.value)
    }

    /// Sends a request and returns once the head of its response has arrived.
    ///
    /// The body is still streaming; read it or discard it, or the connection cannot serve again. Cancelling the task
    /// closes the connection, so the upstream notices.
    ///
    /// - Throws: ``UpstreamError``, or `CancellationError`.
    package func send(_ request: UpstreamRequest) async throws -> UpstreamResponse {
        let pool = try currentPool()
        let timeouts = request.timeouts ?? pool.settings.timeouts
        var isRetry = false
        while true {
            try Task.checkCancellation()
            let connection = try await pool.connection(
                to: request.url, request.destination,
                isRetry ? .fresh : request.isRepeatable ? .quiet : .alive, timeouts: timeouts)
            guard !Task.isCancelled else {
                connection.finish(reusable: true)
                throw CancellationError()
            }
            do {
                let (head, bytes) = try await connection.exchange(request, timeouts: timeouts)
                let body = UpstreamBody(
                    framing: head.framing, keepAlive: head.keepAlive, connection: connection, idle: timeouts.idle)
                return UpstreamResponse(head: head, bytes: bytes, body: body, url: request.url)
            } catch {
                connection.close()
                if Task.isCancelled { throw CancellationError() }
                guard case UpstreamError.closedBeforeAnswer = error, connection.isReused, !connection.hasBegunAnswer,
                    request.isRepeatable, !isRetry
                else { throw error }
                isRetry = true
                metrics.retried.increment()
            }
        }
    }

    /// The pool of the loop that the caller is on.
    func currentPool() throws(UpstreamError) -> UpstreamPool {
        guard let loop = EventLoop.current, loop.index < loopCount else {
            throw .unsendable("the caller is not on an event loop")
        }
        return pools.value(on: loop)
    }
}

/// Everything about connections to upstreams that settings say.
struct UpstreamRules: Sendable {
    let settings: UpstreamSettings
    let sockets: UpstreamSocketSettings
    let tls: TLSClientContext
}

private final class NewestRules: Sendable {
    private let rules: Guarded<UpstreamRules>

    init(_ rules: UpstreamRules) { self.rules = Guarded(rules) }

    var value: UpstreamRules {
        get { rules.withLock { $0 } }
        set { rules.withLock { $0 = newValue } }
    }
}

/// Counters of the client.
package struct UpstreamMetrics: Sendable {
    let opened: Counter
    let reused: Counter
    let failed: Counter
    let retried: Counter

    package init(registry: Metrics) throws(MetricError) {
        opened = try registry.counter("gateway_upstream_connections_opened_total", "Connections to upstreams opened.")
        reused = try registry.counter(
            "gateway_upstream_connections_reused_total", "Requests sent on a connection that was kept alive.")
        failed = try registry.counter(
            "gateway_upstream_connections_failed_total", "Connections to upstreams that could not be opened.")
        retried = try registry.counter(
            "gateway_upstream_retries_total", "Requests sent again because a kept connection had died.")
    }
}
