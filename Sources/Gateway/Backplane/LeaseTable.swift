/// Who holds which places. As large as the number of leases that are held, which its limit bounds.
struct LeaseTable {
    private struct Holder {
        let lease: LeaseID
        var until: UInt64
    }

    /// Between two looks for leases that ended without having been given back, when there is room for no more.
    private static let sweepPause: UInt64 = 1_000_000_000

    private var holders: [BackplaneKey: [Holder]] = [:]
    private let most: Int
    private var sweepAt: UInt64 = 0
    /// Leases held; some may have ended since nobody asked for their key's places again.
    private(set) var count = 0
    /// Leases refused for want of room, not because their key's places were taken.
    private(set) var crowdedOut: UInt64 = 0

    /// - Parameter capacity: Leases at once.
    init(capacity: Int) { most = capacity }

    /// - Returns: Places left, or `nil` when there was none.
    mutating func hold(_ key: BackplaneKey, _ lease: LeaseID, limit: UInt64, until: UInt64, now: UInt64) -> UInt64? {
        var list = holders[key] ?? []
        list.removeAll { $0.until <= now }
        defer { store(list, key) }
        if let place = list.firstIndex(where: { $0.lease == lease }) {
            list[place].until = until
            return left(of: limit, list)
        }
        guard UInt64(list.count) < limit else { return nil }
        guard hasRoom(now) else {
            crowdedOut += 1
            return nil
        }
        list.append(Holder(lease: lease, until: until))
        return left(of: limit, list)
    }

    private func left(of limit: UInt64, _ list: [Holder]) -> UInt64 {
        limit > UInt64(list.count) ? limit - UInt64(list.count) : 0
    }

    mutating func release(_ key: BackplaneKey, _ lease: LeaseID) {
        guard var list = holders[key] else { return }
        list.removeAll { $0.lease == lease }
        store(list, key)
    }

    private mutating func store(_ list: [Holder], _ key: BackplaneKey) {
        // What is in the table now: a sweep may have come in between.
        count += list.count - (holders[key]?.count ?? 0)
        holders[key] = list.isEmpty ? nil : list
    }

    private mutating func hasRoom(_ now: UInt64) -> Bool {
        if count >= most, now >= sweepAt {
            sweepAt = now &+ Self.sweepPause
            holders = holders.compactMapValues { list in
                let living = list.filter { now < $0.until }
                return living.isEmpty ? nil : living
            }
            count = holders.values.reduce(0) { $0 + $1.count }
        }
        return count < most
    }
}
