/// Bytes on their way out: appended at the back, consumed at the front.
///
/// Memory is raw, never zeroed before use, grows by doubling and keeps its size when emptied, so one buffer per event
/// loop serves every connection of that loop. It has no limit of its own: the owner checks ``count`` against its limit
/// before it appends.
///
/// Public, since the compiler inlines across modules only what is public, and these calls are the hottest there are.
@frozen @safe public struct OutputBuffer: ~Copyable {
    @usableFromInline var base: UnsafeMutablePointer<UInt8>
    /// Bytes it holds before it must grow.
    @inlinable public var capacity: Int { room }
    @usableFromInline var room: Int
    @usableFromInline var head = 0
    @usableFromInline var tail = 0

    /// - Parameter capacity: Bytes it holds before it grows for the first time.
    @inlinable public init(capacity: Int = 4096) {
        let size = max(capacity, 64)
        room = size
        unsafe base = .allocate(capacity: size)
    }

    @inlinable deinit { unsafe base.deallocate() }

    /// Bytes appended and not yet consumed.
    @inlinable @inline(__always) public var count: Int { tail - head }
    /// Whether everything was consumed.
    @inlinable @inline(__always) public var isEmpty: Bool { tail == head }

    /// The unconsumed bytes; valid only inside `body`.
    @inlinable @inline(__always)
    public borrowing func withUnsafeBytes<R, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try unsafe body(UnsafeRawBufferPointer(start: base + head, count: tail - head))
    }

    /// Makes room for `more` bytes without moving the write position.
    @inlinable @inline(__always)
    public mutating func reserve(_ more: Int) {
        if capacity - tail < more { grow(by: more) }
    }

    @usableFromInline @inline(never)
    mutating func grow(by more: Int) {
        let used = tail - head
        if head > 0, capacity - used >= more, used <= capacity / 2 {
            unsafe base.update(from: base + head, count: used)
        } else {
            var size = capacity
            while size - used < more { size *= 2 }
            let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
            unsafe larger.initialize(from: base + head, count: used)
            unsafe base.deallocate()
            unsafe base = larger
            room = size
        }
        head = 0
        tail = used
    }

    /// Appends one byte.
    @inlinable @inline(__always)
    public mutating func append(_ byte: UInt8) {
        reserve(1)
        unsafe base[tail] = byte
        tail += 1
    }

    /// Appends a copy of `bytes`.
    @inlinable @inline(__always)
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        unsafe UnsafeMutableRawPointer(base + tail).copyMemory(from: start, byteCount: bytes.count)
        tail += bytes.count
    }

    /// Appends a copy of `bytes`.
    @inlinable @inline(__always)
    public mutating func append(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes { unsafe append($0) }
    }

    /// Appends a copy of `bytes`.
    @inlinable @inline(__always)
    public mutating func append(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { unsafe append($0) }
    }

    /// Appends a copy of `bytes`.
    @inlinable public mutating func append(_ bytes: ArraySlice<UInt8>) {
        unsafe bytes.withUnsafeBytes { unsafe append($0) }
    }

    /// Appends text that is part of the program.
    @inlinable @inline(__always)
    public mutating func append(_ literal: StaticString) {
        unsafe append(UnsafeRawBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    /// Appends text in UTF-8. Labelled, so that a bare literal takes the cheaper `StaticString` way.
    @inlinable public mutating func append(text: String) {
        var text = text
        text.withUTF8 { unsafe append(UnsafeRawBufferPointer($0)) }
    }

    /// Lets `body` write straight into the free space and says how much it wrote.
    ///
    /// - Parameter body: Gets at least `room` free bytes; returns how many of them, from the first, it filled.
    @inlinable @inline(__always)
    public mutating func appendInPlace<E: Error>(
        room: Int, _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) {
        reserve(room)
        let free = unsafe UnsafeMutableRawBufferPointer(start: base + tail, count: capacity - tail)
        let written = try unsafe body(free)
        precondition(written >= 0 && written <= free.count, "wrote past the reserved room")
        tail += written
    }

    /// Appends `value` in base ten.
    @inlinable public mutating func append(decimal value: UInt64) {
        reserve(20)
        var rest = value
        var digits = 1
        var bound: UInt64 = 10
        while digits < 20, value >= bound {
            digits += 1
            if digits < 20 { bound *= 10 }
        }
        var place = tail + digits
        repeat {
            place -= 1
            unsafe base[place] = UInt8(truncatingIfNeeded: 0x30 + rest % 10)
            rest /= 10
        } while rest > 0
        tail += digits
    }

    /// Appends `value` in base ten, with its sign.
    @inlinable public mutating func append(decimal value: Int) {
        if value < 0 { append(0x2D) }
        append(decimal: UInt64(value.magnitude))
    }

    /// Appends `value` in lower-case base sixteen, without leading zeros.
    @inlinable public mutating func append(hexadecimal value: UInt64) {
        let digits = value == 0 ? 1 : (67 - value.leadingZeroBitCount) / 4
        reserve(16)
        for place in 0..<digits {
            let nibble = UInt8(truncatingIfNeeded: (value >> UInt64((digits - 1 - place) * 4)) & 0xF)
            unsafe base[tail + place] = nibble < 10 ? 0x30 + nibble : 0x57 + nibble
        }
        tail += digits
    }

    /// Drops the first `size` unconsumed bytes.
    @inlinable @inline(__always)
    public mutating func consume(_ size: Int) {
        precondition(size >= 0 && size <= count, "consumed more than was there")
        head += size
        if head == tail {
            head = 0
            tail = 0
        }
    }

    /// Empties the buffer and keeps its memory.
    @inlinable public mutating func removeAll() {
        head = 0
        tail = 0
    }

    /// Cuts what was appended after the buffer held `size` bytes: undoes a half-written message.
    @inlinable public mutating func truncate(to size: Int) {
        precondition(size >= 0 && size <= count, "truncated to more than was there")
        tail = head + size
    }
}
