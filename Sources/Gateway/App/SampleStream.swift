import GatewayBytes
import GatewayRuntime
import PluginKit

/// The stream that `serve --dev` plays: made once by ffmpeg, kept in the state directory.
struct SampleStream {
    let folder: String

    private static let defaultPort = "3080"

    static func origin(_ environment: [String: String]) -> String {
        "http://127.0.0.1:\(environment["SAMPLE_PORT"] ?? defaultPort)"
    }

    /// - Returns: `nil` when ffmpeg is not installed or fails.
    static func prepare(in state: String) -> SampleStream? {
        let folder = "\(state)/sample"
        let sample = SampleStream(folder: folder)
        if ProcessContext.fileExists("\(folder)/index.m3u8") { return sample }
        guard (try? ProcessContext.makeFolder(folder)) != nil else { return nil }
        let status = ChildProcess.run([
            "ffmpeg", "-nostdin", "-loglevel", "error", "-y",
            "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=12",
            "-f", "lavfi", "-i", "sine=frequency=440:duration=12",
            "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac",
            "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod",
            "-hls_segment_filename", "\(folder)/segment%d.ts", "\(folder)/index.m3u8",
        ])
        return status == 0 ? sample : nil
    }

    /// Its path behind the HLS proxy.
    func link(_ environment: [String: String]) -> String {
        let url = "\(Self.origin(environment))/sample/index.m3u8"
        return "/proxy/manifest/\(Base64URL.encode(Array(url.utf8), padding: true)).m3u8"
    }
}

/// Serves the sample stream's files on a loopback port of their own: the "origin" of the development set-up.
struct SamplePlugin: Plugin {
    struct Configuration: Settings {
        let port: Port
        let state: String

        init(from env: inout SettingsReader) {
            port = env.optional("PORT", default: 3080, "Loopback port of the sample stream of `serve --dev`.")
            state = env.optional(
                exactly: "STATE_DIRECTORY", default: "/var/lib/gateway",
                "The sample stream is in a folder of it.")
        }
    }

    static let name: PluginName = "sample"
    static let summary = "Serves the sample stream of serve --dev."
    static let isOnByDefault = false

    let settings: Configuration

    func register(with gateway: inout Registrar) {
        let entry = gateway.entryPoint(
            "sample", listen: ListenAddress(host: "127.0.0.1", port: settings.port), isEncrypted: false)
        gateway.use(SecurityHeaders(), on: .ownRoutes)
        gateway.use(ResponseCompression(in: gateway.context), on: .ownRoutes)
        gateway.files("/sample", from: "\(settings.state)/sample", at: entry)
    }
}
