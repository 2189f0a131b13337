package import GatewayBytes
internal import Synchronization

/// A number of bytes that many holders share, across threads. It counts; it owns no memory.
///
/// One bounds the compression state of the whole process, another all messages in assembly.
package final class ByteBudget: Sendable {
    private let most: Atomic<Int>
    private let used = Atomic<Int>(0)

    package init(limit: ByteCount) { most = Atomic(limit.bytes) }

    /// May be changed at any time. Below what is in use, nothing more is granted until enough was given back.
    package var limit: ByteCount {
        get { .bytes(most.load(ordering: .relaxed)) }
        set { most.store(newValue.bytes, ordering: .relaxed) }
    }

    /// Takes `bytes`, or nothing at all when that would pass the limit.
    ///
    /// - Returns: Whether they were taken; if so ``release(_:)`` must follow some time.
    package func reserve(_ bytes: Int) -> Bool {
        precondition(bytes >= 0, "reserved a negative number of bytes")
        let before = used.wrappingAdd(bytes, ordering: .relaxed).oldValue
        if before <= limit.bytes - bytes { return true }
        used.wrappingSubtract(bytes, ordering: .relaxed)
        return false
    }

    /// Gives back what ``reserve(_:)`` took.
    package func release(_ bytes: Int) {
        let before = used.wrappingSubtract(bytes, ordering: .relaxed).oldValue
        precondition(bytes >= 0 && before >= bytes, "released more than was reserved")
    }

    /// What holders have taken right now, for metrics.
    package var inUse: ByteCount { .bytes(used.load(ordering: .relaxed)) }

    /// Whether `bytes` could be taken right now. Another thread may be faster.
    package func hasRoom(for bytes: Int) -> Bool { used.load(ordering: .relaxed) <= limit.bytes - bytes }
}

/// The bytes that the zlib states of all sockets together may take, by
/// ``Deflater/memoryEstimate(windowBits:memoryLevel:)`` and ``Inflater/memoryEstimate(windowBits:)``.
package typealias CompressionBudget = ByteBudget
