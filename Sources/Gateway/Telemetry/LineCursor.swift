/// Writes one access log line into free memory that the caller has measured out.
///
/// It exists for speed: inside this module its calls are inlined, where those of a buffer in another module are not.
/// Every write is checked against the end in debug builds only; the caller's room is the bound.
@unsafe struct LineCursor {
    private let start: UnsafeMutablePointer<UInt8>
    private var place: UnsafeMutablePointer<UInt8>
    private let end: UnsafeMutablePointer<UInt8>

    /// - Parameter room: Not empty.
    init?(_ room: UnsafeMutableRawBufferPointer) {
        guard let base = room.baseAddress else { return nil }
        unsafe start = base.assumingMemoryBound(to: UInt8.self)
        unsafe place = start
        unsafe end = start + room.count
    }

    @inline(__always) var count: Int { unsafe place - start }

    @inline(__always)
    mutating func put(_ byte: UInt8) {
        assert(unsafe place < end, "an access log line outgrew its room")
        unsafe place.pointee = byte
        unsafe place += 1
    }

    @inline(__always)
    mutating func put(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        assert(unsafe end - place >= bytes.count, "an access log line outgrew its room")
        unsafe UnsafeMutableRawPointer(place).copyMemory(from: source, byteCount: bytes.count)
        unsafe place += bytes.count
    }

    @inline(__always)
    mutating func put(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { unsafe put($0) }
    }

    @inline(__always)
    mutating func put(_ literal: StaticString) {
        unsafe put(UnsafeRawBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    /// Overwrites three digits that were put at `offset`.
    @inline(__always)
    mutating func patch(milliseconds: Int, at offset: Int) {
        assert(unsafe count >= offset + 3, "patched what was not written")
        unsafe start[offset] = UInt8(truncatingIfNeeded: 0x30 + milliseconds / 100 % 10)
        unsafe start[offset + 1] = UInt8(truncatingIfNeeded: 0x30 + milliseconds / 10 % 10)
        unsafe start[offset + 2] = UInt8(truncatingIfNeeded: 0x30 + milliseconds % 10)
    }

    /// Base ten; negative numbers, which nothing here has, come out as zero.
    @inline(__always)
    mutating func put(decimal value: Int) {
        var rest = UInt(max(value, 0))
        var digits = 1
        var bound: UInt = 10
        while digits < 19, rest >= bound {
            digits += 1
            bound *= 10
        }
        assert(unsafe end - place >= digits, "an access log line outgrew its room")
        for index in (0..<digits).reversed() {
            unsafe place[index] = UInt8(truncatingIfNeeded: 0x30 + rest % 10)
            rest /= 10
        }
        unsafe place += digits
    }

    /// Bytes of strangers: what is not printable ASCII, and quotes and backslashes, come out as `\u00xx`.
    @inline(__always)
    mutating func put(escaping bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes { raw in
            if unsafe isPlain(raw) { unsafe put(raw) } else { unsafe putSlowly(raw) }
        }
    }

    /// One escape per byte: what a request line carries beyond ASCII has no agreed encoding.
    @inline(never)
    private mutating func putSlowly(_ bytes: UnsafeRawBufferPointer) {
        for index in bytes.indices {
            let byte = unsafe bytes[index]
            let isPlain = byte >= 0x20 && byte < 0x7F && byte != 0x22 && byte != 0x5C
            if isPlain {
                unsafe put(byte)
                continue
            }
            unsafe put("\\u00")
            for nibble in [byte >> 4, byte & 0xF] { unsafe put(nibble < 10 ? 0x30 + nibble : 0x57 + nibble) }
        }
    }
}
