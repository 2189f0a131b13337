import GatewayTunnel
import PluginKit

/// The WebSocket of an agent as its session sees it: the session may live on another loop, when it was resumed.
///
/// Confined to the session's loop. On the same loop everything is passed straight on; else messages are copied over, and
/// what is under way to the other loop counts as unsent.
final class AgentCarrier: TunnelCarrier {
    private let socket: LoopBound<AgentSocket>
    private var underWay = 0

    init(_ socket: LoopBound<AgentSocket>) { self.socket = socket }

    var unsentBytes: Int { socket.here?.unsentBytes ?? underWay }

    func send(text: [UInt8]) { unsafe text.withUnsafeBytes { unsafe send(.text, $0) } }

    func send(binary: UnsafeRawBufferPointer) { unsafe send(.binary, binary) }

    private func send(_ kind: WebSocketMessage.Kind, _ bytes: UnsafeRawBufferPointer) {
        if let socket = socket.here { return unsafe socket.send(kind, bytes) }
        let copy = unsafe Array(bytes)
        underWay += copy.count
        socket.run { socket in unsafe copy.withUnsafeBytes { unsafe socket.send(kind, $0) } }
    }

    /// The other loop has passed on `count` bytes.
    func sent(_ count: Int) { underWay -= count }

    /// Closes the socket.
    func close(_ code: CloseCode, _ reason: String) { socket.run { $0.close(code, reason) } }

    /// What the socket's own loop is told when the session is over here.
    func isOn(_ other: LoopBound<AgentSocket>) -> Bool { socket === other }
}
