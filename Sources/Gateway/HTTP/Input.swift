internal import Glibc

/// The bytes a parser looks at: a pointer and a count, borrowed for one call.
///
/// Indexing is checked in debug builds (which is where the tests and the fuzzers run) and free in release builds: the
/// loops of this module bound themselves once instead of once per byte. Never stored, never returned from the module.
@safe struct Input {
    private let base: UnsafePointer<UInt8>
    let count: Int

    @inline(__always)
    init(_ bytes: UnsafeRawBufferPointer) {
        // Why a stand-in: an empty buffer may have no address, and then no byte is ever read from it.
        let start = unsafe bytes.baseAddress ?? UnsafeRawPointer(Input.nothing.utf8Start)
        unsafe base = start.assumingMemoryBound(to: UInt8.self)
        count = bytes.count
    }

    @inline(__always)
    private init(base: UnsafePointer<UInt8>, count: Int) {
        unsafe self.base = base
        self.count = count
    }

    private static var nothing: StaticString { "" }

    @inline(__always)
    init(_ literal: StaticString) {
        unsafe self.init(base: literal.utf8Start, count: literal.utf8CodeUnitCount)
    }

    @inline(__always) var isEmpty: Bool { count == 0 }

    @inline(__always) var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: base, count: count) }

    @inline(__always)
    subscript(_ index: Int) -> UInt8 {
        assert(index >= 0 && index < count, "read outside the input")
        return unsafe base[index]
    }

    @inline(__always)
    subscript(_ range: Range<Int>) -> Input {
        assert(range.lowerBound >= 0 && range.upperBound <= count, "sliced outside the input")
        return unsafe Input(base: base + range.lowerBound, count: range.count)
    }

    @inline(__always)
    subscript(_ range: ByteRange) -> Input { self[range.range] }

    /// Eight bytes from `index`, the first of them lowest.
    @inline(__always)
    func word(at index: Int) -> UInt64 {
        assert(index >= 0 && index + 8 <= count, "read outside the input")
        let word = unsafe UnsafeRawPointer(base + index).loadUnaligned(as: UInt64.self)
        return UInt64(littleEndian: word)
    }

    /// Four bytes from `index`, the first of them lowest.
    @inline(__always)
    func halfWord(at index: Int) -> UInt32 {
        assert(index >= 0 && index + 4 <= count, "read outside the input")
        let word = unsafe UnsafeRawPointer(base + index).loadUnaligned(as: UInt32.self)
        return UInt32(littleEndian: word)
    }

    /// Where the first line feed of `range` stands.
    func firstLineFeed(in range: Range<Int>) -> Int? {
        guard !range.isEmpty else { return nil }
        let slice = self[range]
        guard let found = unsafe memchr(slice.base, CInt(Octet.lineFeed), slice.count) else { return nil }
        return unsafe range.lowerBound + (UnsafeRawPointer(found) - UnsafeRawPointer(slice.base))
    }

    /// The first byte from `start` that no field value may hold, or `end`.
    ///
    /// Eight bytes at a time: the subtraction borrows into the high bit of a byte below 0x20, and of a zero byte after
    /// the DELs were turned to zero. The lowest such bit is exact, and the lowest is the one that is asked for.
    @inline(__always)
    func endOfValue(from start: Int, to end: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var index = start
        while index &+ 8 <= end {
            let word = word(at: index)
            let controls = (word &- ones &* 0x20) & ~word
            let others = word ^ (ones &* 0x7F)
            let deletes = (others &- ones) & ~others
            let hits = (controls | deletes) & tops
            if hits == 0 {
                index &+= 8
                continue
            }
            index &+= hits.trailingZeroBitCount >> 3
            guard self[index] == Octet.tab else { return index }
            index &+= 1
        }
        while index < end, Octet.isA(self[index], Octet.value) { index &+= 1 }
        return index
    }

    @inline(__always)
    func equals(_ other: Input) -> Bool {
        unsafe count == other.count && memcmp(base, other.base, count) == 0
    }

    /// Equal but for the case of ASCII letters.
    @inline(__always)
    func equalsIgnoringCase(_ other: Input) -> Bool {
        guard count == other.count else { return false }
        var index = 0
        while index < count {
            guard Octet.lowercased(self[index]) == Octet.lowercased(other[index]) else { return false }
            index &+= 1
        }
        return true
    }

    @inline(__always)
    func equalsIgnoringCase(_ literal: StaticString) -> Bool { equalsIgnoringCase(Input(literal)) }

    /// Without the spaces and tabs at both ends.
    @inline(__always)
    func trimmed() -> Input {
        var start = 0
        var end = count
        while start < end, Input.isBlank(self[start]) { start &+= 1 }
        while end > start, Input.isBlank(self[end &- 1]) { end &-= 1 }
        return self[start..<end]
    }

    @inline(__always)
    static func isBlank(_ octet: UInt8) -> Bool { octet == Octet.space || octet == Octet.tab }

    var isToken: Bool { count > 0 && allSatisfy(Octet.token) }

    /// Whether every byte is one of `set`.
    func allSatisfy(_ set: UInt8) -> Bool {
        var index = 0
        while index < count {
            guard Octet.isA(self[index], set) else { return false }
            index &+= 1
        }
        return true
    }

    /// The decimal number all of this is: no sign, no blank, at most `Int.max`.
    var decimal: Int? {
        guard count > 0, count <= 19 else { return nil }
        var value = 0
        for index in 0..<count {
            let digit = self[index] &- 0x30
            guard digit < 10 else { return nil }
            let (tens, wide) = value.multipliedReportingOverflow(by: 10)
            let (sum, over) = tens.addingReportingOverflow(Int(digit))
            guard !wide, !over else { return nil }
            value = sum
        }
        return value
    }
}
