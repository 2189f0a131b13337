/// A status code of a close frame (RFC 6455 §7.4, and the IANA registry).
package struct CloseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Stands for a close frame without a code; never sent.
    package static let withoutCode = CloseCode(rawValue: 1005)
    /// Stands for the end of a connection without a close frame; never sent.
    package static let abnormal = CloseCode(rawValue: 1006)

    package static let normal = CloseCode(rawValue: 1000)
    /// The server is going down or draining, or the peer stopped answering pings.
    package static let goingAway = CloseCode(rawValue: 1001)
    package static let protocolError = CloseCode(rawValue: 1002)
    package static let unsupportedData = CloseCode(rawValue: 1003)
    /// Text that is not UTF-8, or data that cannot be inflated.
    package static let invalidPayload = CloseCode(rawValue: 1007)
    package static let policyViolation = CloseCode(rawValue: 1008)
    package static let messageTooBig = CloseCode(rawValue: 1009)
    package static let internalError = CloseCode(rawValue: 1011)
    package static let serviceRestart = CloseCode(rawValue: 1012)
    /// Overload: the same request may work later.
    package static let tryAgainLater = CloseCode(rawValue: 1013)
    package static let badGateway = CloseCode(rawValue: 1014)
    /// The token that opened the socket has expired.
    package static let tokenExpired = CloseCode(rawValue: 4401)

    /// Whether the code may stand in a close frame. 1005, 1006 and 1015 name what happened without one; 1004, 1016-2999
    /// are reserved; below 1000 and above 4999 nothing is defined. The same rule holds in both directions.
    package var isAllowedOnWire: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    package var description: String { "\(rawValue)" }
}
