import GatewayHTTP
import PluginKit
import Testing

@testable import HLSPlugin

@Suite("HLS settings")
struct HLSSettingsTests {
    private func read(_ environment: [String: String]) -> SettingsReading<HLSSettings> {
        var reader = SettingsReader(environment: environment)
        return reader.read(HLSSettings.self, prefix: HLSProxy.name.settingsPrefix, section: "hls")
    }

    @Test("without a setting nothing is allowed, for viewers of this machine only")
    func defaults() throws {
        let reading = read([:])
        #expect(reading.isUsable)
        #expect(!reading.settings.allowedOrigins.allows(try HTTPURL("http://localhost/")))
        #expect(!reading.settings.isPublic)
        #expect(reading.settings.playlistLimit == .mebibytes(8))
        #expect(reading.settings.maxRedirects == 5)
    }

    @Test(
        "a setting that cannot be meant is refused by name",
        arguments: [
            ("HLS_ALLOWED_ORIGINS", "cdn.example"), ("HLS_PUBLIC", "maybe"), ("HLS_PLAYLIST_LIMIT", "65MiB"),
            ("HLS_MAX_REDIRECTS", "21"), ("HLS_HEAD_TIMEOUT", "30"), ("HLS_IDLE_TIMEOUT", "0s"),
            ("HLS_CONNECT_TIMEOUT", "1h"), ("HLS_USER_AGENT", "a\tb"), ("HLS_SEND_REFERER", "2"),
        ])
    func refused(_ name: String, _ value: String) {
        #expect(read([name: value]).problems.map(\.name) == [name])
    }
}

@Suite("HLS_ALLOWED_ORIGINS")
struct AllowedOriginsTests {
    @Test(
        "an origin is allowed by scheme, host and port together",
        arguments: [
            ("https://cdn.example/a.m3u8?x", true), ("https://CDN.example:443/", true),
            ("http://10.0.0.5:8080/x", true),
            ("http://[::1]/x", true), ("http://cdn.example/", false), ("https://cdn.example:444/", false),
            ("https://cdn.example.evil.example/", false), ("https://a.cdn.example/", false),
            ("https://cdn.example./", false), ("http://10.0.0.5/", false),
        ])
    func allows(_ url: String, _ expected: Bool) throws {
        let list = try AllowedOrigins("https://cdn.example/, HTTP://10.0.0.5:8080,,http://[0::1]:80")
        #expect(list.allows(try HTTPURL(url)) == expected)
    }

    @Test("the list is shown as it is compared")
    func description() throws {
        #expect(
            try AllowedOrigins("https://B.example:443,\n\thttp://a.example/\t,").description
                == "http://a.example,https://b.example")
        #expect(AllowedOrigins().description == "")
    }

    @Test(
        "what is no origin is refused with its place and the remedy",
        arguments: [
            ("cdn.example", "origin 1 is not scheme://host"), ("http://a,ftp://b", "origin 2 is not scheme://host"),
            ("http://*.example", "pattern"), ("*", "pattern"), ("http://a/x", "leave out path"),
            ("http://a?x", "leave out path"), ("http://a#x", "leave out path"), ("http://u:p@a", "not scheme"),
            ("http://a .example", "not scheme"), ("http://a http://b", "origin 1 is not scheme"),
            ("http://0x7f.1", "not scheme"), (String(repeating: "http://a,", count: 1025), "more than 1024"),
        ])
    func refused(_ text: String, _ expected: String) {
        let error = #expect(throws: SettingError.self) { try AllowedOrigins(text) }
        #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
    }
}

@Suite("Redirects")
struct RedirectRuleTests {
    private func target(_ code: Int, _ location: String?, followed: Int = 0, limit: Int = 5) throws -> String? {
        let rule = RedirectRule(allowed: try AllowedOrigins("https://a.example,http://b.example:81"), limit: limit)
        let status = try #require(Status(code: code))
        return try rule.target(
            of: status, location: location, from: try HTTPURL("https://a.example/x/y?z"), followed: followed)?.text
    }

    @Test(
        "a redirect within the list is followed, resolved against where it came from",
        arguments: [301, 302, 303, 307, 308])
    func followed(_ code: Int) throws {
        #expect(try target(code, "n") == "https://a.example/x/n")
        #expect(try target(code, "http://b.example:81/q?r#s", followed: 4) == "http://b.example:81/q?r")
    }

    @Test("any other status is an answer, whatever its Location", arguments: [200, 201, 206, 300, 304, 404, 500])
    func answers(_ code: Int) throws {
        #expect(try target(code, "http://evil.example/") == nil)
    }

    @Test(
        "a redirect off the list is 403",
        arguments: ["http://evil.example/", "//b.example/", "http://a.example/", "https://a.example:8443/"])
    func offTheList(_ location: String) {
        let fault = #expect(throws: GatewayFault.self) { try target(302, location) }
        #expect(fault?.status == .forbidden)
        #expect(fault?.code == "origin_not_allowed")
    }

