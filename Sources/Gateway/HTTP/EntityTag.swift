/// Names one state of a representation (RFC 9110 §8.8.3).
package struct EntityTag: Hashable, Sendable, CustomStringConvertible {
    /// Whether two states that mean the same may share it.
    package let isWeak: Bool
    /// What stands between the quotes.
    private let opaque: [UInt8]

    /// - Parameter opaque: Visible ASCII without quotes.
    package init(_ opaque: String, isWeak: Bool = false) {
        precondition(opaque.utf8.allSatisfy(Self.isTagByte), "an entity tag holds a byte that may not stand there")
        self.opaque = Array(opaque.utf8)
        self.isWeak = isWeak
    }

    package var weakened: EntityTag { EntityTag(opaque: opaque, isWeak: true) }

    private init(opaque: [UInt8], isWeak: Bool) {
        self.opaque = opaque
        self.isWeak = isWeak
    }

    /// As it is sent: `"abc"` or `W/"abc"`.
    package var description: String {
        "\(isWeak ? "W/" : "")\"\(String(decoding: opaque, as: UTF8.self))\""
    }

    private static func isTagByte(_ octet: UInt8) -> Bool { octet == 0x21 || (0x23...0x7E).contains(octet) }

    /// How two tags are compared (RFC 9110 §8.8.3.2).
    enum Comparison {
        /// Equal, and neither is weak: the same bytes.
        case strong
        /// Equal, weak or not: as good as the same.
        case weak
    }

    func matches(_ other: TagInput, _ comparison: Comparison) -> Bool {
        if comparison == .strong, isWeak || other.isWeak { return false }
        guard other.opaque.count == opaque.count else { return false }
        for index in 0..<opaque.count where opaque[index] != other.opaque[index] { return false }
        return true
    }
}

/// A tag as a request sent it. The quotes around it may hold commas, so that it is no list of tokens.
struct TagInput {
    let isWeak: Bool
    let opaque: Input

    /// Reads the tag that starts at `index` and moves behind it; `nil` if none stands there.
    init?(_ text: Input, at index: inout Int) {
        var place = index
        isWeak = place + 1 < text.count && text[place] == 0x57 && text[place + 1] == 0x2F
        if isWeak { place += 2 }
        guard place < text.count, text[place] == 0x22 else { return nil }
        let start = place + 1
        place = start
        // Beyond ASCII the grammar allows what it calls obs-text.
        while place < text.count, text[place] != 0x22 {
            guard text[place] > 0x20, text[place] != 0x7F else { return nil }
            place += 1
        }
        guard place < text.count else { return nil }
        opaque = text[start..<place]
        index = place + 1
    }

    /// Whether a field value is one tag and nothing else, and which.
    static func only(_ text: Input) -> TagInput? {
        var index = 0
        guard let tag = TagInput(text, at: &index), index == text.count else { return nil }
        return tag
    }

    /// Whether a list of tags holds one that `isWanted`. What follows a malformed element is not looked at: a tag
    /// that cannot be read is not one that the sender holds.
    static func list(_ text: Input, contains isWanted: (TagInput) -> Bool) -> Bool {
        var index = 0
        while true {
            while index < text.count, Input.isBlank(text[index]) || text[index] == 0x2C { index += 1 }
            guard let tag = TagInput(text, at: &index) else { return false }
            if isWanted(tag) { return true }
            while index < text.count, Input.isBlank(text[index]) { index += 1 }
            guard index < text.count, text[index] == 0x2C else { return false }
        }
    }
}
