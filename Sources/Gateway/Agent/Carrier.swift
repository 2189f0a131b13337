import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTunnel
import GatewayUpstream
import GatewayWebSocket

/// What a carrier tells the link that it is a carrier of.
protocol CarrierOwner: AnyObject {
    /// The gateway begins a session: the one whose streams are to travel here.
    func welcomed(_ welcome: TunnelWelcome) -> TunnelSession
    /// The gateway goes on with the session; `nil` when there is none any more.
    func resumed() -> TunnelSession?
    /// The gateway will end: another carrier is to be opened first.
    func toldToLeave()
    /// The token ends in so many seconds.
    func tokenExpires(in seconds: Int)
    /// The gateway took the token it was shown, or not.
    func tokenAnswered(isAccepted: Bool, message: String)
}

/// One WebSocket to the gateway: the messages of a session, and what is about the carrier itself.
final class Carrier {
    enum End: Equatable {
        /// By the gateway, or because the network failed: 1006.
        case closed(CloseCode, reason: String)
        /// The gateway broke the protocol.
        case violated(String)
        /// By this end.
        case left
    }

    private let socket: UpstreamWebSocket
    private weak var owner: (any CarrierOwner)?
    private(set) var session: TunnelSession?
    private(set) var end: End?
    /// Woken by the gateway's first message, or by the end.
    let greeting = LoopWait()
    let over = LoopWait()

    init(_ socket: UpstreamWebSocket, owner: any CarrierOwner) {
        self.socket = socket
        self.owner = owner
    }

    func start(_ hello: TunnelHello) {
        socket.start(self)
        send(text: TunnelMessage.hello(hello).text)
    }

    /// Shows the gateway another token.
    func show(_ credential: Credential) {
        var json = JSONWriter()
        json.object { json in
            json.member("type", "auth")
            json.member("token", credential.text)
        }
        send(text: json.bytes)
    }

    /// Closes it; the session stays.
    func leave(_ code: CloseCode, _ reason: String = "") {
        guard end == nil else { return }
        socket.close(code, reason: reason)
        finish(.left)
    }

    private func finish(_ end: End) {
        guard self.end == nil else { return }
        self.end = end
        session?.detach()
        greeting.wake()
        over.wake()
    }

    // MARK: Messages

    private func greet(_ message: TunnelMessage) throws(TunnelViolation) {
        switch message {
        case .welcome(let welcome):
            let session = owner?.welcomed(welcome)
            self.session = session
            session?.attach(self)
        case .resumed(let positions):
            guard let session = owner?.resumed() else { throw TunnelViolation("nothing was to be resumed") }
            self.session = session
            session.resume(on: self, positions: positions)
        case .drain, .other: return other(message)
        default: throw TunnelViolation("the first message is not a welcome")
        }
        greeting.wake()
    }

    private func other(_ message: TunnelMessage) {
        switch message {
        case .drain: owner?.toldToLeave()
        case .other("auth_expiring", let json): owner?.tokenExpires(in: json["expiresIn"]?.number?.int ?? 0)
        case .other("auth_renewed", _): owner?.tokenAnswered(isAccepted: true, message: "")
        case .other("auth_refused", let json):
            owner?.tokenAnswered(isAccepted: false, message: json["message"]?.string ?? "")
        default: break
        }
    }

    private func received(text: [UInt8]) throws(TunnelViolation) {
        guard text.count <= TunnelProtocol.messageSize else {
            throw TunnelViolation("a text message is longer than \(TunnelProtocol.messageSize) bytes")
        }
        guard let session else { return try greet(try TunnelMessage(text)) }
        switch try session.receive(text: text) {
        case nil: break
        case .drain?: other(.drain)
        case .other(let type, let json)?: other(.other(type: type, json))
        default: throw TunnelViolation("a second welcome")
        }
    }

    private func received(binary message: UnsafeRawBufferPointer) throws(TunnelViolation) {
        guard let session else { throw TunnelViolation("bytes came before the welcome") }
        guard message.count <= DataFrame.size + session.terms.dataFrame else {
            throw TunnelViolation("a binary message is longer than was agreed")
        }
        unsafe try session.receive(binary: message)
    }
}

extension Carrier: TunnelCarrier {
    var unsentBytes: Int { socket.unsentBytes }

    func send(text: [UInt8]) { unsafe text.withUnsafeBytes { unsafe socket.send(.text, $0) } }

    func send(binary: UnsafeRawBufferPointer) { unsafe socket.send(.binary, binary) }
}

extension Carrier: UpstreamWebSocketHandler {
    func upstreamSaid(_ kind: MessageKind, _ payload: UnsafeRawBufferPointer) {
        guard end == nil else { return }
        do throws(TunnelViolation) {
            switch kind {
            case .text: try received(text: unsafe Array(payload))
            case .binary: unsafe try received(binary: payload)
            }
        } catch {
            socket.close(.protocolError, reason: String(error.message.prefix(120)))
            finish(.violated(error.message))
        }
    }

    func upstreamDrained() { session?.pump() }

    func upstreamEnded(_ code: CloseCode, reason: String) { finish(.closed(code, reason: reason)) }
}
