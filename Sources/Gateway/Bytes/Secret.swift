/// Bytes that must never reach a log, an error or a page: every way of printing one says `<secret>`.
package struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }
    package init(_ text: String) { bytes = Array(text.utf8) }

    package var isEmpty: Bool { bytes.isEmpty }
    package var count: Int { bytes.count }

    /// The only way in. What `body` copies out is no longer protected by this type.
    package func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        let result: Result<R, E> = unsafe bytes.withUnsafeBytes { raw in
            do throws(E) { return .success(try unsafe body(raw)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Compares without revealing by its duration where the difference is; the length may show.
    package func equals(_ other: [UInt8]) -> Bool {
        guard other.count == bytes.count else { return false }
        var difference: UInt8 = 0
        for place in bytes.indices { difference |= bytes[place] ^ other[place] }
        return difference == 0
    }

    package var description: String { "<secret>" }
    package var debugDescription: String { "<secret>" }
    package var customMirror: Mirror { Mirror(self, children: [], displayStyle: .struct) }
}
