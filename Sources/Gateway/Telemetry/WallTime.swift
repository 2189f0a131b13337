package import GatewayBytes

/// A moment of the wall clock, in UTC, as seconds and nanoseconds since 1970.
package struct WallTime: Hashable, Comparable, Sendable {
    package let seconds: Int64
    /// 0 through 999 999 999.
    package let nanoseconds: Int

    package init(seconds: Int64, nanoseconds: Int = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    package var milliseconds: Int { nanoseconds / 1_000_000 }

    package static func < (left: WallTime, right: WallTime) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    /// Appends `2026-01-02T03:04:05.678Z` (RFC 3339 §5.6), always 24 bytes for the years 0 through 9999.
    package func appendRFC3339(to buffer: inout OutputBuffer) { buffer.append(rfc3339.span) }

    /// The 24 bytes of `2026-01-02T03:04:05.678Z`.
    var rfc3339: [UInt8] {
        let date = CivilDate(days: seconds.flooredQuotient(86_400))
        let clock = seconds - seconds.flooredQuotient(86_400) * 86_400
        var text: [UInt8] = []
        text.reserveCapacity(24)
        text.append(digits: 4, of: date.year)
        text.append(0x2D)
        text.append(digits: 2, of: date.month)
        text.append(0x2D)
        text.append(digits: 2, of: date.day)
        text.append(0x54)
        text.append(clock: Int(clock))
        text.append(0x2E)
        text.append(digits: 3, of: milliseconds)
        text.append(0x5A)
        return text
    }

    /// The 26 bytes of `02/Jan/2026:03:04:05 +0000`, as web servers have always logged it.
    var commonLog: [UInt8] {
        let date = CivilDate(days: seconds.flooredQuotient(86_400))
        let clock = seconds - seconds.flooredQuotient(86_400) * 86_400
        var text: [UInt8] = []
        text.reserveCapacity(26)
        text.append(digits: 2, of: date.day)
        text.append(0x2F)
        text += date.monthName.utf8
        text.append(0x2F)
        text.append(digits: 4, of: date.year)
        text.append(0x3A)
        text.append(clock: Int(clock))
        text += " +0000".utf8
        return text
    }
}

/// A day of the proleptic Gregorian calendar.
struct CivilDate {
    let year: Int
    let month: Int
    let day: Int

    /// - Parameter days: Since 1970-01-01. Years are counted from March, so that a leap day ends a year.
    init(days: Int64) {
        let sinceEra = days + 719_468
        let era = sinceEra.flooredQuotient(146_097)
        let dayOfEra = sinceEra - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = Int(dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
        month = Int(monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9)
        year = Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0)
    }

    var monthName: String {
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month - 1]
    }
}

extension Int64 {
    fileprivate func flooredQuotient(_ divisor: Int64) -> Int64 {
        self >= 0 ? self / divisor : (self + 1) / divisor - 1
    }
}

extension [UInt8] {
    fileprivate mutating func append(digits count: Int, of value: Int) {
        var place = 1
        for _ in 1..<count { place *= 10 }
        while place > 0 {
            append(UInt8(truncatingIfNeeded: 0x30 + value / place % 10))
            place /= 10
        }
    }

    fileprivate mutating func append(clock seconds: Int) {
        append(digits: 2, of: seconds / 3600)
        append(0x3A)
        append(digits: 2, of: seconds / 60 % 60)
        append(0x3A)
        append(digits: 2, of: seconds % 60)
    }
}
