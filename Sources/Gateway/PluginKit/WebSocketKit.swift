package import GatewayAuth
import GatewayHTTP
package import GatewayRuntime
package import GatewayWebSocket

/// What a plugin does with one WebSocket: called on the socket's loop, one call at a time.
///
/// A handler that never suspends costs an idle socket nothing but its own stored properties.
package protocol WebSocketHandler: AnyObject {
    /// The 101 has been sent. Told once, first.
    func opened(_ socket: any WebSocket)
    /// `message` is valid until this returns; copy what must live longer.
    func received(_ message: WebSocketMessage, on socket: any WebSocket)
    /// Output that had piled up has left; a handler that stopped writing may go on.
    func drained(_ socket: any WebSocket)
    /// The gateway will end. Told at most once.
    ///
    /// - Returns: Whether the handler closes the socket itself, once its work is done; what is still open at DRAIN_TIMEOUT
    ///   is cut off. Otherwise, as by default, the gateway closes it within DRAIN_JITTER.
    func draining(_ socket: any WebSocket) -> Bool
    /// Told once, last. 1006 when the connection broke without a close frame.
    func closed(_ socket: any WebSocket, code: CloseCode, reason: String)
}

extension WebSocketHandler {
    package func opened(_ socket: any WebSocket) {}
    package func drained(_ socket: any WebSocket) {}
    /// Leaves the socket's end to the gateway.
    package func draining(_ socket: any WebSocket) -> Bool { false }
    package func closed(_ socket: any WebSocket, code: CloseCode, reason: String) {}
}

/// One complete message, in the loop's buffer.
@safe package struct WebSocketMessage {
    /// What the peer says the payload is.
    package enum Kind: Sendable { case text, binary }

    /// Text or binary, as the peer declared it.
    package let kind: Kind
    private let storage: UnsafeRawBufferPointer

    /// Made by the server for the length of one call.
    package init(kind: Kind, borrowing storage: UnsafeRawBufferPointer) {
        self.kind = kind
        unsafe self.storage = storage
    }

    /// Bytes of payload, decompressed.
    package var count: Int { unsafe storage.count }
    /// Reads the payload in place.
    package func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R { try unsafe body(storage) }
    /// A copy of the payload.
    package var bytes: [UInt8] { unsafe Array(storage) }
    /// A copy as text; valid UTF-8 was checked already for text messages.
    package var text: String { unsafe String(decoding: storage, as: UTF8.self) }
}

/// An open WebSocket, on its loop.
package protocol WebSocket: AnyObject {
    /// The loop it lives on: every call of this protocol is made there.
    var loop: EventLoop { get }
    /// Who opened it, if the route asked for a token.
    var principal: Principal? { get }
    /// What logs call the request that opened it.
    var requestID: RequestID { get }
    /// The negotiated subprotocol.
    var subprotocol: String? { get }
    /// Bytes accepted by ``send(_:_:)`` that the peer has not taken.
    var unsentBytes: Int { get }
    /// Round trip of the newest answered ping, in nanoseconds; `nil` before the first.
    var roundTripNanoseconds: UInt64? { get }

    /// Sends one message, or applies the route's ``SlowConsumerPolicy`` when too much is unsent already.
    ///
    /// - Returns: Whether it was accepted.
    @discardableResult
    func send(_ kind: WebSocketMessage.Kind, _ payload: UnsafeRawBufferPointer) -> Bool
    /// Sends a message that goes to many sockets: framed and compressed once for all of them, on whatever loop they are.
    ///
    /// - Returns: As ``send(_:_:)``, whose policy holds here too.
    @discardableResult
    func send(_ message: PreparedMessage) -> Bool
    /// Sends a pong that nobody asked for (RFC 6455 §5.5.3): for protocols with a ping of their own, whose clients may
    /// wait for either answer.
    func pong()
    /// Starts the closing handshake.
    ///
    /// - Parameter code: One that may stand in a close frame, or ``CloseCode/withoutCode`` for a frame without. Any other
    ///   is logged and sent as 1011.
    func close(_ code: CloseCode, reason: String)
    /// Stops and resumes delivery of messages: the peer is slowed down by TCP. Control frames wait too.
    func pause()
    /// See ``pause()``.
    func resume()
}

