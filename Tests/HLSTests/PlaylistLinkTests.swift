import GatewayBytes
import GatewayHTTP
import Testing

@testable import HLSPlugin

@Suite("Links through the gateway")
struct PlaylistLinkTests {
    @Test("a link is what other programs of this family write, and reads back")
    func roundTrip() throws {
        let url = try HTTPURL("https://cdn.example/a.m3u8?x=1")
        let link = ProxyLink(kind: .playlist, url: url)
        let path = String(decoding: link.path(), as: UTF8.self)
        #expect(path == "/proxy/manifest/aHR0cHM6Ly9jZG4uZXhhbXBsZS9hLm0zdTg_eD0x.m3u8")
        #expect(try read(.playlist, String(path.dropFirst(16))) == link)
        let segment = ProxyLink(kind: .media, url: try HTTPURL("http://h/"))
        #expect(String(decoding: segment.path(under: "/x/y"), as: UTF8.self) == "/x/y/segment/aHR0cDovL2gv")
    }

    @Test(
        "a link ends as the upstream path does, and is read with any such end or none",
        arguments: [
            ("http://h/a.ts", ".ts"), ("http://h/a.m4s?x=.mp4", ".m4s"), ("http://h/a", ""), ("http://h/a.b/", ""),
            ("http://h/a.123456", ""), ("http://h/a.t%73", ""), ("http://cdn.example/", ""),
        ])
    func pathExtension(_ text: String, _ expected: String) throws {
        let link = ProxyLink(kind: .media, url: try HTTPURL(text))
        let segment = String(decoding: link.path().dropFirst(15), as: UTF8.self)
        let encoded = Base64URL.encode(Array(text.utf8), padding: true)
        #expect(segment == encoded + expected)
        for other in ["", ".ts", ".m3u8", ".MP4", ".x", ".12345"] {
            #expect(try read(.media, encoded + other) == link)
            #expect(try read(.media, encoded.replacing("=", with: "%3D") + other) == link)
        }
        for other in [".", ".123456", ".t-s", "..ts", ".ts.ts", ".ts="] {
            #expect(throws: ProxyLinkError.encoding) { try read(.media, encoded + other) }
        }
    }

    @Test("padding may be there, left off, or percent-encoded", arguments: ["", "==", "%3D%3D", "%3d%3D"])
    func padding(_ padding: String) throws {
        #expect(try read(.media, "aHR0cDovL2gvYQ" + padding).url.text == "http://h/a")
        #expect(String(decoding: try read(.media, "aHR0cDovL2gvYQ").path(), as: UTF8.self).hasSuffix("YQ=="))
    }

    @Test(
        "anything but URL-safe base64 is refused",
        arguments: [
            "aHR0cDovL2gvYQ=", "aHR0cDovL2gvYQ===", "aHR0cDovL2gvYR", "a", "aHR0 cDov", "aHR0+cDo", "aHR0/cDo", "%",
            "=", "é",
        ])
    func encoding(_ text: String) {
        #expect(throws: ProxyLinkError.encoding) { try read(.media, text) }
    }

    @Test(
        "what is encoded must be a URL the gateway would ask for",
        arguments: [
            ("", .missingScheme), ("/x", .missingScheme), ("file:///etc/passwd", .unsupportedScheme("file")),
            ("http://u@h/", .userinfo), ("http://127.1/", .ambiguousIPv4), ("http://h/\r\nX: y", .forbiddenByte(13)),
        ] as [(String, HTTPURLError)])
    func url(_ text: String, _ error: HTTPURLError) {
        #expect(throws: ProxyLinkError.url(error)) {
            try read(.media, Base64URL.encode(Array(text.utf8)))
        }
    }

    @Test("a link too long for any URL is not decoded")
    func length() throws {
        let long = "http://h/" + String(repeating: "x", count: 8183)
        #expect(try read(.media, Base64URL.encode(Array(long.utf8))).url.bytes.count == 8192)
        #expect(throws: ProxyLinkError.url(.tooLong(limit: 8192))) {
            try read(.media, Base64URL.encode(Array((long + "x").utf8)))
        }
        #expect(throws: ProxyLinkError.tooLong) { try read(.media, String(repeating: "A", count: 14_000)) }
    }

    @Test("a multivariant playlist's variables reach its child through the link")
    func variables() throws {
        let parent =
            "#EXTM3U\n#EXT-X-DEFINE:NAME=\"host\",VALUE=\"é.example/&=#\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nchild\n"
        let base = try HTTPURL("http://h/parent.m3u8")
        let rewritten = try PlaylistRewriter(base: base).rewrite(Array(parent.utf8), link: ProxyLink.writer())
        let path = try #require(String(decoding: rewritten.bytes, as: UTF8.self).split(separator: "\n").last)
        let link = try read(.playlist, String(path.dropFirst(16)))
        #expect(link.url.text == "http://h/child")
        #expect(link.variables[Array("host".utf8)] == Array("é.example/&=#".utf8))
        #expect(link.path() == Array(path.utf8))

        let child = "#EXTM3U\n#EXT-X-DEFINE:IMPORT=\"host\"\n{$host}\n"
        let grandchild = try PlaylistRewriter(base: link.url, inherited: link.variables)
            .rewrite(Array(child.utf8), link: Sample.readable)
        #expect(String(decoding: grandchild.bytes, as: UTF8.self).hasSuffix("media(http://h/%C3%A9.example/&=)\n"))
    }

    @Test(
        "a fragment of another make carries nothing",
        arguments: [
            "t=10,20&", "=x", "a b=c", "a=%", "a=%0A", "a=%22", "a", "a=1&a=2",
            "a=" + String(repeating: "x", count: 2050),
        ])
    func foreignFragments(_ text: String) {
        let bytes = Array(text.utf8)
        let variables = PlaylistVariables(fragment: bytes.span, limits: .init())
        #expect(variables.isEmpty || text.hasPrefix("t="))
    }

    private func read(_ kind: LinkKind, _ text: String) throws -> ProxyLink {
        let bytes = Array(text.utf8)
        return try ProxyLink(kind: kind, encoded: bytes.span)
    }
}

