import GatewayAuth
import GatewayBytes
import GatewayConfig
import GatewayHTTP
import GatewayRuntime
import GatewayTLS
import GatewayUpstream
import GatewayWebSocket
import PluginKit

/// Settings, routes and keys that belong together: immutable, shared by all loops, replaced as a whole.
final class Generation: Sendable {
    let number: Int
    let configuration: Configuration
    let settings: CoreSettings
    let routers: [EntryPoint: Router]
    let access: AccessControl
    /// Certificates as they were read for it. They may be replaced while it serves.
    let certificates: ServerCertificates.Loaded
    /// Whom https upstreams are verified against.
    let upstreamTrust: UpstreamTrust
    /// In the order of PLUGINS.
    let plugins: [PluginInstance]
    private let routes: [String: ResolvedRoute]

    init(number: Int, configuration: Configuration, parts: Parts) {
        self.number = number
        self.configuration = configuration
        settings = configuration.core
        routers = parts.routers
        access = parts.access
        certificates = parts.certificates
        upstreamTrust = parts.upstreamTrust
        plugins = parts.plugins
        var routes: [String: ResolvedRoute] = [:]
        for router in parts.routers.values {
            for route in router.routes { routes[route.key] = route }
        }
        self.routes = routes
    }

    struct Parts {
        let routers: [EntryPoint: Router]
        let access: AccessControl
        let certificates: ServerCertificates.Loaded
        let upstreamTrust: UpstreamTrust
        let plugins: [PluginInstance]
    }

    /// What connections to an encrypted port begin with, as of its beginning.
    var tls: TLSServerContext? { certificates.context }

    /// The route that stands where `route` of another generation stood.
    func counterpart(of route: ResolvedRoute) -> ResolvedRoute? { routes[route.key] }

    /// Ports of the plugins, besides the main and the operators' one.
    var entryPoints: [EntryPoint] { plugins.flatMap(\.registrations.entryPoints) }

    /// Background work, and the part whose it is: it ends with that part.
    var services: [(owner: any AnyObject & Sendable, service: BackgroundService)] {
        var services: [(owner: any AnyObject & Sendable, service: BackgroundService)] = []
        for plugin in plugins { services += plugin.registrations.services.map { (plugin, $0) } }
        if let refreshing = access.refreshing { services.append((access, refreshing)) }
        return services
    }

    // MARK: Resources

    /// Opens what its plugins need.
    ///
    /// - Parameter previous: Plugins that it has too have theirs open.
    /// - Throws: The first that cannot be opened; those before it are closed again.
    func openResources(after previous: Generation?) throws(StartError) {
        let new = plugins.filter { plugin in !(previous?.plugins.contains { $0 === plugin } ?? false) }
        var opened: [any PluginResource] = []
        for entry in new.flatMap(\.registrations.resources) {
            do {
                try entry.resource.open()
                opened.append(entry.resource)
            } catch {
                for resource in opened.reversed() { resource.close() }
                throw StartError("plugin \(entry.plugin): \(entry.name): \(error)", exitCode: 73)
            }
        }
    }

    func closeResources() {
        for entry in plugins.flatMap(\.registrations.resources).reversed() { entry.resource.close() }
    }

    // MARK: Routers

    /// Builds the routers out of what the plugins declared.
    ///
    /// - Parameters:
    ///   - plugins: Whose routes and middleware these are, besides the core's own.
    ///   - problems: Gets a line for each pair of routes that collide, naming both.
    static func routers(
        _ registrations: Registrations, of plugins: [PluginInstance], access: AccessControl, metricsToken: Secret?,
        metrics: ServerMetrics, problems: inout [String]
    ) -> [EntryPoint: Router] {
        var byEntry: [EntryPoint: [(Route, ResolvedRoute)]] = [.main: [], .operations: []]
        for entry in registrations.entryPoints { byEntry[entry] = [] }
        var owners: [String: PluginName] = [:]
        for route in registrations.routes {
            let kind = route.isWebSocket ? "websocket" : route.method?.wireName.description ?? "any method"
            let key = "\(route.entryPoint.name) \(kind) \(route.pattern.shape)"
            if let owner = owners[key] {
                problems.append(
                    "plugins \(owner) and \(route.plugin) both answer \(kind) \(route.pattern) on \(route.entryPoint.name)"
                )
                continue
            }
            owners[key] = route.plugin
            let resolved = resolve(route, key: key, registrations, plugins, metrics) {
                access.middleware(for: $0, metricsToken: metricsToken)
            }
            byEntry[route.entryPoint, default: []].append((route, resolved))
        }
        let everywhere = registrations.middleware.filter { $0.scope == .everyRequest }.map(\.middleware)
        let fallback = ResolvedRoute(
            plugin: "core", pattern: RoutePattern.root, isWebSocket: false,
            chain: Chain(middleware: everywhere) { _ in throw GatewayFault.notFound() },
            metrics: metrics.route(of: "core"))
        return byEntry.reduce(into: [:]) { routers, entry in
            routers[entry.key] = Router(entry: entry.key, routes: entry.value, fallback: fallback)
        }
    }

    private static func resolve(
        _ route: Route, key: String, _ registrations: Registrations, _ plugins: [PluginInstance],
        _ metrics: ServerMetrics, gatedBy makeGate: (Access) -> any Middleware
    ) -> ResolvedRoute {
        var outer: [any Middleware] = []
        var inner: [any Middleware] = []
        var passed: [PluginName] = []
        for entry in registrations.middleware {
            switch entry.scope {
            case .everyRequest: outer.append(entry.middleware)
            case .ownRoutes where entry.plugin == route.plugin: inner.append(entry.middleware)
            case .path(let prefix) where route.pattern.description.hasPrefix(prefix): inner.append(entry.middleware)
            case .ownRoutesBeforeAccess where entry.plugin == route.plugin: outer.append(entry.middleware)
            case .ownRoutes, .ownRoutesBeforeAccess, .path: continue
            }
            if !passed.contains(entry.plugin) { passed.append(entry.plugin) }
        }
        // Middleware for every request (CORS above all) answers before anyone asks for a token.
        let gate: [any Middleware] = route.access == .anyone ? [] : [makeGate(route.access)]
        return ResolvedRoute(
            plugin: route.plugin, pattern: route.pattern, isWebSocket: route.isWebSocket,
            chain: Chain(middleware: outer + gate + inner, handler: route.handler),
            metrics: metrics.route(of: route.plugin), key: key, entryPoint: route.entryPoint,
            owner: plugins.first { $0.name == route.plugin },
            gate: plugins.filter { $0.name != route.plugin && passed.contains($0.name) })
    }
}
