import GatewayBytes

/// Turns received bytes into messages and control frames (RFC 6455 §5, §8.1, RFC 7692 §6).
///
/// Works in the caller's receive buffer: a frame that lies there whole is unmasked in place and handed out without a
/// copy. Only what is incomplete is copied to storage of the socket's own, so an idle reader is three references and
/// two bytes.
///
/// ```
/// while true {
///     switch try reader.next(&input, using: codecs) {
///     case .message(let kind, let bytes): …
///     case .needMore: return
///     }
/// }
/// ```
package struct MessageReader: ~Copyable {
    package let limits: MessageLimits
    /// What was negotiated; `nil` without compression.
    package let deflate: DeflateContext?
    private var assembly: Assembly?
    private let role: Role
    private var state = State.reading

    private enum State: UInt8 {
        case reading
        /// The last event borrowed the assembly's message.
        case deliveredMessage
        /// The last event borrowed the assembly's control payload.
        case deliveredControl
        /// A close frame came, or a violation was thrown. Nothing more is read.
        case finished
    }

    /// - Parameter role: This end's own role: a server's reader expects masked frames.
    package init(role: Role, limits: MessageLimits, deflate: DeflateContext? = nil) {
        self.role = role
        self.limits = limits
        self.deflate = deflate
    }

    /// Whether any part of a frame or message is waiting for the rest.
    package var isMidMessage: Bool { assembly != nil && state == .reading }

    /// Since when the message or frame in progress has not grown; `nil` between messages. Control frames do not count:
    /// who answers pings may still owe the rest of a message.
    ///
    /// - Parameter now: Of any clock that goes on; ask after each call of ``next(_:using:)`` that said `.needMore`.
    package func unfinishedSince(now: UInt64) -> UInt64? {
        isMidMessage ? assembly?.lastGrowth(now: now) : nil
    }

    /// This end did not read for a while: the peer's time begins again.
    package func restartPatience(now: UInt64) { assembly?.restartPatience(now: now) }

    /// Finds the next event in `input`, which is advanced past what was used.
    ///
    /// Call again with the same `input` until `.needMore`, and with newly received bytes then.
    ///
    /// - Throws: ``ProtocolViolation``: close with its code. All later input is ignored.
    package mutating func next(
        _ input: inout UnsafeMutableRawBufferPointer, using codecs: SharedCodecs
    ) throws(ProtocolViolation) -> MessageEvent {
        if assembly != nil { releaseDelivered() }
        guard state != .finished else {
            unsafe input = UnsafeMutableRawBufferPointer(start: nil, count: 0)
            return .needMore
        }
        do throws(ProtocolViolation) {
            return try unsafe advance(&input, codecs)
        } catch {
            state = .finished
            assembly = nil
            throw error
        }
    }

    private mutating func releaseDelivered() {
        guard let assembly else { return }
        switch state {
        case .deliveredMessage:
            assembly.dropMessage()
            state = .reading
        case .deliveredControl:
            assembly.dropControl()
            state = .reading
        case .reading:
            break
        case .finished:
            self.assembly = nil
            return
        }
        if assembly.isIdle { self.assembly = nil }
    }

    private mutating func advance(
        _ input: inout UnsafeMutableRawBufferPointer, _ codecs: SharedCodecs
    ) throws(ProtocolViolation) -> MessageEvent {
        while true {
            if let assembly, assembly.frame != nil {
                guard let event = try unsafe resume(assembly, &input, codecs) else { continue }
                return event
            }
            guard let head = try unsafe readHead(&input, codecs) else { return .needMore }
            try admit(head, codecs)
            guard input.count >= head.length else {
                try unsafe keepPartial(head, &input, codecs)
                return .needMore
            }
            let payload = unsafe input.splitFront(head.length)
            if let event = try unsafe complete(head, payload, codecs) { return event }
        }
    }

    // MARK: Heads

    private mutating func readHead(
        _ input: inout UnsafeMutableRawBufferPointer, _ codecs: SharedCodecs
    ) throws(ProtocolViolation) -> FrameHead? {
        if let assembly, assembly.headCount > 0 { return try unsafe readStashedHead(assembly, &input) }
        guard input.count > 0 else { return nil }
        let head = try unsafe FrameHead.parse(
            UnsafeRawBufferPointer(input), role: role, allowsCompression: deflate != nil)
        if let head {
            _ = unsafe input.splitFront(head.size)
            return head
        }
        let taken = unsafe ensureAssembly(codecs).stash(UnsafeRawBufferPointer(input))
        _ = unsafe input.splitFront(taken)
        return nil
    }

    /// Goes on with a head of which some bytes came earlier.
    private func readStashedHead(
        _ assembly: Assembly, _ input: inout UnsafeMutableRawBufferPointer
    ) throws(ProtocolViolation) -> FrameHead? {
        let before = assembly.headCount
        let taken = unsafe assembly.stash(UnsafeRawBufferPointer(input))
        guard let head = try assembly.stashedHead(role: role, allowsCompression: deflate != nil) else {
            _ = unsafe input.splitFront(taken)
            return nil
        }
        assembly.dropStash()
        _ = unsafe input.splitFront(head.size - before)
        return head
    }

    /// Checks a frame against the message in progress and the limits, before any of its payload is read.
    private mutating func admit(_ head: FrameHead, _ codecs: SharedCodecs) throws(ProtocolViolation) {
        guard !head.opcode.isControl else { return }
        let isInMessage = assembly?.kind != nil
        if head.opcode == .continuation {
            guard isInMessage else { throw .unexpectedContinuation }
        } else {
            guard !isInMessage else { throw .interruptedMessage }
        }
        guard head.length <= limits.frame else { throw .frameTooBig(limit: limits.frame) }
        if head.length > limits.frameWarning { codecs.noteLargeFrame(head.length) }
        if isInMessage {
            try assembly?.admit(head.length, limits: limits)
        } else if !head.isCompressed {
            guard head.length <= limits.message else { throw .messageTooBig(limit: limits.message) }
        }
    }

    // MARK: Whole frames

    private mutating func complete(
        _ head: FrameHead, _ payload: UnsafeMutableRawBufferPointer, _ codecs: SharedCodecs
    ) throws(ProtocolViolation) -> MessageEvent? {
        if head.opcode.isControl {
            if let mask = head.mask { unsafe Masking.apply(mask, phase: 0, to: payload) }
            return try unsafe controlEvent(head.opcode, payload)
        }
        if head.isFinal, let kind = MessageKind(rawValue: head.opcode.rawValue) {
            return try unsafe .message(kind, wholeMessage(head, kind, payload, codecs))
        }
        let assembly = try messageAssembly(for: head, codecs)
        try unsafe assembly.append(payload, mask: head.mask, phase: 0, limits: limits)
        guard head.isFinal else { return nil }
        return try finish(assembly, codecs)
    }

    /// An unfragmented message that lies in the buffer: the common case, and nothing is allocated.
    @inline(__always)
    private func wholeMessage(
        _ head: FrameHead, _ kind: MessageKind, _ payload: UnsafeMutableRawBufferPointer, _ codecs: SharedCodecs
    ) throws(ProtocolViolation) -> UnsafeMutableRawBufferPointer {
        var isASCII = false
        if let mask = head.mask { isASCII = unsafe Masking.apply(mask, phase: 0, to: payload) }
        if head.isCompressed, let deflate {
            let inflater = try deflate.keepsPeerWindow ? deflate.ownInflater() : codecs.inflaterForWholeMessage()
            return try unsafe codecs.inflateWhole(
                UnsafeRawBufferPointer(payload), kind: kind, by: inflater, limit: limits.message)
        }
        if kind == .text, !isASCII {
            var text = UTF8Validator()
            guard unsafe text.accepts(UnsafeRawBufferPointer(payload)), text.isComplete else { throw .invalidText }
        }
        return unsafe payload
    }

    private mutating func controlEvent(
        _ opcode: Opcode, _ payload: UnsafeMutableRawBufferPointer
    ) throws(ProtocolViolation) -> MessageEvent {
        switch opcode {
        case .ping: return unsafe .ping(payload)
        case .pong: return unsafe .pong(payload)
        default:
            let close = try unsafe closeEvent(payload)
            state = .finished
            return close
        }
    }

    /// Reads a close frame's payload (RFC 6455 §5.5.1, §7.4).
    private func closeEvent(_ payload: UnsafeMutableRawBufferPointer) throws(ProtocolViolation) -> MessageEvent {
        guard payload.count > 0 else { return unsafe .close(code: nil, reason: payload) }
        guard payload.count >= 2 else { throw .closePayloadOfOneByte }
        let code = unsafe CloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
        guard code.isAllowedOnWire else { throw .invalidCloseCode(code.rawValue) }
        let reason = unsafe UnsafeMutableRawBufferPointer(rebasing: payload[2...])
        var text = UTF8Validator()
        guard unsafe text.accepts(UnsafeRawBufferPointer(reason)), text.isComplete else { throw .closeReasonNotText }
        return unsafe .close(code: code, reason: reason)
    }

    // MARK: Partial frames

    /// Copies the part of a frame that is there.
    private mutating func keepPartial(
        _ head: FrameHead, _ input: inout UnsafeMutableRawBufferPointer, _ codecs: SharedCodecs
    ) throws(ProtocolViolation) {
        let assembly = head.opcode.isControl ? ensureAssembly(codecs) : try messageAssembly(for: head, codecs)
        assembly.begin(head)
        try unsafe assembly.take(input.splitFront(input.count), limits: limits)
    }

    /// Goes on with a frame of which some payload came earlier.
    ///
    /// - Returns: `nil` when the frame is done and brings no event.
    private mutating func resume(
        _ assembly: Assembly, _ input: inout UnsafeMutableRawBufferPointer, _ codecs: SharedCodecs
    ) throws(ProtocolViolation) -> MessageEvent? {
        guard let head = assembly.frame else { return nil }
        try unsafe assembly.take(input.splitFront(min(assembly.missing, input.count)), limits: limits)
        guard assembly.missing == 0 else { return .needMore }
        assembly.endFrame()
        if head.opcode.isControl {
            state = .deliveredControl
            return try unsafe controlEvent(head.opcode, assembly.controlBytes)
        }
        return head.isFinal ? try finish(assembly, codecs) : nil
    }

    private mutating func finish(
        _ assembly: Assembly, _ codecs: SharedCodecs
    ) throws(ProtocolViolation) -> MessageEvent {
        let bytes = try unsafe assembly.finishMessage(
            limits: limits, codecs: codecs, isOwnInflater: deflate?.keepsPeerWindow ?? false)
        state = .deliveredMessage
        return unsafe .message(assembly.kind ?? .binary, bytes)
    }

    private mutating func ensureAssembly(_ codecs: SharedCodecs) -> Assembly {
        if let assembly { return assembly }
        let fresh = Assembly(budget: codecs.assemblyBudget)
        assembly = fresh
        return fresh
    }

    /// The assembly, with the message begun that `head` starts.
    private mutating func messageAssembly(
        for head: FrameHead, _ codecs: SharedCodecs
    ) throws(ProtocolViolation) -> Assembly {
        let assembly = ensureAssembly(codecs)
        if let kind = MessageKind(rawValue: head.opcode.rawValue) {
            try assembly.beginMessage(kind, isCompressed: head.isCompressed, deflate: deflate, codecs: codecs)
            try assembly.admit(head.length, limits: limits)
        }
        return assembly
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Cuts the first `count` bytes off and returns them.
    @inline(__always)
    mutating func splitFront(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let front = unsafe UnsafeMutableRawBufferPointer(rebasing: self[..<count])
        unsafe self = UnsafeMutableRawBufferPointer(rebasing: self[count...])
        return unsafe front
    }
}
