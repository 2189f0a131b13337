import PluginKit

/// Sends each message back as it came. Without state, so all sockets share one.
final class EchoedMessages: WebSocketHandler, Sendable {
    /// Unsent bytes above which the peer is not read: one that writes and never reads slows itself down, instead of
    /// being closed as a slow consumer.
    private static let backlog = 64 << 10

    func received(_ message: WebSocketMessage, on socket: any WebSocket) {
        socket.send(message)
        if socket.unsentBytes > Self.backlog { socket.pause() }
    }

    func drained(_ socket: any WebSocket) { socket.resume() }
}
