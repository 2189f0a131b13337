/// A type that a setting can have: how to read it from text, to check it, and to describe it.
package protocol SettingValue: Sendable {
    /// What `in:` takes. `ClosedRange<Self>` for ordered types, a range of lengths for text and lists.
    associatedtype Limits: Sendable = NoLimits
    /// What `bare:` takes: the unit of a number written without one.
    associatedtype BareUnit: Sendable & CustomStringConvertible = NoUnit

    /// What the value is, as a noun for the documentation: `duration`.
    static var settingType: String { get }
    /// Secrets are never printed and may be read from a file.
    static var isSecret: Bool { get }
    /// A harmless value that stands in after a problem was recorded; never used to run anything.
    static var placeholder: Self { get }

    /// - Parameter text: Not empty, without white space around it (secrets keep theirs).
    static func read(_ text: String, bare: BareUnit?) throws(SettingError) -> Self

    /// The value as an operator would write it.
    var settingText: String { get }
    /// What the value is told apart by, never shown; `settingText` unless that leaves something out.
    var settingIdentity: String { get }
    func isWithin(_ limits: Limits) -> Bool
    static func describe(_ limits: Limits) -> String
}

/// The `in:` of types that have no order; cannot be made.
package struct NoLimits: Sendable { private init() {} }

/// The `bare:` of types that have no unit; cannot be made.
package struct NoUnit: Sendable, CustomStringConvertible {
    private init() {}
    package var description: String { "" }
}

extension SettingValue {
    package static var isSecret: Bool { false }
    package var settingIdentity: String { settingText }
}

extension SettingValue where Limits == NoLimits {
    package func isWithin(_ limits: NoLimits) -> Bool { true }
    package static func describe(_ limits: NoLimits) -> String { "" }
}

extension SettingValue where Self: Comparable, Limits == ClosedRange<Self> {
    package func isWithin(_ limits: ClosedRange<Self>) -> Bool { limits.contains(self) }

    package static func describe(_ limits: ClosedRange<Self>) -> String {
        "\(limits.lowerBound.settingText) to \(limits.upperBound.settingText)"
    }
}

/// A setting that takes one of a few words: an enum of strings, read in any case.
package protocol SettingChoice: SettingValue, CaseIterable, RawRepresentable<String>
where Limits == NoLimits, BareUnit == NoUnit {}

extension SettingChoice {
    package static var settingType: String { orList(allCases.map { "`\($0.rawValue)`" }) }

    /// The first choice; an enum without cases has no values to read in the first place.
    package static var placeholder: Self { allCases[allCases.startIndex] }

    package static func read(_ text: String, bare: NoUnit?) throws(SettingError) -> Self {
        let wanted = text.lowercased()
        for choice in allCases where choice.rawValue.lowercased() == wanted { return choice }
        throw SettingError("not a choice; write \(orList(allCases.map(\.rawValue)))")
    }

    package var settingText: String { rawValue }
}

/// `a`, `a or b`, `a, b or c`.
func orList(_ words: [String]) -> String {
    guard let last = words.last, words.count > 1 else { return words.first ?? "" }
    return words.dropLast().joined(separator: ", ") + " or " + last
}

/// A setting that can be turned off by writing `off`: `HTTP_PORT=off`.
package enum Switchable<Value: SettingValue>: SettingValue {
    case off
    case on(Value)

    package typealias Limits = Value.Limits
    package typealias BareUnit = Value.BareUnit

    /// `nil` when off.
    package var value: Value? {
        if case .on(let value) = self { return value }
        return nil
    }

    package static var settingType: String { "\(Value.settingType), or `off`" }
    package static var placeholder: Self { .off }

    package static func read(_ text: String, bare: Value.BareUnit?) throws(SettingError) -> Self {
        if text.lowercased() == "off" { return .off }
        do {
            return .on(try Value.read(text, bare: bare))
        } catch {
            throw SettingError("\(error.message), or off")
        }
    }

    package var settingText: String { value?.settingText ?? "off" }
    package var settingIdentity: String { value?.settingIdentity ?? "off" }
    package func isWithin(_ limits: Value.Limits) -> Bool { value?.isWithin(limits) ?? true }
    package static func describe(_ limits: Value.Limits) -> String { Value.describe(limits) }
}

extension Switchable: Equatable where Value: Equatable {}
extension Switchable: Hashable where Value: Hashable {}