    @Test(
        "a redirect that leads nowhere is 502",
        arguments: [nil, "file:///etc/passwd", "data:,x", "http://", "https://u@a.example/", "http://a\u{1}/"]
            as [String?])
    func nowhere(_ location: String?) {
        let fault = #expect(throws: GatewayFault.self) { try target(302, location) }
        #expect(fault?.status == .badGateway)
        #expect(fault?.message.hasPrefix("Proxy error: ") == true)
    }

    @Test("one more than the limit is 502", arguments: [0, 1, 5, 20])
    func limit(_ limit: Int) throws {
        if limit > 0 { #expect(try target(302, "n", followed: limit - 1, limit: limit) != nil) }
        let fault = #expect(throws: GatewayFault.self) { try target(302, "n", followed: limit, limit: limit) }
        #expect(fault?.status == .badGateway)
    }
}

@Suite("What origins are asked")
struct OriginFieldsTests {
    private static let viewer: [HeaderName: String] = [
        .range: "bytes=0-", .ifRange: "\"e\"", .ifNoneMatch: "\"f\"", .ifModifiedSince: "then",
        .authorization: "Bearer t",
        .cookie: "token=t", .referer: "https://page.example/?token=t", .origin: "https://page.example",
        .xForwardedFor: "192.0.2.1", .acceptEncoding: "gzip", .userAgent: "viewer",
    ]

    @Test("a playlist is asked for whole, whatever the player asks for")
    func playlist() throws {
        let fields = try OriginFields.of(.playlist, userAgent: "gw") { Self.viewer[$0] }
        #expect(fields.description == "Accept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: gw\r\n")
    }

    @Test("media is asked for as the player does, and nothing else of the viewer's goes along")
    func media() throws {
        let fields = try OriginFields.of(.media, userAgent: "gw") { Self.viewer[$0] }
        #expect(
            fields.description == """
                Accept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: gw\r\nRange: bytes=0-\r\nIf-Range: "e"\r
                If-None-Match: "f"\r\nIf-Modified-Since: then\r\n
                """)
    }

    @Test("If-Range means nothing without Range, and is left out")
    func ifRange() throws {
        let fields = try OriginFields.of(.media, userAgent: "gw") { $0 == .range ? nil : Self.viewer[$0] }
        #expect(!fields.contains(.ifRange))
        #expect(fields.contains(.ifNoneMatch))
    }

    @Test("Referer and Origin name the origin itself, without path and query")
    func referer() throws {
        var fields = HeaderFields()
        try OriginFields.appendReferer(of: try HTTPURL("https://cdn.example:444/a/b?token=t"), to: &fields)
        #expect(fields.description == "Referer: https://cdn.example:444/\r\nOrigin: https://cdn.example:444\r\n")
    }
}

@Suite("What viewers are sent")
struct RelayedFieldsTests {
    @Test("what describes the body goes along; cookies and policies do not")
    func media() {
        let origin: [HeaderName: String] = [
            .contentType: "video/mp2t", .contentRange: "bytes 0-1/2", .acceptRanges: "bytes", .eTag: "\"e\"",
            .lastModified: "then", .setCookie: "a=1", .strictTransportSecurity: "max-age=1", .server: "s",
            .accessControlAllowOrigin: "https://page.example", .location: "/x",
        ]
        let fields = RelayedFields.media(status: .ok) { origin[$0] }
        for name in [HeaderName.contentType, .contentRange, .acceptRanges, .eTag, .lastModified] {
            #expect(fields.all(name) == [origin[name]])
        }
        for name in [HeaderName.setCookie, .strictTransportSecurity, .server, .accessControlAllowOrigin, .location] {
            #expect(!fields.contains(name))
        }
        #expect(fields.first(.cacheControl) == "public, max-age=3600")
        #expect(fields.first(.contentSecurityPolicy) == "sandbox")
    }

    @Test("an origin's own word on caching stands, with the age of what it sent")
    func caching() {
        let origin: [HeaderName: String] = [.cacheControl: "no-store", .age: "7"]
        let fields = RelayedFields.media(status: .ok) { origin[$0] }
        #expect(fields.all(.cacheControl) == ["no-store"])
        #expect(fields.all(.age) == ["7"])
        #expect(fields.all(.contentType) == ["application/octet-stream"])
        #expect(!RelayedFields.media(status: .notModified) { origin[$0] }.contains(.contentType))
    }

    @Test("a playlist is called by its registered name and always asked for again")
    func playlist() {
        #expect(RelayedFields.playlist.first(.contentType) == "application/vnd.apple.mpegurl")
        #expect(RelayedFields.playlist.first(.cacheControl) == "no-cache")
    }
}

