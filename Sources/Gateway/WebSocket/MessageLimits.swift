package import GatewayBytes

/// What a peer may send. One instance for all sockets of a route: a socket keeps a reference, not a copy.
package final class MessageLimits: Sendable {
    /// Payload bytes of one frame as on the wire, MAX_FRAME_SIZE.
    package let frame: Int
    /// Bytes of one message after inflation and across fragments, MAX_MESSAGE_SIZE.
    package let message: Int
    /// Frames that one message may be cut into. Bounds the work of a message that never grows.
    package let fragments: Int
    /// A frame longer than this is reported by ``SharedCodecs/takeLargeFrame()``, FRAME_WARN_THRESHOLD.
    package let frameWarning: Int

    /// - Parameters:
    ///   - frame: 125 bytes or more; control frames may always be that long.
    ///   - message: The frame's limit when `nil`.
    package init(
        frame: ByteCount = .mebibytes(1), message: ByteCount? = nil, fragments: Int = 131_072,
        frameWarning: ByteCount = .kibibytes(512)
    ) {
        self.frame = max(frame.bytes, 125)
        self.message = max((message ?? frame).bytes, 125)
        self.fragments = max(fragments, 1)
        self.frameWarning = frameWarning.bytes
    }

    /// The most compressed bytes that are kept to be inflated later: what does not compress grows a little.
    var deferredMessage: Int { message + message / 64 + 64 }
}
