import GatewayBytes
import GatewayCompression

/// One socket's permessage-deflate: what was agreed, and the windows it keeps.
///
/// Sockets that keep no window on either side have nothing of their own and share one context per loop and parameter
/// set; the work is done by the loop's ``SharedCodecs``. Windows are paid for (``CompressionBudget``) when the context
/// is made and built when first used.
package final class DeflateContext {
    package let parameters: DeflateParameters
    let role: Role
    private let budget: CompressionBudget
    private let reserved: Int
    private var deflater: OwnDeflater?
    private var inflater: InflaterBox?
    /// The peer has inflated a frame that did not come from ``deflater``: distances would be off.
    private var windowIsStale = false

    /// - Parameter reserved: Bytes of `budget` that are released with this context.
    init(parameters: DeflateParameters, role: Role, budget: CompressionBudget, reserved: Int) {
        self.parameters = parameters
        self.role = role
        self.budget = budget
        self.reserved = reserved
    }

    deinit { budget.release(reserved) }

    /// Bytes that the windows kept under `parameters` take.
    static func memory(for parameters: DeflateParameters, role: Role, settings: DeflateSettings) -> Int {
        let peer: Role = role == .server ? .client : .server
        var bytes = 0
        if parameters.keepsWindow(role) {
            bytes += Deflater.memoryEstimate(
                windowBits: parameters.windowBits(role), memoryLevel: settings.memoryLevel)
        }
        if parameters.keepsWindow(peer) {
            bytes += Inflater.memoryEstimate(windowBits: inflatingBits(parameters.windowBits(peer)))
        }
        return bytes
    }

    /// A larger window than the peer's is always right, and zlib's own compressors exceed 8.
    private static func inflatingBits(_ bits: Int) -> Int { max(9, bits) }

    private var peer: Role { role == .server ? .client : .server }

    /// Whether this end's compressor remembers earlier messages.
    var keepsOwnWindow: Bool { parameters.keepsWindow(role) }
    /// Whether the peer's compressor does.
    var keepsPeerWindow: Bool { parameters.keepsWindow(peer) }
    /// Base-two logarithm of the window this end compresses with.
    var ownWindowBits: Int { parameters.windowBits(role) }

    /// The inflater that remembers the peer's earlier messages.
    func ownInflater() throws(ProtocolViolation) -> InflaterBox {
        if let inflater { return inflater }
        do throws(CompressionError) {
            let bits = Self.inflatingBits(parameters.windowBits(peer))
            let box = InflaterBox(try .make(windowBits: bits), budget: budget, reserved: 0)
            inflater = box
            return box
        } catch {
            throw .outOfMemory
        }
    }

    /// Compresses `message` for this socket, without the last four bytes of the flush.
    ///
    /// With context takeover the result must be sent even where it is longer than the message: the window holds the
    /// message now, and the next one may refer to it. Without, a result that gains nothing is thrown away.
    ///
    /// - Returns: `false` when the message is to be sent as it is. ``SharedCodecs/compressed`` then means nothing.
    func compress(_ message: UnsafeRawBufferPointer, using codecs: SharedCodecs) -> Bool {
        // A client may be told 8, which zlib cannot do; a message may always go out as it is.
        guard ownWindowBits >= 9 else { return false }
        codecs.emptyScratch()
        guard keepsOwnWindow else {
            return unsafe codecs.compressAlone(message, windowBits: ownWindowBits)
        }
        do throws(CompressionError) {
            let own = try ownDeflater(codecs.settings)
            if windowIsStale { own.deflater.reset() }
            windowIsStale = false
            unsafe try own.deflater.compressMessage(message, into: &codecs.compressed)
            return true
        } catch {
            // Half a message may be in its window. A new compressor refers to nothing, which is always right.
            deflater = nil
            return false
        }
    }

    private func ownDeflater(_ settings: DeflateSettings) throws(CompressionError) -> OwnDeflater {
        if let deflater { return deflater }
        let fresh = try OwnDeflater(windowBits: ownWindowBits, settings: settings)
        deflater = fresh
        return fresh
    }

    /// Says that the peer was sent a frame compressed elsewhere, so that the own window no longer matches its.
    func sentForeignFrame() {
        if keepsOwnWindow { windowIsStale = true }
    }
}

/// A noncopyable compressor on the heap, so that a socket that never compresses keeps only a null reference.
private final class OwnDeflater {
    var deflater: Deflater

    init(windowBits: Int, settings: DeflateSettings) throws(CompressionError) {
        deflater = try .make(level: settings.level, windowBits: windowBits, memoryLevel: settings.memoryLevel)
    }
}