extension WebSocket {
    /// Sends text; returns as ``send(_:_:)`` does.
    @discardableResult
    package func send(text: String) -> Bool {
        var text = text
        return text.withUTF8 { unsafe send(.text, UnsafeRawBufferPointer($0)) }
    }

    /// Sends bytes; returns as ``send(_:_:)`` does.
    @discardableResult
    package func send(binary: [UInt8]) -> Bool { unsafe binary.withUnsafeBytes { unsafe send(.binary, $0) } }

    /// Sends a message back as it came.
    @discardableResult
    package func send(_ message: WebSocketMessage) -> Bool {
        unsafe message.withBytes { unsafe send(message.kind, $0) }
    }
}

/// What happens to a socket whose peer reads slower than the plugin writes. Never a silent gap.
package enum SlowConsumerPolicy: Sendable {
    /// Close with 1013 once more than `limit` bytes are unsent.
    case close(limit: Int)
    /// Drop whole messages beyond `limit`, count them, and tell the peer
    /// `{"type":"dropped","messages":n}` as soon as there is room again. Control frames are never dropped.
    case drop(limit: Int)
}

/// A heartbeat of a route's own. One object for all its sockets, which hold a reference.
package final class SocketHeartbeat: Sendable {
    /// When to ping, and when to give up.
    package let policy: HeartbeatPolicy

    /// Made once for a route.
    package init(_ policy: HeartbeatPolicy) { self.policy = policy }
}

/// What a route lets its sockets do.
package struct WebSocketOptions: Sendable {
    /// Application subprotocols, best first.
    package var subprotocols: [String] = []
    /// `nil` takes the server's rule (ALLOWED_ORIGINS).
    package var origins: OriginPolicy?
    /// `nil` takes the server's limit (WEBSOCKET_SEND_BUFFER) and closes.
    package var slowConsumer: SlowConsumerPolicy?
    /// `nil` takes the server's (PING_INTERVAL and its like).
    package var heartbeat: SocketHeartbeat?
    /// What its peers may send; `nil` takes the server's (MAX_FRAME_SIZE and its like). For protocols of programs, which know
    /// what they send. One object for all sockets.
    package var limits: MessageLimits?
    /// Whether permessage-deflate may be agreed on; only if the server's settings agree too.
    package var compresses = true

    package init() {}
}

/// A handler's answer to an upgrade request: what runs on the socket once it is open.
package struct WebSocketUpgrade {
    /// What the socket may do.
    package let options: WebSocketOptions
    /// Called once the opening handshake has succeeded, on the socket's loop.
    package let makeHandler: (Request) -> any WebSocketHandler

    /// For routes that decide by themselves whether a request becomes a socket;
    /// ``Registrar/webSocket(_:access:at:options:_:)``
    /// does it for the rest.
    package init(options: WebSocketOptions, makeHandler: @escaping (Request) -> any WebSocketHandler) {
        self.options = options
        self.makeHandler = makeHandler
    }
}

extension HandshakeRequest {
    /// The parts of `request` that open a WebSocket.
    package init(of request: Request) {
        self.init()
        method = request.method.wireName.description
        minorVersion = Int(request.head.minorVersion)
        host = request.externalHost
        isSecure = request.isSecureForClient
        upgrade = request.values(of: .upgrade)
        connection = request.values(of: .connection)
        key = request.values(of: .secWebSocketKey)
        version = request.values(of: .secWebSocketVersion)
        protocols = request.values(of: .secWebSocketProtocol)
        extensions = request.values(of: .secWebSocketExtensions)
        origin = request.values(of: .origin)
    }
}

extension GatewayFault {
    /// What a client is answered whose opening handshake fails.
    package init(_ error: HandshakeError) {
        var fields = HeaderFields()
        for (name, value) in error.fields where name.description != "Connection" {
            if let name = HeaderName(name.description) { fields.append(name, value) }
        }
        self.init(Status(code: error.status) ?? .badRequest, "websocket_refused", error.message, fields: fields)
    }
}