@Suite("Delivery directives")
struct PlaylistDirectiveTests {
    @Test(
        "directives of the viewer's query go upstream, and nothing else does",
        arguments: [
            ("http://h/p", "", "http://h/p"), ("http://h/p?a=1", "token=eyJ.x.y&auth=Bearer%20z", "http://h/p?a=1"),
            ("http://h/p", "_HLS_msn=1&token=t&_HLS_part=2", "http://h/p?_HLS_msn=1&_HLS_part=2"),
            ("http://h/p?a=1&b", "&&_HLS_skip=v2&", "http://h/p?a=1&b&_HLS_skip=v2"),
            ("http://h/p?_HLS_msn=1&a=1&_HLS_msn=2", "_HLS_msn=9", "http://h/p?a=1&_HLS_msn=9"),
            (
                "http://h/p?", "_HLS_primary_id=A%20B&_HLS_start_offset=1.5",
                "http://h/p?_HLS_primary_id=A%20B&_HLS_start_offset=1.5"
            ),
            ("http://h/p", "x_HLS_msn=1&_hls_msn=2&_HLS_=3&%5FHLS_msn=4", "http://h/p"),
            (
                "http://h/p", "_HLS_pathway=%22CDN%22&_HLS_throughput=5",
                "http://h/p?_HLS_pathway=%22CDN%22&_HLS_throughput=5"
            ),
        ])
    func merge(_ url: String, _ query: String, _ expected: String) throws {
        #expect(try merged(query, into: url).text == expected)
    }

    @Test("directives that would break the URL, or too many, are refused")
    func refused() {
        #expect(throws: PlaylistDirectiveError.url(.forbiddenByte(0x20))) {
            try merged("_HLS_msn=1 2", into: "http://h/")
        }
        #expect(throws: PlaylistDirectiveError.url(.forbiddenByte(0x23))) {
            try merged("_HLS_msn=#", into: "http://h/")
        }
        #expect(throws: PlaylistDirectiveError.url(.invalidPercentEncoding)) {
            try merged("_HLS_msn=%", into: "http://h/")
        }
        let many = (0...16).map { "_HLS_\($0)=1" }.joined(separator: "&")
        #expect(throws: PlaylistDirectiveError.tooMany(limit: 16)) { try merged(many, into: "http://h/") }
        let long = "_HLS_msn=" + String(repeating: "1", count: 8192)
        #expect(throws: PlaylistDirectiveError.url(.tooLong(limit: 8192))) { try merged(long, into: "http://h/") }
    }

    private func merged(_ query: String, into url: String) throws -> HTTPURL {
        let bytes = Array(query.utf8)
        return try PlaylistDirectives.merge(bytes.span, into: try HTTPURL(url))
    }
}

@Suite("Telling playlists from other bodies")
struct PlaylistSignatureTests {
    @Test(
        "by media type, by suffix, or by the first line",
        arguments: [
            ("application/vnd.apple.mpegurl", "", "/x", true), ("application/x-mpegURL; charset=utf-8", "", "/x", true),
            ("audio/MPEGURL", "", "/x", true), ("audio/mpempegurl", "", "/x", true), ("audio/mpeg", "", "/x", false),
            ("video/mp2t", "", "/x.m3u8", true), ("", "", "/x.M3U", true), ("", "", "/x.m3u8/", false),
            ("", "", "/m3u8", false),
            ("text/plain", "#EXTM3U\n", "/x", true), ("", "\u{FEFF}#EXTM3U\r\n", "/x", true),
            ("", "#EXTM3U", "/x", true),
            ("", "#EXTM3", "/x", false), ("", "#EXTM3UX", "/x", false), ("", " #EXTM3U", "/x", false),
            ("", "", "", false),
        ])
    func isPlaylist(_ type: String, _ body: String, _ path: String, _ expected: Bool) {
        let bytes = Array(body.utf8)
        let answer = PlaylistSignature.isPlaylist(
            contentType: type.utf8, firstBytes: bytes.span, path: Array(path.utf8)[...])
        #expect(answer == expected)
    }
}

@Suite("Attribute lists (RFC 8216 §4.2)")
struct PlaylistAttributesTests {
    @Test("names and values are found in order, commas inside quotes included")
    func list() throws {
        let text = Array("A=1,B=\"x,y=z\",, C-1 = 2 ,D,E=,F=\"\"junk,G=\"é\"".utf8)
        var attributes = PlaylistAttributes(in: text.indices, line: 1)
        var found: [String] = []
        while let attribute = try attributes.next(in: text.span) {
            let name = String(decoding: text[attribute.name], as: UTF8.self)
            let value = String(decoding: text[attribute.value], as: UTF8.self)
            found.append("\(name)|\(value)|\(attribute.isQuoted ? "quoted" : "plain")")
        }
        #expect(found == ["A|1|plain", "B|x,y=z|quoted", "C-1|2|plain", "E||plain", "F||quoted", "G|é|quoted"])
    }
}

extension HTTPURL {
    /// The whole URL, for comparison.
    var text: String { String(decoding: bytes, as: UTF8.self) }
}
