package import GatewayAuth
package import GatewayBytes
package import GatewayConfig
package import GatewayHTTP
import GatewayRuntime
package import GatewayTelemetry
package import GatewayUpstream
import GatewayWebSocket

/// Where the gateway listens, and how many connections it takes.
package struct ListenSettings: Settings {
    package let address: String
    package let port: Port
    package let operations: ListenAddress?
    package let loops: Int
    package let maxConnections: Int
    package let backlog: Int
    package let workerThreads: Int

    package init(from env: inout SettingsReader) {
        port = env.optional(
            exactly: "WEBSOCKET_PORT", default: 3001, "The main port: HTTP, WebSocket and, with certificates, TLS.")
        address = env.optional(
            exactly: "LISTEN_ADDRESS", default: "::",
            "Address of the main port. `::` is every IPv4 and IPv6 address of the machine.")
        operations = env.optional(
            exactly: "OPS_LISTEN", default: ListenAddress(host: "127.0.0.1", port: 9901),
            "Where `/metrics` and the detailed `/readyz` are served, in plain HTTP to anybody who can connect. "
                + "Never expose it to clients.")
        loops = env.optional(
            exactly: "LOOPS", default: 0, in: 0...256,
            "Event loops, one thread each. 0: one for each processor the process may use (affinity, cgroup limit).")
        maxConnections = env.optional(
            exactly: "MAX_CONNECTIONS", default: 16384, in: 1...1_000_000,
            "Client connections at once, over all ports; more wait in the kernel's backlog. OPS_LISTEN takes 64 more. "
                + "The start stops unless the system allows as many file descriptors as this and "
                + "UPSTREAM_MAX_CONNECTIONS together, and 256 besides.")
        backlog = env.optional(
            exactly: "LISTEN_BACKLOG", default: 4096, in: 1...65535,
            "Connections the kernel completes ahead of the gateway's accepting them, per event loop.")
        workerThreads = env.optional(
            exactly: "WORKER_THREADS", default: 4, in: 1...64,
            "Threads for work that blocks or is heavy: name look-ups, files, large playlists.")
    }
}

/// Limits and time-outs of HTTP.
package struct HTTPSettings: Settings {
    package let headTimeout: Duration
    package let bodyTimeout: Duration
    package let keepAliveTimeout: Duration
    package let writeTimeout: Duration
    package let maxBody: ByteCount
    package let discardLimit: ByteCount
    package let sendBuffer: ByteCount
    package let headLimits: HeadLimits

    package init(from env: inout SettingsReader) {
        headTimeout = env.optional(
            exactly: "HTTP_HEAD_TIMEOUT", default: .seconds(10), in: .milliseconds(100) ... .seconds(300),
            bare: .milliseconds,
            "How long a request head may take from its first byte to its last, and the first one on a connection from "
                + "the connection's beginning, TLS handshake included; then 408, or closed if nothing came.")
        bodyTimeout = env.optional(
            exactly: "HTTP_BODY_TIMEOUT", default: .seconds(30), in: .milliseconds(100) ... .seconds(3600),
            bare: .milliseconds, "Longest pause within a request body while its handler waits for it; then 408.")
        keepAliveTimeout = env.optional(
            exactly: "HTTP_KEEP_ALIVE_TIMEOUT", default: .seconds(75), in: .milliseconds(100) ... .seconds(3600),
            bare: .milliseconds, "How long an idle connection is kept for its next request.")
        writeTimeout = env.optional(
            exactly: "HTTP_WRITE_TIMEOUT", default: .seconds(30), in: .milliseconds(100) ... .seconds(3600),
            bare: .milliseconds,
            "How long a client may take nothing of a response that waits for it; then the connection is reset.")
        maxBody = env.optional(
            exactly: "HTTP_MAX_BODY", default: .mebibytes(64), in: .zero ... .gibibytes(64), bare: .bytes,
            "Largest request body; a larger one is answered 413, before any of it is read if its length was declared.")
        discardLimit = env.optional(
            exactly: "HTTP_DISCARD_LIMIT", default: .kibibytes(256), in: .zero ... .mebibytes(64), bare: .bytes,
            "How much of a request body that its handler left unread is dropped to keep the connection; with more left "
                + "the connection closes.")
        sendBuffer = env.optional(
            exactly: "HTTP_SEND_BUFFER", default: .kibibytes(256), in: .kibibytes(4) ... .mebibytes(64), bare: .bytes,
            "Unsent bytes of one connection above which a streamed response or the next request waits for the client.")
        headLimits = HeadLimits(
            requestLine: env.optional(
                exactly: "HTTP_MAX_REQUEST_LINE", default: .kibibytes(8), in: .bytes(256) ... .kibibytes(64),
                bare: .bytes, "Longest request line; a longer one is answered 414."),
            head: env.optional(
                exactly: "HTTP_MAX_HEAD", default: .kibibytes(32), in: .kibibytes(1) ... .kibibytes(96), bare: .bytes,
                "Largest request head; a larger one is answered 431."),
            fieldLine: env.optional(
                exactly: "HTTP_MAX_FIELD_LINE", default: .kibibytes(16), in: .bytes(256) ... .kibibytes(64),
                bare: .bytes, "Longest header field line; a longer one is answered 431."),
            fieldCount: env.optional(
                exactly: "HTTP_MAX_FIELDS", default: 100, in: 8...1000, "Most header fields; more are answered 431."))
    }
}

