package import GatewayBytes
package import GatewayHTTP

/// A client's side of the opening handshake (RFC 6455 §4.1): what to send, and whether the answer will do.
package struct ClientHandshake: Sendable {
    private let key: String
    private let subprotocols: [String]

    /// - Parameters:
    ///   - nonce: Sixteen random bytes, fresh for each connection.
    ///   - subprotocols: Offered in this order.
    package init(nonce: [UInt8], subprotocols: [String] = []) {
        precondition(nonce.count == 16, "a WebSocket key is made from sixteen bytes")
        key = HandshakeKey.base64(nonce)
        self.subprotocols = subprotocols
    }

    /// Appends the fields of the request that make it an upgrade. Request line, `Host` and the empty line are the
    /// caller's.
    ///
    /// - Parameter deflate: ``SharedCodecs/clientOffer``.
    package func appendFields(deflate: String?, to output: inout OutputBuffer) {
        output.append("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
        output.appendField("Sec-WebSocket-Key", key)
        if !subprotocols.isEmpty {
            output.appendField("Sec-WebSocket-Protocol", subprotocols.joined(separator: ", "))
        }
        if let deflate { output.appendField("Sec-WebSocket-Extensions", deflate) }
    }

    /// The same for a writer of heads that brings `Connection: Upgrade` itself.
    ///
    /// - Throws: For a subprotocol that cannot stand in a field.
    package func fields(deflate: String?) throws(FieldValueError) -> HeaderFields {
        var fields = HeaderFields()
        fields.append(.upgrade, "websocket")
        fields.append(.secWebSocketVersion, "13")
        try fields.append(.secWebSocketKey, checking: key)
        if !subprotocols.isEmpty {
            try fields.append(.secWebSocketProtocol, checking: subprotocols.joined(separator: ", "))
        }
        if let deflate { try fields.append(.secWebSocketExtensions, checking: deflate) }
        return fields
    }

    /// The parts of the response that matter. Fields are lists: one string for each field line.
    package struct Answer: Sendable {
        package var status: Int
        package var upgrade: [String] = []
        package var connection: [String] = []
        package var accept: [String] = []
        package var protocols: [String] = []
        package var extensions: [String] = []

        package init(status: Int) { self.status = status }
    }

    /// What a valid answer leads to.
    package struct Agreement: Equatable, Sendable {
        package var subprotocol: String?
        /// For ``SharedCodecs/accept(answer:to:)``.
        package var extensions: [ExtensionOffer]

        package init(subprotocol: String? = nil, extensions: [ExtensionOffer] = []) {
            self.subprotocol = subprotocol
            self.extensions = extensions
        }
    }

    package func check(_ answer: Answer) throws(HandshakeError) -> Agreement {
        guard answer.status == 101 else { throw .notSwitched(status: answer.status) }
        guard FieldScanner.lists(answer.upgrade, "websocket"), FieldScanner.lists(answer.connection, "upgrade") else {
            throw .answerNotUpgrade
        }
        guard answer.accept == [HandshakeKey.accept(for: key)] else { throw .wrongAccept }
        guard answer.protocols.count <= 1, answer.protocols.allSatisfy(subprotocols.contains) else {
            throw .unexpectedSubprotocol
        }
        do throws(ExtensionOffer.Malformed) {
            return Agreement(
                subprotocol: answer.protocols.first, extensions: try ExtensionOffer.parse(answer.extensions))
        } catch {
            throw .unacceptableExtension
        }
    }
}
