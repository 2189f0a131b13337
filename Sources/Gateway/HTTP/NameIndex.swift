/// Finds the number of a known field name without looking at each of them.
///
/// An open-addressing table over length, first and last byte; a candidate is then compared in words of eight bytes.
/// Built once for the process and never freed. A parser keeps a copy of this value, so that its inner loop does not
/// pass through the lazy initialiser of a global.
@safe struct NameIndex: Sendable {
    private static let slotBits: UInt32 = 9
    private static let rowSize = KnownName.longest

    // Safe: written before the value is published, never after.
    private nonisolated(unsafe) let slots: UnsafePointer<UInt8>
    // Safe: as above.
    private nonisolated(unsafe) let rows: UnsafePointer<UInt8>
    // Safe: as above.
    private nonisolated(unsafe) let lengths: UnsafePointer<UInt8>

    static let shared = NameIndex()

    private init() {
        let names = KnownName.allCases
        let slotCount = 1 << Int(Self.slotBits)
        let slots = UnsafeMutablePointer<UInt8>.allocate(capacity: slotCount)
        let rows = UnsafeMutablePointer<UInt8>.allocate(capacity: (names.count + 1) * Self.rowSize)
        let lengths = UnsafeMutablePointer<UInt8>.allocate(capacity: names.count + 1)
        unsafe slots.initialize(repeating: 0, count: slotCount)
        unsafe rows.initialize(repeating: 0, count: (names.count + 1) * Self.rowSize)
        unsafe lengths.initialize(repeating: 0, count: names.count + 1)
        for name in names {
            let wire = Input(name.wireName)
            precondition(wire.count >= 2 && wire.count <= Self.rowSize, "a known name does not fit its row")
            let id = Int(name.rawValue)
            for index in 0..<wire.count { unsafe rows[id * Self.rowSize + index] = wire[index] | 0x20 }
            unsafe lengths[id] = UInt8(wire.count)
            var slot = Self.slot(of: wire)
            while unsafe slots[slot] != 0 { slot = (slot + 1) & (slotCount - 1) }
            unsafe slots[slot] = name.rawValue
        }
        unsafe self.slots = UnsafePointer(slots)
        unsafe self.rows = UnsafePointer(rows)
        unsafe self.lengths = UnsafePointer(lengths)
    }

    /// The number of `name`, or 0. `name` must be a token: only then is setting bit 0x20 the same as ignoring case.
    @inline(__always)
    func find(_ name: Input) -> UInt8 {
        guard name.count >= 2, name.count <= Self.rowSize else { return 0 }
        var slot = Self.slot(of: name)
        while true {
            let id = unsafe slots[slot]
            if id == 0 { return 0 }
            if unsafe lengths[Int(id)] == UInt8(truncatingIfNeeded: name.count), matches(name, id) { return id }
            slot = (slot &+ 1) & ((1 << Int(Self.slotBits)) &- 1)
        }
    }

    @inline(__always)
    private static func slot(of name: Input) -> Int {
        let first = UInt32(name[0] | 0x20)
        let last = UInt32(name[name.count &- 1] | 0x20)
        let key = UInt32(truncatingIfNeeded: name.count) << 16 | first << 8 | last
        return Int((key &* 0x9E37_79B1) >> (32 - slotBits))
    }

    /// Compares whole words; the last one overlaps the one before, so nothing past the name is read.
    @inline(__always)
    private func matches(_ name: Input, _ id: UInt8) -> Bool {
        let row = unsafe UnsafeRawPointer(rows + Int(id) &* Self.rowSize)
        let count = name.count
        if count >= 8 {
            let fold: UInt64 = 0x2020_2020_2020_2020
            var index = 0
            while index < count &- 8 {
                let word = unsafe UInt64(littleEndian: row.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                guard name.word(at: index) | fold == word else { return false }
                index &+= 8
            }
            let word = unsafe UInt64(littleEndian: row.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self))
            return name.word(at: count &- 8) | fold == word
        }
        if count >= 4 {
            let fold: UInt32 = 0x2020_2020
            let head = unsafe UInt32(littleEndian: row.loadUnaligned(as: UInt32.self))
            let tail = unsafe UInt32(littleEndian: row.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self))
            return name.halfWord(at: 0) | fold == head && name.halfWord(at: count &- 4) | fold == tail
        }
        for index in 0..<count {
            guard unsafe name[index] | 0x20 == row.load(fromByteOffset: index, as: UInt8.self) else { return false }
        }
        return true
    }
}
