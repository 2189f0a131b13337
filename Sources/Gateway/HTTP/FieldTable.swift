/// One parsed field line: the number of a known name, and where name and value stand. Sixteen bytes.
package struct FieldRange: Equatable, Sendable {
    @usableFromInline let nameStart: UInt32
    @usableFromInline let nameLength: UInt16
    /// The number of a known name, or 0.
    let id: UInt8
    @usableFromInline let valueStart: UInt32
    @usableFromInline let valueLength: UInt32

    static let unused = FieldRange(id: 0, name: 0..<0, value: 0..<0)

    /// `name` is at most 65,535 bytes long, which ``HeadLimits`` guarantees.
    @inline(__always)
    init(id: UInt8, name: Range<Int>, value: Range<Int>) {
        self.id = id
        nameStart = UInt32(truncatingIfNeeded: name.lowerBound)
        nameLength = UInt16(truncatingIfNeeded: name.count)
        valueStart = UInt32(truncatingIfNeeded: value.lowerBound)
        valueLength = UInt32(truncatingIfNeeded: value.count)
    }

    @inlinable package var name: ByteRange { ByteRange(Int(nameStart), Int(nameStart) &+ Int(nameLength)) }

    /// Without the blanks around it; may be empty.
    @inlinable package var value: ByteRange { ByteRange(Int(valueStart), Int(valueStart) &+ Int(valueLength)) }

    /// The name as a value of its own. Costs a `String` when it is not a known one.
    package func headerName(in bytes: UnsafeRawBufferPointer) -> HeaderName {
        unsafe HeaderName(id: id, name: Input(bytes)[name])
    }

    /// Whether this field is called `other`, in any case.
    @inline(__always)
    package func isNamed(_ other: HeaderName, in bytes: UnsafeRawBufferPointer) -> Bool {
        guard id == other.id else { return false }
        return id != 0 || other.matches(unsafe Input(bytes)[name])
    }
}

/// The fields of one parsed head, in order. Keeps its memory when emptied; a copy that outlives the next parse keeps
/// its own.
package struct FieldTable: Sendable {
    /// Never shrinks. The first ``count`` are in use.
    var entries: [FieldRange]
    package internal(set) var count = 0
    /// One bit per known name that occurs.
    private(set) var seenLow: UInt64 = 0
    private(set) var seenHigh: UInt64 = 0

    /// - Parameter room: Fields there is memory for at once; it grows as needed.
    init(room: Int = 32) { entries = [FieldRange](repeating: .unused, count: room) }

    @inline(__always) package var isEmpty: Bool { count == 0 }

    package subscript(_ index: Int) -> FieldRange {
        precondition(index < count, "no such field")
        return entries[index]
    }

    @inline(__always)
    mutating func removeAll() {
        count = 0
        seenLow = 0
        seenHigh = 0
    }

    @inline(never)
    mutating func grow(upTo limit: Int) {
        let more = Swift.max(1, Swift.min(entries.count, limit - entries.count))
        entries.append(contentsOf: repeatElement(.unused, count: more))
    }

    @inline(__always)
    mutating func markSeen(low: UInt64, high: UInt64) {
        seenLow |= low
        seenHigh |= high
    }

    /// There is room for one more.
    mutating func add(_ field: FieldRange) {
        entries[count] = field
        count += 1
        if field.id < 64 { seenLow |= 1 << UInt64(field.id) } else { seenHigh |= 1 << UInt64(field.id & 63) }
    }

    /// Removes fields; the others keep their order. Nothing is written when none goes.
    mutating func removeAll(where isUnwanted: (FieldRange) -> Bool) {
        var kept = 0
        for index in 0..<count where !isUnwanted(entries[index]) {
            if kept != index { entries[kept] = entries[index] }
            kept += 1
        }
        guard kept < count else { return }
        count = kept
        var seen = KnownNameSet()
        for index in 0..<kept { seen.insert(entries[index].id) }
        (seenLow, seenHigh) = (seen.low, seen.high)
    }

    @inline(__always)
    private func mayHold(_ id: UInt8) -> Bool {
        id == 0 || (id < 64 ? seenLow >> UInt64(id) : seenHigh >> UInt64(id & 63)) & 1 != 0
    }

    /// The first field called `name`. A known name that does not occur costs one bit test.
    @inline(__always)
    package func find(_ name: HeaderName, in bytes: UnsafeRawBufferPointer) -> FieldRange? {
        guard mayHold(name.id) else { return nil }
        return unsafe find(name, in: bytes, from: 0)?.field
    }

    @inline(__always)
    package func contains(_ name: HeaderName, in bytes: UnsafeRawBufferPointer) -> Bool {
        unsafe find(name, in: bytes) != nil
    }

    /// How many field lines are called `name`.
    package func count(of name: HeaderName, in bytes: UnsafeRawBufferPointer) -> Int {
        guard mayHold(name.id) else { return 0 }
        var found = 0
        var index = 0
        while let next = unsafe find(name, in: bytes, from: index) {
            found += 1
            index = next.index + 1
        }
        return found
    }

    /// Calls `body` with every field called `name`, in order.
    package func forEach<E: Error>(
        _ name: HeaderName, in bytes: UnsafeRawBufferPointer, _ body: (FieldRange) throws(E) -> Void
    ) throws(E) {
        guard mayHold(name.id) else { return }
        var index = 0
        while let next = unsafe find(name, in: bytes, from: index) {
            try body(next.field)
            index = next.index + 1
        }
    }

    private func find(
        _ name: HeaderName, in bytes: UnsafeRawBufferPointer, from start: Int
    ) -> (index: Int, field: FieldRange)? {
        var index = start
        while index < count {
            let field = entries[index]
            if unsafe field.isNamed(name, in: bytes) { return (index, field) }
            index += 1
        }
        return nil
    }
}

extension FieldTable: Sequence {
    package func makeIterator() -> IndexingIterator<ArraySlice<FieldRange>> { entries[..<count].makeIterator() }
}
