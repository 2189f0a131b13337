import GatewayBytes
import GatewayConfig
import GatewayHTTP
import GatewayTelemetry
import Testing

@testable import PluginKit

@Suite("Route patterns")
struct RoutePatternTests {
    @Test(
        "are read", arguments: ["/", "/a", "/a/", "/a//b", "/{x}", "/a/{x}/b/{y}", "/{rest...}", "/a/{rest...}", "/é"])
    func valid(_ text: String) throws {
        #expect(try #require(RoutePattern(text)).description == text)
    }

    @Test(
        "are refused",
        arguments: [
            "", "a", "{x}", "/{}", "/{...}", "/{x", "/x}", "/a{x}", "/{x}b", "/{rest...}/a", "/{x}/{x}", "/{x}/{x...}",
            "/{a1}", "/{a-b}", "/a?b", "/a#b", "/a%20b", "/a b",
        ])
    func invalid(_ text: String) { #expect(RoutePattern(text) == nil) }

    @Test("have one shape when they match the same paths, and are exact without captures")
    func shapes() throws {
        let first = try #require(RoutePattern("/a/{x}/{r...}"))
        let second = try #require(RoutePattern("/a/{y}/{s...}"))
        #expect(first.shape == second.shape)
        #expect(first.shape != RoutePattern("/a/{x}/{r}")?.shape)
        #expect(!first.isExact)
        #expect(RoutePattern.root.isExact)
        #expect(RoutePattern.root == RoutePattern("/"))
    }
}

@Suite("Query parameters")
struct QueryParameterTests {
    @Test(
        "the first value of a name, decoded",
        arguments: [
            ("a=1", "1"), ("b=2&a=1", "1"), ("a=1&a=2", "1"), ("a", ""), ("a=", ""), ("a=b=c", "b=c"),
            ("a=%41+b", "A+b"),
            ("%61=1", "1"), ("a=%c3%BC", "ü"), ("&&a=1", "1"), ("ab=1", nil), ("", nil), ("a=%4", nil), ("a=%zz", nil),
            ("a=%ff", nil), ("%zz=1&a=2", "2"),
        ] as [(String, String?)])
    func first(_ query: String, _ expected: String?) {
        #expect(QueryParameters.first("a", in: query) == expected)
    }
}

@Suite("Plugins, faults and chains")
struct VocabularyTests {
    @Test("a plugin's settings carry its name")
    func prefix() {
        #expect(PluginName("hls").settingsPrefix == "HLS")
        #expect(PluginName("load-test").settingsPrefix == "LOAD_TEST")
    }

    @Test("a fault is JSON with code, message and request id, and keeps its fields")
    func fault() throws {
        var fields = HeaderFields()
        fields.append(.retryAfter, "5")
        let fault = GatewayFault(.serviceUnavailable, "busy", "Say \"please\"\n\u{1}.", fields: fields)
        let response = fault.response(requestID: RequestID(high: 1, low: 2))
        #expect(response.status == .serviceUnavailable)
        #expect(response.fields.contains(.retryAfter))
        guard case .bytes(let bytes) = response.body else { Issue.record("no body"); return }
        let json = try JSON.parse(bytes)
        #expect(json["error"]?["code"]?.string == "busy")
        #expect(json["error"]?["message"]?.string == "Say \"please\"\n\u{1}.")
        #expect(json["requestId"]?.string == RequestID(high: 1, low: 2).description)
    }

    @Test("metric problems are collected and do not throw")
    func metrics() {
        let metrics = PluginMetrics(plugin: "hls", registry: Metrics(loops: 1))
        let first = metrics.counter("played_total", "Plays.")
        let second = metrics.counter("played_total", "Plays.")
        first.increment()
        second.increment()
        _ = metrics.gauge("bad name", "Bad.")
        #expect(metrics.problems.count == 2)
        #expect(metrics.problems.allSatisfy { $0.hasPrefix("plugin hls: ") })
    }
}

@Suite("URLs as settings")
struct URLSettingTests {
    private func read(_ text: String) -> SettingsReading<Target> {
        var reader = SettingsReader(environment: ["T_URL": text])
        return reader.read(Target.self, prefix: "T", section: "test")
    }

    private struct Target: Settings {
        let url: HTTPURL
        init(from env: inout SettingsReader) { url = env.required("URL", "Where.") }
    }

    @Test("are read strictly and made canonical")
    func read() {
        let reading = read("HTTPS://Example.com:443/a")
        #expect(reading.isUsable)
        #expect(reading.settings.url.description == "https://example.com/a")
    }

    private func digest<Value: SettingValue>(_ text: String, as type: Value.Type) -> SettingDigest? {
        var reader = SettingsReader(environment: ["URL": text])
        let _: Value? = reader.optional("URL", "Where.")
        #expect(reader.problems.isEmpty)
        #expect(!reader.values.contains { $0.text?.contains("token") == true })
        return reader.digests["URL"]
    }

    @Test("another query, which is never shown, is another value, in a list too, and as a default")
    func query() throws {
        func differs<Value: SettingValue>(_ type: Value.Type) -> Bool {
            digest("http://a/?token=1", as: type) != digest("http://a/?token=2", as: type)
        }
        #expect(differs(HTTPURL.self) && differs([HTTPURL].self) && differs(Switchable<HTTPURL>.self))
        #expect(digest("http://a/?token=1", as: HTTPURL.self) == digest("HTTP://A:80?token=1", as: HTTPURL.self))

        let url = try HTTPURL("http://a/?token=1")
        var reader = SettingsReader(environment: [:])
        let _: HTTPURL = reader.optional("URL", default: url, "Where.")
        #expect(reader.digests["URL"] == digest("http://a/?token=1", as: HTTPURL.self))
    }

    @Test("what is none is a problem, and a harmless one stands in", arguments: ["", "ftp://x/", "/a", "http://a@b/"])
    func refused(_ text: String) throws {
        let reading = read(text)
        #expect(!reading.isUsable)
        #expect(reading.settings.url == .placeholder)
        #expect(try HTTPURL("http://localhost/") == .placeholder)
        #expect(HTTPURL.placeholder.hostName == "localhost")
        #expect(HTTPURL.placeholder.path.elementsEqual("/".utf8))
    }
}
