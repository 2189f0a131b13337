import GatewayHTTP
import GatewayRuntime
import Testing

@testable import GatewayAgent

@Suite("What an agent passes on")
struct PolicyTests {
    private func isPassed(_ method: String, _ target: String, allowing operations: Set<ModelOperation> = []) -> Bool {
        if case .pass = RequestPolicy(allowing: operations).decide(method, target) { true } else { false }
    }

    @Test(
        "reading and chatting is passed on",
        arguments: [
            ("GET", "/"), ("HEAD", "/"), ("GET", "/api/tags"), ("GET", "/api/version"), ("GET", "/api/ps"),
            ("POST", "/api/show"), ("POST", "/api/generate"), ("POST", "/api/chat"), ("POST", "/api/embed"),
            ("POST", "/api/embeddings"), ("GET", "/v1/models"), ("GET", "/v1/models/llama3.2%3A1b"),
            ("POST", "/v1/chat/completions"), ("GET", "/api/tags?verbose=true&x=%2F.."),
        ])
    func reading(_ method: String, _ target: String) { #expect(isPassed(method, target)) }

    @Test(
        "what changes the models is passed on only where it was allowed",
        arguments: [
            ("POST", "/api/pull", ModelOperation.pull), ("POST", "/api/push", .push),
            ("DELETE", "/api/delete", .delete),
            ("POST", "/api/create", .create), ("POST", "/api/copy", .create),
            ("POST", "/api/blobs/sha256:" + String(repeating: "0f", count: 32), .create),
            ("HEAD", "/api/blobs/sha256%3A" + String(repeating: "0f", count: 32), .create),
        ])
    func changing(_ method: String, _ target: String, _ operation: ModelOperation) {
        let others = Set(ModelOperation.allCases).subtracting([operation])
        #expect(isPassed(method, target, allowing: [operation]))
        #expect(!isPassed(method, target, allowing: others))
        guard case .refuse(let reason) = RequestPolicy().decide(method, target) else {
            Issue.record("\(target) was passed on")
            return
        }
        #expect(reason.contains("--allow \(operation)"))
    }

    @Test(
        "other methods and other paths are not",
        arguments: [
            ("POST", "/api/tags"), ("DELETE", "/api/chat"), ("GET", "/api/chat"), ("PUT", "/v1/models"),
            ("OPTIONS", "/v1/models"), ("get", "/api/tags"), ("GETS", "/api/tags"), ("GET", "/api/Tags"),
            ("GET", "/api/tags/"), ("GET", "/api"), ("GET", "/v1"), ("GET", "/metrics"), ("GET", "/v2/models"),
            ("GET", "/api/tagsx"), ("POST", "/api/blobs/sha256:0f"), ("CONNECT", "/"), ("TRACE", "/"),
        ])
    func others(_ method: String, _ target: String) {
        #expect(!isPassed(method, target, allowing: Set(ModelOperation.allCases).subtracting([.create])))
    }

    @Test(
        "a path that two programs could read differently is not passed on",
        arguments: [
            "/v1/../api/delete", "/v1/%2e%2e/api/delete", "/v1/.%2E/x", "/v1/./x", "/v1/..;x/y", "/v1//x", "//api/tags",
            "/v1/%2Fapi", "/v1/a%2f..%2fb", "/v1/a%5Cb", "/v1/a\\b", "/v1/%252e%252e", "/v1/a%25", "/v1/a;b=c",
            "/v1/a%3Bb",
            "/v1/a%00", "/v1/a%0d%0aX", "/v1/a%zz", "/v1/a%", "/v1/a#b", "/v1/a%23b", "/v1/a%3Fb", "/v1/a%C3%A9",
            "/v1/é", "/v1/a b", "api/tags", "", "*", "http://127.0.0.1/api/tags", "/api/tags?a#b",
        ])
    func ambiguous(_ target: String) {
        guard case .refuse = RequestPolicy(allowing: Set(ModelOperation.allCases)).decide("GET", target) else {
            Issue.record("\(target) was passed on")
            return
        }
    }

    @Test("encodings that change nothing are undone before paths are compared")
    func normalised() {
        #expect(
            RequestPolicy().decide("GET", "/api/t%61gs?q=%61")
                == .pass(.get, path: Array("/api/tags".utf8), query: Array("q=%61".utf8)))
    }

    @Test("fields that tell of the consumer or the way here are dropped")
    func fields() throws {
        var fields = HeaderFields()
        let dropped = [
            "Origin", "Referer", "X-Forwarded-For", "X-Forwarded-Anything", "Forwarded", "X-Real-IP", "Authorization",
            "Cookie", "Host", "Content-Length", "Expect", "Via", "Sec-Fetch-Site", "X_Forwarded_For",
            "CF-Connecting-IP",
            "X-HTTP-Method-Override", "X-Original-URL", "Transfer-Encoding", "TE", "Upgrade", "Keep-Alive",
        ]
        for name in dropped { try fields.append(try #require(HeaderName(name)), checking: "x") }
        try fields.append(.contentType, checking: "application/json")
        try fields.append(try #require(HeaderName("X-Own")), checking: "y")
        let kept = LocalFields.of(fields)
        #expect(kept.description == "Content-Type: application/json\r\nX-Own: y\r\n")
    }

    @Test("a refusal is logged once a minute, with how often it happened")
    func notes() {
        var notes = RefusalNotes()
        let start = MonotonicTime(nanoseconds: 1_000_000_000)
        #expect(notes.note("GET /x", at: start) == 1)
        for _ in 0..<50 { #expect(notes.note("GET /x", at: start + .seconds(59)) == nil) }
        #expect(notes.note("GET /y", at: start) == 1)
        #expect(notes.note("GET /x", at: start + .seconds(61)) == 51)
        #expect(notes.total == 53)
        var logged = 0
        for number in 0..<10_000 where notes.note("GET /\(number)", at: start + .seconds(61)) != nil { logged += 1 }
        #expect(logged < 200, "whoever asks for ever other paths fills neither memory nor log")
    }
}
