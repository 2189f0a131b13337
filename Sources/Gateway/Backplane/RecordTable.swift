/// What is remembered of one key: a moment and a number.
struct FactRecord {
    var space: UInt64 = 0
    var high: UInt64 = 0
    var low: UInt64 = 0
    /// When it is worth nothing any more; 0 for a place that was never used.
    var until: UInt64 = 0
    var count: UInt64 = 0
}

/// A bounded table of facts that end by themselves.
///
/// A key can stand in eight neighbouring places only, so a look-up reads those, and whatever has ended among them is room
/// for another: nothing is ever swept. The table doubles when eight are taken, up to its limit. From there on a new fact
/// takes the place of the one that would end first: of somebody with a request or two that come back in seconds, never of
/// somebody who is blocked while there are such. A flood of strangers makes it forget strangers.
struct RecordTable {
    /// Places for a key.
    static let ways = 8
    private static let firstSets = 8

    private var records: ContiguousArray<FactRecord> = []
    private var sets = 0
    private let mostSets: Int
    private let hash: KeyHash
    /// Facts that gave way before their time.
    private(set) var evicted: UInt64 = 0

    /// - Parameter capacity: Places at most; rounded up to a power of two. Memory is taken as it is needed.
    init(capacity: Int, hash: KeyHash) {
        var sets = Self.firstSets
        while sets * Self.ways < capacity { sets *= 2 }
        mostSets = sets
        self.hash = hash
    }

    /// Facts that have not ended. Looks at all of them.
    func count(at now: UInt64) -> Int { records.reduce(0) { $0 + ($1.until > now ? 1 : 0) } }

    /// Has `change` look at the fact of a key, and replace it. What has ended comes with a moment and a number of 0.
    ///
    /// - Parameter place: The hash of the key.
    @inline(__always)
    mutating func update<R>(
        _ key: BackplaneKey, hash place: UInt64, now: UInt64, _ change: (inout FactRecord) -> R
    ) -> R {
        if sets == 0 { grow() }
        let first = self.first(place)
        for index in first..<first + Self.ways where records[index].low == key.low {
            guard records[index].high == key.high, records[index].space == key.space else { continue }
            if records[index].until <= now {
                records[index].until = 0
                records[index].count = 0
            }
            return change(&records[index])
        }
        var fresh = FactRecord(space: key.space, high: key.high, low: key.low)
        let result = change(&fresh)
        // Who only asked leaves nothing to remember.
        if fresh.until > now { insert(fresh, place, now) }
        return result
    }

    private mutating func insert(_ record: FactRecord, _ place: UInt64, _ now: UInt64) {
        while true {
            let first = self.first(place)
            var soonest = first
            for index in first..<first + Self.ways where records[index].until < records[soonest].until {
                soonest = index
            }
            if records[soonest].until > now {
                if sets < mostSets {
                    grow()
                    continue
                }
                evicted += 1
            }
            records[soonest] = record
            return
        }
    }

    @inline(__always)
    private func first(_ place: UInt64) -> Int { (Int(truncatingIfNeeded: place) & (sets - 1)) * Self.ways }

    /// Doubles the table. Each eight spread over two, so nothing is lost. The largest copies a few hundred KiB, once.
    private mutating func grow() {
        guard sets > 0 else {
            sets = Self.firstSets
            records = ContiguousArray(repeating: FactRecord(), count: sets * Self.ways)
            return
        }
        let old = records
        sets *= 2
        records = ContiguousArray(repeating: FactRecord(), count: sets * Self.ways)
        for record in old where record.until > 0 {
            let first = self.first(hash(record.space, record.high, record.low))
            for index in first..<first + Self.ways where records[index].until == 0 {
                records[index] = record
                break
            }
        }
    }
}
