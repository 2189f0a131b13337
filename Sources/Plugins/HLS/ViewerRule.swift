import PluginKit

/// Who may watch: this machine, until HLS_PUBLIC says everybody.
struct ViewerRule: Sendable {
    let isPublic: Bool

    /// Fields in which proxies say whom they speak for.
    private static let claims: [HeaderName] = [.xForwardedFor, .xRealIP, .xClientIP, .trueClientIP, .cfConnectingIP]

    func check(_ request: Request) throws(GatewayFault) {
        guard !isPublic else { return }
        let isLocal =
            request.peer.isLoopback && request.header(.forwarded) == nil
            && Self.claims.allSatisfy { request.values(of: $0).allSatisfy(Self.namesLoopback) }
        guard isLocal else {
            throw GatewayFault(
                .forbidden, "viewer_not_local",
                "Streams are served to this machine only. HLS_PUBLIC=true serves them to everybody.")
        }
    }

    /// Whether a field names loopback addresses only.
    ///
    /// Believing it from anybody is safe: it can only take rights away. A proxy on this machine makes every viewer's
    /// connection a local one, and what it says about them is all there is to know better by.
    static func namesLoopback(_ value: String) -> Bool {
        value.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { element in
            IPAddress(element.filter { $0 != " " && $0 != "\t" })?.kind == .loopback
        }
    }
}
