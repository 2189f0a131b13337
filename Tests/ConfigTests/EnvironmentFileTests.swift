import GatewayBytes
import Testing

@testable import GatewayConfig

@Suite("Settings files, as systemd reads an EnvironmentFile")
struct EnvironmentFileTests {
    private func parse(_ text: String) -> (values: [String: String], problems: [String]) {
        var problems: [String] = []
        return (EnvironmentFile.parse(Array(text.utf8), problems: &problems), problems)
    }

    @Test(
        "a value is what stands behind `=`, by the rules of quotes",
        arguments: [
            ("A=b", "b"), ("A=", ""), ("A = b ", "b"), ("  A=b\r", "b"), ("A=b c", "b c"),
            ("A=b # no comment", "b # no comment"),
            ("A=a=b", "a=b"), (#"A=b\ "#, "b "), (#"A=a\b"#, "ab"), ("A=one\\\n  two", "one  two"),
            ("A=one\\\r\n  two\r\n", "one  two"),
            (#"A="b""#, "b"), (#"A=" b ""#, " b "), (#"A="a\"b\\c\$d\`e\f""#, #"a"b\c$d`e\f"#), ("A=\"a\\\nb\"", "ab"),
            ("A=\"a\\\r\nb\"", "ab"), ("A=\"a\\\rb\"", "a\\\rb"), ("A=\"a\\\\\r\nb\"", "a\\\r\nb"),
            ("A=\"a\nb\"", "a\nb"), ("A='a\\b\"$c'", "a\\b\"$c"), ("A='a\nb'", "a\nb"), (#"A=it's"#, "it's"),
            ("A=\"\"", ""), ("A='b'   ", "b"), ("A=ü", "ü"),
        ])
    func value(_ text: String, _ expected: String) {
        #expect(parse(text).values == ["A": expected])
        #expect(parse(text).problems.isEmpty)
        #expect(parse("# before\n\n; also\nZ=1\n" + text + "\nB=2\n").values == ["A": expected, "B": "2", "Z": "1"])
    }

    @Test(
        "what it does not understand is refused, by line, and the next line is read all the same",
        arguments: [
            ("export A=b", "line 2: what stands before `=` is no name"), ("A", "line 2: there is no `=`"),
            ("=b", "line 2: what stands before `=` is no name"), ("1A=b", "line 2: what stands before `=` is no name"),
            ("A-B=c", "line 2: what stands before `=` is no name"), (#"A="b"c"#, "line 2: something stands behind"),
            ("A='b' # c", "line 2: something stands behind"), ("FIRST=2", "line 2: FIRST stands on line 1 already"),
            ("A=b\0c", "line 2: the value of A is not text"),
        ])
    func refusal(_ line: String, _ problem: String) {
        let outcome = parse("FIRST=1\n\(line)\nLAST=1")
        #expect(outcome.problems.count == 1)
        #expect(outcome.problems.first?.hasPrefix(problem) == true, "\(outcome.problems)")
        #expect(outcome.values == ["FIRST": "1", "LAST": "1"])
    }

    @Test("a quote that never ends is told where it begins, and no value is ever shown")
    func endlessQuote() {
        let outcome = parse("A=1\nB=\"secret\nC=2\n")
        #expect(outcome.problems == ["line 2: the quote that begins here never ends"])
        #expect(outcome.values == ["A": "1"])
    }

    @Test("bytes that are no text, and a file that is too large, are refused")
    func bounds() {
        var problems: [String] = []
        #expect(EnvironmentFile.parse([0x41, 0x3D, 0xFF], problems: &problems).isEmpty)
        #expect(problems == ["line 1: the value of A is not text in UTF-8"])
        problems = []
        let large = [UInt8](repeating: 0x23, count: EnvironmentFile.limit + 1)
        #expect(EnvironmentFile.parse(large, problems: &problems).isEmpty)
        #expect(problems == ["is larger than 256 KiB"])
    }

    @Test("cut anywhere it neither hangs nor traps")
    func cuts() {
        let text = Array("A='b\\'\nB=\"c\\\"d\"\nC=e\\\n f\n# g\nH".utf8)
        for end in 0...text.count {
            var problems: [String] = []
            let values = EnvironmentFile.parse(Array(text[..<end]), problems: &problems)
            #expect(values.count <= 3 && problems.count <= 2)
        }
    }
}

@Suite("Digests: whether a setting has changed, without keeping it")
struct SettingDigestTests {
    private func digests(_ environment: [String: String]) -> [String: SettingDigest] {
        var reader = SettingsReader(environment: environment)
        let _: Duration = reader.optional("WAIT", default: .seconds(30), bare: .seconds, "A wait.")
        let _: Secret? = reader.optional("SECRET", "A secret.")
        let _: String = reader.optional("URL", default: "none", "A URL.")
        let _: [Int] = reader.optional("LIST", type: "list", default: [], "A list.") { (text) throws(SettingError) in
            [text.count]
        }
        return reader.digests
    }

    @Test("the same value has the same digest, however it is written, and by default")
    func same() {
        #expect(digests([:]) == digests(["WAIT": "30s", "URL": "none"]))
        #expect(digests(["WAIT": "60"])["WAIT"] == digests(["WAIT": "1m"])["WAIT"])
    }

    @Test("another value has another, also where nothing of it is shown")
    func different() {
        #expect(digests(["SECRET": "one"])["SECRET"] != digests(["SECRET": "two"])["SECRET"])
        #expect(digests(["SECRET": "one"])["SECRET"] != digests([:])["SECRET"])
        let urls = ["http://a:one@host/", "http://a:two@host/"].map { digests(["URL": $0])["URL"] }
        #expect(urls[0] != urls[1])
        #expect(digests(["LIST": "ab"])["LIST"] != digests(["LIST": "cd"])["LIST"])
    }

    @Test("a part's names are those it read, whether set or not")
    func names() {
        struct Part: Settings {
            init(from env: inout SettingsReader) {
                let _: Int = env.optional("COUNT", default: 1, "A count.")
                let _: Secret? = env.optional("KEY", "A key.")
            }
        }
        var reader = SettingsReader(environment: ["PART_COUNT": "2"])
        let _: Int = reader.optional(exactly: "OTHER", default: 1, "Another.")
        #expect(reader.read(Part.self, prefix: "PART", section: "Part").names == ["PART_COUNT", "PART_KEY"])
    }
}
