package import PluginKit

/// Forwards paths to HTTP servers of the operator's choice.
///
/// Bodies stream both ways with back-pressure. One upstream for each path, HTTP only: an upgrade is answered 501.
package struct ReverseProxy: Plugin {
    package static let name: PluginName = "proxy"
    package static let summary = "Forwards the paths of PROXY_ROUTES to the servers behind them."

    private let settings: ProxySettings

    package init(settings: ProxySettings) { self.settings = settings }

    package func register(with gateway: inout Registrar) {
        let failures = gateway.metrics.counters(
            "failures_total", "Requests that an upstream did not answer, or not in full, by error code.",
            labels: ["code"])
        for route in settings.routes.all {
            let forwarding = Forwarding(
                route: route, upstream: gateway.upstream, failures: failures, log: gateway.log)
            for pattern in route.patterns {
                gateway.route(nil, pattern, access: settings.requiresToken ? .signedIn : .anyone, forwarding.answer)
            }
        }
    }
}

extension ProxyRoute {
    /// The path itself, with a slash, and everything below.
    var patterns: [String] { (prefix.isEmpty ? [] : [prefix]) + ["\(prefix)/", "\(prefix)/{path...}"] }
}
