import GatewayHTTP
import Testing

@Suite("Paths for routing")
struct PathNormaliserTests {
    private func normalise(_ path: String) throws -> String {
        let bytes = Sample(path).bytes
        let normal = try unsafe bytes.withUnsafeBytes { raw in try unsafe PathNormaliser.normalise(raw) }
        return String(decoding: normal, as: UTF8.self)
    }

    @Test(
        "only what never needed encoding is decoded, and triplets are in capitals",
        arguments: [
            ("/", "/"), ("/a/b", "/a/b"), ("/%61%2d%7E%5f", "/a-~_"), ("/a%2fb", "/a%2Fb"), ("/a%5cb", "/a%5Cb"),
            ("/a%20b", "/a%20b"), ("/%c3%a9", "/%C3%A9"), ("/%25", "/%25"), ("/%252e%252e", "/%252e%252e"),
            ("//", "//"), ("/a//b/", "/a//b/"), ("/.well-known/x", "/.well-known/x"), ("/...", "/..."),
            ("/..a", "/..a"), ("/a..", "/a.."), ("/a.b/.c", "/a.b/.c"), ("", ""), ("/%3b", "/%3B"),
            ("/..a;b", "/..a;b"),
        ])
    func normal(_ path: String, _ expected: String) throws { #expect(try normalise(path) == expected) }

    @Test(
        "dot segments are refused in every disguise",
        arguments: [
            "/.", "/..", "/./", "/../", "/a/../b", "/a/./b", "/a/..", "/%2e", "/%2E%2e", "/.%2e", "/%2e.",
            "/a/%2e%2E/b", "/..;x", "/..;/a", "/.;a", "/..%3bx", "/..%2fa", "/a%2f..", "/a%2f%2e%2e%2fb", "/..%5ca",
            "/a%5c..%5cb", "..", "/%2e%2e;a=b/c",
        ])
    func dotSegments(_ path: String) { #expect(throws: PathError.dotSegment) { try normalise(path) } }

    @Test("bad percent-encoding is refused", arguments: ["/%", "/%4", "/%zz", "/%4g", "/a%", "/%%41"])
    func percent(_ path: String) { #expect(throws: PathError.invalidPercentEncoding) { try normalise(path) } }

    @Test("encoded control characters are refused", arguments: ["/%00", "/a%0d%0a", "/%7f", "/%1F", "/%09"])
    func controls(_ path: String) {
        #expect(throws: PathError.encodedControl) { try normalise(path) }
        for error in [PathError.dotSegment, .invalidPercentEncoding, .encodedControl] {
            #expect(!error.message.isEmpty)
        }
    }

    @Test("a plain path is its own normal form", arguments: ["/", "/a/b.c", "/proxy/manifest/aHR0cA", "/a;b/c..d/"])
    func plain(_ path: String) throws {
        #expect(try #require(readHead("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")).head.pathIsPlain)
        #expect(try normalise(path) == path)
    }

    @Test(
        "lists of tokens are taken apart",
        arguments: [
            ("bearer, abc.def", ["bearer", "abc.def"]), ("", []), (" ,, a ,\tb,", ["a", "b"]), ("a", ["a"]),
        ])
    func lists(_ value: String, _ elements: [String]) {
        let bytes = Array(value.utf8)
        var found: [String] = []
        unsafe bytes.withUnsafeBytes { raw in
            unsafe forEachListElement(of: raw) { element in
                found.append(unsafe String(decoding: element, as: UTF8.self))
                return true
            }
            #expect(unsafe list(raw, contains: "A") == elements.contains("a"))
        }
        #expect(found == elements)
    }
}
