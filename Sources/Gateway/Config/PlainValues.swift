package import GatewayBytes

extension String: SettingValue {
    /// Limits of a text are on its length in UTF-8 bytes.
    package typealias Limits = ClosedRange<Int>

    package static var settingType: String { "text" }
    package static var placeholder: String { "" }
    package static func read(_ text: String, bare: NoUnit?) throws(SettingError) -> String { text }
    package var settingText: String { self }
    package func isWithin(_ limits: ClosedRange<Int>) -> Bool { limits.contains(utf8.count) }
    package static func describe(_ limits: ClosedRange<Int>) -> String { describe(length: limits) }

    static func describe(length: ClosedRange<Int>) -> String {
        if length.upperBound == .max { return "at least \(length.lowerBound) bytes" }
        return "\(length.lowerBound) to \(length.upperBound) bytes"
    }
}

extension Secret: SettingValue {
    /// Limits of a secret are on its length in bytes; an open end is written `32 ... .max`.
    package typealias Limits = ClosedRange<Int>

    package static var settingType: String { "secret" }
    package static var isSecret: Bool { true }
    package static var placeholder: Secret { Secret("") }
    package static func read(_ text: String, bare: NoUnit?) throws(SettingError) -> Secret { Secret(text) }
    package var settingText: String { description }
    package func isWithin(_ limits: ClosedRange<Int>) -> Bool { limits.contains(count) }
    package static func describe(_ limits: ClosedRange<Int>) -> String { String.describe(length: limits) }
}

extension Bool: SettingValue {
    package static var settingType: String { "`true` or `false`" }
    package static var placeholder: Bool { false }

    package static func read(_ text: String, bare: NoUnit?) throws(SettingError) -> Bool {
        switch text.lowercased() {
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        default: throw SettingError("neither yes nor no; write true or false")
        }
    }

    package var settingText: String { self ? "true" : "false" }
}

extension Int: SettingValue {
    package typealias Limits = ClosedRange<Int>

    package static var settingType: String { "whole number" }
    package static var placeholder: Int { 0 }

    package static func read(_ text: String, bare: NoUnit?) throws(SettingError) -> Int {
        guard let value = Int(text) else { throw SettingError("not a whole number; write digits only") }
        return value
    }

    package var settingText: String { String(self) }
}

extension Double: SettingValue {
    package typealias Limits = ClosedRange<Double>

    package static var settingType: String { "number" }
    package static var placeholder: Double { 0 }

    package static func read(_ text: String, bare: NoUnit?) throws(SettingError) -> Double {
        // An exponent, since that is how very small and very large ones are shown.
        let isDecimal = text.utf8.allSatisfy { (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0) }
        guard isDecimal, let value = Double(text), value.isFinite else {
            throw SettingError("not a number; write digits like 0.5")
        }
        return value
    }

    package var settingText: String {
        let text = String(self)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}

/// A list is written with commas; its elements are those of ``settingElements(of:)``.
extension Array: SettingValue where Element: SettingValue {
    /// Limits of a list are on its number of elements.
    package typealias Limits = ClosedRange<Int>
    package typealias BareUnit = Element.BareUnit

    package static var settingType: String { "list of \(Element.settingType), separated by commas" }
    package static var isSecret: Bool { Element.isSecret }
    package static var placeholder: [Element] { [] }

    package static func read(_ text: String, bare: Element.BareUnit?) throws(SettingError) -> [Element] {
        var values: [Element] = []
        for (index, part) in settingElements(of: text).enumerated() {
            do {
                values.append(try Element.read(part, bare: bare))
            } catch {
                throw SettingError("element \(index + 1) is \(error.message)")
            }
        }
        return values
    }

    package var settingText: String { map(\.settingText).joined(separator: ",") }
    package var settingIdentity: String { map(\.settingIdentity).joined(separator: ",") }
    package func isWithin(_ limits: ClosedRange<Int>) -> Bool { limits.contains(count) }

    package static func describe(_ limits: ClosedRange<Int>) -> String {
        "\(limits.lowerBound) to \(limits.upperBound) elements"
    }
}

/// What stands between the commas of `text`. White space around an element and empty elements do not count; white space
/// within an element is part of it.
package func settingElements(of text: String) -> [String] {
    // By bytes: Swift takes a comma with a combining mark behind it for another character.
    let parts = text.utf8.split(separator: UInt8(ascii: ",")).map { trimmed(Substring($0)) }
    return parts.filter { !$0.isEmpty }
}

/// `text` without the ASCII white space around it.
package func trimmed(_ text: some StringProtocol) -> String {
    let bytes = Array(text.utf8)
    guard let first = bytes.firstIndex(where: { !isWhiteSpace($0) }),
        let last = bytes.lastIndex(where: { !isWhiteSpace($0) })
    else { return "" }
    return String(decoding: bytes[first...last], as: UTF8.self)
}

func isWhiteSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
