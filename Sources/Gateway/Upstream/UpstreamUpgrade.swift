import GatewayHTTP
import GatewayWebSocket

/// What an upstream answered to the wish for a WebSocket.
package enum UpstreamUpgrade {
    case opened(UpstreamWebSocket)
    /// An answer like any other; its body is still to be read or discarded.
    case refused(UpstreamResponse)
}

extension UpstreamClient {
    /// Opens a WebSocket (RFC 6455 §4.1) on a connection of its own, and returns once the upstream has answered.
    ///
    /// The socket says nothing until ``UpstreamWebSocket/start(_:)``; close it if that is not going to happen.
    ///
    /// - Parameters:
    ///   - request: A GET without a body. The fields of the handshake are added to its own.
    ///   - subprotocols: Offered in this order.
    ///   - offersCompression: Whether permessage-deflate is offered.
    /// - Throws: ``UpstreamError``, or `CancellationError`.
    package func openWebSocket(
        _ request: UpstreamRequest, subprotocols: [String], offersCompression: Bool
    ) async throws -> UpstreamUpgrade {
        let pool = try currentPool()
        let timeouts = request.timeouts ?? pool.settings.timeouts
        let offer = offersCompression ? pool.codecs.clientOffer : nil
        let handshake = ClientHandshake(nonce: Self.nonce(), subprotocols: subprotocols)
        var request = request
        do throws(FieldValueError) {
            request.fields.append(contentsOf: try handshake.fields(deflate: offer))
        } catch {
            throw UpstreamError.unsendable(error.message)
        }
        // Not an idle connection: one that has died meanwhile would look like an upstream that hangs up.
        let connection = try await pool.connection(
            to: request.url, request.destination, .fresh, timeouts: timeouts)
        guard !Task.isCancelled else {
            connection.finish(reusable: true)
            throw CancellationError()
        }
        do {
            let (head, bytes) = try await connection.exchange(request, timeouts: timeouts, upgrades: true)
            guard head.status == .switchingProtocols else {
                let body = UpstreamBody(
                    framing: head.framing, keepAlive: head.keepAlive, connection: connection, idle: timeouts.idle)
                return .refused(UpstreamResponse(head: head, bytes: bytes, body: body, url: request.url))
            }
            return .opened(try Self.switchOver(connection, pool, head, bytes, handshake, offer))
        } catch {
            connection.close()
            if Task.isCancelled { throw CancellationError() }
            throw error
        }
    }

    private static func switchOver(
        _ connection: UpstreamConnection, _ pool: UpstreamPool, _ head: ResponseHead, _ bytes: [UInt8],
        _ handshake: ClientHandshake, _ offer: String?
    ) throws(UpstreamError) -> UpstreamWebSocket {
        do throws(HandshakeError) {
            let agreed = try handshake.check(answer(head, bytes))
            let deflate = try pool.codecs.accept(answer: agreed.extensions, to: offer)
            var fields = head.endToEndFields(in: bytes)
            for name in ownFields { fields.remove(name) }
            let (early, permit) = connection.surrender()
            let socket = UpstreamWebSocket(
                stream: connection.stream, permit: permit, codecs: pool.codecs, settings: pool.sockets,
                deflate: deflate,
                subprotocol: agreed.subprotocol, fields: fields, early: early)
            guard let socket else { throw .notSwitched(status: 101) }
            return socket
        } catch {
            throw .upgradeFailed(error.message)
        }
    }

    /// Parts of the handshake, which mean nothing beyond this connection.
    private static let ownFields: [HeaderName] = [
        .upgrade, .secWebSocketAccept, .secWebSocketExtensions, .secWebSocketProtocol,
    ]

    private static func answer(_ head: ResponseHead, _ bytes: [UInt8]) -> ClientHandshake.Answer {
        var answer = ClientHandshake.Answer(status: head.status.code)
        unsafe bytes.withUnsafeBytes { raw in
            func values(_ name: HeaderName) -> [String] {
                var values: [String] = []
                unsafe head.fields.forEach(name, in: raw) { field in
                    values.append(unsafe String(decoding: field.value.of(raw), as: UTF8.self))
                }
                return values
            }
            answer.upgrade = values(.upgrade)
            answer.connection = values(.connection)
            answer.accept = values(.secWebSocketAccept)
            answer.protocols = values(.secWebSocketProtocol)
            answer.extensions = values(.secWebSocketExtensions)
        }
        return answer
    }

    private static func nonce() -> [UInt8] {
        var system = SystemRandomNumberGenerator()
        return (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &system) }
    }
}
