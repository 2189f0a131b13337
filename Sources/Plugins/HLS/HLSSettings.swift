package import PluginKit

/// What `HLS_*` can say.
package struct HLSSettings: Settings {
    let allowedOrigins: AllowedOrigins
    let isPublic: Bool
    let playlistLimit: ByteCount
    let maxRedirects: Int
    let timeouts: UpstreamTimeouts
    let userAgent: String
    let sendsReferer: Bool

    package init(from env: inout SettingsReader) {
        allowedOrigins = env.optional(
            "ALLOWED_ORIGINS", type: "list of origins, separated by commas", default: AllowedOrigins(),
            example: "https://cdn.example,http://10.0.0.5:8080",
            """
            Where streams may come from, as scheme://host[:port]. Empty allows nothing. Redirects are held to it too. An \
            origin at an address that is not public needs ALLOW_PRIVATE_NETWORKS as well.
            """
        ) { (text) throws(SettingError) in try AllowedOrigins(text) }
        isPublic = env.optional(
            "PUBLIC", default: false,
            "Whether viewers on other machines are served. They are not asked who they are.")
        playlistLimit = env.optional(
            "PLAYLIST_LIMIT", default: .mebibytes(8), in: .kibibytes(1) ... .mebibytes(64),
            "Largest playlist that is read from an origin; it is held in memory while it is rewritten.")
        maxRedirects = env.optional("MAX_REDIRECTS", default: 5, in: 0...20, "Redirects followed for one request.")
        timeouts = UpstreamTimeouts(
            connect: env.optional(
                "CONNECT_TIMEOUT", default: .seconds(10), in: .milliseconds(10) ... .seconds(300),
                "Name look-up, TCP and TLS handshake with an origin together."),
            firstByte: env.optional(
                "HEAD_TIMEOUT", default: .seconds(30), in: .milliseconds(10) ... .seconds(600),
                "Longest wait for a response head. Blocking playlist reloads need a few segments' time."),
            idle: env.optional(
                "IDLE_TIMEOUT", default: .seconds(30), in: .milliseconds(10) ... .seconds(600),
                "Longest pause within a response body."))
        userAgent = env.optional(
            "USER_AGENT", type: "text", default: "Mozilla/5.0 (compatible; gateway)",
            "User-Agent towards origins; the viewer's own is not passed on."
        ) { (text) throws(SettingError) in try Self.visible(text) }
        sendsReferer = env.optional(
            "SEND_REFERER", default: false,
            "Whether origins are sent Referer and Origin naming themselves, for those that refuse to answer without.")
    }

    private static func visible(_ text: String) throws(SettingError) -> String {
        guard text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }), text.utf8.count <= 512 else {
            throw SettingError("not up to 512 visible ASCII characters")
        }
        return text
    }
}
