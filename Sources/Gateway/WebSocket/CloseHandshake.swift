/// How far the closing of one socket has come (RFC 6455 §7.1), in one byte.
package enum CloseHandshake: UInt8, Sendable {
    case open
    /// This end has sent a close frame and waits for the peer's.
    case sent
    /// The peer has; this end's answer is due.
    case received
    case both

    /// What to do about the TCP connection.
    package enum Transport: Equatable, Sendable {
        /// Frames may still flow.
        case keep
        /// Send what is buffered, then close: the server closes first, so that the client's port is free again.
        case close
        /// Wait for the peer to close, for a bounded time, then close anyway.
        case awaitPeer
    }

    /// Whether data, ping and pong frames may still be sent.
    package var mayWrite: Bool { self == .open || self == .received }
    /// Whether frames of the peer still mean anything.
    package var mayRead: Bool { self == .open || self == .sent }
    package var isComplete: Bool { self == .both }

    /// This end wants to close, or answers.
    ///
    /// - Returns: Whether a close frame is to be written: only the first time.
    package mutating func send() -> Bool {
        switch self {
        case .open: self = .sent
        case .received: self = .both
        case .sent, .both: return false
        }
        return true
    }

    /// A close frame came.
    ///
    /// - Returns: Whether an answer is due, through ``send()``, with the same code.
    package mutating func receive() -> Bool {
        switch self {
        case .open:
            self = .received
            return true
        case .sent: self = .both
        case .received, .both: break
        }
        return false
    }

    /// Who closes the connection now.
    package func transport(_ role: Role) -> Transport {
        guard self == .both else { return .keep }
        return role == .server ? .close : .awaitPeer
    }
}
