import GatewayHTTP
import GatewayRuntime
import GatewayTransport
import GatewayWebSocket
import PluginKit

extension HTTPConnection {
    /// Answers an upgrade request that has passed its chain.
    ///
    /// - Parameter fields: What the handler and its middleware add to the 101.
    /// - Returns: `nil` once the stream belongs to a WebSocket, else the refusal to send.
    func open(
        _ upgrade: WebSocketUpgrade, with fields: HeaderFields, for request: Request, started: MonotonicTime
    ) -> Response? {
        // A handler may have taken its time, and a socket that opens now would be told of no drain.
        guard !server.isDraining else {
            return GatewayFault(
                .serviceUnavailable, "draining", "The gateway is shutting down; connect again.", source: .gateway
            ).response(requestID: request.id)
        }
        let options = upgrade.options
        let handshake = OpeningHandshake(
            subprotocols: options.subprotocols, origins: options.origins ?? server.origins)
        let acceptance: OpeningHandshake.Acceptance
        do throws(HandshakeError) {
            guard body.isComplete else { throw .notAnUpgrade }
            acceptance = try handshake.check(HandshakeRequest(of: request))
        } catch {
            return GatewayFault(error).response(requestID: request.id)
        }
        let deflate = options.compresses ? server.codecs.negotiate(acceptance.extensions) : nil
        stream.write {
            acceptance.appendResponse(
                deflate: deflate?.parameters, fields: Self.ownFields(fields), to: &$0)
        }
        record(.switchingProtocols, request, started: started)
        let grounds = SocketGrounds(
            route: route, showedToken: request.principal != nil, isEncrypted: stream.isSecure,
            cameByOrigin: options.origins == nil && request.header(.origin) != nil)
        let socket = WebSocketConnection(
            stream: stream, server: server, request: request, subprotocol: acceptance.subprotocol, deflate: deflate,
            options: options, grounds: grounds)
        phase = .upgraded
        server.upgraded(self, to: socket)
        socket.begin(upgrade.makeHandler(request), early: takeEarlyBytes())
        server.recheck(socket, openedUnder: generation)
        return nil
    }

    /// Without those that are the handshake's to write.
    private static func ownFields(_ fields: HeaderFields) -> [(name: String, value: String)] {
        guard !fields.isEmpty else { return [] }
        var fields = fields
        fields.removeHopByHop()
        for name: HeaderName in [
            .contentLength, .secWebSocketAccept, .secWebSocketExtensions, .secWebSocketProtocol,
        ] { fields.remove(name) }
        var pairs: [(name: String, value: String)] = []
        fields.forEach { name, value in pairs.append((name.description, value)) }
        return pairs
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
