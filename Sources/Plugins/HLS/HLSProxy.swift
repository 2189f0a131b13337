package import PluginKit

/// Plays HLS streams of other servers through the gateway: playlists are rewritten so that everything in them leads
/// here, and everything else is relayed as it comes.
package struct HLSProxy: Plugin {
    package static let name: PluginName = "hls"
    package static let summary = "Relays HLS streams of HLS_ALLOWED_ORIGINS, playlists rewritten to lead through here."

    private let settings: HLSSettings

    package init(settings: HLSSettings) { self.settings = settings }

    package func register(with gateway: inout Registrar) {
        let relay = StreamRelay(
            settings: settings, upstream: gateway.upstream, metrics: HLSMetrics(gateway.metrics), log: gateway.log)
        for (pattern, kind) in [("/proxy/manifest/{link}", LinkKind.playlist), ("/proxy/segment/{link}", .media)] {
            gateway.get(pattern) { try await relay.answer($0, kind) }
        }
        gateway.allowCrossOrigin(Self.players)
    }

    /// Pages of any site may play what is served here, and read why not. Nothing here depends on a cookie.
    private static let players: CrossOriginPolicy = {
        var policy = CrossOriginPolicy(.anyone)
        policy.methods = [.get, .head, .options]
        policy.requestFields = [.range, .authorization, .ifRange, .ifNoneMatch, .ifModifiedSince]
        policy.preflightAge = .seconds(86400)
        policy.isEmbeddable = true
        return policy
    }()
}

/// What the plugin counts.
struct HLSMetrics: Sendable {
    let playlists: Counter
    let segments: Counter
    /// By error code.
    let refused: MetricFamily<Counter>

    init(_ metrics: PluginMetrics) {
        playlists = metrics.counter("playlists_total", "Playlists rewritten.")
        segments = metrics.counter("segments_total", "Bodies that were relayed: segments, keys, subtitles.")
        refused = metrics.counters(
            "refused_total", "Requests that were refused or that an origin did not answer well, by error code.",
            labels: ["reason"])
    }
}
