import GatewayLocks

/// Collects what a log sink writes, in memory.
package final class MemoryLog: Sendable {
    private let bytes = Guarded<[UInt8]>([])

    package init() {}

    package func write(_ span: Span<UInt8>) -> Bool {
        let copy = span.indices.map { span[$0] }
        bytes.withLock { $0 += copy }
        return true
    }

    package var text: String { String(decoding: bytes.withLock { $0 }, as: UTF8.self) }
    package var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() }
}
