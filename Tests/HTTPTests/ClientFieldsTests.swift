import GatewayHTTP
import Testing

@Suite("Fields that tell of clients")
struct ClientFieldsTests {
    /// The fields that are left of a head with `lines`.
    private func kept(_ lines: [String]) throws -> [String] {
        let request = (["GET / HTTP/1.1", "Host: x"] + lines).joined(separator: "\r\n") + "\r\n\r\n"
        var (head, bytes) = try #require(readHead(request), "not a request: \(lines)")
        unsafe bytes.withUnsafeBytes { unsafe head.removeIdentity(in: $0) }
        return head.fields.map { "\(text($0.name, bytes)): \(text($0.value, bytes))" }
    }

    @Test(
        "are removed, in any case and number",
        arguments: [
            "X-Forwarded-For", "x-forwarded-proto", "X-FORWARDED-HOST", "X-Forwarded-Port", "X-Forwarded-Prefix",
            "Client-Cert", "Client-Cert-Chain", "client_cert_pem", "X-Client-Cert", "x_client_certificate",
            "X-SSL-Client-S-DN", "SSL-Client-Verify", "ssl_client_cert",
            "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded", "X-Forwarded-User",
            "X-Forwarded-Anything-At-All", "X_Forwarded_User", "X-Forwarded_Email", "Forwarded", "Forwarded-For",
            "CF-Connecting-IP", "CF-Connecting-IPv6", "CF-Pseudo-IPv4", "CF-Visitor", "True-Client-IP", "X-Real-IP",
            "X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "X-Original-Forwarded-For", "X-Original-Host", "X-Host",
            "X-Scheme", "Front-End-Https", "Fastly-Client-IP", "X-Envoy-External-Address", "X-Request-ID",
        ])
    func removed(_ name: String) throws {
        #expect(
            try kept(["\(name): a", "Accept: b", "\(name.lowercased()): c", "X-Own: d"]) == [
                "Host: x", "Accept: b", "X-Own: d",
            ])
    }

    @Test(
        "others stay, in their order",
        arguments: [
            ["Accept: a", "X-Forward: b", "X-Forwarde: c", "Via: 1.1 x", "Cookie: d"], [],
            ["X-Client: 1", "Client: 1", "SSL-Session: 1", "X-SSL: 1"],
            ["X-Request-Start: 1", "X-Forwardedx: 1", "CF-Ray: 1"],
        ])
    func others(_ lines: [String]) throws {
        #expect(try kept(lines) == ["Host: x"] + lines)
    }

    @Test("a field that was removed is not found, and those that stay are")
    func lookup() throws {
        var (head, bytes) = try #require(
            readHead("GET / HTTP/1.1\r\nX-Real-IP: 1\r\nHost: x\r\nX-Own: 1\r\nX-Forwarded-For: 1\r\n\r\n"))
        unsafe bytes.withUnsafeBytes { raw in
            #expect(head.fields.mayTellIdentity)
            #expect(head.fields.tellsAddress)
            unsafe head.removeIdentity(in: raw)
            #expect(!head.fields.tellsAddress)
            for (name, isThere) in [("X-Real-IP", false), ("X-Forwarded-For", false), ("Host", true), ("x-own", true)] {
                let isFound = HeaderName(name).map { unsafe head.fields.contains($0, in: raw) }
                #expect(isFound == isThere)
            }
            #expect(head.fields.count == 2)
        }
    }

    @Test("a head of known fields only is not looked through")
    func cheap() throws {
        let (head, _) = try #require(readHead("GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nUser-Agent: y\r\n\r\n"))
        #expect(!head.fields.mayTellIdentity)
    }

    @Test(
        "whether all of them speak of this machine",
        arguments: [
            ("X-Forwarded-For: 127.0.0.1", true), ("X-Real-IP: 127.9.9.9, ::1", true), ("Accept: */*", true),
            ("X-Client-IP: ::ffff:127.0.0.1", true), ("X-Forwarded-Proto: https", true),
            ("X-Forwarded-For: 192.0.2.1", false), ("X-Forwarded-For: 127.0.0.1, 192.0.2.1", false),
            ("X-Forwarded-For: 192.0.2.1, 127.0.0.1", false), ("X-Forwarded-For: ", false),
            ("True-Client-IP: unknown", false), ("CF-Connecting-IP: localhost", false),
            ("X-Real-IP: 127.0.0.1,", false),
            ("X-Real-IP: 10.0.0.1", false), ("Forwarded: for=127.0.0.1", false), ("Client-IP: 1.1.1.1", false),
        ])
    func loopback(_ line: String, _ expected: Bool) throws {
        let (head, bytes) = try #require(readHead("GET / HTTP/1.1\r\nHost: x\r\n\(line)\r\n\r\n"))
        let isLocal = unsafe bytes.withUnsafeBytes { unsafe head.fields.addressesAreLoopback(in: $0) }
        #expect(isLocal == expected)
    }

    @Test("the field that was believed is not asked again")
    func believed() throws {
        let (head, bytes) = try #require(
            readHead("GET / HTTP/1.1\r\nHost: x\r\nForwarded: for=192.0.2.1\r\n\r\n"))
        let isLocal = unsafe bytes.withUnsafeBytes {
            unsafe head.fields.addressesAreLoopback(in: $0, except: .forwarded)
        }
        #expect(isLocal)
    }

    // MARK: Trace context

    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let parent = "00-\(trace)-00f067aa0ba902b7-01"

    @Test(
        "a valid trace context stays",
        arguments: [
            parent, "00-\(trace)-00f067aa0ba902b7-00", "01-\(trace)-00f067aa0ba902b7-01",
            "cc-\(trace)-00f067aa0ba902b7-01-more",
        ])
    func validTrace(_ parent: String) throws {
        let lines = ["traceparent: \(parent)", "tracestate: a=b"]
        #expect(try kept(lines) == ["Host: x"] + lines)
    }

    @Test(
        "one that is not goes, with its state",
        arguments: [
            "", "00", "00-\(trace)-00f067aa0ba902b7", "00-\(trace)-00f067aa0ba902b7-01-more",
            "ff-\(trace)-00f067aa0ba902b7-01",
            "01-\(trace)-00f067aa0ba902b7-01x", "00-\(trace.uppercased())-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-\(trace)-0000000000000000-01",
            "00-\(trace)_00f067aa0ba902b7-01", "00-\(trace)-00f067aa0ba902b7_01", "00_\(trace)-00f067aa0ba902b7-01",
            "00-\(trace)-00f067aa0ba902bg-01", "0x-\(trace)-00f067aa0ba902b7-01", "00-\(trace)-00f067aa0ba902b7-0A",
            "01-\(trace)-00f067aa0ba902b7-01-" + String(repeating: "x", count: 500),
        ])
    func invalidTrace(_ parent: String) throws {
        #expect(try kept(["traceparent: \(parent)", "tracestate: a=b", "Accept: b"]) == ["Host: x", "Accept: b"])
    }

    @Test("two parents, or a state without one, are none")
    func repeatedTrace() throws {
        #expect(try kept(["traceparent: \(Self.parent)", "traceparent: \(Self.parent)"]) == ["Host: x"])
        #expect(try kept(["tracestate: a=b"]) == ["Host: x"])
    }
}
