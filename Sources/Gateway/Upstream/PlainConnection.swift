package import GatewayRuntime
package import GatewayTransport

/// Connections for protocols of others: plain TCP, out of no pool.
package enum PlainConnection {
    /// Connects to whichever address answers first. Each is dialled as it is given; nothing is looked up.
    ///
    /// Input rests until the stream is adopted and resumed.
    ///
    /// - Throws: What the last attempt failed with, also when the task is cancelled.
    package static func open(
        to addresses: [SocketAddress], on loop: EventLoop, within patience: Duration
    ) async throws(UpstreamError) -> ByteStream {
        try await Dialer(loop: loop, addresses: addresses, host: "", tls: nil).open(until: loop.now + patience)
    }
}
