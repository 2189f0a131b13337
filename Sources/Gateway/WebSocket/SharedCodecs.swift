import GatewayBytes
package import GatewayCompression

/// What all WebSockets of one event loop share: compression without context takeover, scratch buffers, budgets.
///
/// Belongs to its loop; nothing here is safe to touch from another thread but the two budgets, which are the process's.
package final class SharedCodecs {
    package let settings: DeflateSettings
    package let compressionBudget: CompressionBudget
    package let assemblyBudget: ByteBudget

    /// The last result of compressing; its bytes are sent before anything else is compressed.
    var compressed = OutputBuffer(capacity: 4096)
    /// The last message inflated in one piece; see ``MessageEvent`` for how long it lasts.
    var inflated = OutputBuffer(capacity: 4096)

    private var compressor: CompressorSlot = .unused
    private var whole: InflaterBox?
    private var idle: [InflaterBox] = []
    private var stateless: [DeflateContext] = []
    private var largeFrame = 0

    private enum Bound {
        static let scratch = 1 << 20
        static let idleInflaters = 4
        /// Both roles, seven windows each way: more parameter sets than that do not repeat.
        static let contexts = 64
    }

    /// - Parameters:
    ///   - settings: `level`, `memoryLevel` and `windowBits` must be in range.
    ///   - compressionBudget: For the windows of all sockets of the process.
    ///   - assemblyBudget: For all messages of the process that have partly arrived.
    package init(settings: DeflateSettings, compressionBudget: CompressionBudget, assemblyBudget: ByteBudget) {
        precondition(1...9 ~= settings.level && 1...9 ~= settings.memoryLevel, "compression level out of range")
        precondition(9...15 ~= settings.windowBits, "compression window out of range")
        self.settings = settings
        self.compressionBudget = compressionBudget
        self.assemblyBudget = assemblyBudget
    }

    /// The length of the longest frame over the warning threshold since the last call, if there was one.
    package func takeLargeFrame() -> Int? {
        guard largeFrame > 0 else { return nil }
        defer { largeFrame = 0 }
        return largeFrame
    }

    func noteLargeFrame(_ length: Int) { largeFrame = max(largeFrame, length) }

    // MARK: Contexts

    /// The context for a socket that has agreed on `parameters`; `nil` when the budget does not allow its windows, or,
    /// for one that keeps none, not even a single inflater for a message that arrives in pieces.
    func context(for parameters: DeflateParameters, role: Role) -> DeflateContext? {
        let bytes = DeflateContext.memory(for: parameters, role: role, settings: settings)
        guard bytes == 0 else {
            guard compressionBudget.reserve(bytes) else { return nil }
            return DeflateContext(parameters: parameters, role: role, budget: compressionBudget, reserved: bytes)
        }
        guard compressionBudget.hasRoom(for: Inflater.memoryEstimate(windowBits: 15)) else { return nil }
        if let known = stateless.first(where: { $0.parameters == parameters && $0.role == role }) { return known }
        let context = DeflateContext(parameters: parameters, role: role, budget: compressionBudget, reserved: 0)
        if stateless.count < Bound.contexts { stateless.append(context) }
        return context
    }

    // MARK: Compressing

    /// Makes ``compressed`` ready for the next message, without what a large one may have left of memory.
    func emptyScratch() {
        if compressed.capacity > Bound.scratch { compressed = OutputBuffer(capacity: 4096) }
        compressed.removeAll()
    }

    /// Compresses a message that stands alone into ``compressed``.
    ///
    /// - Returns: Whether that gained anything.
    func compressAlone(_ message: UnsafeRawBufferPointer, windowBits: Int) -> Bool {
        emptyScratch()
        if case .unused = compressor { compressor = CompressorSlot.make(level: settings.level) }
        guard case .ready(let box) = compressor else { return false }
        return unsafe box.compressor.compressMessage(message, windowBits: windowBits, into: &compressed)
    }

    // MARK: Inflating

    /// An inflater for a message that lies in one buffer. Shared, so it is done with before this loop does anything
    /// else.
    func inflaterForWholeMessage() throws(ProtocolViolation) -> InflaterBox {
        if let whole {
            whole.reset()
            return whole
        }
        do throws(CompressionError) {
            // Not charged: there is one per loop, whatever the sockets do.
            let box = InflaterBox(try .make(), budget: compressionBudget, reserved: 0)
            whole = box
            return box
        } catch {
            throw .outOfMemory
        }
    }

    /// An inflater for a message that arrives in pieces, until ``giveBack(_:)``; `nil` under budget pressure.
    func lendInflater() -> InflaterBox? { idle.popLast() ?? InflaterBox.lend(from: compressionBudget) }

    func giveBack(_ box: InflaterBox) {
        guard idle.count < Bound.idleInflaters else { return }
        box.reset()
        idle.append(box)
    }

    /// Empties ``inflated`` for the next message, and lets a very large one go.
    func prepareInflated() {
        if inflated.capacity > Bound.scratch { inflated = OutputBuffer(capacity: 4096) }
        inflated.removeAll()
    }
}

/// The loop's compressor, built when the first message is compressed.
private enum CompressorSlot {
    final class Box {
        var compressor: StatelessCompressor
        init(_ compressor: consuming StatelessCompressor) { self.compressor = compressor }
    }

    case unused
    case ready(Box)
    /// Memory was short. Messages go out as they are.
    case failed

    static func make(level: Int) -> CompressorSlot {
        do throws(CompressionError) {
            return .ready(Box(try .make(level: level)))
        } catch {
            return .failed
        }
    }
}

extension SharedCodecs {
    /// Inflates a message that is all there into ``inflated``.
    func inflateWhole(
        _ compressed: UnsafeRawBufferPointer, kind: MessageKind, by inflater: InflaterBox, limit: Int
    ) throws(ProtocolViolation) -> UnsafeMutableRawBufferPointer {
        prepareInflated()
        var text: UTF8Validator? = kind == .text ? UTF8Validator() : nil
        let free: (Int, borrowing OutputBuffer) throws(ProtocolViolation) -> Void = { _, _ in }
        // Some senders spell an empty message with no bytes at all, where RFC 7692 §7.2.3.6 asks for one.
        if compressed.count > 0 {
            try unsafe inflater.inflate(compressed, into: &inflated, limit: limit, text: &text, reserve: free)
            try inflater.finish(into: &inflated, limit: limit, text: &text, reserve: free)
        }
        return unsafe inflated.mutableBytes
    }
}
