package import PluginKit

/// What `PROXY_*` can say.
package struct ProxySettings: Settings {
    let routes: ProxyRoutes
    let requiresToken: Bool
    let retries: Int
    let retryBudget: Int
    let outliers: OutlierRule
    let compressesSockets: Bool
    let socketBuffer: ByteCount

    package init(from env: inout SettingsReader) {
        routes = env.required(
            "ROUTES", type: "list of [HOST]PATH=URL[|URL…], separated by commas", placeholder: ProxyRoutes(),
            example: "/api=http://10.0.0.1:3000|http://10.0.0.2:3000,api.example.com/v2=https://backend",
            """
            What to forward where, HTTP and WebSocket alike. A request goes to the longest PATH that it is at or below, \
            among the routes of its host if any fits, else among those without a host. Of several URLs the one with the \
            fewest requests under way is asked. A URL without a path gets the request's whole path; with one, even `/`, \
            that stands in place of PATH. Paths that other plugins answer stay theirs on every host.
            """
        ) { (text) throws(SettingError) in try ProxyRoutes(text) }
        requiresToken = env.optional(
            "REQUIRE_TOKEN", default: false,
            "Whether forwarded requests need a token. Off, whatever authentication there is, is the upstream's.")
        retries = env.optional(
            "RETRIES", default: 1, in: 0...8,
            "How many other upstreams are asked when one could not be reached or, for an idempotent request without a body, hung up before it answered."
        )
        retryBudget = env.optional(
            "RETRY_BUDGET", default: 20, in: 0...100,
            "Retries allowed for each hundred requests of a route, beyond a reserve of ten. 0 turns retries off.")
        let failures: Int = env.optional(
            "EJECT_AFTER", default: 5, in: 0...1000,
            "Failures in a row (no connection, no answer in time, a broken answer, 502, 503 or 504) after which an upstream is left alone, as long as half of its route's are not. 0 never does."
        )
        let time: Duration = env.optional(
            "EJECT_TIME", default: .seconds(10), in: .milliseconds(10) ... .seconds(3600), bare: .milliseconds,
            "How long it is left alone at first. Then one request tries it; as long as that fails the time doubles.")
        let longest: Duration = env.optional(
            "EJECT_TIME_LIMIT", default: .seconds(300), in: .milliseconds(10) ... .seconds(86400), bare: .milliseconds,
            "Longest time for which an upstream is left alone.")
        outliers = OutlierRule(failures: failures, time: time, longestTime: max(time, longest))
        compressesSockets = env.optional(
            "WEBSOCKET_COMPRESSION", default: false,
            "Whether compression is offered to upstreams too. Clients are offered it either way (COMPRESSION_ENABLED); on the short way to an upstream it seldom pays."
        )
        socketBuffer = env.optional(
            "WEBSOCKET_BUFFER", default: .kibibytes(256), in: .kibibytes(4) ... .mebibytes(64), bare: .bytes,
            "Unsent bytes on one side of a socket above which the other is not read.")
    }
}
