import PluginKit

/// Passes messages between a client's WebSocket and an upstream's, in both directions.
///
/// Each side has its own limits, compression, pings and close handshake; what passes is whole messages and close codes.
/// Nothing is kept here: when one side takes no more, the other is not read.
final class SocketBridge {
    private let upstream: UpstreamWebSocket
    private let lease: UpstreamLease
    private let open: Gauge
    private let buffer: Int
    /// Until it has closed. It holds this bridge as its handler.
    private var client: (any WebSocket)?

    /// - Parameter buffer: Unsent bytes on one side above which the other is not read.
    init(_ upstream: UpstreamWebSocket, _ lease: UpstreamLease, buffer: Int, open: Gauge) {
        self.upstream = upstream
        self.lease = lease
        self.buffer = buffer
        self.open = open
    }

    /// The client never came.
    func abandon() { upstream.close(.goingAway) }

    /// What the upstream is told of how the client's side ended.
    static func codeForUpstream(_ code: CloseCode) -> CloseCode? {
        switch code {
        case .withoutCode: nil
        case .abnormal: .goingAway
        default: code
        }
    }

    /// What the client is told of how the upstream's side ended.
    static func codeForClient(_ code: CloseCode) -> CloseCode { code == .abnormal ? .badGateway : code }
}

extension SocketBridge: WebSocketHandler {
    func opened(_ socket: any WebSocket) {
        open.add()
        client = socket
        upstream.start(self)
    }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) {
        unsafe message.withBytes { unsafe upstream.send(message.kind == .text ? .text : .binary, $0) }
        if upstream.unsentBytes > buffer { socket.pause() }
    }

    func drained(_ socket: any WebSocket) { upstream.resume() }

    func closed(_ socket: any WebSocket, code: CloseCode, reason: String) {
        open.subtract()
        client = nil
        upstream.close(Self.codeForUpstream(code), reason: reason)
    }
}

extension SocketBridge: UpstreamWebSocketHandler {
    func upstreamSaid(_ kind: MessageKind, _ payload: UnsafeRawBufferPointer) {
        guard let client else { return }
        unsafe client.send(kind == .text ? .text : .binary, payload)
        if client.unsentBytes > buffer { upstream.pause() }
    }

    func upstreamDrained() { client?.resume() }

    func upstreamEnded(_ code: CloseCode, reason: String) {
        client?.close(Self.codeForClient(code), reason: code == .abnormal ? "upstream connection lost" : reason)
    }
}
