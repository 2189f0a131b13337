import GatewayBytes
import GatewayCompression

/// The part of a message, a frame or a frame head that has arrived so far. An idle socket has none.
///
/// Storage grows with what has arrived, never with what a length field claims, and is charged to the process's budget.
final class Assembly {
    /// Bytes of a head that is not complete.
    private var headBytes = InlineArray<14, UInt8>(repeating: 0)
    private(set) var headCount = 0

    /// The frame whose payload is arriving, and how much of it has.
    private(set) var frame: FrameHead?
    private(set) var received = 0
    /// The payload of a control frame, which may come between the frames of a message.
    private var control: OutputBuffer?

    /// The message in progress.
    private(set) var kind: MessageKind?
    private var mode = Mode.plain
    private var inflater: InflaterBox?
    /// Whether the message in progress had any compressed bytes yet.
    private var hasInflated = false
    private var text: UTF8Validator?
    private(set) var fragments = 0
    private(set) var storage = OutputBuffer(capacity: 64)

    private let budget: ByteBudget
    private var charged = 0
    /// Counts frames and payload bytes of messages; heads and control frames do not, or pings in pieces would pass for
    /// progress.
    private var arrived = 0
    private var arrivedAtCheck = -1
    private var grewAt: UInt64 = 0

    private enum Mode {
        /// Stored as it is.
        case plain
        /// Inflated on arrival by an inflater that this socket holds.
        case inflating
        /// Stored compressed, to be inflated in one go: no takeover, and no memory for an inflater of its own.
        case deferred
    }

    init(budget: ByteBudget) { self.budget = budget }

    deinit { budget.release(charged) }

    /// Whether nothing is in progress any more.
    var isIdle: Bool { kind == nil && frame == nil && headCount == 0 && control == nil }

    // MARK: Time

    /// When more of the message was last seen to have arrived, by the clock that `now` is of.
    func lastGrowth(now: UInt64) -> UInt64 {
        if arrived != arrivedAtCheck { restartPatience(now: now) }
        return grewAt
    }

    /// Nobody was reading meanwhile: that nothing arrived is not the peer's doing.
    func restartPatience(now: UInt64) {
        arrivedAtCheck = arrived
        grewAt = now
    }

    // MARK: Heads

    /// Keeps the bytes of an incomplete head.
    ///
    /// - Returns: How many were taken: all, or as many as the longest head can use.
    func stash(_ bytes: UnsafeRawBufferPointer) -> Int {
        let taken = min(bytes.count, FrameHead.maximumSize - headCount)
        for place in 0..<taken { unsafe headBytes[headCount + place] = bytes[place] }
        headCount += taken
        return taken
    }

    func stashedHead(role: Role, allowsCompression: Bool) throws(ProtocolViolation) -> FrameHead? {
        var copy = headBytes
        var outcome: Result<FrameHead?, ProtocolViolation> = .success(nil)
        let count = headCount
        unsafe withUnsafeBytes(of: &copy) { bytes in
            let present = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
            do throws(ProtocolViolation) {
                outcome = .success(
                    try unsafe FrameHead.parse(present, role: role, allowsCompression: allowsCompression))
            } catch {
                outcome = .failure(error)
            }
        }
        return try outcome.get()
    }

    func dropStash() { headCount = 0 }

    // MARK: Frames

    /// Starts to take the payload of a frame that is not complete yet.
    func begin(_ head: FrameHead) {
        frame = head
        received = 0
        if head.opcode.isControl { control = OutputBuffer(capacity: 128) }
    }

    var missing: Int { (frame?.length ?? 0) - received }

    /// Takes more of the current frame's payload; `bytes` are unmasked in place.
    func take(_ bytes: UnsafeMutableRawBufferPointer, limits: MessageLimits) throws(ProtocolViolation) {
        guard let frame else { return }
        let phase = received
        received += bytes.count
        if frame.opcode.isControl {
            if let mask = frame.mask { unsafe Masking.apply(mask, phase: phase, to: bytes) }
            unsafe control?.append(UnsafeRawBufferPointer(bytes))
        } else {
            arrived &+= bytes.count
            try unsafe append(bytes, mask: frame.mask, phase: phase, limits: limits)
        }
    }

    func endFrame() {
        frame = nil
        received = 0
    }