/// What the guide's WebSocket settings say, and the limits beside them.
package struct WebSocketSettings: Settings {
    package let path: String
    package let pingInterval: Duration
    package let pongTimeout: Duration
    package let maxMissedPongs: Int
    package let isCompressionEnabled: Bool
    package let compressionLevel: Int
    package let compressionThreshold: ByteCount
    package let keepsContext: Bool
    package let maxWindowBits: Int
    package let compressionBudget: ByteCount
    package let maxFrame: ByteCount
    package let maxMessage: ByteCount
    package let maxFragments: Int
    package let assemblyBudget: ByteCount
    package let frameWarnThreshold: ByteCount
    package let messageTimeout: Duration
    package let closeTimeout: Duration
    package let sendBuffer: ByteCount

    package init(from env: inout SettingsReader) {
        path = env.optional(
            exactly: "WEBSOCKET_PATH", default: "/ws",
            "Path of the main WebSocket, beside `/`. The first enabled plugin that serves it (`echo`) has both.")
        pingInterval = env.optional(
            exactly: "PING_INTERVAL", default: .seconds(30), in: .milliseconds(10) ... .seconds(3600),
            bare: .milliseconds, "A ping is sent after this long without any frame from the peer.")
        pongTimeout = env.optional(
            exactly: "PONG_TIMEOUT", default: .seconds(5), in: .milliseconds(10) ... .seconds(600),
            bare: .milliseconds,
            """
            How long the peer may stay silent after a ping; then that counts as missed, and another follows at once. A peer \
            that takes what was sent before the ping has not come to it yet.
            """
        )
        maxMissedPongs = env.optional(
            exactly: "MAX_MISSED_PONGS", default: 3, in: 1...100,
            "Missed pings in a row after which the socket closes with 1001.")
        isCompressionEnabled = env.optional(
            exactly: "COMPRESSION_ENABLED", default: true, "Whether permessage-deflate is negotiated.")
        compressionLevel = env.optional(
            exactly: "COMPRESSION_LEVEL", default: 6, in: 1...9,
            "zlib's scale, 1 fastest to 9 smallest. Without context takeover ISA-L compresses, if compiled in: 1 is "
                + "its level 0, 2 to 5 its level 1, 6 and 7 its level 2, 8 and 9 its level 3.")
        compressionThreshold = env.optional(
            exactly: "COMPRESSION_THRESHOLD", default: .bytes(1024), in: .zero ... .gibibytes(1), bare: .bytes,
            "Smaller messages are sent uncompressed.")
        keepsContext = env.optional(
            exactly: "COMPRESSION_CONTEXT_TAKEOVER", default: false,
            "Whether both ends of a socket keep their compression windows between messages, if the client agrees: "
                + "smaller messages, for about 300 KiB a socket.")
        maxWindowBits = env.optional(
            exactly: "COMPRESSION_WINDOW_BITS", default: 15, in: 9...15,
            "Base-two logarithm of the largest compression window in bytes.")
        compressionBudget = env.optional(
            exactly: "COMPRESSION_MEMORY", default: .mebibytes(128), in: .zero ... .gibibytes(64), bare: .bytes,
            "Memory for the compression state of all sockets. Beyond it new sockets keep no window, and at the last do "
                + "not compress.")
        maxFrame = env.optional(
            exactly: "MAX_FRAME_SIZE", default: .mebibytes(1), in: .kibibytes(1) ... .mebibytes(64), bare: .bytes,
            "Largest frame; a larger one closes the socket with 1009 before its payload is read.")
        maxMessage = env.optional(
            exactly: "MAX_MESSAGE_SIZE", default: maxFrame, in: .kibibytes(1) ... .mebibytes(64), bare: .bytes,
            defaultPhrase: "MAX_FRAME_SIZE",
            "Largest message over all its fragments and after inflation; a larger one closes the socket with 1009.")
        maxFragments = env.optional(
            exactly: "MAX_FRAGMENTS", default: 65536, in: 1...1_000_000,
            "Most fragments of one message; more close the socket with 1008.")
        assemblyBudget = env.optional(
            exactly: "MESSAGE_ASSEMBLY_MEMORY", default: .mebibytes(256), in: .mebibytes(1) ... .gibibytes(64),
            bare: .bytes,
            "Memory for the messages of all sockets that are still arriving. Beyond it a socket that needs more closes "
                + "with 1013.")
        frameWarnThreshold = env.optional(
            exactly: "FRAME_WARN_THRESHOLD", default: .kibibytes(512), in: .zero ... .mebibytes(64), bare: .bytes,
            "A received frame larger than this is logged, at most one a second for each event loop.")
        messageTimeout = env.optional(
            exactly: "MESSAGE_TIMEOUT", default: .seconds(60), in: .milliseconds(10) ... .seconds(3600),
            bare: .milliseconds,
            "Longest pause within a message, during which nothing more of it arrives, pings and pongs not counted; then "
                + "the socket closes with 1008.")
        closeTimeout = env.optional(
            exactly: "CLOSE_TIMEOUT", default: .seconds(5), in: .milliseconds(10) ... .seconds(60),
            bare: .milliseconds,
            """
            How long a peer may take to answer a close frame, from when it has taken what was sent before; then the \
            connection is reset.
            """)
        sendBuffer = env.optional(
            exactly: "WEBSOCKET_SEND_BUFFER", default: .mebibytes(1), in: .kibibytes(16) ... .mebibytes(64),
            bare: .bytes,
            "Unsent bytes of one socket above which the next message finds its peer too slow: the socket closes with "
                + "1013. A plugin may choose to drop messages instead, and tell the peer how many.")
    }
}

