/// A path with named parts: `/exact`, `/proxy/segment/{link}`, `/files/{path...}`.
package struct RoutePattern: Sendable, Hashable, CustomStringConvertible {
    /// What stands between two slashes.
    package enum Segment: Sendable, Hashable {
        /// This text, exactly.
        case literal(String)
        /// Any text but none, under a name.
        case capture(String)
        /// Everything that is left, at least one byte; only as the last segment.
        case rest(String)
    }

    /// As it was written.
    package let description: String
    /// In order; `/` is one empty literal.
    package let segments: [Segment]

    /// `nil` unless it starts with `/`, names are letters and differ, and `{name...}` comes last.
    package init?(_ text: String) {
        guard text.hasPrefix("/") else { return nil }
        var segments: [Segment] = []
        var names: Set<String> = []
        let parts = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (place, part) in parts.enumerated() {
            guard part.hasPrefix("{"), part.hasSuffix("}") else {
                guard !part.contains(where: { "{}?#% ".contains($0) }) else { return nil }
                segments.append(.literal(String(part)))
                continue
            }
            let isRest = part.hasSuffix("...}")
            let name = String(part.dropFirst().dropLast(isRest ? 4 : 1))
            guard !name.isEmpty, name.allSatisfy(\.isLetter), names.insert(name).inserted else { return nil }
            guard !isRest || place == parts.count - 1 else { return nil }
            segments.append(isRest ? .rest(name) : .capture(name))
        }
        self.segments = segments
        description = text
    }

    private init(segments: [Segment], description: String) {
        self.segments = segments
        self.description = description
    }

    /// `/`.
    package static let root = RoutePattern(segments: [.literal("")], description: "/")

    /// Without captures: a plain path.
    package var isExact: Bool {
        segments.allSatisfy { segment in
            if case .literal = segment { return true }
            return false
        }
    }

    /// What two patterns that match the same paths have in common: captures lose their names.
    package var shape: String {
        segments.map { segment in
            switch segment {
            case .literal(let text): "/\(text)"
            case .capture: "/{}"
            case .rest: "/{...}"
            }
        }.joined()
    }
}
