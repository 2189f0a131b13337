package import GatewayConfig
package import GatewayHTTP
package import GatewayRuntime
package import GatewayTelemetry
package import GatewayUpstream
package import GatewayWebSocket

/// Who may use a route.
package enum Access: Hashable, Sendable {
    /// No token is asked for; one that was sent is not looked at, and ``Request/principal`` is `nil`.
    case anyone
    /// A verified token.
    case signedIn
    /// A verified token with the admin permission, exactly.
    case admin
    /// The same, or METRICS_TOKEN: for figures that a scraper reads.
    case operators
    /// Anybody, and more is told to operators: see ``Request/isOperator``. A token that is not good is overlooked.
    case anyoneRecognised
}

/// A port of the gateway. The main one is always there; a plugin may open the port its guide promises.
package struct EntryPoint: Hashable, Sendable {
    /// Unique among the ports; how logs call it.
    package let name: String
    /// `nil` for the gateway's own two, whose addresses are settings of the core.
    package let listen: ListenAddress?
    /// Whether it speaks TLS when certificates are configured.
    package let isEncrypted: Bool

    /// Plugins call ``Registrar/entryPoint(_:listen:isEncrypted:)``, which opens the port too.
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
    /// Which paths.
    package let pattern: RoutePattern
    /// Who may use it, asked before the handler runs.
    package let access: Access
    /// The port it is found on.
    package let entryPoint: EntryPoint
    /// Whose it is: requests are counted under this name.
    package let plugin: PluginName
    /// Whether a request without an upgrade is answered 426.
    package let isWebSocket: Bool
    /// What answers.
    package let handler: Handler

    /// Plugins call ``Registrar/route(_:_:access:at:_:)`` and its relatives.
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
    /// How logs call it.
    package let name: String
    /// Whose it is.
    package let plugin: PluginName
    /// Called on the loop it was given, again after it has thrown.
    package let run: @Sendable (ServiceContext) async throws -> Void

    /// Plugins call ``Registrar/service(_:_:)``.
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
    /// The loop that the service runs on, and stays on.
    package let loop: EventLoop
    /// Speaks under the plugin's name.
    package let log: Logger

    /// Made by the server.
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
    /// Works.
    case healthy
    /// Works, with less than all of it; probes still answer 200.
    case degraded(String)
    /// Cannot work: the readiness probe fails.
    case unhealthy(String)
}

/// A question that `/readyz` asks.
package struct HealthCheck: Sendable {
    /// How `/readyz` on the operations port lists it.
    package let name: String
    /// Whose it is.
    package let plugin: PluginName
    /// Called for every probe, on any loop; must not block.
    package let check: @Sendable () -> Health
}

/// Something outside of the gateway that a plugin needs for all of its requests, such as a file of facts.
package protocol PluginResource: AnyObject, Sendable {
    /// Makes it ready, before the plugin is asked for anything. Blocks. Called once.
    ///
    /// - Throws: What stops the start, or refuses the reload that brings the plugin, in one line.
    func open() throws

    /// Ends it, when the process ends and no loop runs any more. Blocks, for seconds at most. One whose plugin goes before
    /// that has to end with its last reference instead, since requests may still hold it.
    func close()
}

/// A resource, as a plugin declared it.
package struct NamedResource: Sendable {
    /// How a problem with it is told.
    package let name: String
    /// Whose it is.
    package let plugin: PluginName
    /// What to open and close.
    package let resource: any PluginResource
}

/// Everything the enabled plugins declared, in order.
package struct Registrations: Sendable {
    /// Middleware, and which requests it sees.
    package struct ScopedMiddleware: Sendable {
        /// What runs.
        package let middleware: any Middleware
        /// Which requests it sees.
        package let scope: Scope
        /// Whose it is, which decides what its own routes are.
        package let plugin: PluginName
    }

    /// In the order of declaration, which does not matter for finding them.
    package var routes: [Route] = []
    /// Outermost first.
    package var middleware: [ScopedMiddleware] = []
    /// Spread over the loops in turn.
    package var services: [BackgroundService] = []
    /// Asked in order.
    package var healthChecks: [HealthCheck] = []
    /// Opened in order, closed in the opposite one.
    package var resources: [NamedResource] = []
    /// The ports of plugins; the gateway's own are not among them.
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
        resources += other.resources
        entryPoints += other.entryPoints
        problems += other.problems
    }
}

