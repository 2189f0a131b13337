import GatewayAuth
import GatewayHTTP
import GatewayRuntime
import GatewayTLS
import GatewayWebSocket
import PluginKit

/// Settings, routes and keys that belong together: immutable, shared by all loops, replaced as a whole.
final class Generation: Sendable {
    let number: Int
    let settings: CoreSettings
    let routers: [EntryPoint: Router]
    let access: AccessControl
    /// What connections to an encrypted port begin with.
    let tls: TLSServerContext?

    init(
        number: Int, settings: CoreSettings, routers: [EntryPoint: Router], access: AccessControl,
        tls: TLSServerContext?
    ) {
        self.number = number
        self.settings = settings
        self.routers = routers
        self.access = access
        self.tls = tls
    }

    /// The same with other certificates.
    func replacing(tls: TLSServerContext) -> Generation {
        Generation(number: number, settings: settings, routers: routers, access: access, tls: tls)
    }

    /// Builds the routers out of what the plugins declared.
    ///
    /// - Parameter problems: Gets a line for each pair of routes that collide, naming both.
    static func routers(
        _ registrations: Registrations, access: AccessControl, metrics: ServerMetrics, problems: inout [String]
    ) -> [EntryPoint: Router] {
        var byEntry: [EntryPoint: [(Route, ResolvedRoute)]] = [.main: [], .operations: []]
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
            byEntry[route.entryPoint, default: []].append((route, resolve(route, registrations, access, metrics)))
        }
        let everywhere = registrations.middleware.filter { $0.scope == .everyRequest }.map(\.middleware)
        let fallback = ResolvedRoute(
            plugin: "core", pattern: RoutePattern.root, isWebSocket: false,
            chain: Chain(middleware: everywhere) { _ in throw GatewayFault.notFound() },
            metrics: metrics.route(of: "core"))
        return byEntry.mapValues { Router(routes: $0, fallback: fallback) }
    }

    private static func resolve(
        _ route: Route, _ registrations: Registrations, _ access: AccessControl, _ metrics: ServerMetrics
    ) -> ResolvedRoute {
        var outer: [any Middleware] = []
        var inner: [any Middleware] = []
        for entry in registrations.middleware {
            switch entry.scope {
            case .everyRequest: outer.append(entry.middleware)
            case .ownRoutes where entry.plugin == route.plugin: inner.append(entry.middleware)
            case .path(let prefix) where route.pattern.description.hasPrefix(prefix): inner.append(entry.middleware)
            case .ownRoutesBeforeAccess where entry.plugin == route.plugin: outer.append(entry.middleware)
            case .ownRoutes, .ownRoutesBeforeAccess, .path: break
            }
        }
        // Middleware for every request (CORS above all) answers before anyone asks for a token.
        let gate: [any Middleware] = route.access == .anyone ? [] : [access.middleware(for: route.access)]
        return ResolvedRoute(
            plugin: route.plugin, pattern: route.pattern, isWebSocket: route.isWebSocket,
            chain: Chain(middleware: outer + gate + inner, handler: route.handler),
            metrics: metrics.route(of: route.plugin))
    }
}
