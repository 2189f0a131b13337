import GatewayTunnel
import PluginKit

/// `gateway connect`: a consumer's WebSocket becomes a TCP connection at an agent.
enum ConnectSession {
    static let subprotocol = "tunnel.bytes.v1"
    /// Largest message a consumer may send, in bytes; one is at least as much as it reads at once.
    static let frameSize = 1 << 20
    /// The consumer's own: where its output takes nothing, it reads no ping.
    static let heartbeat = HeartbeatPolicy(interval: .seconds(20), patience: .seconds(30), allowedMisses: 10)

    /// Runs until both directions have ended or one side has broken off.
    static func run(
        _ session: WebSocketSession, to port: UInt16, at agent: AgentRecord, _ host: AgentHost
    ) async throws {
        let loop = session.socket.loop
        host.metrics.connections.increment()
        let exchange = Exchange.open(.tcp(port: port), ends: false, at: agent, terms: host.settings.terms, on: loop)
        let hold = ExchangeHold(exchange, on: loop)
        do {
            _ = try await exchange.head(
                until: loop.now + host.settings.connectTimeout, orElse: .reset(.timeout, "the agent did not answer"))
            try await session.send(#"{"type":"open"}"#)
            try await pass(session, exchange, as: host.settings.connectPermission, on: loop)
        } catch let failure as TunnelFailure {
            close(session, failure)
        }
        withExtendedLifetime(hold) {}
    }

    /// Passes both directions on.
    private static func pass(
        _ session: WebSocketSession, _ exchange: Exchange, as permission: String, on loop: EventLoop
    ) async throws {
        let download = loop.launch {
            do {
                while let chunk = try await exchange.next(until: .distantFuture, orElse: .idleTimeout) {
                    try check(session, permission)
                    try await session.send(chunk)
                }
                try await session.send(#"{"type":"end"}"#)
                // Letting go of a stream that is not complete would cancel it, and cost the port the last it was sent. One that
                // breaks off is noticed here, however silent the consumer is.
                try await exchange.completed()
            } catch let failure as TunnelFailure {
                close(session, failure)
            } catch {
                // The consumer left.
            }
        }
        try await upload(session, to: exchange, as: permission)
        // What the consumer does next is only to close; without this nobody would notice before the port speaks.
        let watch = loop.launch {
            while await session.next() != nil {}
            exchange.cancel()
        }
        await download.value
        withExtendedLifetime(watch) {}
    }

    /// What the consumer sends, until it ends its direction.
    private static func upload(
        _ session: WebSocketSession, to exchange: Exchange, as permission: String
    ) async throws {
        while let message = await session.next() {
            try check(session, permission)
            switch message.kind {
            case .binary: try await exchange.write(message.bytes)
            case .text:
                guard message.text == #"{"type":"end"}"# else {
                    return session.socket.close(.policyViolation, reason: "text says {\"type\":\"end\"} or nothing")
                }
                return try await exchange.finishWriting()
            }
        }
        exchange.cancel()
    }

    /// A renewed token may have fewer rights than the one before.
    private static func check(_ session: WebSocketSession, _ permission: String) throws {
        guard session.socket.principal?.has(permission) != true else { return }
        session.socket.close(.forbidden, reason: "the token has no permission \(permission)")
        throw CancellationError()
    }

    private static func close(_ session: WebSocketSession, _ failure: TunnelFailure) {
        let code: CloseCode =
            switch failure {
            case .reset(.refused, _): .forbidden
            case .noAgent, .reconnecting, .reset(.lost, _): .noAgent
            case .channelLimit, .reset(.overloaded, _): .tryAgainLater
            default: .unreachable
            }
        session.socket.close(code, reason: failure.report.message)
    }
}
