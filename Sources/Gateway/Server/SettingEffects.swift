/// What changing a setting of the core does to what is open.
enum SettingEffect: Equatable, Sendable {
    /// Applies with the next request, message, beat or look at it; nothing closes.
    case live
    /// Applies to connections and sockets that open from then on; open ones keep what they began with.
    case nextOpening
    /// Closes every WebSocket: it would break the limits it was told nothing of.
    case limits
    /// Closes the WebSockets that showed a token.
    case tokens
    /// Closes the WebSockets that came by TLS.
    case clients
    /// Closes the WebSockets of web pages that came in by the core's rule on origins.
    case origins
    /// Opens one port and closes another; connections stay.
    case port
    /// Chooses plugins: each says for itself what becomes of it.
    case selection
    /// Takes effect at the next start of the process.
    case restart
}

/// The effect of every setting of the core. Those of plugins all do the same: the plugin is made anew.
enum SettingEffects {
    static func of(_ name: String) -> SettingEffect? { table[name] }

    private static let table: [String: SettingEffect] = {
        var table: [String: SettingEffect] = [:]
        for (effect, names) in rows {
            for name in names { table[name] = effect }
        }
        return table
    }()

    static let rows: [(effect: SettingEffect, names: [String])] = [
        (.port, ["WEBSOCKET_PORT", "LISTEN_ADDRESS", "OPS_LISTEN"]),
        (
            .restart,
            [
                "GATEWAY_ENV_FILE", "LOOPS", "LISTEN_BACKLOG", "WORKER_THREADS", "NODE_ENV", "LOG_FORMAT",
                "STATE_DIRECTORY",
                "CONTROL_SOCKET", "BACKPLANE_KEYS", "BACKPLANE_LEASES",
            ]
        ),
        (.selection, ["PLUGINS"]),
        // Plugins are told of it, and those that asked are made anew.
        (.live, ["WEBSOCKET_PATH"]),
        (.live, ["MAX_CONNECTIONS", "CLIENT_IP_HEADER", "TRUSTED_PROXIES", "LOG_LEVEL", "ACCESS_LOG"]),
        (.nextOpening, ["TLS_CERTIFICATE", "TLS_KEY", "TLS_TICKET_KEYS_FILE"]),
        (.live, ["TLS_RELOAD_INTERVAL", "TLS_TICKET_ROTATION"]),
        (.clients, ["TLS_CLIENT_CA", "TLS_CLIENT_VERIFY"]),
        (
            .live,
            [
                "HTTP_HEAD_TIMEOUT", "HTTP_BODY_TIMEOUT", "HTTP_KEEP_ALIVE_TIMEOUT", "HTTP_WRITE_TIMEOUT",
                "HTTP_MAX_BODY", "HTTP_DISCARD_LIMIT", "HTTP_SEND_BUFFER", "HTTP_MAX_REQUEST_LINE", "HTTP_MAX_HEAD",
                "HTTP_MAX_FIELD_LINE", "HTTP_MAX_FIELDS",
            ]
        ),
        (.limits, ["MAX_FRAME_SIZE", "MAX_MESSAGE_SIZE", "MAX_FRAGMENTS"]),
        (
            .live,
            [
                "MESSAGE_TIMEOUT", "PING_INTERVAL", "PONG_TIMEOUT", "MAX_MISSED_PONGS", "CLOSE_TIMEOUT",
                "WEBSOCKET_SEND_BUFFER",
                "MESSAGE_ASSEMBLY_MEMORY", "COMPRESSION_MEMORY", "COMPRESSION_LEVEL", "COMPRESSION_THRESHOLD",
            ]
        ),
        // Agreed on in the handshake.
        (
            .nextOpening,
            [
                "COMPRESSION_ENABLED", "COMPRESSION_CONTEXT_TAKEOVER", "COMPRESSION_WINDOW_BITS",
                "FRAME_WARN_THRESHOLD",
            ]
        ),
        (
            .tokens,
            [
                "SUPABASE_AUTH_DOMAIN", "SUPABASE_AUTH_ISSUER", "SUPABASE_AUTH_AUDIENCE", "SUPABASE_JWKS_URL",
                "SUPABASE_JWT_SECRET", "AUTH_ALLOW_ANY_AUDIENCE", "AUTH_COOKIE", "AUTH_ALLOW_ROLES",
                "AUTH_TIER_CLAIMS",
            ]
        ),
        (.origins, ["ALLOWED_ORIGINS"]),
        (
            .live,
            [
                "AUTH_WARN_BEFORE", "AUTH_CLOCK_SKEW", "AUTH_CACHE_SIZE", "JWKS_REFRESH", "JWKS_STALE_LIMIT",
                "JWKS_COOLDOWN",
            ]
        ),
        // What was counted before stays, and counts under the new rule.
        (
            .live,
            [
                "RATE_LIMIT_REQUESTS_PER_MINUTE", "RATE_LIMIT_MAX_CONCURRENT", "RATE_LIMIT_MESSAGES_PER_MINUTE",
                "RATE_LIMIT_BYTES_PER_MINUTE", "RATE_LIMIT_TIERS", "RATE_LIMIT_ADDRESS_PER_MINUTE",
                "RATE_LIMIT_ADDRESS_COUNTS_USERS", "RATE_LIMIT_SUSPICIOUS_AFTER", "RATE_LIMIT_SUSPICIOUS_PER_MINUTE",
                "RATE_LIMIT_BLOCK_AFTER", "RATE_LIMIT_VIOLATION_WINDOW", "RATE_LIMIT_BLOCK_DURATION",
                "RATE_LIMIT_IPV6_PREFIX", "BRUTE_FORCE_THRESHOLD", "BRUTE_FORCE_WINDOW",
                "BRUTE_FORCE_BLOCK_DURATION", "AUTH_FAILURES_PER_MINUTE", "AUDIT_LINES_PER_SOURCE",
                "AUDIT_LINES_PER_MINUTE",
            ]
        ),
        (
            .live,
            [
                "UPSTREAM_CONNECT_TIMEOUT", "UPSTREAM_FIRST_BYTE_TIMEOUT", "UPSTREAM_IDLE_TIMEOUT",
                "UPSTREAM_IDLE_CONNECTIONS", "UPSTREAM_ORIGIN_CONNECTIONS", "UPSTREAM_MAX_CONNECTIONS",
                "UPSTREAM_MAX_WAITING",
                "UPSTREAM_KEEP_ALIVE", "DNS_TTL", "DNS_FAILURE_TTL", "DNS_CACHE_SIZE", "ALLOW_PRIVATE_NETWORKS",
                "UPSTREAM_CA_FILE", "CIRCUIT_BREAKER_FAILURES", "CIRCUIT_BREAKER_OPEN_TIME",
                "CIRCUIT_BREAKER_SUCCESSES", "CIRCUIT_BREAKER_PROBES",
            ]
        ),
        (
            .live,
            [
                "DRAIN_TIMEOUT", "DRAIN_DELAY", "DRAIN_GRACE", "DRAIN_JITTER", "METRICS_TOKEN",
            ]
        ),
    ]
}
