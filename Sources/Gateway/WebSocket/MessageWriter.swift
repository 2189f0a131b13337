package import GatewayBytes

/// Appends whole messages, compressed where that was negotiated and pays.
package enum MessageWriter {
    /// Appends one message as one frame.
    ///
    /// Under the threshold it goes out as it is. Without context takeover also when compressing gains nothing. With
    /// takeover the compressed form is sent in any case: the compressor's window holds the message now, and an inflater
    /// that never saw it could not follow the next one.
    ///
    /// - Parameters:
    ///   - payload: If text then valid UTF-8; the caller vouches for it.
    ///   - deflate: The socket's context; `nil` without compression.
    ///   - mask: A client's key, see ``FrameWriter/append(_:_:isFinal:isCompressed:mask:to:)``.
    @inline(__always)
    package static func append(
        _ kind: MessageKind, _ payload: UnsafeRawBufferPointer, deflate: DeflateContext?, using codecs: SharedCodecs,
        mask: UInt32? = nil, to output: inout OutputBuffer
    ) {
        if let deflate, payload.count >= codecs.settings.threshold {
            unsafe appendCompressed(kind, payload, deflate: deflate, using: codecs, mask: mask, to: &output)
        } else {
            unsafe FrameWriter.append(kind.opcode, payload, mask: mask, to: &output)
        }
    }

    /// Appends one message from an array.
    package static func append(
        _ kind: MessageKind, _ payload: [UInt8], deflate: DeflateContext?, using codecs: SharedCodecs,
        mask: UInt32? = nil, to output: inout OutputBuffer
    ) {
        unsafe payload.withUnsafeBytes { bytes in
            unsafe append(kind, bytes, deflate: deflate, using: codecs, mask: mask, to: &output)
        }
    }

    @inline(never)
    private static func appendCompressed(
        _ kind: MessageKind, _ payload: UnsafeRawBufferPointer, deflate: DeflateContext, using codecs: SharedCodecs,
        mask: UInt32?, to output: inout OutputBuffer
    ) {
        guard unsafe deflate.compress(payload, using: codecs) else {
            unsafe FrameWriter.append(kind.opcode, payload, mask: mask, to: &output)
            return
        }
        let compressed = unsafe codecs.compressed.mutableBytes
        unsafe FrameWriter.append(
            kind.opcode, UnsafeRawBufferPointer(compressed), isCompressed: true, mask: mask, to: &output)
    }
}
