extension HTTPDate {
    /// Reads a date in each of the three forms that a recipient must know (RFC 9110 §5.6.7), spelled exactly.
    ///
    /// - Parameters:
    ///   - text: A field value out of a parsed head.
    ///   - now: Seconds since 1970. A year of two digits that would lie more than 50 years ahead is a past one.
    /// - Returns: Seconds since 1970; `nil` for anything else, which recipients must ignore.
    package static func parse(_ text: UnsafeRawBufferPointer, now: Int64) -> Int64? {
        let text = unsafe Input(text)
        return fixed(text) ?? dashed(text, now: now) ?? asctime(text)
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    private static func fixed(_ text: Input) -> Int64? {
        guard text.count == length, short(weekdays, text[0..<3]) != nil, matches(text[3..<5], ", "),
            text[7] == Octet.space, text[11] == Octet.space, text[16] == Octet.space, matches(text[25..<29], " GMT"),
            let day = text[5..<7].decimal, let month = short(months, text[8..<11]), let year = text[12..<16].decimal
        else { return nil }
        return seconds(year, month, day, text[17..<25])
    }

    /// `Sunday, 06-Nov-94 08:49:37 GMT`, the form of RFC 850.
    private static func dashed(_ text: Input, now: Int64) -> Int64? {
        var comma = 0
        while comma < text.count, text[comma] != 0x2C { comma += 1 }
        let rest = text[min(comma + 1, text.count)..<text.count]
        guard comma < text.count, isLongWeekday(text[0..<comma]), rest.count == 23, rest[0] == Octet.space,
            rest[3] == 0x2D, rest[7] == 0x2D, rest[10] == Octet.space, matches(rest[19..<23], " GMT"),
            let day = rest[1..<3].decimal, let month = short(months, rest[4..<7]), let digits = rest[8..<10].decimal
        else { return nil }
        let thisYear = civil(days: max(now, 0) / 86_400).year
        var year = thisYear / 100 * 100 + digits
        if year > thisYear + 50 { year -= 100 }
        return seconds(year, month, day, rest[11..<19])
    }

    /// `Sun Nov  6 08:49:37 1994`, the form of C's asctime().
    private static func asctime(_ text: Input) -> Int64? {
        guard text.count == 24, short(weekdays, text[0..<3]) != nil, text[3] == Octet.space, text[7] == Octet.space,
            text[10] == Octet.space, text[19] == Octet.space, let month = short(months, text[4..<7]),
            let day = text[8] == Octet.space ? text[9..<10].decimal : text[8..<10].decimal,
            let year = text[20..<24].decimal
        else { return nil }
        return seconds(year, month, day, text[11..<19])
    }

    // MARK: Parts

    private static var weekdays: StaticString { "ThuFriSatSunMonTueWed" }
    private static var months: StaticString { "JanFebMarAprMayJunJulAugSepOctNovDec" }

    private static func matches(_ text: Input, _ literal: StaticString) -> Bool {
        let literal = Input(literal)
        guard text.count == literal.count else { return false }
        for index in 0..<text.count where text[index] != literal[index] { return false }
        return true
    }

    /// The place of a three-letter name in a row of them, counted from 1.
    private static func short(_ names: StaticString, _ text: Input) -> Int? {
        let names = Input(names)
        for place in 0..<names.count / 3 {
            let name = names[place * 3..<place * 3 + 3]
            if name[0] == text[0], name[1] == text[1], name[2] == text[2] { return place + 1 }
        }
        return nil
    }

    private static func isLongWeekday(_ text: Input) -> Bool {
        matches(text, "Sunday") || matches(text, "Monday") || matches(text, "Tuesday") || matches(text, "Wednesday")
            || matches(text, "Thursday") || matches(text, "Friday") || matches(text, "Saturday")
    }

    /// - Parameter clock: `08:49:37`; the second may be 60, once in a while.
    private static func seconds(_ year: Int, _ month: Int, _ day: Int, _ clock: Input) -> Int64? {
        guard clock[2] == 0x3A, clock[5] == 0x3A, let hour = clock[0..<2].decimal, let minute = clock[3..<5].decimal,
            let second = clock[6..<8].decimal, hour < 24, minute < 60, second <= 60, day >= 1,
            day <= daysIn(month, of: year)
        else { return nil }
        return daysSince1970(year, month, day) * 86_400 + Int64(hour * 3600 + minute * 60 + second)
    }

    private static func daysIn(_ month: Int, of year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// The reverse of `civil(days:)`, counting years from March in the same way.
    private static func daysSince1970(_ year: Int, _ month: Int, _ day: Int) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let period = (year >= 0 ? year : year - 399) / 400
        let yearOfPeriod = year - period * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfPeriod = yearOfPeriod * 365 + yearOfPeriod / 4 - yearOfPeriod / 100 + dayOfYear
        return Int64(period * 146_097 + dayOfPeriod - 719_468)
    }
}