@Suite("What an origin's status means")
struct OriginStatusTests {
    @Test(
        "media is passed on, an error is mirrored, and what was not asked for is 502",
        arguments: [
            (200, nil), (203, nil), (204, nil), (206, nil), (304, nil), (400, 400), (404, 404), (416, 416), (429, 429),
            (503, 503), (300, 502), (305, 502),
        ] as [(Int, Int?)])
    func media(_ status: Int, _ expected: Int?) throws {
        let status = try #require(Status(code: status))
        #expect(OriginStatus.fault(of: status, for: .media) { _ in nil }?.status.code == expected)
    }

    @Test(
        "of a playlist, a part or nothing new is of no use",
        arguments: [(200, nil), (206, 502), (304, 502), (416, 416), (404, 404)] as [(Int, Int?)])
    func playlist(_ status: Int, _ expected: Int?) throws {
        let status = try #require(Status(code: status))
        #expect(OriginStatus.fault(of: status, for: .playlist) { _ in nil }?.status.code == expected)
    }

    @Test("an error takes along when to come back, and where a body ends")
    func fields() throws {
        let origin: [HeaderName: String] = [.retryAfter: "5", .contentRange: "bytes */9", .setCookie: "a=1"]
        let busy = OriginStatus.fault(of: .serviceUnavailable, for: .media) { origin[$0] }
        #expect(busy?.fields.description == "Retry-After: 5\r\n")
        #expect(busy?.message.hasPrefix("Upstream error") == true)
        let past = OriginStatus.fault(of: .rangeNotSatisfiable, for: .media) { origin[$0] }
        #expect(past?.fields.description == "Content-Range: bytes */9\r\n")
    }

    @Test(
        "a failure is a timeout, a refusal, a full queue, or else a bad gateway",
        arguments: [
            (UpstreamError.connectTimedOut, 504, "Upstream timeout"), (.firstByteTimedOut, 504, "Upstream timeout"),
            (.idleTimedOut, 504, "Upstream timeout"), (.tooManyWaiting, 503, "Proxy error"),
            (.tooManyConnections, 503, "Proxy error"),
            (.connectFailed("10.0.0.1 refused"), 502, "Proxy error"), (.nameNotFound("inside"), 502, "Proxy error"),
            (.cipher("x"), 502, "Proxy error"), (.malformed("x"), 502, "Proxy error"),
            (.closedBeforeAnswer, 502, "Proxy error"), (.bodyIncomplete, 502, "Proxy error"),
        ])
    func failures(_ error: UpstreamError, _ status: Int, _ words: String) {
        let fault = GatewayFault.originFailed(error)
        #expect(fault.status.code == status)
        #expect(fault.message.hasPrefix(words))
        #expect(!fault.message.contains("10.0.0.1") && !fault.message.contains("inside"))
    }

    @Test("an address that may not be connected to is 403, named by the setting and not by itself")
    func destination() throws {
        let address = try #require(IPAddress("10.1.2.3"))
        let fault = GatewayFault.originFailed(.destinationRefused(.init(address: address, reason: .private)))
        #expect(fault.status == .forbidden)
        #expect(fault.message.contains("ALLOW_PRIVATE_NETWORKS"))
        #expect(!fault.message.contains("10.1.2.3"))
    }
}

@Suite("Telling a body by its head")
struct BodySignatureTests {
    @Test(
        "only a body that nothing tells of must be looked into",
        arguments: [
            ("application/vnd.apple.mpegurl", "/x", BodySignature.playlist), ("video/mp2t", "/x.m3u8", .playlist),
            ("video/mp2t", "/x", .media), ("application/octet-stream", "/x.m4s", .media), ("", "/x.key", .media),
            ("", "/x", .unknown), ("text/plain; charset=utf-8", "/x", .unknown),
            ("Binary/Octet-Stream", "/a.b/x", .unknown),
            ("text/vtt", "/x", .media), ("", "/x.toolong", .unknown), ("", "/x.", .unknown),
        ])
    func signature(_ type: String, _ path: String, _ expected: BodySignature) {
        #expect(BodySignature(contentType: type, path: Array(path.utf8)[...]) == expected)
    }

    @Test(
        "an extension is one to five letters and digits behind the last dot of the last segment",
        arguments: [
            ("/a.ts", "ts"), ("/a.m3u8", "m3u8"), ("/.mp4", "mp4"), ("/a.b.WebM", "WebM"), ("/a.12345", "12345"),
            ("/a.123456", nil), ("/a.", nil), ("/a", nil), ("/a.b/c", nil), ("/a.t-s", nil), ("/a.t%73", nil),
            ("", nil),
        ])
    func pathExtension(_ path: String, _ expected: String?) {
        #expect(PathExtension.of(Array(path.utf8)[...]).map { String(decoding: $0, as: UTF8.self) } == expected)
    }
}
