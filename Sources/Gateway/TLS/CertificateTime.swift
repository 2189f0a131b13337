internal import COpenSSL

/// A moment in a certificate, to the second.
package struct CertificateTime: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Seconds since 1970-01-01 00:00:00 UTC, leap seconds not counted.
    package let secondsSince1970: Int

    package init(secondsSince1970: Int) { self.secondsSince1970 = secondsSince1970 }

    /// What the system clock says.
    package static var now: CertificateTime {
        guard let now = unsafe X509_gmtime_adj(nil, 0) else { return CertificateTime(secondsSince1970: 0) }
        defer { unsafe ASN1_TIME_free(now) }
        return unsafe CertificateTime(now) ?? CertificateTime(secondsSince1970: 0)
    }

    init?(_ time: UnsafePointer<ASN1_TIME>?) {
        guard let epoch = unsafe ASN1_TIME_set(nil, 0) else { return nil }
        defer { unsafe ASN1_TIME_free(epoch) }
        var days: CInt = 0
        var seconds: CInt = 0
        guard let time = unsafe time, unsafe ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { return nil }
        secondsSince1970 = Int(days) * 86_400 + Int(seconds)
    }

    package static func < (left: CertificateTime, right: CertificateTime) -> Bool {
        left.secondsSince1970 < right.secondsSince1970
    }

    /// `2026-10-01 12:00:00 UTC`.
    package var description: String {
        let day = (secondsSince1970 >= 0 ? secondsSince1970 : secondsSince1970 - 86_399) / 86_400
        let second = secondsSince1970 - day * 86_400
        // Days to a date of the Gregorian calendar: eras of 400 years, years that begin in March.
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let march = (5 * dayOfYear + 2) / 153
        let month = march < 10 ? march + 3 : march - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let date = "\(year)-\(padded(month))-\(padded(dayOfYear - (153 * march + 2) / 5 + 1))"
        return "\(date) \(padded(second / 3600)):\(padded(second / 60 % 60)):\(padded(second % 60)) UTC"
    }

    private func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
