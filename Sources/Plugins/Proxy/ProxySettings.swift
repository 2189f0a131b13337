package import PluginKit

/// What `PROXY_*` can say.
package struct ProxySettings: Settings {
    let routes: ProxyRoutes
    let requiresToken: Bool

    package init(from env: inout SettingsReader) {
        routes = env.required(
            "ROUTES", type: "list of PATH=URL, separated by commas", placeholder: ProxyRoutes(),
            example: "/api=http://127.0.0.1:3000,/files=https://files.internal/public",
            """
            What to forward where. A request goes to the longest PATH that it is at or below. A URL without a path gets \
            the request's whole path; with one, even `/`, that stands in place of PATH.
            """
        ) { (text) throws(SettingError) in try ProxyRoutes(text) }
        requiresToken = env.optional(
            "REQUIRE_TOKEN", default: false,
            "Whether forwarded requests need a token. Off, whatever authentication there is, is the upstream's.")
    }
}
