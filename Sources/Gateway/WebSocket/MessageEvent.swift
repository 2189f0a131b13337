/// What a ``MessageReader`` found.
///
/// Buffers are borrowed: valid, and the caller's to change, until the next call of ``MessageReader/next(_:using:)`` on
/// any reader that uses the same ``SharedCodecs``.
@safe package enum MessageEvent {
    /// All input has been used.
    case needMore
    /// A whole message: unmasked, inflated, and if text then valid UTF-8.
    case message(MessageKind, UnsafeMutableRawBufferPointer)
    /// To be answered by a pong with the same payload.
    case ping(UnsafeMutableRawBufferPointer)
    case pong(UnsafeMutableRawBufferPointer)
    /// The peer's close frame. Whatever follows it is ignored. `code` is `nil` when the frame was empty (1005), and
    /// `reason` is valid UTF-8.
    case close(code: CloseCode?, reason: UnsafeMutableRawBufferPointer)
}
