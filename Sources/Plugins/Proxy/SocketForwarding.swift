import PluginKit

extension Forwarding {
    /// Opens a WebSocket to an upstream, and only then accepts the client's: what the upstream chose or refused is what
    /// the client is told.
    func openSocket(_ request: Request) async throws -> Response {
        do throws(HandshakeError) {
            // What the server would refuse must not reach the upstream first.
            _ = try OpeningHandshake(origins: origins).check(HandshakeRequest(of: request))
        } catch {
            throw GatewayFault(error)
        }
        var fields = try ForwardedFields.of(request)
        for name in Self.handshakeFields { fields.remove(name) }
        let subprotocols = SubprotocolOffer.forwarded(
            request.values(of: .secWebSocketProtocol), withoutToken: requiresToken)
        return try await ask(request, .socket) { url, lease in
            let asked = UpstreamRequest(.get, url, destination: .operator, fields: fields)
            switch try await upstream.openWebSocket(
                asked, subprotocols: subprotocols, offersCompression: compressesSockets)
            {
            case .refused(let answer): return response(answer, to: request, lease)
            case .opened(let socket):
                lease.succeeded(at: request.loop.now.nanoseconds)
                return accept(socket, lease)
            }
        }
    }

    /// Each side's own.
    private static let handshakeFields: [HeaderName] = [
        .secWebSocketKey, .secWebSocketVersion, .secWebSocketExtensions, .secWebSocketProtocol,
    ]

    private func accept(_ socket: UpstreamWebSocket, _ lease: UpstreamLease) -> Response {
        var options = WebSocketOptions()
        options.subprotocols = socket.subprotocol.map { [$0] } ?? []
        // The bridge stops reading the upstream long before.
        options.slowConsumer = .close(limit: .max)
        let bridge = SocketBridge(socket, lease, buffer: socketBuffer, open: metrics.sockets)
        let opened = OpenedSocket(bridge)
        return Response(
            status: .switchingProtocols, fields: socket.fields,
            body: .webSocket(WebSocketUpgrade(options: options) { _ in opened.take() }))
    }
}

/// The subprotocols of a client, as its upstream is offered them.
enum SubprotocolOffer {
    /// - Parameters:
    ///   - lines: Checked already.
    ///   - withoutToken: Leaves out `bearer` and the token behind it: they were for the gateway.
    static func forwarded(_ lines: [String], withoutToken: Bool) -> [String] {
        var names = lines.flatMap { line in
            line.split(separator: ",").map { String($0.filter { $0 != " " && $0 != "\t" }) }
        }.filter { !$0.isEmpty }
        if withoutToken, let place = names.firstIndex(of: "bearer") {
            names.removeSubrange(place..<min(place + 2, names.count))
        }
        return names
    }
}

/// Closes the upstream's side when the client's never opens: it may have left while the upstream was asked.
private final class OpenedSocket {
    private let bridge: SocketBridge
    private var isTaken = false

    init(_ bridge: SocketBridge) { self.bridge = bridge }

    deinit {
        if !isTaken { bridge.abandon() }
    }

    func take() -> SocketBridge {
        isTaken = true
        return bridge
    }
}
