import GatewayBytes
package import GatewayCompression
package import GatewayWebSocket

/// How the WebSockets behave that the gateway opens itself: the same limits and heartbeat as towards clients.
package struct UpstreamSocketSettings: Sendable {
    package var limits: MessageLimits
    package var heartbeat: HeartbeatPolicy
    package var deflate: DeflateSettings
    /// How long an upstream may take to answer a close frame.
    package var closeTimeout: Duration
    /// How long a message may stay unfinished without growing.
    package var messageTimeout: Duration
    /// How long it may take none of what waits to be sent.
    package var stallTimeout: Duration
    /// Unsent bytes above which pings are no longer answered but end the connection.
    package var sendLimit: Int
    package var compressionBudget: CompressionBudget
    package var assemblyBudget: ByteBudget

    /// - Parameters:
    ///   - compressionBudget: That of all sockets of the process; by default one of its own.
    ///   - assemblyBudget: The same.
    package init(
        limits: MessageLimits = MessageLimits(), heartbeat: HeartbeatPolicy = HeartbeatPolicy(),
        deflate: DeflateSettings = DeflateSettings(), closeTimeout: Duration = .seconds(5),
        messageTimeout: Duration = .seconds(60), stallTimeout: Duration = .seconds(60), sendLimit: Int = 1 << 20,
        compressionBudget: CompressionBudget = ByteBudget(limit: .mebibytes(128)),
        assemblyBudget: ByteBudget = ByteBudget(limit: .mebibytes(256))
    ) {
        self.limits = limits
        self.heartbeat = heartbeat
        self.deflate = deflate
        self.closeTimeout = closeTimeout
        self.messageTimeout = messageTimeout
        self.stallTimeout = stallTimeout
        self.sendLimit = sendLimit
        self.compressionBudget = compressionBudget
        self.assemblyBudget = assemblyBudget
    }

    func makeCodecs() -> SharedCodecs {
        SharedCodecs(settings: deflate, compressionBudget: compressionBudget, assemblyBudget: assemblyBudget)
    }
}
