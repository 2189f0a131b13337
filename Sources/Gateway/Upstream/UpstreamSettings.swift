import GatewayBytes
package import GatewayConfig
package import GatewayHTTP

/// How the gateway talks to other servers. Plugins may give a request tighter time-outs of its own.
package struct UpstreamSettings: Settings {
    package let timeouts: UpstreamTimeouts
    package let idleConnections: Int
    package let maxConnections: Int
    package let originConnections: Int
    package let maxWaiting: Int
    package let keepAlive: Duration
    package let nameTTL: Duration
    package let nameFailureTTL: Duration
    package let nameCacheSize: Int
    package let allowedPrivateNetworks: [IPPrefix]
    package let certificateAuthorities: String?

    package init(from env: inout SettingsReader) {
        timeouts = UpstreamTimeouts(
            connect: env.optional(
                exactly: "UPSTREAM_CONNECT_TIMEOUT", default: .seconds(10), in: .milliseconds(10) ... .seconds(300),
                bare: .milliseconds,
                "How long name look-up, TCP connection and TLS handshake may take together; then 504."),
            firstByte: env.optional(
                exactly: "UPSTREAM_FIRST_BYTE_TIMEOUT", default: .seconds(60),
                in: .milliseconds(10) ... .seconds(3600), bare: .milliseconds,
                "From the last byte sent of the request to the end of the response head; then 504."),
            idle: env.optional(
                exactly: "UPSTREAM_IDLE_TIMEOUT", default: .seconds(60), in: .milliseconds(10) ... .seconds(3600),
                bare: .milliseconds,
                "Longest pause within a response body. While its request is still being sent, that counts as progress.")
        )
        idleConnections = env.optional(
            exactly: "UPSTREAM_IDLE_CONNECTIONS", default: 128, in: 0...4096,
            "Idle connections kept to one origin, per event loop. To all origins together: half of "
                + "UPSTREAM_MAX_CONNECTIONS, divided among the loops.")
        maxConnections = env.optional(
            exactly: "UPSTREAM_MAX_CONNECTIONS", default: 2048, in: 1...1_000_000,
            "Connections to all upstreams at once, over all event loops, WebSockets included. Beyond it an idle one gives "
                + "way; without one the request is answered 503.")
        originConnections = env.optional(
            exactly: "UPSTREAM_ORIGIN_CONNECTIONS", default: 1024, in: 1...65536,
            "Connections to one origin at once, per event loop, WebSockets not counted; more requests wait.")
        maxWaiting = env.optional(
            exactly: "UPSTREAM_MAX_WAITING", default: 1024, in: 0...65536,
            "Requests that may wait for a connection to one origin, per event loop; more are answered 503.")
        keepAlive = env.optional(
            exactly: "UPSTREAM_KEEP_ALIVE", default: .seconds(30), in: .zero ... .seconds(3600), bare: .milliseconds,
            "How long an idle upstream connection is kept.")
        nameTTL = env.optional(
            exactly: "DNS_TTL", default: .seconds(30), in: .zero ... .seconds(3600), bare: .milliseconds,
            "How long the addresses of a host name are used before it is looked up again.")
        nameFailureTTL = env.optional(
            exactly: "DNS_FAILURE_TTL", default: .seconds(2), in: .zero ... .seconds(300), bare: .milliseconds,
            "How long a failed look-up is remembered.")
        nameCacheSize = env.optional(
            exactly: "DNS_CACHE_SIZE", default: 1024, in: 1...65536, "Host names remembered, per event loop.")
        allowedPrivateNetworks =
            env.optional(
                exactly: "ALLOW_PRIVATE_NETWORKS", type: "list of networks, separated by commas",
                default: IPPrefixList(),
                example: "10.0.0.0/8,192.168.1.10",
                "Networks that addresses out of requests, playlists and redirects may lie in although they are not public."
            ) { (text) throws(SettingError) in try IPPrefixList(setting: text) }.prefixes
        certificateAuthorities = env.optional(
            exactly: "UPSTREAM_CA_FILE",
            "PEM file of the authorities that https upstreams are verified against, in place of the system's.")
    }
}

/// How long each part of a request to an upstream may take.
package struct UpstreamTimeouts: Sendable, Hashable {
    package var connect: Duration
    package var firstByte: Duration
    package var idle: Duration

    package init(
        connect: Duration = .seconds(10), firstByte: Duration = .seconds(60), idle: Duration = .seconds(60)
    ) {
        self.connect = connect
        self.firstByte = firstByte
        self.idle = idle
    }
}
