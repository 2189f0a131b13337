import GatewayHTTP
import GatewayRuntime
import GatewayTransport
import GatewayWebSocket
import PluginKit

extension HTTPConnection {
    /// Answers an upgrade request that has passed its chain.
    ///
    /// - Returns: `nil` once the stream belongs to a WebSocket, else the refusal to send.
    func open(_ upgrade: WebSocketUpgrade, for request: Request, started: MonotonicTime) -> Response? {
        let options = upgrade.options
        let handshake = OpeningHandshake(
            subprotocols: options.subprotocols, origins: options.origins ?? server.origins)
        let acceptance: OpeningHandshake.Acceptance
        do throws(HandshakeError) {
            guard body.isComplete else { throw .notAnUpgrade }
            acceptance = try handshake.check(Self.handshakeRequest(of: request))
        } catch {
            var fields = HeaderFields()
            for (name, value) in error.fields where name.description != "Connection" {
                if let name = HeaderName(name.description) { fields.append(name, value) }
            }
            return GatewayFault(
                Status(code: error.status) ?? .badRequest, "websocket_refused", error.message, fields: fields
            ).response(requestID: request.id)
        }
        let deflate = server.codecs.negotiate(acceptance.extensions)
        stream.write { acceptance.appendResponse(deflate: deflate?.parameters, to: &$0) }
        record(.switchingProtocols, request, started: started)
        let socket = WebSocketConnection(
            stream: stream, server: server, request: request, subprotocol: acceptance.subprotocol, deflate: deflate,
            policy: options.slowConsumer ?? .close(limit: server.sendLimit))
        phase = .upgraded
        server.upgraded(self, to: socket)
        socket.begin(upgrade.makeHandler(request), early: takeEarlyBytes())
        return nil
    }

    private static func handshakeRequest(of request: Request) -> HandshakeRequest {
        var handshake = HandshakeRequest()
        handshake.method = request.method.wireName.description
        handshake.minorVersion = Int(request.head.minorVersion)
        handshake.host = request.externalHost
        handshake.isSecure = request.isSecureForClient
        handshake.upgrade = request.values(of: .upgrade)
        handshake.connection = request.values(of: .connection)
        handshake.key = request.values(of: .secWebSocketKey)
        handshake.version = request.values(of: .secWebSocketVersion)
        handshake.protocols = request.values(of: .secWebSocketProtocol)
        handshake.extensions = request.values(of: .secWebSocketExtensions)
        handshake.origin = request.values(of: .origin)
        return handshake
    }

    /// Frames that a client sent without waiting for the answer.
    private func takeEarlyBytes() -> [UInt8] {
        let early = unsafe Array(leftover[leftoverUsed...]) + Array(window)
        leftover = []
        leftoverUsed = 0
        unsafe window = UnsafeRawBufferPointer(start: nil, count: 0)
        return early
    }
}
