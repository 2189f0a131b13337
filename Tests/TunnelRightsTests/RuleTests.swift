import PluginKit
import Testing

@testable import TunnelPlugin

@Suite("What a share allows")
struct ShareRuleTests {
    private let rule = ShareRule(methods: ["GET", "POST"], paths: ["/api/chat", "/v1/*"])

    @Test(
        "its methods to its paths, exactly or below a prefix",
        arguments: [
            ("GET", "/api/chat"), ("POST", "/api/chat"), ("POST", "/api/chat?stream=true"), ("GET", "/v1/models"),
            ("POST", "/v1/chat/completions"), ("GET", "/v1/models/a%20b"),
        ])
    func allowed(_ method: String, _ target: String) { #expect(rule.allows(method, target)) }

    @Test(
        "nothing else, however it is written",
        arguments: [
            ("DELETE", "/api/chat"), ("get", "/api/chat"), ("GET", "/api/chat/"), ("GET", "/api/chat2"),
            ("GET", "/api"), ("GET", "/"), ("GET", ""), ("GET", "/v1"), ("GET", "/v1/"), ("GET", "/v10/models"),
            ("GET", "/V1/models"), ("GET", "//v1/models"), ("GET", "/v1//models"), ("GET", "/v1/../api/delete"),
            ("GET", "/v1/%2e%2e/api/delete"), ("GET", "/v1/..%2fapi/delete"), ("GET", "/v1/..;x/api/delete"),
            ("GET", "/v1/%2E./x"), ("GET", "/v1\\models"), ("GET", "/v1/%5c..%5cx"), ("GET", "/%76%31/models"),
            ("GET", "/api/%63hat"), ("GET", "/api/delete?x=/v1/models"), ("GET", "http://h/v1/models"),
            ("GET", "/v1/a b"), ("GET", "/v1/\u{E4}"), ("GET", "/v1/%00"), ("GET", "/v1/%4"),
        ])
    func refused(_ method: String, _ target: String) { #expect(!rule.allows(method, target)) }

    @Test("a prefix of all paths is all paths")
    func everything() { #expect(ShareRule(methods: ["GET"], paths: ["/*"]).allows("GET", "/api/tags")) }

    @Test(
        "rules that say something are taken",
        arguments: [["/api/chat"], ["/v1/*"], ["/*"], ["/"], ["/api/chat", "/v1/*"], ["/a.b/c_d-e~f@g:h"]])
    func taken(_ paths: [String]) throws {
        #expect(try ShareRule(checking: ["GET"], paths).paths == paths)
    }

    @Test(
        "rules that say nothing, or not only one thing, are refused",
        arguments: [
            [], [""], ["api"], ["*"], ["/v1*"], ["/*/chat"], ["/a/*/b"], ["/v1/*?x"], ["/a?b"], ["/a#b"], ["/a//b"],
            ["//*"], ["/../*"], ["/a/./b"], ["/a/.."], ["/%61"], ["/a\\b"], ["/a;b"], ["/a b"], ["/\u{E4}"],
            ["/" + String(repeating: "a", count: 200)], Array(repeating: "/a", count: 33),
        ])
    func pathsRefused(_ paths: [String]) {
        #expect(throws: GatewayFault.self) { try ShareRule(checking: ["GET"], paths) }
    }

    @Test("methods are those that are forwarded, in capitals", arguments: [[], ["get"], ["CONNECT"], ["GET", "*"]])
    func methodsRefused(_ methods: [String]) {
        #expect(throws: GatewayFault.self) { try ShareRule(checking: methods, ["/a"]) }
    }
}

@Suite("Credential of an enrolment")
struct CredentialTests {
    @Test("what is shown once proves the enrolment that kept its digest, and no other")
    func proves() throws {
        let credential = EnrolmentCredential()
        let text = credential.text
        let kept = Enrolment(id: credential.id, user: "ann", name: "desk", digest: credential.digest, createdAt: 1)
        let read = try #require(EnrolmentCredential(text))
        #expect(read.id == credential.id)
        #expect(read.proves(kept))
        #expect(!EnrolmentCredential().proves(kept))
        #expect(kept.digest.count == 32)
        #expect(!text.contains(kept.digest.map { String($0, radix: 16) }.joined()))
    }

    @Test("it is the hash by which every tool would know the secret")
    func digest() throws {
        let secret = String(repeating: "A", count: 43)
        let credential = try #require(EnrolmentCredential("gwe_0123456789abcdef_\(secret)"))
        // printf %s AAAA… | sha256sum
        let hex = credential.digest.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
        #expect(hex == "0f007385b6f9d4b7eeb2748605afe1a984a0a3bfa3f014d09e2a784ce9e5cd1a")
    }

    @Test("no two are alike, and none is shorter than 256 bits")
    func random() throws {
        let texts = (0..<200).map { _ in EnrolmentCredential().text }
        #expect(Set(texts).count == 200)
        for text in texts {
            #expect(text.utf8.count == 4 + 16 + 1 + 43)
            #expect(Base64URL.decode(String(text.suffix(43)))?.count == 32)
        }
    }

    @Test("a secret is printed nowhere")
    func unprintable() {
        let credential = EnrolmentCredential()
        let secret = credential.text.suffix(43)
        #expect(!"\(credential)".contains(secret))
        #expect(!String(reflecting: credential).contains(secret))
    }

    @Test(
        "what is not of the form is none",
        arguments: [
            "", "gwe_", "gwe_0123456789abcdef", "gwe_0123456789abcdef_", "gwe_0123456789abcdef_short",
            "gwe_0123456789abcdeg_" + String(repeating: "A", count: 43),
            "gwe_0123456789ABCDEF_" + String(repeating: "A", count: 43),
            "gwx_0123456789abcdef_" + String(repeating: "A", count: 43),
            "gwe_0123456789abcdef-" + String(repeating: "A", count: 43),
            "gwe_0123456789abcdef_" + String(repeating: "A", count: 44), "eyJhbGciOiJIUzI1NiJ9.e30.x",
        ])
    func malformed(_ text: String) { #expect(EnrolmentCredential(text) == nil) }
}
