package import GatewayBytes

/// Units that a duration may be written in.
package enum DurationUnit: String, CaseIterable, Sendable, CustomStringConvertible {
    case microseconds = "us"
    case milliseconds = "ms"
    case seconds = "s"
    case minutes = "m"
    case hours = "h"
    case days = "d"

    package var description: String {
        switch self {
        case .microseconds: "microseconds"
        case .milliseconds: "milliseconds"
        case .seconds: "seconds"
        case .minutes: "minutes"
        case .hours: "hours"
        case .days: "days"
        }
    }

    fileprivate var microseconds: Int64 {
        switch self {
        case .microseconds: 1
        case .milliseconds: 1_000
        case .seconds: 1_000_000
        case .minutes: 60_000_000
        case .hours: 3_600_000_000
        case .days: 86_400_000_000
        }
    }

    /// A thirty-second wait, where the unit can say it.
    fileprivate var example: Int64 { max(1, 30_000_000 / microseconds) }
}

extension Duration: SettingValue {
    package typealias Limits = ClosedRange<Duration>
    package typealias BareUnit = DurationUnit

    package static var settingType: String { "duration" }
    package static var placeholder: Duration { .zero }

    /// Reads a whole number and a unit (`30s`); a number alone counts in `bare`, or must be zero.
    package static func read(_ text: String, bare: DurationUnit?) throws(SettingError) -> Duration {
        let (number, suffix) = numberAndUnit(text)
        let unit = suffix.isEmpty ? bare ?? (number == 0 ? .seconds : nil) : DurationUnit(rawValue: suffix)
        guard let number, let unit else { throw refusal(bare) }
        let (microseconds, overflow) = number.multipliedReportingOverflow(by: unit.microseconds)
        guard !overflow else { throw refusal(bare) }
        return .microseconds(microseconds)
    }

    private static func refusal(_ bare: DurationUnit?) -> SettingError {
        guard let bare else { return SettingError("not a duration; write 30s, 500ms, 5m, 2h or 1d") }
        return SettingError("not a duration; write 30s or \(bare) like \(bare.example)")
    }

    /// In the largest unit that divides it: `30s`, `1m`, `500ms`.
    package var settingText: String {
        let (seconds, attoseconds) = components
        guard attoseconds == 0 else {
            let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
            return microseconds % 1_000 == 0 ? "\(microseconds / 1_000)ms" : "\(microseconds)us"
        }
        for unit in [DurationUnit.days, .hours, .minutes] where seconds != 0 {
            let size = unit.microseconds / 1_000_000
            if seconds % size == 0 { return "\(seconds / size)\(unit.rawValue)" }
        }
        return "\(seconds)s"
    }
}

/// What a size without a unit counts.
package enum ByteUnit: Sendable, CustomStringConvertible {
    case bytes
    case kibibytes
    case mebibytes

    package var description: String {
        switch self {
        case .bytes: "bytes"
        case .kibibytes: "KiB"
        case .mebibytes: "MiB"
        }
    }

    fileprivate var size: Int64 {
        switch self {
        case .bytes: 1
        case .kibibytes: 1 << 10
        case .mebibytes: 1 << 20
        }
    }
}

extension ByteCount: SettingValue {
    package typealias Limits = ClosedRange<ByteCount>
    package typealias BareUnit = ByteUnit

    package static var settingType: String { "size" }
    package static var placeholder: ByteCount { .zero }

    /// Reads a whole number and a unit in any case (`64KiB`, `64 Ki`, `10B`); a number alone counts in `bare`, or must
    /// be zero. `KB` and `K` are refused: half of their readers mean 1000 and half 1024.
    package static func read(_ text: String, bare: ByteUnit?) throws(SettingError) -> ByteCount {
        let (number, suffix) = numberAndUnit(text)
        let size: Int64? =
            switch suffix.lowercased() {
            case "": bare?.size ?? (number == 0 ? 1 : nil)
            case "b": 1
            case "ki", "kib": 1 << 10
            case "mi", "mib": 1 << 20
            case "gi", "gib": 1 << 30
            default: nil
            }
        guard let number, let size else { throw refusal(bare) }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: size)
        guard !overflow, let count = Int(exactly: bytes) else { throw refusal(bare) }
        return .bytes(count)
    }

    private static func refusal(_ bare: ByteUnit?) -> SettingError {
        guard let bare else { return SettingError("not a size; write 64KiB, 1MiB or 1GiB") }
        return SettingError("not a size; write 64KiB, 1MiB or \(bare) like \(bare == .bytes ? 65_536 : 64)")
    }

    package var settingText: String { String(description.filter { $0 != " " }) }
}

/// Splits `30 s` into 30 and `s`. The number is `nil` when there are no digits, a sign, or too many digits.
private func numberAndUnit(_ text: String) -> (number: Int64?, unit: String) {
    let digits = text.prefix { "0" <= $0 && $0 <= "9" }
    return (Int64(digits), trimmed(text[digits.endIndex...]))
}
