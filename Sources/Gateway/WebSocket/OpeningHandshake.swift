package import GatewayBytes

/// The parts of an HTTP request that open a WebSocket. Fields are lists: one string for each field line, in order.
package struct HandshakeRequest: Sendable {
    package var method = "GET"
    package var majorVersion = 1
    package var minorVersion = 1
    package var host: String?
    /// Whether the client came by TLS, at this server or at a trusted proxy.
    package var isSecure = false
    package var upgrade: [String] = []
    package var connection: [String] = []
    package var key: [String] = []
    package var version: [String] = []
    package var protocols: [String] = []
    package var extensions: [String] = []
    package var origin: [String] = []

    package init() {}

    /// Whether the request asks for a WebSocket at all, so that a path can serve both.
    package var asksForWebSocket: Bool { FieldScanner.lists(upgrade, "websocket") }
}

/// A server's side of the opening handshake (RFC 6455 §4.2): checks the request and says what to answer.
package struct OpeningHandshake: Sendable {
    /// Application subprotocols in the server's order of preference.
    package var subprotocols: [String]
    package var origins: OriginPolicy
    /// Whether `bearer, <jwt>` among the subprotocols carries a token.
    package var acceptsBearer: Bool

    package init(subprotocols: [String] = [], origins: OriginPolicy = .any, acceptsBearer: Bool = true) {
        self.subprotocols = subprotocols
        self.origins = origins
        self.acceptsBearer = acceptsBearer
    }

    /// What a valid request leads to.
    package struct Acceptance: Sendable {
        /// The value of `Sec-WebSocket-Accept`.
        package var accept: String
        /// The subprotocol to answer with, if any.
        package var subprotocol: String?
        /// A token that came as `bearer, <jwt>`. Not verified.
        package var bearer: Secret?
        /// For ``SharedCodecs/negotiate(_:)``.
        package var extensions: [ExtensionOffer]
    }

    /// Checks `request`; nothing about tokens, which come after.
    package func check(_ request: HandshakeRequest) throws(HandshakeError) -> Acceptance {
        guard request.method == "GET" else { throw .methodNotGET }
        guard request.majorVersion == 1, request.minorVersion >= 1 else { throw .httpTooOld }
        guard request.asksForWebSocket else { throw .notAnUpgrade }
        guard FieldScanner.lists(request.connection, "upgrade") else { throw .connectionNotUpgrade }
        guard request.version.count == 1 else { throw .missingVersion }
        guard request.version[0] == "13" else { throw .unsupportedVersion }
        guard request.key.count == 1 else { throw .missingKey }
        guard HandshakeKey.isValid(request.key[0]) else { throw .invalidKey }
        guard origins.allows(origins: request.origin, host: request.host, isSecure: request.isSecure) else {
            throw .originNotAllowed
        }
        let (subprotocol, bearer) = try choose(from: request.protocols)
        do throws(ExtensionOffer.Malformed) {
            return Acceptance(
                accept: HandshakeKey.accept(for: request.key[0]), subprotocol: subprotocol, bearer: bearer,
                extensions: try ExtensionOffer.parse(request.extensions))
        } catch {
            throw .malformedExtensions
        }
    }

    private static let bearerName = "bearer"
    private static let mostSubprotocols = 32

    /// Takes the token out, then prefers an application subprotocol: `bearer` is selected only when no other is known,
    /// since a browser insists on being answered with one that it offered.
    private func choose(from lines: [String]) throws(HandshakeError) -> (String?, Secret?) {
        guard var offered = FieldScanner.tokens(in: lines), lines.isEmpty || !offered.isEmpty,
            offered.count <= Self.mostSubprotocols, Set(offered).count == offered.count
        else { throw .malformedSubprotocols }
        var bearer: Secret?
        if acceptsBearer, let place = offered.firstIndex(of: Self.bearerName) {
            guard place + 1 < offered.count, !subprotocols.contains(offered[place + 1]) else {
                throw .bearerWithoutToken
            }
            bearer = Secret(offered[place + 1])
            offered.removeSubrange(place...place + 1)
        }
        let known = subprotocols.first { offered.contains($0) }
        return (known ?? (bearer == nil ? nil : Self.bearerName), bearer)
    }
}

extension OpeningHandshake.Acceptance {
    /// Appends the `101` response up to and with its empty line.
    ///
    /// - Parameters:
    ///   - deflate: What ``SharedCodecs/negotiate(_:)`` agreed on.
    ///   - fields: More fields, each valid as it is.
    package func appendResponse(
        deflate: DeflateParameters?, fields: [(name: String, value: String)] = [], to output: inout OutputBuffer
    ) {
        output.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        output.appendField("Sec-WebSocket-Accept", accept)
        if let subprotocol { output.appendField("Sec-WebSocket-Protocol", subprotocol) }
        if let deflate { output.appendField("Sec-WebSocket-Extensions", deflate.answer) }
        for field in fields { output.appendField(field.name, field.value) }
        output.append("\r\n")
    }
}

extension OutputBuffer {
    mutating func appendField(_ name: String, _ value: String) {
        append(text: name)
        append(": ")
        append(text: value)
        append("\r\n")
    }
}

extension FieldScanner {
    /// Whether `token`, in lower case, is an element of the list that `lines` make up, in any case. A product version
    /// (`websocket/13`) or anything else that is not a plain token does not count.
    static func lists(_ lines: [String], _ token: String) -> Bool {
        lines.contains { line in
            line.split(separator: ",").contains { element in
                var scanner = FieldScanner(String(element))
                scanner.skipSpace()
                guard let found = scanner.token() else { return false }
                scanner.skipSpace()
                return scanner.isAtEnd && found.lowercased() == token
            }
        }
    }
}
