/// Where some bytes of a head stand. Half the size of a `Range<Int>`, since a head is never near 4 GiB.
///
/// Inlinable, as it is read at every step of a request and by every module above this one.
package struct ByteRange: Equatable, Sendable {
    @usableFromInline let lower: UInt32
    @usableFromInline let length: UInt32

    package static let empty = ByteRange(0, 0)

    /// The bytes from `lower` up to, not including, `upper`.
    @inlinable
    package init(_ lower: Int, _ upper: Int) {
        self.lower = UInt32(truncatingIfNeeded: lower)
        length = UInt32(truncatingIfNeeded: upper &- lower)
    }

    @inlinable package var lowerBound: Int { Int(lower) }
    @inlinable package var upperBound: Int { Int(lower) &+ Int(length) }
    @inlinable package var count: Int { Int(length) }
    @inlinable package var isEmpty: Bool { length == 0 }
    @inlinable package var range: Range<Int> { lowerBound..<upperBound }

    /// The bytes themselves, out of the buffer that was parsed.
    @inlinable
    package func of(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: bytes[range])
    }
}