extension WebSocketSettings {
    var heartbeat: HeartbeatPolicy {
        HeartbeatPolicy(interval: pingInterval, patience: pongTimeout, allowedMisses: maxMissedPongs)
    }

    var messageLimits: MessageLimits {
        MessageLimits(
            frame: maxFrame, message: maxMessage, fragments: maxFragments, frameWarning: frameWarnThreshold)
    }

    var deflate: DeflateSettings {
        var deflate = DeflateSettings()
        deflate.isEnabled = isCompressionEnabled
        deflate.level = compressionLevel
        deflate.threshold = compressionThreshold.bytes
        deflate.keepsOwnWindow = keepsContext
        deflate.keepsPeerWindow = keepsContext
        deflate.windowBits = maxWindowBits
        return deflate
    }

}

/// How the process ends and what it writes.
package struct OperationSettings: Settings {
    package let drainTimeout: Duration
    package let drainDelay: Duration
    package let drainGrace: Duration
    package let closeJitter: Duration
    package let accessLog: Bool
    package let metricsToken: Secret?
    package let stateDirectory: String
    /// Where `gateway plan` and `gateway reload` reach the process; `nil` nowhere.
    package let controlSocket: String?
    /// Whether that was asked for, so that the start must not go on without it.
    package let needsControlSocket: Bool

    package init(from env: inout SettingsReader) {
        drainTimeout = env.optional(
            exactly: "DRAIN_TIMEOUT", default: .seconds(25), in: .milliseconds(100) ... .seconds(27),
            bare: .milliseconds,
            "After SIGTERM, how long requests and sockets may take to finish, DRAIN_DELAY included; what is left is "
                + "cut off. Ending what is left and writing the log may take 4 s more: keep the sum below what the "
                + "orchestrator grants (Kubernetes: 30 s).")
        drainDelay = env.optional(
            exactly: "DRAIN_DELAY", default: .zero, in: .zero ... .seconds(20), bare: .milliseconds,
            "After SIGTERM, how long connections are still accepted while `/readyz` already fails.")
        drainGrace = env.optional(
            exactly: "DRAIN_GRACE", default: .milliseconds(500), in: .zero ... .milliseconds(900), bare: .milliseconds,
            "After SIGTERM and DRAIN_DELAY, how long connections that had begun may take to complete, while new ones "
                + "are ignored, and how long a client that has connected may take to send its first request. Then the "
                + "port closes.")
        closeJitter = env.optional(
            exactly: "DRAIN_JITTER", default: .seconds(5), in: .zero ... .seconds(20), bare: .milliseconds,
            "Over how long the sockets' closing is spread, so that clients do not reconnect all at once; at the end at "
                + "most half of DRAIN_TIMEOUT.")
        env.require(drainDelay < drainTimeout, "DRAIN_DELAY", "must be shorter than DRAIN_TIMEOUT, which includes it")
        accessLog = env.optional(
            exactly: "ACCESS_LOG", default: true, "Whether every answered request is logged, on standard output.")
        metricsToken = env.optional(
            exactly: "METRICS_TOKEN",
            "Bearer token that may read `/metrics` on the main port, and what plugins tell operators, besides admins.")
        stateDirectory = env.optional(
            exactly: "STATE_DIRECTORY", default: "/var/lib/gateway",
            "Where the issuer's last good keys are kept for the next start, and the facts of plugins that keep any. The "
                + "gateway also runs without it, but for those plugins: they stop the start if they cannot write there."
        )
        let control: String = env.optional(
            exactly: "CONTROL_SOCKET", default: "", in: 0...107, example: "/run/gateway/control.sock",
            defaultPhrase: "`control.sock` in STATE_DIRECTORY",
            "Unix socket by which `gateway plan` and `gateway reload` reach the running gateway, for its own user and root "
                + "only. `off` for none. The start stops if it is set and cannot be opened.")
        needsControlSocket = !control.isEmpty && control != "off"
        controlSocket = control == "off" ? nil : control.isEmpty ? "\(stateDirectory)/control.sock" : control
    }
}

