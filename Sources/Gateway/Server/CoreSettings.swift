package import GatewayAuth
package import GatewayBytes
package import GatewayConfig
package import GatewayHTTP
package import GatewayTelemetry
package import GatewayUpstream
import GatewayRuntime
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
            "Address the main port and the plugins' own ports listen on. `::` is every IPv4 and IPv6 address.")
        operations = env.optional(
            exactly: "OPS_LISTEN", default: ListenAddress(host: "127.0.0.1", port: 9901),
            "Where /metrics and the detailed /readyz are served. Never expose it to clients.")
        loops = env.optional(
            exactly: "LOOPS", default: 0, in: 0...256,
            "Event loops, one thread each. 0 takes the cgroup's CPU limit, at least 1.")
        maxConnections = env.optional(
            exactly: "MAX_CONNECTIONS", default: 16384, in: 1...1_000_000,
            "Client connections at once, over all ports. More wait in the kernel's backlog.")
        backlog = env.optional(
            exactly: "LISTEN_BACKLOG", default: 4096, in: 1...65535,
            "Connections the kernel completes before the gateway accepts them.")
        workerThreads = env.optional(
            exactly: "WORKER_THREADS", default: 4, in: 1...64,
            "Threads for work that blocks: name look-ups, files, key parsing.")
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
            bare: .milliseconds, "From the first byte of a request, or the TLS handshake's start, to the end of its head.")
        bodyTimeout = env.optional(
            exactly: "HTTP_BODY_TIMEOUT", default: .seconds(30), in: .milliseconds(100) ... .seconds(3600),
            bare: .milliseconds, "Longest pause within a request body.")
        keepAliveTimeout = env.optional(
            exactly: "HTTP_KEEP_ALIVE_TIMEOUT", default: .seconds(75), in: .milliseconds(100) ... .seconds(3600),
            bare: .milliseconds, "How long an idle connection is kept for its next request.")
        writeTimeout = env.optional(
            exactly: "HTTP_WRITE_TIMEOUT", default: .seconds(30), in: .milliseconds(100) ... .seconds(3600),
            bare: .milliseconds, "Longest time a client may take nothing of a response that waits for it.")
        maxBody = env.optional(
            exactly: "HTTP_MAX_BODY", default: .mebibytes(64), in: .zero ... .gibibytes(64), bare: .bytes,
            "Largest request body.")
        discardLimit = env.optional(
            exactly: "HTTP_DISCARD_LIMIT", default: .kibibytes(256), in: .zero ... .mebibytes(64), bare: .bytes,
            "How much of a body that no handler read is read past to keep the connection.")
        sendBuffer = env.optional(
            exactly: "HTTP_SEND_BUFFER", default: .kibibytes(256), in: .kibibytes(4) ... .mebibytes(64), bare: .bytes,
            "Unsent bytes per connection above which a response waits for its client.")
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
    package let closeTimeout: Duration
    package let sendBuffer: ByteCount

    package init(from env: inout SettingsReader) {
        path = env.optional(
            exactly: "WEBSOCKET_PATH", default: "/ws",
            "Beside `/`, the path of the main WebSocket: the tunnel's, or the first enabled plugin's that offers one.")
        pingInterval = env.optional(
            exactly: "PING_INTERVAL", default: .seconds(30), in: .milliseconds(10) ... .seconds(3600),
            bare: .milliseconds, "Silence after which a ping is sent.")
        pongTimeout = env.optional(
            exactly: "PONG_TIMEOUT", default: .seconds(5), in: .milliseconds(10) ... .seconds(600),
            bare: .milliseconds, "How long a ping may stay unanswered before it counts as missed.")
        maxMissedPongs = env.optional(
            exactly: "MAX_MISSED_PONGS", default: 3, in: 1...100, "Missed pings after which a socket closes with 1001.")
        isCompressionEnabled = env.optional(
            exactly: "COMPRESSION_ENABLED", default: true, "Whether permessage-deflate is negotiated.")
        compressionLevel = env.optional(
            exactly: "COMPRESSION_LEVEL", default: 6, in: 1...9,
            "zlib's scale, 1 fastest to 9 smallest. Without context takeover ISA-L compresses: 1 is its level 0, 2-5 its 1, 6-7 its 2, 8-9 its 3.")
        compressionThreshold = env.optional(
            exactly: "COMPRESSION_THRESHOLD", default: .bytes(1024), in: .zero ... .gibibytes(1), bare: .bytes,
            "Smaller messages are sent uncompressed.")
        keepsContext = env.optional(
            exactly: "COMPRESSION_CONTEXT_TAKEOVER", default: false,
            "Whether a socket may keep its compression window between messages: smaller messages, about 300 KiB a socket.")
        maxWindowBits = env.optional(
            exactly: "COMPRESSION_WINDOW_BITS", default: 15, in: 9...15, "Largest compression window, as a power of two.")
        compressionBudget = env.optional(
            exactly: "COMPRESSION_MEMORY", default: .mebibytes(128), in: .zero ... .gibibytes(64), bare: .bytes,
            "Memory of all sockets' compression state. Beyond it new sockets keep no context, then do not compress.")
        maxFrame = env.optional(
            exactly: "MAX_FRAME_SIZE", default: .mebibytes(1), in: .kibibytes(1) ... .mebibytes(64), bare: .bytes,
            "Largest frame; a larger one closes the socket with 1009 before it is read.")
        maxMessage = env.optional(
            exactly: "MAX_MESSAGE_SIZE", default: maxFrame, in: .kibibytes(1) ... .mebibytes(64), bare: .bytes,
            defaultPhrase: "MAX_FRAME_SIZE", "Largest message after inflation and over all fragments.")
        maxFragments = env.optional(
            exactly: "MAX_FRAGMENTS", default: 65536, in: 1...1_000_000,
            "Most fragments of one message; more close the socket with 1008.")
        assemblyBudget = env.optional(
            exactly: "MESSAGE_ASSEMBLY_MEMORY", default: .mebibytes(256), in: .mebibytes(1) ... .gibibytes(64),
            bare: .bytes, "Memory of all messages still arriving. Beyond it a socket that needs more closes with 1013.")
        frameWarnThreshold = env.optional(
            exactly: "FRAME_WARN_THRESHOLD", default: .kibibytes(512), in: .zero ... .mebibytes(64), bare: .bytes,
            "Larger messages are logged, at most once a minute for each socket.")
        closeTimeout = env.optional(
            exactly: "CLOSE_TIMEOUT", default: .seconds(5), in: .milliseconds(10) ... .seconds(60),
            bare: .milliseconds, "How long a peer may take to answer a close frame.")
        sendBuffer = env.optional(
            exactly: "WEBSOCKET_SEND_BUFFER", default: .mebibytes(1), in: .kibibytes(16) ... .mebibytes(64),
            bare: .bytes, "Unsent bytes per socket above which it counts as too slow and is closed with 1013.")
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
    package let closeJitter: Duration
    package let accessLog: Bool
    package let metricsToken: Secret?
    package let stateDirectory: String

    package init(from env: inout SettingsReader) {
        drainTimeout = env.optional(
            exactly: "DRAIN_TIMEOUT", default: .seconds(25), in: .milliseconds(100) ... .seconds(29),
            bare: .milliseconds,
            "After SIGTERM, how long requests and sockets may take to finish. Below the 30 s that Kubernetes grants.")
        drainDelay = env.optional(
            exactly: "DRAIN_DELAY", default: .zero, in: .zero ... .seconds(20), bare: .milliseconds,
            "After SIGTERM, how long connections are still accepted while /readyz already fails.")
        closeJitter = env.optional(
            exactly: "DRAIN_JITTER", default: .seconds(5), in: .zero ... .seconds(20), bare: .milliseconds,
            "Over how long the sockets' closing is spread, so that clients do not reconnect all at once.")
        accessLog = env.optional(exactly: "ACCESS_LOG", default: true, "Whether every request is logged.")
        metricsToken = env.optional(
            exactly: "METRICS_TOKEN", "Bearer token that may read /metrics on the main port, besides admins.")
        stateDirectory = env.optional(
            exactly: "STATE_DIRECTORY", default: "/var/lib/gateway",
            "Where last good keys and development secrets are kept. Not needed if it cannot be written.")
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
    package let failuresPerMinute: Int
    package let operations: OperationSettings
    package let log: LogSettings
    package let upstream: UpstreamSettings

    /// Reads every section of the core; look at the reader's problems before using anything.
    package init(from env: inout SettingsReader) {
        listen = env.read(section: "Listening").settings
        clients = env.read(section: "Clients").settings
        log = env.read(section: "Logging").settings
        tls = env.read(section: "TLS").settings
        http = env.read(section: "HTTP").settings
        webSocket = env.read(section: "WebSocket").settings
        let tokens: AuthEnvironment = env.read(section: "Tokens").settings
        auth = tokens.settings
        failuresPerMinute = tokens.failuresPerMinute
        upstream = env.read(section: "Upstreams").settings
        operations = env.read(section: "Operations").settings
    }

    var origins: OriginPolicy {
        auth.allowedOrigins.isEmpty ? .any : .allowing(auth.allowedOrigins.compactMap(OriginRule.init))
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
            exactly: "LOG_LEVEL", default: LogLevel.info, "Least severe level that is written. Any case.")
        let environment: String = env.optional(
            exactly: "NODE_ENV", default: "", defaultPhrase: "none",
            "`production` makes JSON the default format. Kept from the guide's manifests.")
        format = env.optional(
            exactly: "LOG_FORMAT", default: environment == "production" ? LogFormat.json : .text,
            defaultPhrase: "text; json if NODE_ENV is production", "Lines for people, or JSON for machines.")
    }
}

extension LogLevel: SettingChoice {}
extension LogFormat: SettingChoice {}

/// Certificates of the main port and the plugins' ports.
package struct TLSSettings: Settings {
    package let certificates: [String]
    package let keys: [String]

    package init(from env: inout SettingsReader) {
        certificates = env.optional(
            exactly: "TLS_CERTIFICATE", default: [],
            "PEM files of certificate chains, leaf first; several are chosen by SNI, the first is the default. Setting it turns TLS on.")
        keys = env.optional(
            exactly: "TLS_KEY", default: [], "PEM files of the private keys, in the order of TLS_CERTIFICATE.")
        env.require(
            certificates.count == keys.count, "TLS_KEY",
            "must name one key for each certificate of TLS_CERTIFICATE")
    }

    package var isEnabled: Bool { !certificates.isEmpty }
}
