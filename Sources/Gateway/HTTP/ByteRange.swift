/// Where some bytes of a head stand. Half the size of a `Range<Int>`, since a head is never near 4 GiB.
package struct ByteRange: Equatable, Sendable {
    private let lower: UInt32
    private let length: UInt32

    package static let empty = ByteRange(0, 0)

    /// The bytes from `lower` up to, not including, `upper`.
    @inline(__always)
    package init(_ lower: Int, _ upper: Int) {
        self.lower = UInt32(truncatingIfNeeded: lower)
        length = UInt32(truncatingIfNeeded: upper &- lower)
    }

    @inline(__always) package var lowerBound: Int { Int(lower) }
    @inline(__always) package var upperBound: Int { Int(lower) &+ Int(length) }
    @inline(__always) package var count: Int { Int(length) }
    @inline(__always) package var isEmpty: Bool { length == 0 }
    @inline(__always) package var range: Range<Int> { lowerBound..<upperBound }

    /// The bytes themselves, out of the buffer that was parsed.
    @inline(__always)
    package func of(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: bytes[range])
    }
}
