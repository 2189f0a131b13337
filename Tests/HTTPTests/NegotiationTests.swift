import GatewayHTTP
import Testing

@Suite("Accept-Encoding (RFC 9110 §12.5.3)")
struct AcceptedCodingsTests {
    @Test(
        "gzip is sent where it is accepted and liked no less than none",
        arguments: [
            ("gzip", true), ("GZIP", true), ("x-gzip", true), ("deflate, gzip;q=1.0, *;q=0.5", true), ("*", true),
            ("gzip;q=0.001", true), ("gzip ; q=0.5", true), ("gzip;Q=0.5", true), ("gzip;q=1.", true),
            ("br, gzip", true),
            ("identity, gzip", true), ("identity;q=0.5, gzip;q=0.5", true), ("gzip;q=0, x-gzip", true),
            ("gzip;q=0.4, identity;q=0.5", false), ("identity", false), ("", false), ("gzip;q=0", false),
            ("gzip;q=0.000", false), ("*;q=0", false), ("*;q=1, gzip;q=0", false), ("br", false), ("gzipped", false),
            ("gzip;q=2", false), ("gzip;q=1.001", false), ("gzip;q=0.1234", false), ("gzip;q=", false),
            ("gzip;q=-1", false), ("gzip;q=a", false), ("gzip;level=1", false), ("gzip;q=.5", false), ("gzip;", false),
            ("gzip;q=0,5", false),
        ])
    func gzip(_ value: String, _ expected: Bool) throws {
        let (head, bytes) = try #require(readHead("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: \(value)\r\n\r\n"))
        #expect(unsafe bytes.withUnsafeBytes { unsafe head.acceptedCodings(in: $0) }.prefersGzip == expected)
    }

    @Test(
        "none at all is refused only in so many words",
        arguments: [
            ("identity;q=0", true), ("*;q=0", true), ("gzip, identity;q=0.000", true), ("*;q=0, identity", false),
            ("*;q=0, identity;q=0.1", false), ("gzip", false), ("", false), ("*", false), ("gzip;q=0", false),
        ])
    func identity(_ value: String, _ refused: Bool) throws {
        let (head, bytes) = try #require(readHead("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: \(value)\r\n\r\n"))
        #expect(unsafe bytes.withUnsafeBytes { unsafe head.acceptedCodings(in: $0) }.refusesIdentity == refused)
    }

    @Test("lines are one list, and without a line nothing is preferred")
    func lines() throws {
        let two = try #require(
            readHead("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\nAccept-Encoding: gzip\r\n\r\n"))
        #expect(unsafe two.bytes.withUnsafeBytes { unsafe two.head.acceptedCodings(in: $0) }.prefersGzip)
        let none = try #require(readHead("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(unsafe none.bytes.withUnsafeBytes { unsafe none.head.acceptedCodings(in: $0) } == AcceptedCodings())
        #expect(!AcceptedCodings().prefersGzip && !AcceptedCodings().refusesIdentity)
    }
}

@Suite("Media types")
struct MediaTypesTests {
    @Test(
        "a file is what its extension says",
        arguments: [
            ("html", "text/html; charset=utf-8"), ("JS", "text/javascript; charset=utf-8"), ("svg", "image/svg+xml"),
            ("m3u8", "application/vnd.apple.mpegurl"), ("ts", "video/mp2t"), ("wasm", "application/wasm"),
            ("", "application/octet-stream"), ("exe", "application/octet-stream"),
        ])
    func extensions(_ suffix: String, _ type: String) {
        #expect(MediaTypes.type(ofExtension: suffix).description == type)
    }

    @Test(
        "text and what is like it shrinks, media does not, and event streams are not held back",
        arguments: [
            ("text/html; charset=utf-8", true), ("TEXT/PLAIN", true), ("application/json", true),
            ("application/json;charset=utf-8", true), ("application/problem+json", true), ("image/svg+xml", true),
            ("application/vnd.apple.mpegurl", true), ("text/event-stream", false), ("text/event-stream; x=1", false),
            ("image/png", false), ("video/mp4", false), ("application/gzip", false),
            ("application/octet-stream", false),
            ("", false), ("text/", false), ("+json", false),
        ])
    func compressible(_ type: String, _ expected: Bool) {
        let bytes = Array(type.utf8)
        #expect(unsafe bytes.withUnsafeBytes { unsafe MediaTypes.isCompressible($0) } == expected)
    }
}

@Suite("Vary")
struct VaryTests {
    @Test(
        "a name is added once, in whatever way it is there already",
        arguments: [
            ([], ["Accept-Encoding"]), (["Origin"], ["Origin", "Accept-Encoding"]), (["*"], ["*"]),
            (["accept-encoding"], ["accept-encoding"]), (["Origin, Accept-Encoding"], ["Origin, Accept-Encoding"]),
            (["Origin", "X,ACCEPT-ENCODING"], ["Origin", "X,ACCEPT-ENCODING"]),
            (["Accept-Encoding-X"], ["Accept-Encoding-X", "Accept-Encoding"]),
        ])
    func vary(_ before: [String], _ after: [String]) throws {
        var fields = HeaderFields()
        for value in before { try fields.append(.vary, checking: value) }
        fields.vary(on: .acceptEncoding)
        #expect(fields.all(.vary) == after)
        fields.vary(on: .acceptEncoding)
        #expect(fields.all(.vary) == after)
    }

    @Test("a value is read where it stands")
    func inPlace() throws {
        var fields = HeaderFields()
        try fields.append(.eTag, checking: "\"a\"")
        try fields.append(.contentType, checking: "text/plain")
        #expect(unsafe fields.withFirst(.contentType) { $0.count } == 10)
        #expect(unsafe fields.withFirst(.age) { $0.count } == nil)
    }
}
