package import GatewayBytes

// The chunked coding, outward (RFC 9112 §7.1). No extensions are ever sent.
extension OutputBuffer {
    /// Starts a chunk whose `count` bytes are sent some other way, such as a splice; ``appendChunkTail()`` must follow.
    ///
    /// - Parameter count: Not zero, since that would end the body.
    package mutating func appendChunkHead(count: Int) {
        precondition(count > 0, "an empty chunk would end the body")
        append(hexadecimal: UInt64(count))
        append(literal: "\r\n")
    }

    package mutating func appendChunkTail() { append(literal: "\r\n") }

    /// Appends `bytes` as one chunk; nothing when there are none.
    package mutating func appendChunk(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0 else { return }
        reserve(bytes.count + 20)
        appendChunkHead(count: bytes.count)
        unsafe append(bytes)
        appendChunkTail()
    }

    /// The same over a span.
    package mutating func appendChunk(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes { unsafe appendChunk($0) }
    }

    /// Ends the body. Framing and connection fields in `trailers` are left out.
    package mutating func appendLastChunk(trailers: HeaderFields = HeaderFields()) {
        append(literal: "0\r\n")
        trailers.write(to: &self)
        append(literal: "\r\n")
    }
}
