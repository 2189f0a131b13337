/// What is to be sent after a head.
package enum OutgoingBody: Equatable, Sendable {
    case empty
    case length(UInt64)
    case unknownLength
}

/// What is to become of the connection after a message.
package enum ConnectionIntent: Equatable, Sendable { case keepAlive, close, upgrade }

/// How a response is delimited: drawn from the status, the request and the body, before a byte is written, and followed
/// by whoever sends the body (RFC 9112 §6.3, RFC 9110 §8.6).
package struct ResponsePlan: Equatable, Sendable {
    package enum Coding: Equatable, Sendable {
        /// Nothing follows the head, whatever the handler may have produced.
        case none
        /// Exactly so many bytes follow.
        case identity(UInt64)
        /// Send through ``GatewayBytes/OutputBuffer/appendChunk(_:)``.
        case chunked
        /// Bytes follow until the connection is closed: an HTTP/1.0 client and a body of unknown length.
        case untilClose
    }

    enum Declaration: Equatable, Sendable {
        case nothing
        case length(UInt64)
        case chunked
    }

    package let coding: Coding
    /// Whether the connection goes on with HTTP after this response.
    package let keepAlive: Bool
    let declaration: Declaration
    let connection: ConnectionIntent
    let minorVersion: UInt8

    /// - Parameters:
    ///   - method: That of the request.
    ///   - minorVersion: That of the request: 1 or 0.
    ///   - connection: The wish; a body that ends with the connection overrides it.
    package init(
        _ status: Status, body: OutgoingBody, answering method: Method, minorVersion: UInt8 = 1,
        connection wish: ConnectionIntent = .keepAlive
    ) {
        declaration = Self.declaration(status, body, method, minorVersion)
        let sendsBody = !status.forbidsBody && method != .head && !(method == .connect && status.isSuccess)
        switch body {
        case _ where !sendsBody: coding = .none
        case .empty, .length(0): coding = .none
        case .length(let count): coding = .identity(count)
        case .unknownLength: coding = minorVersion == 1 ? .chunked : .untilClose
        }
        connection = coding == .untilClose ? .close : wish
        keepAlive = connection == .keepAlive
        self.minorVersion = minorVersion
    }

    private static func declaration(
        _ status: Status, _ body: OutgoingBody, _ method: Method, _ minorVersion: UInt8
    ) -> Declaration {
        if status.isInformational || status == .noContent { return .nothing }
        if method == .connect, status.isSuccess { return .nothing }
        switch body {
        case .length(let count): return .length(count)
        // Without content there is nothing to delimit; a length would be a claim about the GET or the stored response.
        case .empty: return method == .head || status == .notModified ? .nothing : .length(0)
        case .unknownLength: return minorVersion == 1 && status != .notModified ? .chunked : .nothing
        }
    }
}
