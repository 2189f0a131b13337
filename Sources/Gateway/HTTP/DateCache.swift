/// The `Date` line of responses, made once a second.
///
/// The caller owns the clock: an event loop updates its cache when it wakes up.
package struct DateCache: Sendable {
    static let lineLength = 37

    private var second: Int64
    private var line: InlineArray<37, UInt8>

    package init(unixSeconds: Int64) {
        second = unixSeconds
        line = Self.line(for: unixSeconds)
    }

    /// - Parameter unixSeconds: Since 1970-01-01 00:00 UTC.
    @inline(__always)
    package mutating func update(unixSeconds: Int64) {
        guard unixSeconds != second else { return }
        second = unixSeconds
        line = Self.line(for: unixSeconds)
    }

    /// `Date: Sun, 06 Nov 1994 08:49:37 GMT` CR LF.
    @inline(__always)
    borrowing func withLine<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        unsafe line.span.withUnsafeBytes { unsafe body($0) }
    }

    private static func line(for unixSeconds: Int64) -> InlineArray<37, UInt8> {
        var line = InlineArray<37, UInt8>(repeating: 0x20)
        place("Date: ", in: &line, at: 0)
        let date = HTTPDate(unixSeconds: unixSeconds).bytes
        for index in 0..<HTTPDate.length { line[6 + index] = date[index] }
        place("\r\n", in: &line, at: 6 + HTTPDate.length)
        return line
    }

    private static func place(_ text: StaticString, in line: inout InlineArray<37, UInt8>, at start: Int) {
        let text = Input(text)
        for index in 0..<text.count { line[start + index] = text[index] }
    }
}

/// An IMF-fixdate (RFC 9110 §5.6.7), without the C library and its locale.
package struct HTTPDate: Sendable, CustomStringConvertible {
    package static let length = 29

    package let bytes: InlineArray<29, UInt8>

    /// - Parameter unixSeconds: Clamped to the years 1970 through 9999, which is what the format can say.
    package init(unixSeconds: Int64) {
        let seconds = min(max(unixSeconds, 0), 253_402_300_799)
        let days = seconds / 86_400
        let ofDay = seconds % 86_400
        let date = Self.civil(days: days)
        var bytes = InlineArray<29, UInt8>(repeating: 0x20)
        let weekdays = Input("ThuFriSatSunMonTueWed")
        let months = Input("JanFebMarAprMayJunJulAugSepOctNovDec")
        for index in 0..<3 {
            bytes[index] = weekdays[Int(days % 7) * 3 + index]
            bytes[8 + index] = months[(date.month - 1) * 3 + index]
            bytes[26 + index] = Input("GMT")[index]
        }
        bytes[3] = 0x2C
        Self.twoDigits(date.day, in: &bytes, at: 5)
        Self.twoDigits(date.year / 100, in: &bytes, at: 12)
        Self.twoDigits(date.year % 100, in: &bytes, at: 14)
        Self.twoDigits(Int(ofDay / 3600), in: &bytes, at: 17)
        bytes[19] = 0x3A
        Self.twoDigits(Int(ofDay / 60 % 60), in: &bytes, at: 20)
        bytes[22] = 0x3A
        Self.twoDigits(Int(ofDay % 60), in: &bytes, at: 23)
        self.bytes = bytes
    }

    package var description: String {
        var text = ""
        for index in 0..<Self.length { text.unicodeScalars.append(Unicode.Scalar(bytes[index])) }
        return text
    }

    private static func twoDigits(_ value: Int, in bytes: inout InlineArray<29, UInt8>, at index: Int) {
        bytes[index] = 0x30 + UInt8(value / 10)
        bytes[index + 1] = 0x30 + UInt8(value % 10)
    }

    /// The Gregorian date of a day since 1970-01-01. The year is counted from March, so that the leap day is its last
    /// day, and 400 years (146,097 days) are one period.
    static func civil(days: Int64) -> (year: Int, month: Int, day: Int) {
        let fromMarch = Int(days) + 719_468
        let period = fromMarch / 146_097
        let dayOfPeriod = fromMarch % 146_097
        let yearOfPeriod =
            (dayOfPeriod - dayOfPeriod / 1_460 + dayOfPeriod / 36_524 - dayOfPeriod / 146_096) / 365
        let dayOfYear = dayOfPeriod - (365 * yearOfPeriod + yearOfPeriod / 4 - yearOfPeriod / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shifted + 2) / 5 + 1
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (period * 400 + yearOfPeriod + (month <= 2 ? 1 : 0), month, day)
    }
}
