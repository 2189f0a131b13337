import GatewayHTTP
import Testing

@Suite("Dates in requests (RFC 9110 §5.6.7)")
struct HTTPDateTests {
    private static let now: Int64 = 1_750_000_000  // 2025-06-15

    private func parse(_ text: String, now: Int64 = now) -> Int64? {
        let bytes = Sample(text).bytes
        return unsafe bytes.withUnsafeBytes { unsafe HTTPDate.parse($0, now: now) }
    }

    @Test(
        "the three forms that a recipient must know are read",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1), ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800), ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799), ("Sat Jan 31 00:00:00 2026", 1_769_817_600),
            ("Mon, 01 Jan 1900 00:00:00 GMT", -2_208_988_800),
        ] as [(String, Int64)])
    func forms(_ text: String, _ expected: Int64) { #expect(parse(text) == expected) }

    @Test(
        "a year of two digits is at most 50 years ahead",
        arguments: [("75", 2075), ("76", 1976), ("25", 2025), ("00", 2000), ("99", 1999)])
    func shortYears(_ digits: String, _ year: Int) {
        #expect(parse("Sunday, 06-Nov-\(digits) 08:49:37 GMT") == parse("Sun, 06 Nov \(year) 08:49:37 GMT"))
    }

    @Test("what is written is read again", arguments: [0, 1, 951_782_399, 951_782_400, 1_709_251_199, 4_102_444_799])
    func roundTrip(_ seconds: Int64) { #expect(parse(HTTPDate(unixSeconds: seconds).description) == seconds) }

    @Test("every day of four centuries is written and read alike")
    func days() {
        for day in stride(from: Int64(0), to: 146_097, by: 1) {
            let seconds = day * 86_400 + 43_210
            guard parse(HTTPDate(unixSeconds: seconds).description) != seconds else { continue }
            Issue.record("day \(day)")
        }
    }

    @Test(
        "anything else is no date",
        arguments: [
            "", "0", "784111777", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 6 Nov 1994 08:49:37 GMT", "sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
            "Xun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT", "Sun, 29 Feb 2023 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 06 Nov 1994  8:49:37 GMT", "Sun,06 Nov 1994 08:49:37 GMT ", "Sunday, 06 Nov 94 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT", "Funday, 06-Nov-94 08:49:37 GMT", "Sun Nov 006 08:49:37 1994",
            "Sun Nov  6 08:49:37 94  ", "Sun, 06 Nov -994 08:49:37 GMT", "Sun, 06 Nov 1994 08-49-37 GMT",
            "1994-11-06T08:49:37Z", "Sunday,", "Sunday", "Sunday, 06-Nov-94 08:49:37 GM\u{E9}",
        ])
    func refused(_ text: String) { #expect(parse(text) == nil) }
}
