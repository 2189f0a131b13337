/// A map that holds at most `capacity` values and forgets the least used about first.
///
/// Two halves: new and used values go to the young half; when that is full it becomes the old one, whose values are
/// dropped unless asked for again. No list to keep, every operation one or two look-ups.
package struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let half: Int
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]

    /// - Parameter capacity: Zero keeps nothing.
    package init(capacity: Int) { half = capacity <= 0 ? 0 : max(1, capacity / 2) }

    package var count: Int { young.count + old.count }

    package mutating func value(for key: Key) -> Value? {
        if let value = young[key] { return value }
        guard let value = old.removeValue(forKey: key) else { return nil }
        insert(value, for: key)
        return value
    }

    package mutating func insert(_ value: Value, for key: Key) {
        guard half > 0 else { return }
        if young.count >= half, young[key] == nil {
            old = young
            young = [:]
        }
        old[key] = nil
        young[key] = value
    }

    package mutating func remove(_ key: Key) {
        young[key] = nil
        old[key] = nil
    }

    package mutating func removeAll() {
        young = [:]
        old = [:]
    }
}
