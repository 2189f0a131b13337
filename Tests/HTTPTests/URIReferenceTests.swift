import GatewayHTTP
import Testing

@Suite("References against a base (RFC 3986 §5.4)")
struct URIReferenceTests {
    static let base = "http://a/b/c/d;p?q"

    @Test(
        "normal examples (§5.4.1)",
        arguments: [
            ("g", "http://a/b/c/g"), ("./g", "http://a/b/c/g"), ("g/", "http://a/b/c/g/"), ("/g", "http://a/g"),
            ("//g", "http://g/"), ("?y", "http://a/b/c/d;p?y"), ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"), ("g#s", "http://a/b/c/g"), ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"), ("g;x", "http://a/b/c/g;x"), ("g;x?y#s", "http://a/b/c/g;x?y"),
            ("", "http://a/b/c/d;p?q"), (".", "http://a/b/c/"), ("./", "http://a/b/c/"), ("..", "http://a/b/"),
            ("../", "http://a/b/"), ("../g", "http://a/b/g"), ("../..", "http://a/"), ("../../", "http://a/"),
            ("../../g", "http://a/g"),
        ])
    func normal(_ reference: String, _ expected: String) throws {
        try expect(reference, expected)
    }

    @Test(
        "abnormal examples (§5.4.2)",
        arguments: [
            ("../../../g", "http://a/g"), ("../../../../g", "http://a/g"), ("/./g", "http://a/g"),
            ("/../g", "http://a/g"), ("g.", "http://a/b/c/g."), (".g", "http://a/b/c/.g"), ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"), ("./../g", "http://a/b/g"), ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"), ("g/../h", "http://a/b/c/h"), ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"), ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"), ("g#s/./x", "http://a/b/c/g"), ("g#s/../x", "http://a/b/c/g"),
        ])
    func abnormal(_ reference: String, _ expected: String) throws {
        try expect(reference, expected)
    }

    @Test("other schemes are refused by name (§5.4: g:h, and http:g read strictly)")
    func schemes() throws {
        let base = try HTTPURL(Self.base)
        #expect(throws: HTTPURLError.unsupportedScheme("g")) { try base.resolve("g:h") }
        #expect(throws: HTTPURLError.missingHost) { try base.resolve("http:g") }
        #expect(throws: HTTPURLError.unsupportedScheme("javascript")) { try base.resolve("JavaScript:alert(1)") }
    }

    @Test(
        "what playlists contain",
        arguments: [
            ("//Host.Example:8080/x", "http://host.example:8080/x"), ("HTTPS://H/x", "https://h/x"),
            ("//[2001:DB8::1]/x?y", "http://[2001:db8::1]/x?y"), ("12:30.ts", "http://a/b/c/12:30.ts"),
            ("./a:b", "http://a/b/c/a:b"), ("?", "http://a/b/c/d;p?"), ("/", "http://a/"), ("/..", "http://a/"),
            ("//g/../x", "http://g/x"), ("///g", nil), ("..//g", "http://a/b//g"), ("g//../h", "http://a/b/c/g/h"),
            ("/a/b/../../../c/./", "http://a/c/"), ("%2e%2e/g", "http://a/b/c/%2e%2e/g"),
        ])
    func others(_ reference: String, _ expected: String?) throws {
        guard let expected else {
            #expect(throws: HTTPURLError.missingHost) { try HTTPURL(Self.base).resolve(reference) }
            return
        }
        try expect(reference, expected)
    }

    @Test("a base without a path or query lends the root")
    func rootBase() throws {
        let base = try HTTPURL("https://a?x")
        #expect(try base.resolve("g").text == "https://a/g")
        #expect(try base.resolve("").text == "https://a/?x")
        #expect(try base.resolve("?y").text == "https://a/?y")
    }

    @Test("the parts of a reference are found, and the fragment is left off")
    func parts() {
        func parts(_ text: String) -> URIReference { URIReference(Array(text.utf8).span) }

        let whole = parts("http://h:1/p?q#f")
        #expect(whole.scheme == 0..<4 && whole.authority == 7..<10 && whole.path == 10..<12 && whole.query == 13..<14)
        let bare = parts("p")
        #expect(bare.scheme == nil && bare.authority == nil && bare.path == 0..<1 && bare.query == nil)
        #expect(parts("").path.isEmpty && parts("a").scheme == nil && parts(":").scheme == nil)
        #expect(parts("//").authority == 2..<2 && parts("?").query == 1..<1 && parts("a_b:c").scheme == nil)
    }

    @Test("removing dot segments is one pass, also over a hostile path")
    func longPath() throws {
        var path = Array("/".utf8)
        for _ in 0..<50_000 { path += Array("a/../".utf8) }
        URIReference.removeDotSegments(&path, from: 0)
        #expect(path == Array("/".utf8))
    }

    private func expect(_ reference: String, _ expected: String) throws {
        let base = try HTTPURL(Self.base)
        let resolved = try base.resolve(reference)
        #expect(resolved.text == expected)
        #expect(try base.resolve(reference, as: .lenient) == resolved)
        #expect(try HTTPURL(expected) == resolved, "canonical and stable")
    }
}

extension HTTPURL {
    /// The whole URL, for comparison.
    var text: String { String(decoding: bytes, as: UTF8.self) }
}
