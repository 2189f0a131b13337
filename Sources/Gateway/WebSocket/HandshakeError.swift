/// Why an opening handshake fails. A server answers with ``status``, ``fields`` and ``message``; a client gives up with
/// the message.
package enum HandshakeError: Error, Equatable, Sendable {
    // A server's
    case methodNotGET
    case httpTooOld
    case notAnUpgrade
    case connectionNotUpgrade
    case missingKey
    case invalidKey
    case missingVersion
    case unsupportedVersion
    case malformedSubprotocols
    case bearerWithoutToken
    case malformedExtensions
    case originNotAllowed

    // A client's
    case notSwitched(status: Int)
    case answerNotUpgrade
    case wrongAccept
    case unexpectedSubprotocol
    case unacceptableExtension
    case noMemoryForExtension

    /// The HTTP status of a server's refusal; 502 where the fault is an upstream's.
    package var status: Int {
        switch self {
        case .methodNotGET: 405
        case .notAnUpgrade, .missingVersion, .unsupportedVersion: 426
        case .originNotAllowed: 403
        case .httpTooOld, .connectionNotUpgrade, .missingKey, .invalidKey, .malformedSubprotocols, .bearerWithoutToken,
            .malformedExtensions:
            400
        case .notSwitched, .answerNotUpgrade, .wrongAccept, .unexpectedSubprotocol, .unacceptableExtension: 502
        case .noMemoryForExtension: 503
        }
    }

    /// Fields that the refusal must carry (RFC 9110 §15.5.6, §15.5.22, RFC 6455 §4.4).
    package var fields: [(name: StaticString, value: StaticString)] {
        switch self {
        case .methodNotGET: [("Allow", "GET")]
        case .notAnUpgrade: [("Upgrade", "websocket"), ("Connection", "Upgrade")]
        case .missingVersion, .unsupportedVersion:
            [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
        default: []
        }
    }

    /// What a person who runs the client can act on.
    package var message: String {
        switch self {
        case .methodNotGET: "A WebSocket is opened with GET."
        case .httpTooOld: "A WebSocket is opened with HTTP/1.1."
        case .notAnUpgrade:
            "This path speaks WebSocket: send 'Upgrade: websocket'. A proxy in between may have removed the field."
        case .connectionNotUpgrade:
            "'Connection: Upgrade' is missing. A proxy in between may have removed it."
        case .missingKey: "Exactly one Sec-WebSocket-Key is needed."
        case .invalidKey: "Sec-WebSocket-Key must be 16 bytes in base64."
        case .missingVersion: "Exactly one Sec-WebSocket-Version is needed, and it must be 13."
        case .unsupportedVersion: "Only version 13 of the WebSocket protocol is spoken here."
        case .malformedSubprotocols: "Sec-WebSocket-Protocol must be a list of distinct tokens, at most 32."
        case .bearerWithoutToken: "The subprotocol 'bearer' must be followed by a token."
        case .malformedExtensions: "Sec-WebSocket-Extensions does not follow RFC 6455 section 9.1."
        case .originNotAllowed: "Pages of this origin may not connect here. Its operator can add it to ALLOWED_ORIGINS."
        case .notSwitched(let status): "The server answered \(status) instead of 101."
        case .answerNotUpgrade: "The server's 101 is not an upgrade to WebSocket."
        case .wrongAccept: "Sec-WebSocket-Accept does not answer the key that was sent."
        case .unexpectedSubprotocol: "The server chose a subprotocol that was not offered."
        case .unacceptableExtension: "The server chose an extension or parameter that was not offered."
        case .noMemoryForExtension: "There is no memory for the compression that the server chose."
        }
    }
}