    /// The payload of the control frame that is complete now, until ``dropControl()``.
    var controlBytes: UnsafeMutableRawBufferPointer {
        unsafe control?.borrowed() ?? UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    func dropControl() { control = nil }

    // MARK: Messages

    func beginMessage(
        _ kind: MessageKind, isCompressed: Bool, deflate: DeflateContext?, codecs: SharedCodecs
    ) throws(ProtocolViolation) {
        self.kind = kind
        fragments = 0
        text = kind == .text ? UTF8Validator() : nil
        guard isCompressed, let deflate else {
            mode = .plain
            return
        }
        if deflate.keepsPeerWindow {
            inflater = try deflate.ownInflater()
        } else {
            inflater = codecs.lendInflater()
        }
        mode = inflater == nil ? .deferred : .inflating
        hasInflated = false
    }

    /// Counts a frame of the message in progress, and refuses one that would make it too long before it is read.
    func admit(_ length: Int, limits: MessageLimits) throws(ProtocolViolation) {
        fragments += 1
        arrived &+= 1
        guard fragments <= limits.fragments else { throw .tooManyFragments(limit: limits.fragments) }
        switch mode {
        case .plain: guard length <= limits.message - storage.count else { throw .messageTooBig(limit: limits.message) }
        case .deferred:
            guard length <= limits.deferredMessage - storage.count else { throw .messageTooBig(limit: limits.message) }
        case .inflating: break
        }
    }

    /// Takes payload bytes of the message in progress; they are unmasked in place.
    func append(
        _ bytes: UnsafeMutableRawBufferPointer, mask: UInt32?, phase: Int, limits: MessageLimits
    ) throws(ProtocolViolation) {
        var isASCII = false
        if let mask { isASCII = unsafe Masking.apply(mask, phase: phase, to: bytes) }
        let plain = UnsafeRawBufferPointer(bytes)
        if mode == .inflating {
            try unsafe inflate(plain, limits: limits)
            return
        }
        if mode == .plain, text?.isComplete == false || !isASCII {
            guard unsafe text?.accepts(plain) ?? true else { throw .invalidText }
        }
        try reserve(bytes.count, in: storage)
        unsafe storage.append(plain)
    }

    private func inflate(_ plain: UnsafeRawBufferPointer, limits: MessageLimits) throws(ProtocolViolation) {
        guard let inflater, plain.count > 0 else { return }
        hasInflated = true
        try unsafe inflater.inflate(plain, into: &storage, limit: limits.message, text: &text, reserve: reserve)
    }

    /// Ends the message after its last frame.
    ///
    /// - Returns: Its bytes, which live until the next call on the reader.
    func finishMessage(
        limits: MessageLimits, codecs: SharedCodecs, isOwnInflater: Bool
    ) throws(ProtocolViolation) -> UnsafeMutableRawBufferPointer {
        switch mode {
        case .plain:
            if let text, !text.isComplete { throw .invalidText }
        case .inflating:
            guard let inflater else { throw .invalidCompression }
            // An empty message spelled with no bytes, as in `SharedCodecs.inflateWhole`.
            if hasInflated {
                try inflater.finish(into: &storage, limit: limits.message, text: &text, reserve: reserve)
            }
            if !isOwnInflater { codecs.giveBack(inflater) }
            self.inflater = nil
        case .deferred:
            let compressed = unsafe storage.withUnsafeBytes { unsafe $0 }
            return try unsafe codecs.inflateWhole(
                compressed, kind: kind ?? .binary, by: codecs.inflaterForWholeMessage(), limit: limits.message)
        }
        return unsafe storage.mutableBytes
    }

    /// Forgets a message that has been delivered.
    func dropMessage() { kind = nil }

    /// Pays for the growth of the storage before it happens.
    private func reserve(_ more: Int, in storage: borrowing OutputBuffer) throws(ProtocolViolation) {
        let needed = storage.count + more
        guard needed > storage.capacity else { return }
        var size = storage.capacity
        while size < needed { size *= 2 }
        guard budget.reserve(size - charged) else { throw .assemblyBudgetExhausted }
        charged = size
    }
}

extension OutputBuffer {
    /// ``mutableBytes`` for an optional buffer in a class, which can be changed but not borrowed through its optional.
    mutating func borrowed() -> UnsafeMutableRawBufferPointer { unsafe mutableBytes }

    /// The unconsumed bytes, for as long as the buffer is neither changed nor freed.
    var mutableBytes: UnsafeMutableRawBufferPointer {
        unsafe withUnsafeBytes { unsafe UnsafeMutableRawBufferPointer(mutating: $0) }
    }
}
