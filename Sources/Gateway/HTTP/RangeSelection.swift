/// The part of a representation that a `Range` field selects (RFC 9110 §14).
package enum RangeSelection: Equatable, Sendable {
    /// All of it: nothing else was asked for, or not in a way that must be obeyed.
    case whole
    /// One or more ranges, none of them empty and no two with a byte in common.
    case parts([Range<UInt64>])
    /// 416: not one of the ranges lies within the representation.
    case unsatisfiable

    /// - Parameters:
    ///   - field: The value of the `Range` field. What does not follow its grammar, or names another unit, selects the
    ///     whole.
    ///   - length: Of the representation. An empty one is always sent whole: players ask for `bytes=0-` of anything.
    ///   - limit: More ranges than this select the whole: each costs a part of its own.
    init(_ field: Input, length: UInt64, limit: Int) {
        self = .whole
        guard length > 0, field.count > 6, field[0..<6].equalsIgnoringCase("bytes=") else { return }
        var parts: [Range<UInt64>] = []
        var asked = 0
        var elements = ListElements(field[6..<field.count])
        while let element = elements.next() {
            asked += 1
            guard asked <= limit, let spec = RangeSpec(element) else { return }
            if let part = spec.resolved(in: length) { parts.append(part) }
        }
        guard asked > 0 else { return }
        self = parts.isEmpty ? .unsatisfiable : .parts(Self.merged(parts))
    }

    /// The ranges as they are if they are apart; else in order, with those that overlap or touch made one (§15.3.7.2).
    private static func merged(_ parts: [Range<UInt64>]) -> [Range<UInt64>] {
        let sorted = parts.sorted { $0.lowerBound < $1.lowerBound }
        var merged: [Range<UInt64>] = []
        for part in sorted {
            if let last = merged.last, part.lowerBound <= last.upperBound {
                merged[merged.count - 1] = last.lowerBound..<max(last.upperBound, part.upperBound)
            } else {
                merged.append(part)
            }
        }
        return merged.count == parts.count ? parts : merged
    }
}

/// One range of a `Range` field. Both positions are included; numbers too large to count with are as good as the end.
private enum RangeSpec {
    case from(UInt64, through: UInt64)
    case suffix(UInt64)

    init?(_ text: Input) {
        var dash = 0
        while dash < text.count, text[dash] != 0x2D { dash += 1 }
        guard dash < text.count else { return nil }
        let last = text[dash + 1..<text.count]
        if dash == 0 {
            guard let count = Self.number(last) else { return nil }
            self = .suffix(count)
            return
        }
        guard let first = Self.number(text[0..<dash]), let last = last.isEmpty ? .max : Self.number(last),
            first <= last
        else { return nil }
        self = .from(first, through: last)
    }

    private static func number(_ text: Input) -> UInt64? {
        guard !text.isEmpty else { return nil }
        var value: UInt64 = 0
        for index in 0..<text.count {
            let digit = text[index] &- 0x30
            guard digit < 10 else { return nil }
            let (tens, wide) = value.multipliedReportingOverflow(by: 10)
            let (sum, over) = tens.addingReportingOverflow(UInt64(digit))
            value = wide || over ? .max : sum
        }
        return value
    }

    /// `nil` when no byte of the range is there.
    func resolved(in length: UInt64) -> Range<UInt64>? {
        switch self {
        case .from(let first, let last):
            first < length ? first..<(last < length ? last + 1 : length) : nil
        case .suffix(let count):
            count == 0 ? nil : length - min(count, length)..<length
        }
    }
}

/// How parts of a representation are told apart on the wire.
package enum ContentRange {
    /// `bytes 0-4/10`
    package static func value(_ part: Range<UInt64>, of length: UInt64) -> String {
        "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(length)"
    }

    /// `bytes */10`, which goes with 416.
    package static func unsatisfied(length: UInt64) -> String { "bytes */\(length)" }
}

/// The frame around several parts of a representation: `multipart/byteranges` (RFC 9110 §14.6).
package struct MultipartRanges: Sendable {
    package let parts: [Range<UInt64>]
    private let length: UInt64
    private let partType: String
    private let boundary: String

    /// - Parameters:
    ///   - length: Of the whole representation.
    ///   - partType: Its media type.
    ///   - boundary: Letters and digits that do not occur in the representation, at most 70.
    package init(_ parts: [Range<UInt64>], of length: UInt64, partType: String, boundary: String) {
        self.parts = parts
        self.length = length
        self.partType = partType
        self.boundary = boundary
    }

    package var contentType: String { "multipart/byteranges; boundary=\(boundary)" }

    /// What goes before the bytes of the part of that place.
    package func lead(_ place: Int) -> [UInt8] {
        let range = ContentRange.value(parts[place], of: length)
        let start = place == 0 ? "" : "\r\n"
        return Array("\(start)--\(boundary)\r\nContent-Type: \(partType)\r\nContent-Range: \(range)\r\n\r\n".utf8)
    }

    /// What goes after the last part.
    package var end: [UInt8] { Array("\r\n--\(boundary)--\r\n".utf8) }

    /// Bytes of all parts with everything around them.
    package var byteCount: UInt64 {
        parts.indices.reduce(UInt64(end.count)) { sum, place in
            sum + UInt64(lead(place).count) + UInt64(parts[place].count)
        }
    }
}
