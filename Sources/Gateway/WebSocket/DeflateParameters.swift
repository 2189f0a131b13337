/// How a route wants permessage-deflate to be negotiated: COMPRESSION_*.
package struct DeflateSettings: Equatable, Sendable {
    package var isEnabled = true
    /// zlib's scale, 1 through 9. See ``StatelessCompressor`` for its meaning without context takeover.
    package var level = 6
    /// Messages shorter than this go out as they are.
    package var threshold = 1024
    /// Whether this end may keep its window from message to message: better ratios, and about 270 KiB per socket.
    package var keepsOwnWindow = false
    /// Whether the peer may keep its window: about 40 KiB per socket.
    package var keepsPeerWindow = false
    /// Base-two logarithm of the largest window in either direction, 9 through 15.
    package var windowBits = 15
    /// zlib's memLevel, 1 through 9, where this end keeps its window.
    package var memoryLevel = 8

    package init() {}
}

/// What both ends have agreed on (RFC 7692 §7.1).
package struct DeflateParameters: Hashable, Sendable {
    /// The server may refer to earlier messages.
    package var serverKeepsWindow = true
    /// The client may refer to earlier messages.
    package var clientKeepsWindow = true
    package var serverWindowBits: UInt8 = 15
    package var clientWindowBits: UInt8 = 15
    /// The offer named server_max_window_bits, so the answer must.
    package var answersServerWindow = false
    /// The offer named client_max_window_bits, so the answer may.
    package var answersClientWindow = false

    package init() {}

    /// The value of the server's `Sec-WebSocket-Extensions`.
    package var answer: String {
        var text = "permessage-deflate"
        if !serverKeepsWindow { text += "; server_no_context_takeover" }
        if !clientKeepsWindow { text += "; client_no_context_takeover" }
        if serverWindowBits < 15 || answersServerWindow { text += "; server_max_window_bits=\(serverWindowBits)" }
        if answersClientWindow, clientWindowBits < 15 { text += "; client_max_window_bits=\(clientWindowBits)" }
        return text
    }

    func keepsWindow(_ side: Role) -> Bool { side == .server ? serverKeepsWindow : clientKeepsWindow }
    func windowBits(_ side: Role) -> Int { Int(side == .server ? serverWindowBits : clientWindowBits) }
}