/// Everything the core itself can be told.
package struct CoreSettings: Sendable {
    package let listen: ListenSettings
    package let clients: ClientSettings
    package let http: HTTPSettings
    package let webSocket: WebSocketSettings
    package let tls: TLSSettings
    package let auth: AuthSettings
    package let limits: LimitSettings
    package let operations: OperationSettings
    package let log: LogSettings
    package let upstream: UpstreamSettings
    package let breakers: CircuitBreakerSettings

    static let tokenSection = "Tokens"

    /// Reads every section of the core; look at the reader's problems before using anything.
    package init(from env: inout SettingsReader) {
        listen = env.read(section: "Listening").settings
        clients = env.read(section: "Clients").settings
        log = env.read(section: "Logging").settings
        tls = env.read(section: "TLS").settings
        http = env.read(section: "HTTP").settings
        webSocket = env.read(section: "WebSocket").settings
        let tokens: AuthEnvironment = env.read(section: Self.tokenSection).settings
        auth = tokens.settings
        limits = env.read(section: "Limits").settings
        upstream = env.read(section: "Upstreams").settings
        breakers = env.read(section: "Upstreams").settings
        operations = env.read(section: "Operations").settings
    }

    var origins: OriginPolicy {
        auth.allowedOrigins.isEmpty ? .any : .allowing(auth.allowedOrigins.compactMap(OriginRule.init))
    }

    /// Entries of ALLOWED_ORIGINS that name no origin.
    var originProblems: [String] {
        auth.allowedOrigins.filter { OriginRule($0) == nil }.map { entry in
            "ALLOWED_ORIGINS names \(entry), which is no origin; write https://app.example.com or https://*.example.com"
        }
    }

    var headLimits: HeadLimits { http.headLimits }
    var headTimeout: Duration { http.headTimeout }
    var bodyTimeout: Duration { http.bodyTimeout }
    var keepAliveTimeout: Duration { http.keepAliveTimeout }
    var writeTimeout: Duration { http.writeTimeout }
    var maxBody: ByteCount { http.maxBody }
    var discardLimit: ByteCount { http.discardLimit }
    var sendBuffer: ByteCount { http.sendBuffer }
}

/// What is logged, and how.
package struct LogSettings: Settings {
    package let level: LogLevel
    package let format: LogFormat

    package init(from env: inout SettingsReader) {
        level = env.optional(
            exactly: "LOG_LEVEL", default: LogLevel.info, "Least severe level that is written, in any case.")
        let environment: String = env.optional(
            exactly: "NODE_ENV", default: "", defaultPhrase: "none",
            "`production` makes JSON the default of LOG_FORMAT; nothing else depends on it.")
        format = env.optional(
            exactly: "LOG_FORMAT", default: environment == "production" ? LogFormat.json : .text,
            defaultPhrase: "text; json if NODE_ENV is production", "Lines for people, or JSON for machines.")
    }
}

extension LogLevel: SettingChoice {}
extension LogFormat: SettingChoice {}
