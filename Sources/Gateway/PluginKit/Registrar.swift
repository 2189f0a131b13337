package import GatewayConfig
package import GatewayHTTP
package import GatewayRuntime
package import GatewayTelemetry
package import GatewayUpstream
package import GatewayWebSocket

/// Who may use a route.
package enum Access: Hashable, Sendable {
    case anyone
    /// A verified token.
    case signedIn
    /// A verified token with the admin permission, exactly.
    case admin
}

/// A port of the gateway. The main one is always there; a plugin may open the port its guide promises.
package struct EntryPoint: Hashable, Sendable {
    package let name: String
    package let listen: ListenAddress?
    /// Whether it speaks TLS when certificates are configured.
    package let isEncrypted: Bool

    package init(name: String, listen: ListenAddress?, isEncrypted: Bool = true) {
        self.name = name
        self.listen = listen
        self.isEncrypted = isEncrypted
    }

    /// `WEBSOCKET_PORT`.
    package static let main = EntryPoint(name: "main", listen: nil)
    /// `OPS_LISTEN`.
    package static let operations = EntryPoint(name: "ops", listen: nil, isEncrypted: false)
}

/// One declared route.
package struct Route: Sendable {
    /// `nil` answers every method.
    package let method: Method?
    package let pattern: RoutePattern
    package let access: Access
    package let entryPoint: EntryPoint
    package let plugin: PluginName
    package let isWebSocket: Bool
    package let handler: Handler

    package init(
        method: Method?, pattern: RoutePattern, access: Access, entryPoint: EntryPoint, plugin: PluginName,
        isWebSocket: Bool, handler: @escaping Handler
    ) {
        self.method = method
        self.pattern = pattern
        self.access = access
        self.entryPoint = entryPoint
        self.plugin = plugin
        self.isWebSocket = isWebSocket
        self.handler = handler
    }
}

/// Work that runs beside requests, from start to drain, on one loop.
package struct BackgroundService: Sendable {
    package let name: String
    package let plugin: PluginName
    package let run: @Sendable (ServiceContext) async throws -> Void

    package init(
        name: String, plugin: PluginName, run: @escaping @Sendable (ServiceContext) async throws -> Void
    ) {
        self.name = name
        self.plugin = plugin
        self.run = run
    }
}

/// What a background service may use.
package struct ServiceContext: Sendable {
    package let loop: EventLoop
    package let log: Logger

    package init(loop: EventLoop, log: Logger) {
        self.loop = loop
        self.log = log
    }

    /// Waits on the loop.
    ///
    /// - Throws: `CancellationError` when the gateway drains.
    package func sleep(_ duration: Duration) async throws { try await loop.sleep(duration) }
}

/// Whether a part can do its work.
package enum Health: Sendable, Equatable {
    case healthy
    /// Works, with less than all of it; probes still answer 200.
    case degraded(String)
    /// Cannot work: the readiness probe fails.
    case unhealthy(String)
}

package struct HealthCheck: Sendable {
    package let name: String
    package let plugin: PluginName
    package let check: @Sendable () -> Health
}

/// Everything the enabled plugins declared, in order.
package struct Registrations: Sendable {
    package struct ScopedMiddleware: Sendable {
        package let middleware: any Middleware
        package let scope: Scope
        package let plugin: PluginName
    }

    package var routes: [Route] = []
    package var middleware: [ScopedMiddleware] = []
    package var services: [BackgroundService] = []
    package var healthChecks: [HealthCheck] = []
    package var entryPoints: [EntryPoint] = []
    /// Problems of the declarations themselves; they stop the start.
    package var problems: [String] = []

    package init() {}

    /// Adds what another plugin declared, behind what is here.
    package mutating func append(_ other: Registrations) {
        routes += other.routes
        middleware += other.middleware
        services += other.services
        healthChecks += other.healthChecks
        entryPoints += other.entryPoints
        problems += other.problems
    }
}

