/// Small files that one loop keeps in memory.
///
/// Two halves: what is new or used goes to the young one; when that is full it becomes the old one, whose files are
/// dropped unless asked for again.
final class StaticFileCache {
    final class Entry {
        var file: StaticFile
        /// Until then it is not compared with the disk.
        var checkAgainAt: MonotonicTime

        init(_ file: StaticFile, checkAgainAt: MonotonicTime) {
            self.file = file
            self.checkAgainAt = checkAgainAt
        }
    }

    private let half: Int
    private var young: [[UInt8]: Entry] = [:]
    private var old: [[UInt8]: Entry] = [:]
    private var youngBytes = 0

    /// What an entry takes beside the file's bytes and its key, roughly.
    private static let overhead = 1024

    /// - Parameter limit: Bytes in all. Zero keeps nothing.
    init(limit: ByteCount) { half = limit.bytes / 2 }

    var count: Int { young.count + old.count }

    func entry(for key: [UInt8]) -> Entry? {
        if let entry = young[key] { return entry }
        guard let entry = old.removeValue(forKey: key) else { return nil }
        insert(entry, for: key)
        return entry
    }

    /// Keeps `entry` if it holds its bytes and is not too large.
    func insert(_ entry: Entry, for key: [UInt8]) {
        remove(key)
        guard let cost = Self.cost(entry, key), cost <= half else { return }
        if youngBytes + cost > half {
            old = young
            young = [:]
            youngBytes = 0
        }
        young[key] = entry
        youngBytes += cost
    }

    func remove(_ key: [UInt8]) {
        old[key] = nil
        guard let entry = young.removeValue(forKey: key) else { return }
        youngBytes -= Self.cost(entry, key) ?? 0
    }

    private static func cost(_ entry: Entry, _ key: [UInt8]) -> Int? {
        guard case .memory(let bytes) = entry.file.content else { return nil }
        return bytes.count + key.count + overhead
    }
}
