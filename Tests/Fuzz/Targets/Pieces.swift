/// Where an input is cut, for parsers that take it in pieces.
///
/// The places follow from the bytes alone: an input needs no part that only says where to cut it, any change of it moves
/// the cuts, and a crash is had again from its file.
struct Pieces {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    init(of bytes: [UInt8]) {
        for byte in bytes { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }

    /// A number below `limit`, which is at least 1.
    mutating func roll(_ limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(limit))
    }

    /// Some ways to cut: in two, in a few, and a short input at every byte. Each is an ascending list of ends, the last
    /// of which is all of it.
    static func ways(to cut: [UInt8], everyByteUpTo limit: Int = 256) -> [[Int]] {
        var pieces = Pieces(of: cut)
        let two = [pieces.roll(cut.count + 1), cut.count]
        let few = (0..<3).map { _ in pieces.roll(cut.count + 1) }.sorted() + [cut.count]
        return cut.count <= limit ? [two, few, Array(0...cut.count)] : [two, few]
    }
}

extension [UInt8] {
    /// For messages: what can be shown as it is, and the rest escaped.
    var shown: String {
        reduce(into: "") { text, byte in
            if 0x20..<0x7F ~= byte {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "\\x\(String(byte, radix: 16))"
            }
        }
    }
}