/// Where a plugin declares what it adds.
package struct Registrar {
    package let plugin: PluginName
    /// Metrics named `gateway_<plugin>_…`.
    package let metrics: PluginMetrics
    /// Requests to other servers, on the caller's loop, from its pool.
    package let upstream: UpstreamClient
    package let log: Logger
    package private(set) var registrations = Registrations()
    private let told: GatewayContext
    private let notes = Notes()

    /// What the plugin asked for, besides its own settings.
    private final class Notes {
        var hasAskedForContext = false
    }

    package init(
        plugin: PluginName, metrics: PluginMetrics, upstream: UpstreamClient, log: Logger, context: GatewayContext
    ) {
        self.plugin = plugin
        self.metrics = metrics
        self.upstream = upstream
        self.log = log
        told = context
    }

    /// What the gateway tells of itself. A plugin that asks is made anew when that changes.
    package var context: GatewayContext {
        notes.hasAskedForContext = true
        return told
    }

    /// What was asked for in ``context``; `nil` if nothing was.
    package var toldContext: GatewayContext? { notes.hasAskedForContext ? told : nil }

    // MARK: Middleware

    package mutating func use(_ middleware: some Middleware, on scope: Scope) {
        registrations.middleware.append(.init(middleware: middleware, scope: scope, plugin: plugin))
    }

    // MARK: Routes

    /// Answers GET, and HEAD without the body.
    package mutating func get(
        _ pattern: String, access: Access = .anyone, at entry: EntryPoint = .main, _ handler: @escaping Handler
    ) { route(.get, pattern, access: access, at: entry, handler) }

    package mutating func post(
        _ pattern: String, access: Access = .anyone, at entry: EntryPoint = .main, _ handler: @escaping Handler
    ) { route(.post, pattern, access: access, at: entry, handler) }

    /// Declares a route.
    ///
    /// - Parameters:
    ///   - method: `nil` answers every method that no more exact route takes.
    ///   - pattern: `/exact`, `/one/{segment}`, or `/rest/{name...}` for everything below. Exact beats captured, longer
    ///     beats shorter. Two equal patterns with one method stop the start.
    package mutating func route(
        _ method: Method?, _ pattern: String, access: Access = .anyone, at entry: EntryPoint = .main,
        _ handler: @escaping Handler
    ) { add(method, pattern, access: access, at: entry, isWebSocket: false, handler) }

    /// Declares a WebSocket at a path.
    ///
    /// - Parameter makeHandler: Called on the socket's loop, once the request has passed middleware and access rules.
    package mutating func webSocket(
        _ pattern: String, access: Access = .signedIn, at entry: EntryPoint = .main,
        options: WebSocketOptions = WebSocketOptions(),
        _ makeHandler: @escaping @Sendable (Request) -> any WebSocketHandler
    ) {
        add(.get, pattern, access: access, at: entry, isWebSocket: true) { _ in
            Response(
                status: .switchingProtocols,
                body: .webSocket(WebSocketUpgrade(options: options, makeHandler: makeHandler)))
        }
    }

    /// Declares a WebSocket as a function that reads messages and may suspend; costs a task per socket.
    package mutating func webSocket(
        _ pattern: String, access: Access = .signedIn, at entry: EntryPoint = .main,
        options: WebSocketOptions = WebSocketOptions(),
        session: @escaping @Sendable (WebSocketSession) async throws -> Void
    ) {
        webSocket(pattern, access: access, at: entry, options: options) { _ in SessionHandler(run: session) }
    }

    private mutating func add(
        _ method: Method?, _ text: String, access: Access, at entry: EntryPoint, isWebSocket: Bool,
        _ handler: @escaping Handler
    ) {
        guard let pattern = RoutePattern(text) else {
            registrations.problems.append("plugin \(plugin): \(text) is not a route pattern")
            return
        }
        registrations.routes.append(
            Route(
                method: method, pattern: pattern, access: access, entryPoint: entry, plugin: plugin,
                isWebSocket: isWebSocket, handler: handler))
    }

    // MARK: The rest

    /// Opens a port of the plugin's own; routes name it by `at:`.
    package mutating func entryPoint(
        _ name: String, listen: ListenAddress, isEncrypted: Bool = true
    ) -> EntryPoint {
        let entry = EntryPoint(name: name, listen: listen, isEncrypted: isEncrypted)
        registrations.entryPoints.append(entry)
        return entry
    }

    /// Runs `body` from start to drain; it is cancelled then. When it throws it is restarted, with growing pauses.
    package mutating func service(
        _ name: String, _ body: @escaping @Sendable (ServiceContext) async throws -> Void
    ) { registrations.services.append(BackgroundService(name: name, plugin: plugin, run: body)) }

    /// Adds to `/readyz`. `check` must not block.
    package mutating func health(_ name: String, _ check: @escaping @Sendable () -> Health) {
        registrations.healthChecks.append(HealthCheck(name: name, plugin: plugin, check: check))
    }
}

/// What the gateway tells every plugin about itself.
package struct GatewayContext: Equatable, Sendable {
    /// Paths on which the guides expect "the" WebSocket: `/` and WEBSOCKET_PATH. The first plugin to claim them has them.
    package let mainSocketPaths: [String]
    /// Number of event loops.
    package let loopCount: Int
    /// Whose web pages may open sockets where a route has no rule of its own (ALLOWED_ORIGINS).
    package let origins: OriginPolicy

    package init(mainSocketPaths: [String], loopCount: Int, origins: OriginPolicy = .any) {
        self.mainSocketPaths = mainSocketPaths
        self.loopCount = loopCount
        self.origins = origins
    }
}
