import PluginKit
import Testing

@testable import ProxyPlugin

@Suite("PROXY_ROUTES")
struct ProxyRouteTests {
    @Test("every route is read, and shown as an operator would write it")
    func read() throws {
        let routes = try ProxyRoutes(
            " /api=http://127.0.0.1:3000 | http://10.0.0.2:3000/, Api.Example.com/files=HTTPS://Files.internal/base/ ,,"
                + "/=http://h/,[::1]/=http://g")
        #expect(routes.all.map(\.prefix) == ["/api", "/files", "", ""])
        #expect(routes.all.map(\.host) == [nil, "api.example.com", nil, "[::1]"])
        #expect(routes.all.map(\.name) == ["/api", "api.example.com/files", "/", "[::1]/"])
        #expect(
            routes.description == "/api=http://127.0.0.1:3000|http://10.0.0.2:3000/,"
                + "api.example.com/files=https://files.internal/base,/=http://h/,[::1]/=http://g")
    }

    @Test("white space around separators does not count, tabs and ends of lines included")
    func whiteSpace() throws {
        let routes = try ProxyRoutes("/api = http://a | http://b ,\r\n\t/v2\t=\thttp://c\t|\n\thttp://d,\n")
        #expect(routes.description == "/api=http://a|http://b,/v2=http://c|http://d")
    }

    @Test("a route answers its path, the path with a slash, and everything below")
    func patterns() throws {
        #expect(try ProxyRoute("/api=http://h").patterns == ["/api", "/api/", "/api/{path...}"])
        #expect(try ProxyRoute("/=http://h").patterns == ["/", "/{path...}"])
        for pattern in try ProxyRoute("/a.b/~c_d-1=http://h").patterns { #expect(RoutePattern(pattern) != nil) }
    }

    @Test(
        "what is no route is refused with its number and the remedy",
        arguments: [
            (" , ", "without a route"), ("/api", "route 1 is not PATH=URL"),
            ("/a=http://h,b=http://h", "route 2 is not for"),
            ("=http://h", "plain path"), ("/a/=http://h", "plain path"), ("/a//b=http://h", "plain path"),
            ("/a/..=http://h", "plain path"), ("/a%20=http://h", "plain path"), ("/{x}=http://h", "plain path"),
            ("/a=ftp://h", "http or https URL"), ("/a=h:3000", "http or https URL"), ("/a=", "http or https URL"),
            ("/a=http://u:p@h", "http or https URL"), ("/a=http://h?q", "query or a fragment"),
            ("/a=http://h#f", "query or a fragment"),
            ("/a=http://h,/b=http://h,/a=http://g", "route 3 is for /a, as route 1 is; name it once"),
            ("H.example/a=http://h,h.Example/a=http://g", "for h.example/a, as route 1 is"),
            ("h.example=http://h", "plain path"), ("h:80/a=http://h", "plain host"), ("*.h/a=http://h", "plain host"),
            ("http://h/a=http://h", "plain host"), ("u@h/a=http://h", "plain host"),
            ("/a b=http://h", "plain path"), ("h .example/a=http://h", "plain host"),
            ("h.example /a=http://h", "plain host"), ("/a=http://h /x", "http or https URL"),
            ("/a=http://h|", "http or https URL"), ("/a=|http://h", "http or https URL"),
            ("/a=http://h|HTTP://H:80", "http://h twice; name each upstream once"),
            ("/a=" + (1...33).map { "http://h\($0)" }.joined(separator: "|"), "more than 32 upstreams"),
            (String(repeating: "/a=http://h,", count: 257), "more than 256"),
        ])
    func refused(_ text: String, _ expected: String) {
        let error = #expect(throws: SettingError.self) { try ProxyRoutes(text) }
        #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
    }

    @Test("without the setting the plugin is not configured, which is not the same as wrong")
    func missing() {
        var reader = SettingsReader(environment: [:])
        let reading = reader.read(ProxySettings.self, prefix: ReverseProxy.name.settingsPrefix, section: "proxy")
        #expect(reading.isUnconfigured)
        #expect(reading.missing == ["PROXY_ROUTES"])
    }

    @Test(
        "a path goes upstream whole, or with its beginning replaced when the upstream's URL has a path",
        arguments: [
            ("/api=http://h:3000", "/api", "http://h:3000/api"), ("/api=http://h", "/api/x/", "http://h/api/x/"),
            ("/api=http://h/", "/api", "http://h/"), ("/api=http://h/", "/api/", "http://h/"),
            ("/api=http://h/", "/api/x", "http://h/x"), ("/api=http://h/v1", "/api/x", "http://h/v1/x"),
            ("/api=http://h/v1/", "/api", "http://h/v1"), ("/=http://h", "/", "http://h/"),
            ("/=http://h/base", "/x", "http://h/base/x"), ("/=http://h/base", "/", "http://h/base/"),
            ("/=http://h", "//evil.example/x", "http://h//evil.example/x"),
            ("/=http://h/", "//evil.example/x", "http://h//evil.example/x"),
            ("/=http://h", "/a%2Fb|c{d}", "http://h/a%2Fb|c%7Bd%7D"),
            ("/=http://h", "/@evil.example", "http://h/@evil.example"),
        ])
    func path(_ route: String, _ path: String, _ expected: String) throws {
        let proxied = try ProxyRoute(route)
        let url = try proxied.targets[0].url(path: Array(path.utf8), below: proxied.prefix, query: [])
        #expect(String(decoding: url.bytes, as: UTF8.self) == expected)
        #expect(url.hasSameOrigin(as: proxied.targets[0].base))
    }

    @Test("a query goes along; one that is too long or holds a control byte is refused")
    func query() throws {
        let target = try ProxyTarget("http://h")
        let url = try target.url(path: Array("/x".utf8), below: "", query: Array("a=1&b=%20".utf8))
        #expect(url.target.elementsEqual("/x?a=1&b=%20".utf8))
        let mended = try target.url(path: Array("/x".utf8), below: "", query: Array("a=\\b`{50%}|".utf8))
        #expect(mended.target.elementsEqual("/x?a=%5Cb%60%7B50%25%7D|".utf8))
        #expect(throws: HTTPURLError.forbiddenByte(0x5C)) {
            try target.url(path: Array("/x\\y".utf8), below: "", query: Array("a".utf8))
        }
        #expect(throws: HTTPURLError.forbiddenByte(10)) { try target.url(path: [47], below: "", query: [10]) }
        #expect(throws: HTTPURLError.tooLong(limit: 20)) {
            try target.url(path: [47], below: "", query: [UInt8](repeating: 97, count: 20), limit: 20)
        }
    }

    @Test(
        "a redirect that names the upstream becomes a path of the gateway, and any other stays",
        arguments: [
            ("/api=http://h:3000", "http://h:3000/login?next=/#top", "/login?next=/#top"),
            ("/api=http://h/v1", "http://h/v1/x", "/api/x"), ("/api=http://h/v1", "http://h/v1", "/api"),
            ("/api=http://h/v1", "http://h/v1?q", "/api?q"), ("/api=http://h/v1", "http://h/v10", nil),
            ("/api=http://h/v1", "http://h/other", nil), ("/=http://h/v1", "http://h/v1", "/"),
            ("/=http://h/v1", "http://h/v1?q", "/?q"), ("/api=http://h/", "http://h/x", "/api/x"),
            ("/api=http://h", "https://h/x", nil), ("/api=http://h", "/x", nil),
            ("/api=http://h", "http://h:81/x", nil),
            ("/=http://h:3000", "http://h:3000//evil.example/x/", "/.//evil.example/x/"),
            ("/api=http://h", "http://h//evil.example?q#//f", "/.//evil.example?q#//f"),
            ("/=http://h", "http://h/.//evil.example", "/.//evil.example"),
            ("/=http://h", "http://h///evil.example", "/.///evil.example"),
            ("/=http://h/", "http://h//evil.example", "/.//evil.example"),
            ("/=http://h/v1", "http://h/v1//evil.example/x", "/.//evil.example/x"),
            ("/api=http://h/", "http://h//evil.example", "/api//evil.example"),
            ("/api=http://h/v1", "http://h/v1//evil.example", "/api//evil.example"),
        ])
    func location(_ route: String, _ location: String, _ expected: String?) throws {
        let proxied = try ProxyRoute(route)
        #expect(proxied.targets[0].location(location, below: proxied.prefix) == expected)
    }
}
