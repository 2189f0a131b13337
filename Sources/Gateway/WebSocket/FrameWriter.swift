package import GatewayBytes

/// Appends frames to a buffer of bytes on their way out (RFC 6455 §5).
package enum FrameWriter {
    /// Appends one frame.
    ///
    /// - Parameters:
    ///   - payload: At most 125 bytes for a control frame.
    ///   - isFinal: `false` for all but the last frame of a fragmented message.
    ///   - isCompressed: On the first frame of a message that is deflated.
    ///   - mask: A client's key, fresh and unpredictable for every frame (RFC 6455 §5.3); a server has none.
    @inline(__always)
    package static func append(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, isFinal: Bool = true, isCompressed: Bool = false,
        mask: UInt32? = nil, to output: inout OutputBuffer
    ) {
        let length = payload.count
        precondition(!opcode.isControl || (length <= 125 && isFinal), "control frames are short and whole")
        let first = opcode.rawValue | (isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0)
        unsafe output.appendInPlace(room: FrameHead.maximumSize + length) { free in
            var size = unsafe writeHead(first, length: length, isMasked: mask != nil, to: free)
            if let mask {
                unsafe free.storeBytes(of: mask, toByteOffset: size, as: UInt32.self)
                size += 4
            }
            guard length > 0 else { return size }
            let body = unsafe UnsafeMutableRawBufferPointer(rebasing: free[size..<size + length])
            unsafe body.copyMemory(from: payload)
            if let mask { unsafe Masking.apply(mask, phase: 0, to: body) }
            return size + length
        }
    }

    /// Appends one frame whose payload is in an array.
    package static func append(
        _ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true, isCompressed: Bool = false,
        mask: UInt32? = nil, to output: inout OutputBuffer
    ) {
        unsafe payload.withUnsafeBytes { bytes in
            unsafe append(
                opcode, bytes, isFinal: isFinal, isCompressed: isCompressed, mask: mask, to: &output)
        }
    }

    /// Appends a close frame.
    ///
    /// - Parameters:
    ///   - code: One that ``CloseCode/isAllowedOnWire``; `nil` for an empty frame, the answer to an empty one.
    ///   - reason: UTF-8, cut at a character boundary to the 123 bytes that fit. Ignored without a code.
    package static func appendClose(
        _ code: CloseCode?, reason: String = "", mask: UInt32? = nil, to output: inout OutputBuffer
    ) {
        var payload: [UInt8] = []
        if let code {
            precondition(code.isAllowedOnWire, "this close code must not be sent")
            payload.reserveCapacity(2 + min(reason.utf8.count, 123))
            payload += [UInt8(code.rawValue >> 8), UInt8(truncatingIfNeeded: code.rawValue)]
            payload += reason.utf8.prefix(fitting(reason))
        }
        append(.close, payload, mask: mask, to: &output)
    }

    private static func fitting(_ reason: String) -> Int {
        guard reason.utf8.count > 123 else { return reason.utf8.count }
        var size = 0
        for scalar in reason.unicodeScalars {
            let next = size + UTF8.width(scalar)
            if next > 123 { break }
            size = next
        }
        return size
    }

    /// Writes all of a head but the masking key.
    ///
    /// - Returns: Its size so far.
    @inline(__always)
    private static func writeHead(
        _ first: UInt8, length: Int, isMasked: Bool, to free: UnsafeMutableRawBufferPointer
    ) -> Int {
        let flag: UInt8 = isMasked ? 0x80 : 0
        unsafe free[0] = first
        if length < 126 {
            unsafe free[1] = flag | UInt8(truncatingIfNeeded: length)
            return 2
        }
        if length <= 0xFFFF {
            unsafe free[1] = flag | 126
            unsafe free.storeBytes(
                of: UInt16(truncatingIfNeeded: length).bigEndian, toByteOffset: 2, as: UInt16.self)
            return 4
        }
        unsafe free[1] = flag | 127
        unsafe free.storeBytes(of: UInt64(length).bigEndian, toByteOffset: 2, as: UInt64.self)
        return 10
    }
}
