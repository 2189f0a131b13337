import GatewayRuntime

/// What was refused, so that each is logged once a minute however often it is asked for.
struct RefusalNotes {
    /// Most things remembered; beyond them they are noted together.
    private static let capacity = 128
    private static let period = Duration.seconds(60)

    private var notes: [String: (since: MonotonicTime, count: Int)] = [:]
    /// All refusals so far.
    private(set) var total = 0

    /// - Returns: How often it was refused since it was last logged, when it is to be logged again.
    mutating func note(_ what: String, at now: MonotonicTime) -> Int? {
        total += 1
        if notes.count >= Self.capacity, notes[what] == nil {
            notes = notes.filter { now < $0.value.since + Self.period }
        }
        let key = notes.count >= Self.capacity && notes[what] == nil ? "" : what
        guard let known = notes[key] else {
            notes[key] = (now, 0)
            return 1
        }
        guard now >= known.since + Self.period else {
            notes[key] = (known.since, known.count + 1)
            return nil
        }
        notes[key] = (now, 0)
        return known.count + 1
    }
}
