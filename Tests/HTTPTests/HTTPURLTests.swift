import GatewayHTTP
import Testing

@Suite("URLs of http and https")
struct HTTPURLTests {
    @Test("the parts of a URL are at hand")
    func parts() throws {
        let url = try HTTPURL("HTTPS://CDN.Example:8443/live/../vod/a%20b.m3u8?x=1&y=/../#frag")
        #expect(url.text == "https://cdn.example:8443/vod/a%20b.m3u8?x=1&y=/../")
        #expect(url.scheme == .https && url.port == 8443 && url.address == nil)
        #expect(url.hostName == "cdn.example" && url.host.elementsEqual("cdn.example".utf8))
        #expect(url.authority.elementsEqual("cdn.example:8443".utf8))
        #expect(url.origin == "https://cdn.example:8443")
        #expect(url.target.elementsEqual("/vod/a%20b.m3u8?x=1&y=/../".utf8))
        #expect(url.path.elementsEqual("/vod/a%20b.m3u8".utf8))
        #expect(url.query?.elementsEqual("x=1&y=/../".utf8) == true)
    }

    @Test(
        "one spelling stands for all that mean the same",
        arguments: [
            ("http://h", "http://h/"), ("http://h:80/", "http://h/"), ("https://h:443", "https://h/"),
            ("http://h:443", "http://h:443/"), ("http://h:/x", "http://h/x"), ("http://h?q", "http://h/?q"),
            ("http://h#f", "http://h/"), ("http://h/?", "http://h/?"), ("hTTp://H/", "http://h/"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"), ("http://[::1]:80/", "http://[::1]/"),
            ("http://[0:0::0001]:81/", "http://[::1]:81/"), ("http://[::FFFF:1.2.3.4]/", "http://[::ffff:1.2.3.4]/"),
            ("http://h./", "http://h./"), ("http://a_b-c.1d/", "http://a_b-c.1d/"),
            ("http://h/%2F|[]", "http://h/%2F|[]"),
            ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"), ("http://0xg/", "http://0xg/"),
            ("http://1.2.3.4.example/", "http://1.2.3.4.example/"),
        ])
    func canonical(_ text: String, _ expected: String) throws {
        let url = try HTTPURL(text)
        #expect(url.text == expected)
        #expect(try HTTPURL(expected) == url)
        #expect(try HTTPURL(expected).hashValue == url.hashValue)
    }

    @Test(
        "a path and a query that are canonical make the URL that reading the whole makes; others are left to that",
        arguments: [
            ("/", "", true), ("/a/b", "x=1&y=/?", true), ("//other.example/", "", true), ("/a;b=[1]|c", "", true),
            ("", "", false), ("a", "", false), ("/a%20b", "", false), ("/a/../b", "", false),
            ("/.well-known", "", false),
            ("/a b", "", false), ("/a?b", "", false), ("/a^b", "", false), ("/a\\b", "", false), ("/a#b", "", false),
            ("/ü", "", false), ("/a\r\nb", "", false), ("/a", "b%20c", false), ("/a", "b#c", false),
            ("/a", "\u{7F}", false),
            ("/" + String(repeating: "a", count: HTTPURL.defaultLimit), "", false),
        ])
    func withTarget(_ path: String, _ query: String, _ isMade: Bool) throws {
        let base = try HTTPURL("https://host.example:8443/elsewhere?z")
        let made = base.with(path: Array(path.utf8), query: Array(query.utf8))
        #expect((made != nil) == isMade)
        guard let made else { return }
        let read = try HTTPURL("https://host.example:8443\(path)\(query.isEmpty ? "" : "?" + query)")
        #expect(made == read)
        #expect(made.path == read.path && made.query == read.query && made.target == read.target)
        #expect(made.host == read.host && made.port == read.port && made.authority == read.authority)
    }

    @Test(
        "what is no such URL is refused, and why",
        arguments: [
            ("", .missingScheme), ("/x", .missingScheme), ("//h/x", .missingScheme), ("h/x", .missingScheme),
            ("h:80/x", .unsupportedScheme("h")), ("ftp://h/", .unsupportedScheme("ftp")),
            ("data:text/plain,x", .unsupportedScheme("data")), ("javascript:1", .unsupportedScheme("javascript")),
            ("file:///etc/passwd", .unsupportedScheme("file")), ("httpss://h", .unsupportedScheme("httpss")),
            ("http:", .missingHost), ("http:/", .missingHost), ("http:/h", .missingHost), ("http://", .missingHost),
            ("http:///x", .missingHost), ("http://:80/", .missingHost), ("http://?q", .missingHost),
            ("http://u@h/", .userinfo), ("http://u:p@h/", .userinfo), ("http://@h/", .userinfo),
            ("http://good.example@evil.example/", .userinfo), ("http://a b/", .invalidHost),
            ("http://a%41/", .invalidHost), ("http://ü/", .invalidHost), ("http://a..b/", .invalidHost),
            ("http://.a/", .invalidHost), ("http://a,b/", .invalidHost), ("http://a\\b/", .invalidHost),
            ("http://a\tb/", .invalidHost), ("http://h\\@x/", .userinfo), ("http://h]/", .invalidHost),
            ("http://2130706433/", .ambiguousIPv4), ("http://0x7f.1/", .ambiguousIPv4),
            ("http://127.1/", .ambiguousIPv4),
            ("http://0177.0.0.1/", .ambiguousIPv4), ("http://0x7f000001/", .ambiguousIPv4),
            ("http://127.0.0.1./", .ambiguousIPv4), ("http://1.2.3.256/", .ambiguousIPv4),
            ("http://0/", .ambiguousIPv4),
            ("http://1.2.3.4.5/", .ambiguousIPv4), ("http://0X7F.0.0.0x1/", .ambiguousIPv4),
            ("http://0x/", .ambiguousIPv4),
            ("http://a.07/", .ambiguousIPv4), ("http://[::1/", .invalidIPv6), ("http://[]/", .invalidIPv6),
            ("http://[1.2.3.4]/", .invalidIPv6), ("http://[fe80::1%25eth0]/", .invalidIPv6),
            ("http://[v1.x]/", .invalidIPv6), ("http://[::1]x/", .invalidHost), ("http://[::1]:x/", .invalidPort),
            ("http://h:0/", .invalidPort), ("http://h:65536/", .invalidPort), ("http://h:080/", .invalidPort),
            ("http://h:+80/", .invalidPort), ("http://h:80:80/", .invalidPort), ("http://h:123456/", .invalidPort),
            ("http://::1/", .missingHost), ("http://h/a b", .forbiddenByte(0x20)), (" http://h/", .missingScheme),
            ("http://h/ ", .forbiddenByte(0x20)), ("http://h/a\\b", .forbiddenByte(0x5C)),
            ("http://h/a\r\nX:1", .forbiddenByte(0x0D)), ("http://h/?a\u{0}", .forbiddenByte(0)),
            ("http://h/\u{7F}", .forbiddenByte(0x7F)), ("http://h/é", .forbiddenByte(0xC3)),
            ("http://h/\"", .forbiddenByte(0x22)), ("http://h/?{", .forbiddenByte(0x7B)),
            ("http://h/%", .invalidPercentEncoding), ("http://h/%4", .invalidPercentEncoding),
            ("http://h/?%zz", .invalidPercentEncoding), ("http://h/?a\\b", .forbiddenByte(0x5C)),
        ] as [(String, HTTPURLError)])
    func refused(_ text: String, _ error: HTTPURLError) {
        #expect(throws: error) { try HTTPURL(text) }
    }

    @Test(
        "the lenient reading mends path and query as players do",
        arguments: [
            ("http://h/a b", "http://h/a%20b"), (" \thttp://h/x \t", "http://h/x"), ("http://h/é", "http://h/%C3%A9"),
            ("http://h/?q=é ü", "http://h/?q=%C3%A9%20%C3%BC"), ("http://h/100%.ts", "http://h/100%25.ts"),
            ("http://h/%4", "http://h/%254"), ("http://h/\"<>^`{}", "http://h/%22%3C%3E%5E%60%7B%7D"),
            ("http://h/a%20b", "http://h/a%20b"), ("http://h/a#ü b", "http://h/a"),
            ("http://h/?a\\b\\", "http://h/?a%5Cb%5C"), ("http://h?\\@g", "http://h/?%5C@g"),
        ])
    func lenient(_ text: String, _ expected: String) throws {
        let url = try HTTPURL(lenient: text)
        #expect(url.text == expected)
        #expect(try HTTPURL(expected) == url, "what was mended is strictly right")
    }

    @Test(
        "the lenient reading is lenient about nothing else",
        arguments: [
            ("http://ü/", .invalidHost), ("http://127.1/", .ambiguousIPv4), ("http://u@h/", .userinfo),
            ("http://h/a\nb", .forbiddenByte(0x0A)), ("http://h/a\\b", .forbiddenByte(0x5C)),
            ("http://h/a\\b?c\\d", .forbiddenByte(0x5C)), ("http://h\\?c", .invalidHost),
            ("java\tscript:x", .missingScheme), ("http://h /", .invalidHost),
        ] as [(String, HTTPURLError)])
    func lenientRefusals(_ text: String, _ error: HTTPURLError) {
        #expect(throws: error) { try HTTPURL(lenient: text) }
    }

    @Test("names and labels have their DNS lengths")
    func lengths() throws {
        let label = String(repeating: "a", count: 63)
        #expect(throws: Never.self) { try HTTPURL("http://\(label)/") }
        #expect(throws: HTTPURLError.invalidHost) { try HTTPURL("http://\(label)a/") }
        let name = [label, label, label, String(repeating: "b", count: 61)].joined(separator: ".")
        #expect(throws: Never.self) { try HTTPURL("http://\(name)/") }
        #expect(throws: HTTPURLError.invalidHost) { try HTTPURL("http://\(name)b/") }
    }

    @Test("the limit holds for what comes in and for what comes out")
    func limit() throws {
        #expect(throws: HTTPURLError.tooLong(limit: 10)) { try HTTPURL("http://h/xx", limit: 10) }
        #expect(throws: Never.self) { try HTTPURL("http://h/x", limit: 10) }
        #expect(throws: HTTPURLError.tooLong(limit: 12)) { try HTTPURL(lenient: "http://h/ü", limit: 12) }
        #expect(throws: HTTPURLError.tooLong(limit: 9)) { try HTTPURL("http://h?x", limit: 9) }
        let base = try HTTPURL("http://h/" + String(repeating: "a/", count: 100))
        let reference = Array(String(repeating: "b", count: 100).utf8)
        #expect(throws: HTTPURLError.tooLong(limit: 300)) { try base.resolve(reference.span, limit: 300) }
        #expect(throws: HTTPURLError.tooLong(limit: 8192)) {
            try HTTPURL("http://h/" + String(repeating: "x", count: 8192))
        }
    }

