/// What the messages of a run say. The same bytes for the same size in every run, so both sides of a comparison get equal work.
enum Payload {
    case binary
    case text
    case json

    var isText: Bool { self != .binary }

    func bytes(count: Int) throws(Fault) -> [UInt8] {
        var dice = Dice(state: 0x5EED)
        switch self {
        case .binary: return (0..<count).map { _ in UInt8(truncatingIfNeeded: dice.roll()) }
        case .text: return dice.letters(count)
        case .json: return try Self.document(count: count, &dice)
        }
    }

    /// Records as an API would list them: names repeat, values differ.
    private static func document(count: Int, _ dice: inout Dice) throws(Fault) -> [UInt8] {
        let opening = Array(#"{"items":["#.utf8)
        let closing = Array(#"],"note":""#.utf8)
        let end = Array(#""}"#.utf8)
        let fixed = opening.count + closing.count + end.count
        guard count >= fixed else { throw Fault("a JSON message needs at least \(fixed) bytes") }
        var result = opening
        while true {
            let record = (result.count == opening.count ? [] : [UInt8(ascii: ",")]) + record(&dice)
            guard result.count + record.count + closing.count + end.count <= count else { break }
            result += record
        }
        result += closing
        return result + dice.letters(count - result.count - end.count) + end
    }

    private static func record(_ dice: inout Dice) -> [UInt8] {
        let kinds = ["started", "progress", "finished", "failed"]
        let user = String(decoding: dice.letters(8), as: UTF8.self)
        return Array(
            """
            {"id":\(dice.roll() % 1_000_000),"user":"\(user)","kind":"\(kinds[Int(dice.roll() % 4)])",\
            "at":\(1_750_000_000_000 + dice.roll() % 1_000_000_000),"value":0.\(dice.roll() % 100_000),\
            "ok":\(dice.roll() % 8 != 0)}
            """.utf8)
    }
}

/// A small generator with a fixed seed (SplitMix64).
private struct Dice {
    var state: UInt64

    mutating func roll() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func letters(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(ascii: "a") + UInt8(roll() % 26) }
    }
}
