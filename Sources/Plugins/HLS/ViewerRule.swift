import PluginKit

/// Who may watch: this machine, until HLS_PUBLIC says everybody.
struct ViewerRule: Sendable {
    let isPublic: Bool

    func check(_ request: Request) throws(GatewayFault) {
        guard !isPublic else { return }
        guard request.client.isOnThisMachine else {
            throw GatewayFault(
                .forbidden, "viewer_not_local",
                "Streams are served to this machine only. HLS_PUBLIC=true serves them to everybody.")
        }
    }
}