    @Test("every prefix of a URL is read or refused, never worse")
    func split() {
        let bytes = Array("https://[2001:db8::1]:8443/a%20b/../c?d=%41#e".utf8)
        for end in bytes.indices {
            let url = try? HTTPURL(bytes.span.extracting(0..<end))
            if let url { #expect((try? HTTPURL(url.text)) == url) }
        }
    }

    @Test("every single byte in host, path and query is read or refused, and a URL is visible ASCII")
    func everyByte() {
        for byte in UInt8.min...UInt8.max {
            for spelling in [HTTPURL.Spelling.strict, .lenient] {
                for text in ["http://a|b/", "http://a/|x", "http://a/?x|", "http|://a/"] {
                    let bytes = Array(text.utf8).map { $0 == UInt8(ascii: "|") ? byte : $0 }
                    guard let url = try? HTTPURL(bytes.span, as: spelling) else { continue }
                    #expect(url.bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F })
                }
            }
        }
    }

    @Test("origins compare in canonical form")
    func origins() throws {
        let url = try HTTPURL("https://CDN.example:443/a")
        #expect(url.origin == "https://cdn.example")
        #expect(url.hasSameOrigin(as: try HTTPURL("https://cdn.example/b?c")))
        for other in [
            "http://cdn.example/", "https://cdn.example:444/", "https://cdn.example./", "https://cdn.example.org/",
        ] {
            #expect(!url.hasSameOrigin(as: try HTTPURL(other)), "\(other)")
        }
        #expect(try HTTPURL("http://[::1]:8080/").hostName == "::1")
    }

    @Test("a query can be replaced and removed, and is checked")
    func replacingQuery() throws {
        let url = try HTTPURL("http://h/p?a=1")
        let query = Array("b=2".utf8)
        let replaced = try url.replacingQuery(query.span)
        #expect(replaced.text == "http://h/p?b=2")
        #expect(try url.replacingQuery(nil).text == "http://h/p")
        #expect(throws: HTTPURLError.tooLong(limit: 12)) { try url.replacingQuery(query.span, limit: 12) }
        for byte in [0x20, 0x23, 0x0A] as [UInt8] {
            let bytes = [byte]
            #expect(throws: HTTPURLError.forbiddenByte(byte)) { try url.replacingQuery(bytes.span) }
        }
    }

    @Test("a printed URL does not show its query")
    func printing() throws {
        #expect("\(try HTTPURL("http://h/p?token=secret"))" == "http://h/p?…")
        #expect("\(try HTTPURL("http://h/p"))" == "http://h/p")
    }
}
