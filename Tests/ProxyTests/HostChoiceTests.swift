import PluginKit
import Testing

@testable import ProxyPlugin

@Suite("Choosing a route by host and path")
struct HostChoiceTests {
    private static let routes =
        "/=http://d,/api=http://a,api.example/=http://h,api.example/api/v2=http://v,/api/v2=http://w"

    /// The upstream for a request whose longest routed prefix is `prefix`.
    private func upstream(_ prefix: String, _ authority: String) throws -> String? {
        let choices = HostChoice.all(try ProxyRoutes(Self.routes).all) { $0 }
        let patterns = try ProxyRoute("\(prefix)=http://x").patterns
        let choice = try #require(choices.first { $0.patterns == patterns })
        let bytes = Array(authority.utf8)
        return unsafe bytes.withUnsafeBytes { unsafe choice.value(for: $0) }?.targets[0].base.origin
    }

    @Test(
        "a route of the request's host goes before one of any host, and then the longer path",
        arguments: [
            ("/", "other.example", "http://d"), ("/", "api.example", "http://h"), ("/", "API.Example:8443", "http://h"),
            ("/api", "other.example", "http://a"), ("/api", "api.example", "http://h"),
            ("/api/v2", "api.example", "http://v"), ("/api/v2", "other.example", "http://w"),
            ("/api/v2", "", "http://w"),
            ("/", "api.example.evil", "http://d"), ("/", "xapi.example", "http://d"), ("/", "api.exampl", "http://d"),
        ])
    func chosen(_ prefix: String, _ authority: String, _ expected: String) throws {
        #expect(try upstream(prefix, authority) == expected)
    }

    @Test("a path that only another host has is nobody's")
    func nobody() throws {
        let choice = HostChoice.all(try ProxyRoutes("api.example/v2=http://v").all) { $0 }[0]
        let bytes = Array("other.example".utf8)
        unsafe bytes.withUnsafeBytes { #expect(unsafe choice.value(for: $0) == nil) }
    }

    @Test("each prefix is routed once, whatever the number of hosts")
    func patterns() throws {
        let choices = HostChoice.all(try ProxyRoutes(Self.routes).all) { $0 }
        #expect(choices.map(\.patterns[0]) == ["/", "/api", "/api/v2"])
    }

    @Test("`/api` covers `/api/v2` and not `/apiary`")
    func covers() throws {
        let api = try ProxyRoute("/api=http://h")
        #expect(api.covers(try ProxyRoute("/api/v2=http://h")))
        #expect(!api.covers(try ProxyRoute("/apiary=http://h")))
        #expect(!api.covers(try ProxyRoute("/=http://h")))
    }
}
