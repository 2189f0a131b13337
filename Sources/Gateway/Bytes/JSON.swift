/// One JSON value (RFC 8259). Objects keep their order and never hold a name twice; numbers keep their text.
package enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSON])
    case object(JSONObject)

    /// The member called `name`, or `nil` when this is no object or has no such member.
    package subscript(name: String) -> JSON? { object?[name] }

    /// The element at `index`, or `nil` when this is no array or is shorter.
    package subscript(index: Int) -> JSON? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    package var isNull: Bool { self == .null }

    package var bool: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    package var number: JSONNumber? {
        guard case .number(let value) = self else { return nil }
        return value
    }

    package var string: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    package var array: [JSON]? {
        guard case .array(let value) = self else { return nil }
        return value
    }

    package var object: JSONObject? {
        guard case .object(let value) = self else { return nil }
        return value
    }

    /// The elements of an array of strings; `nil` when this is no array or one element is something else.
    package var strings: [String]? {
        guard let array else { return nil }
        let texts = array.compactMap(\.string)
        return texts.count == array.count ? texts : nil
    }

    /// Strings compare by their bytes: Swift's `==` takes U+212A for `K`, which no two parties of a protocol do.
    package static func == (left: JSON, right: JSON) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.number(let a), .number(let b)): a == b
        case (.string(let a), .string(let b)): a.isExactly(b)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a == b
        default: false
        }
    }
}

/// The members of an object, in the order they were written.
package struct JSONObject: Equatable, Sendable, ExpressibleByDictionaryLiteral {
    package private(set) var members: [(name: String, value: JSON)]

    package init() { members = [] }

    /// A later value for the same name replaces the earlier one.
    package init(dictionaryLiteral elements: (String, JSON)...) {
        members = []
        for (name, value) in elements { self[name] = value }
    }

    init(unique members: [(name: String, value: JSON)]) { self.members = members }

    package var count: Int { members.count }
    package var isEmpty: Bool { members.isEmpty }

    /// Names match by their bytes. Setting `nil` removes the member.
    package subscript(name: String) -> JSON? {
        get { members.first { $0.name.isExactly(name) }?.value }
        set {
            let place = members.firstIndex { $0.name.isExactly(name) }
            switch (place, newValue) {
            case (let place?, let value?): members[place].value = value
            case (let place?, nil): members.remove(at: place)
            case (nil, let value?): members.append((name, value))
            case (nil, nil): break
            }
        }
    }

    /// Equal when both have the same members, in whatever order.
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0.name] == $0.value }
    }
}

/// A number as it was written, so nothing is rounded before someone asks for a machine type.
package struct JSONNumber: Hashable, Sendable {
    /// Matches the grammar of RFC 8259 §6.
    package let text: String

    init(validated text: String) { self.text = text }

    package init(_ value: Int64) { text = String(value) }

    /// - Returns: `nil` for infinities and NaN, which JSON cannot write.
    package init?(_ value: Double) {
        guard value.isFinite else { return nil }
        text = value.description
    }

    /// The nearest `Double`, or `nil` when the number is beyond its range (`1e400`).
    package var double: Double? {
        guard let value = Double(text), value.isFinite else { return nil }
        return value
    }

    /// The exact integer, also when written `12.0`; `nil` for fractions, exponents and what 64 bits cannot hold.
    package var int64: Int64? {
        if let value = Int64(text) { return value }
        let parts = text.utf8.split(separator: UInt8(ascii: "."), maxSplits: 1)
        guard parts.count == 2, parts[1].allSatisfy({ $0 == UInt8(ascii: "0") }) else { return nil }
        return Int64(Substring(parts[0]))
    }

    package var int: Int? { int64.flatMap { Int(exactly: $0) } }
}

extension String {
    /// Whether both hold the same bytes. Swift's `==` also accepts canonical equivalents, such as U+212A for `K`, which
    /// would let one identity pass for another.
    package func isExactly(_ other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}
