import GatewayHTTP
import Testing

private let modified: Int64 = 784_111_777
private let onTime = "Sun, 06 Nov 1994 08:49:37 GMT"
private let earlier = "Sun, 06 Nov 1994 08:49:36 GMT"
private let later = "Sunday, 06-Nov-94 08:49:38 GMT"

private let strong = Validators(entityTag: EntityTag("a"), lastModified: modified, isLastModifiedStrong: true)
private let weak = Validators(entityTag: EntityTag("a", isWeak: true), lastModified: modified)

private func result(
    _ fields: String, _ current: Validators = strong, method: String = "GET"
) throws -> PreconditionResult {
    let (head, bytes) = try #require(readHead("\(method) / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"))
    return unsafe bytes.withUnsafeBytes { unsafe head.preconditions(in: $0, for: current, now: 1_750_000_000) }
}

@Suite("Conditional requests (RFC 9110 §13)")
struct ConditionTests {
    @Test("a request without conditions proceeds", arguments: ["", "Range: bytes=0-\r\n", "Accept: */*\r\n"])
    func none(_ fields: String) throws { #expect(try result(fields) == .proceed) }

    @Test(
        "If-None-Match holds for a tag that is as good as the same",
        arguments: [
            (#""a""#, true), (#"W/"a""#, true), ("*", true), (#""b", "a""#, true), (#""b",,W/"a" , "c""#, true),
            (#""x,y", "a""#, true), (#""b""#, false), (#""A""#, false), (#"w/"a""#, false), ("a", false),
            (#""a"#, false), ("", false), (#""""#, false), (#"b, "a""#, false), (#""b" "a""#, false),
            (#""b";q=1, "a""#, false), (#"W/ "a""#, false), ("**", false), (#""a b", "a""#, false),
        ])
    func ifNoneMatch(_ value: String, _ matches: Bool) throws {
        for current in [strong, weak] {
            #expect(try result("If-None-Match: \(value)\r\n", current) == (matches ? .notModified : .proceed))
            #expect(
                try result("If-None-Match: \(value)\r\n", current, method: "HEAD")
                    == (matches ? .notModified : .proceed))
            #expect(try result("If-None-Match: \(value)\r\n", current, method: "PUT") == (matches ? .failed : .proceed))
        }
    }

    @Test("several lines are one list")
    func lines() throws {
        #expect(try result("If-None-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n") == .notModified)
        #expect(try result("If-Match: \"b\"\r\nIf-Match: \"a\"\r\n") == .proceed)
    }

    @Test(
        "If-Match holds for the very same tag only",
        arguments: [
            (#""a""#, true), ("*", true), (#""b", "a""#, true), (#"W/"a""#, false), (#""b""#, false), ("", false),
        ])
    func ifMatch(_ value: String, _ matches: Bool) throws {
        for method in ["GET", "HEAD", "DELETE"] {
            #expect(try result("If-Match: \(value)\r\n", method: method) == (matches ? .proceed : .failed))
        }
        #expect(try result("If-Match: \(value)\r\n", weak) == (value == "*" ? .proceed : .failed))
    }

    @Test(
        "dates are compared to the second, and what is no date is ignored",
        arguments: [
            (onTime, .notModified, .proceed), (earlier, .proceed, .failed), (later, .notModified, .proceed),
            ("yesterday", .proceed, .proceed), ("", .proceed, .proceed),
        ] as [(String, PreconditionResult, PreconditionResult)])
    func dates(_ date: String, _ modifiedSince: PreconditionResult, _ unmodifiedSince: PreconditionResult) throws {
        #expect(try result("If-Modified-Since: \(date)\r\n") == modifiedSince)
        #expect(try result("If-Modified-Since: \(date)\r\n", method: "POST") == .proceed)
        #expect(try result("If-Unmodified-Since: \(date)\r\n") == unmodifiedSince)
        #expect(try result("If-Unmodified-Since: \(date)\r\n", Validators(entityTag: EntityTag("a"))) == .proceed)
        #expect(try result("If-Modified-Since: \(date)\r\n", Validators(entityTag: EntityTag("a"))) == .proceed)
    }

    @Test("two dates are no date")
    func twoDates() throws {
        #expect(try result("If-Modified-Since: \(later)\r\nIf-Modified-Since: \(later)\r\n") == .proceed)
    }

    @Test(
        "a tag outranks a date, and a request to change comes first (§13.2.2)",
        arguments: [
            ("If-Match: \"a\"\r\nIf-Unmodified-Since: \(earlier)", .proceed),
            ("If-Match: \"b\"\r\nIf-Unmodified-Since: \(later)", .failed),
            ("If-None-Match: \"b\"\r\nIf-Modified-Since: \(later)", .proceed),
            ("If-None-Match: \"a\"\r\nIf-Modified-Since: \(earlier)", .notModified),
            ("If-Match: \"b\"\r\nIf-None-Match: \"a\"", .failed),
            ("If-Match: \"a\"\r\nIf-None-Match: \"a\"", .notModified),
            ("If-Unmodified-Since: \(earlier)\r\nIf-None-Match: \"a\"", .failed),
            ("If-Unmodified-Since: \(later)\r\nIf-Modified-Since: \(later)", .notModified),
        ] as [(String, PreconditionResult)])
    func precedence(_ fields: String, _ expected: PreconditionResult) throws {
        #expect(try result("\(fields)\r\n") == expected)
    }

    @Test("tags are written as they are sent")
    func description() {
        #expect(EntityTag("x-1").description == "\"x-1\"")
        #expect(EntityTag("x-1").weakened.description == "W/\"x-1\"")
        #expect(EntityTag("x").weakened.weakened == EntityTag("x", isWeak: true))
    }
}

@Suite("Ranges (RFC 9110 §14)")
struct RangeTests {
    private func select(
        _ fields: String, length: UInt64 = 100, _ current: Validators = strong, method: String = "GET", limit: Int = 4
    ) throws -> RangeSelection {
        let (head, bytes) = try #require(readHead("\(method) / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"))
        return unsafe bytes.withUnsafeBytes {
            unsafe head.selection(in: $0, of: length, for: current, now: 1_750_000_000, limit: limit)
        }
    }

    @Test(
        "one range selects one part",
        arguments: [
            ("bytes=0-0", 0..<1), ("bytes=0-", 0..<100), ("bytes=99-", 99..<100), ("bytes=10-19", 10..<20),
            ("bytes=-1", 99..<100), ("bytes=-100", 0..<100), ("bytes=-500", 0..<100), ("bytes=50-1000", 50..<100),
            ("BYTES=0-1", 0..<2), ("bytes= 0-1", 0..<2), ("bytes=,0-1,", 0..<2), ("bytes=000-01", 0..<2),
            ("bytes=5-99999999999999999999999999", 5..<100), ("bytes=-99999999999999999999999999", 0..<100),
            ("bytes=0-1,200-", 0..<2), ("bytes=300-400, -5", 95..<100),
        ] as [(String, Range<UInt64>)])
    func one(_ value: String, _ part: Range<UInt64>) throws {
        #expect(try select("Range: \(value)\r\n") == .parts([part]))
    }

    @Test(
        "several ranges that are apart keep their order, others become one",
        arguments: [
            ("bytes=0-1,5-6", [0..<2, 5..<7]), ("bytes=5-6,0-1", [5..<7, 0..<2]), ("bytes=0-4,2-6", [0..<7]),
            ("bytes=5-9,0-4", [0..<10]), ("bytes=0-,0-,0-,0-", [0..<100]),
            ("bytes=0-50,40-60,90-", [0..<61, 90..<100]),
            ("bytes=0-9,20-29,3-4", [0..<10, 20..<30]), ("bytes=-1,0-0,-2", [0..<1, 98..<100]),
        ] as [(String, [Range<UInt64>])])
    func several(_ value: String, _ parts: [Range<UInt64>]) throws {
        #expect(try select("Range: \(value)\r\n") == .parts(parts))
    }

    @Test(
        "what is no range of bytes, or too many of them, selects the whole",
        arguments: [
            "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=a-b", "bytes=1", "bytes=5-4", "bytes=0-1,5-4", "bytes=0--1",
            "bytes=+1-2", "bytes=0 - 1", "bytes=0x0-1", "items=0-1", "0-1", "bytes:0-1", "bytes=0-1;2-3",
            "bytes=0-0,2-2,4-4,6-6,8-8", "bytes=0-0,,,1-1,2-2,3-3,4-4", "", "bytes=0-1\u{E9}",
        ])
    func whole(_ value: String) throws { #expect(try select("Range: \(value)\r\n") == .whole) }

    @Test("no byte in any range is 416", arguments: ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=200-,-0"])
    func unsatisfiable(_ value: String) throws { #expect(try select("Range: \(value)\r\n") == .unsatisfiable) }

    @Test("an empty file is sent whole", arguments: ["bytes=0-", "bytes=-5", "bytes=0-0"])
    func empty(_ value: String) throws { #expect(try select("Range: \(value)\r\n", length: 0) == .whole) }

    @Test("only GET has ranges, and only one field of them")
    func method() throws {
        #expect(try select("Range: bytes=0-1\r\n", method: "HEAD") == .whole)
        #expect(try select("Range: bytes=0-1\r\n", method: "POST") == .whole)
        #expect(try select("Range: bytes=0-1\r\nRange: bytes=0-1\r\n") == .whole)
        #expect(try select("") == .whole)
    }

    @Test(
        "If-Range takes the very same state only",
        arguments: [
            (#""a""#, true, false), (#"W/"a""#, false, false), (#""b""#, false, false), (#""b", "a""#, false, false),
            ("*", false, false), (onTime, true, false), (later, false, false), (earlier, false, false),
            ("", false, false), ("a", false, false),
        ])
    func ifRange(_ value: String, _ whenStrong: Bool, _ whenWeak: Bool) throws {
        for (current, expected) in [(strong, whenStrong), (weak, whenWeak)] {
            #expect(
                try select("Range: bytes=0-1\r\nIf-Range: \(value)\r\n", current)
                    == (expected ? .parts([0..<2]) : .whole))
        }
    }

    @Test("several parts are framed as multipart/byteranges, and the length is known before")
    func multipart() {
        let frame = MultipartRanges([0..<2, 8..<10], of: 10, partType: "text/plain", boundary: "b0")
        let content = Array("0123456789".utf8)
        var body: [UInt8] = []
        for place in frame.parts.indices {
            body += frame.lead(place) + content[Int(frame.parts[place].lowerBound)..<Int(frame.parts[place].upperBound)]
        }
        body += frame.end
        #expect(
            String(decoding: body, as: UTF8.self)
                == """
                --b0\r
                Content-Type: text/plain\r
                Content-Range: bytes 0-1/10\r
                \r
                01\r
                --b0\r
                Content-Type: text/plain\r
                Content-Range: bytes 8-9/10\r
                \r
                89\r
                --b0--\r

                """)
        #expect(frame.byteCount == UInt64(body.count))
        #expect(frame.contentType == "multipart/byteranges; boundary=b0")
        #expect(ContentRange.unsatisfied(length: 7) == "bytes */7")
    }
}