/// Where a plugin declares what it adds.
package struct Registrar {
    /// Whose declarations these are.
    package let plugin: PluginName
    /// Metrics named `gateway_<plugin>_…`.
    package let metrics: PluginMetrics
    /// Requests to other servers, on the caller's loop, from its pool.
    package let upstream: UpstreamClient
    /// Breakers of all services that this process asks. Name one after the plugin and the service: `proxy:/api`.
    package let breakers: CircuitBreakers
    /// Speaks under the plugin's name. May be kept and used on any thread.
    package let log: Logger
    /// Who was let in or refused, and who changed what rights: for rights of the plugin's own, since the core tells of tokens.
    package let audit: AuditLog
    /// Protects credentials that the plugin checks itself from being guessed.
    package let credentials: CredentialChecks
    /// Where durable facts belong (STATE_DIRECTORY): the same as long as the process lives. It may not exist yet, or not
    /// be writable.
    package let stateDirectory: String
    /// Everything the plugin has declared so far.
    package private(set) var registrations = Registrations()
    let limiting: RateLimiting
    private let told: GatewayContext
    private let notes = Notes()

    /// What the plugin asked for, besides its own settings.
    private final class Notes {
        var hasAskedForContext = false
    }

    /// Made by the server, one for each plugin, in the order of PLUGINS.
    package init(
        plugin: PluginName, metrics: PluginMetrics, upstream: UpstreamClient, breakers: CircuitBreakers, log: Logger,
        stateDirectory: String, limiting: RateLimiting, audit: AuditLog, credentials: CredentialChecks,
        context: GatewayContext
    ) {
        self.plugin = plugin
        self.metrics = metrics
        self.upstream = upstream
        self.breakers = breakers
        self.log = log
        self.stateDirectory = stateDirectory
        self.limiting = limiting
        self.audit = audit
        self.credentials = credentials
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

    /// Adds middleware. The order of calls is the order of the chain, outermost first; plugins come in the order of
    /// PLUGINS.
    ///
    /// - Parameter scope: Which requests it sees.
    package mutating func use(_ middleware: some Middleware, on scope: Scope) {
        registrations.middleware.append(.init(middleware: middleware, scope: scope, plugin: plugin))
    }

    // MARK: Routes

    /// Answers GET, and HEAD without the body.
    package mutating func get(
        _ pattern: String, access: Access = .anyone, at entry: EntryPoint = .main, limit: RateLimit? = nil,
        _ handler: @escaping Handler
    ) { route(.get, pattern, access: access, at: entry, limit: limit, handler) }

    /// Answers POST.
    package mutating func post(
        _ pattern: String, access: Access = .anyone, at entry: EntryPoint = .main, limit: RateLimit? = nil,
        _ handler: @escaping Handler
    ) { route(.post, pattern, access: access, at: entry, limit: limit, handler) }

    /// Declares a route.
    ///
    /// - Parameters:
    ///   - method: `nil` answers every method that no more exact route takes.
    ///   - pattern: `/exact`, `/one/{segment}`, or `/rest/{name...}` for everything below. Exact beats captured, longer
    ///     beats shorter. Two equal patterns with one method stop the start.
    ///   - limit: What its requests count against, once access was granted.
    package mutating func route(
        _ method: Method?, _ pattern: String, access: Access = .anyone, at entry: EntryPoint = .main,
        limit: RateLimit? = nil, _ handler: @escaping Handler
    ) { add(method, pattern, access: access, at: entry, isWebSocket: false, limit, handler) }

    /// Declares a WebSocket at a path, as an object that is told what happens: costs an idle socket nothing.
    ///
    /// - Parameters:
    ///   - limit: What handshakes count against, each as a request that is over when the socket opens.
    ///   - makeHandler: Called on the socket's loop, once the request has passed middleware and access rules and before
    ///     the upgrade is answered. May suspend; throws ``GatewayFault`` to refuse. One object may serve several sockets,
    ///     if it is `Sendable`.
    package mutating func webSocket(
        _ pattern: String, access: Access = .signedIn, at entry: EntryPoint = .main,
        options: WebSocketOptions = WebSocketOptions(), limit: RateLimit? = nil,
        _ makeHandler: @escaping @Sendable (Request) async throws -> any WebSocketHandler
    ) {
        add(.get, pattern, access: access, at: entry, isWebSocket: true, limit) { request in
            let handler = try await makeHandler(request)
            return Response(
                status: .switchingProtocols,
                body: .webSocket(WebSocketUpgrade(options: options) { _ in handler }))
        }
    }

    /// Declares a WebSocket as a function that reads messages and may suspend; costs a task per socket.
    ///
    /// For one that needs the request too, return a ``SessionHandler`` from the other form.
    package mutating func webSocket(
        _ pattern: String, access: Access = .signedIn, at entry: EntryPoint = .main,
        options: WebSocketOptions = WebSocketOptions(), limit: RateLimit? = nil,
        session: @escaping @Sendable (WebSocketSession) async throws -> Void
    ) {
        webSocket(pattern, access: access, at: entry, options: options, limit: limit) { _ in
            SessionHandler(run: session)
        }
    }

    private mutating func add(
        _ method: Method?, _ text: String, access: Access, at entry: EntryPoint, isWebSocket: Bool,
        _ limit: RateLimit?, _ handler: @escaping Handler
    ) {
        guard let pattern = RoutePattern(text) else {
            registrations.problems.append("plugin \(plugin): \(text) is not a route pattern")
            return
        }
        // Not by `map` and `??`: a function that passes through a generic one is wrapped, at each call two frames more.
        let limited = if let limit { limit.around(handler) } else { handler }
        registrations.routes.append(
            Route(
                method: method, pattern: pattern, access: access, entryPoint: entry, plugin: plugin,
                isWebSocket: isWebSocket, handler: limited))
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

    /// Has the gateway open something before the plugin is asked for anything, and close it at the end.
    package mutating func resource(_ name: String, _ resource: some PluginResource) {
        registrations.resources.append(NamedResource(name: name, plugin: plugin, resource: resource))
    }

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

    /// Made by the server.
    package init(mainSocketPaths: [String], loopCount: Int, origins: OriginPolicy = .any) {
        self.mainSocketPaths = mainSocketPaths
        self.loopCount = loopCount
        self.origins = origins
    }
}
