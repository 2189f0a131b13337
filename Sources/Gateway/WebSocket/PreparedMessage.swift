package import GatewayBytes
import GatewayLocks

/// A message for many sockets of a server: framed once, and compressed once for each window size they agreed on.
///
/// May be shared between loops. The first socket that needs a form makes it, the others copy its bytes.
package final class PreparedMessage: Sendable {
    package let kind: MessageKind
    private let payload: [UInt8]
    private let forms: Guarded<Forms>

    private struct Forms {
        var plain: [UInt8] = []
        /// By window bits less 9. Empty where compressing gained nothing.
        var compressed = [[UInt8]?](repeating: nil, count: 7)
    }

    /// - Parameter payload: If text then valid UTF-8; the caller vouches for it.
    package init(_ kind: MessageKind, _ payload: [UInt8]) {
        self.kind = kind
        self.payload = payload
        forms = Guarded(Forms())
    }

    /// Payload bytes.
    package var count: Int { payload.count }

    /// Appends the frame for one socket.
    ///
    /// A socket whose compressor keeps its window gets the shared frame too. Its peer's window then holds a message
    /// that its own does not, so its compressor starts afresh with the next message: a little ratio for a lot of work.
    package func append(to output: inout OutputBuffer, deflate: DeflateContext?, using codecs: SharedCodecs) {
        if let deflate, payload.count >= codecs.settings.threshold, 9...15 ~= deflate.ownWindowBits {
            let frame = compressedFrame(windowBits: deflate.ownWindowBits, using: codecs)
            if !frame.isEmpty {
                output.append(frame)
                deflate.sentForeignFrame()
                return
            }
        }
        output.append(plainFrame())
    }

    private func plainFrame() -> [UInt8] {
        forms.withLock { forms in
            if forms.plain.isEmpty { forms.plain = frame(payload, isCompressed: false) }
            return forms.plain
        }
    }

    private func compressedFrame(windowBits: Int, using codecs: SharedCodecs) -> [UInt8] {
        forms.withLock { forms in
            if let known = forms.compressed[windowBits - 9] { return known }
            let gained = unsafe payload.withUnsafeBytes { bytes in
                unsafe codecs.compressAlone(bytes, windowBits: windowBits)
            }
            let fresh = gained ? frame(codecs.compressedBytes, isCompressed: true) : []
            forms.compressed[windowBits - 9] = fresh
            return fresh
        }
    }

    private func frame(_ body: [UInt8], isCompressed: Bool) -> [UInt8] {
        var output = OutputBuffer(capacity: body.count + FrameHead.maximumSize)
        FrameWriter.append(kind.opcode, body, isCompressed: isCompressed, to: &output)
        return unsafe output.withUnsafeBytes { unsafe [UInt8]($0) }
    }
}

extension SharedCodecs {
    fileprivate var compressedBytes: [UInt8] { unsafe compressed.withUnsafeBytes { unsafe [UInt8]($0) } }
}
