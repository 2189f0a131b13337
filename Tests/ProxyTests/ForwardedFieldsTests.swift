import GatewayHTTP
import PluginKit
import Testing

@testable import ProxyPlugin

@Suite("Forwarded fields")
struct ForwardedFieldsTests {
    private static let client = ForwardedClient(
        address: .v4(0xC000_0207), isSecure: true, host: "api.example:8443", requestID: RequestID(high: 1, low: 2))

    private func forward(_ lines: [String], from client: ForwardedClient = Self.client) throws -> HeaderFields {
        let text = (["GET /x HTTP/1.1", "Host: api.example:8443"] + lines).joined(separator: "\r\n") + "\r\n\r\n"
        let bytes = Array(text.utf8)
        var head = RequestHead()
        var parser = RequestParser()
        return try unsafe bytes.withUnsafeBytes { raw in
            #expect(try unsafe parser.parse(raw, into: &head))
            return try unsafe ForwardedFields.of(head, raw, from: client)
        }
    }

    @Test(
        "end-to-end fields go through as they are, repeated ones too",
        arguments: [
            "Accept: a/b", "authorization: Bearer t", "Cookie: a=1", "X-Own-Thing: yes", "Range: bytes=0-1",
            "X-HTTP-Method-Override: PUT", "Via: 1.1 a", "Origin: https://a.example",
        ])
    func endToEnd(_ line: String) throws {
        let sent = try forward([line, line]).description
        #expect(sent.hasPrefix("\(line)\r\n\(line)\r\nVia: 1.1 gateway\r\nX-Forwarded-For: "))
    }

    @Test(
        "what is for this connection, or claims who the client is, does not",
        arguments: [
            "Connection: keep-alive, X-Own", "Keep-Alive: timeout=5", "TE: trailers", "Trailer: X", "Upgrade: h2c",
            "Proxy-Connection: close", "Proxy-Authorization: Basic eA==", "Expect: 100-continue",
            "Forwarded: for=1.2.3.4", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /x", "X-Forwarded-Server: s",
            "X-Real-IP: 1.2.3.4", "X-Client-IP: 1.2.3.4", "True-Client-IP: 1.2.3.4", "CF-Connecting-IP: 1.2.3.4",
            "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "Proxy: http://evil.example",
            "Client-Cert: :YQ==:", "Client-Cert-Chain: :YQ==:, :Yg==:",
        ])
    func dropped(_ line: String) throws {
        let sent = try forward([line, "X-Own: 1", "Connection: close, x-own"]).description
        #expect(sent.hasPrefix("Via: 1.1 gateway\r\nX-Forwarded-For: 192.0.2.7\r\n"), "\(sent)")
    }

    @Test("the client's identity is written anew, and never added to what it said itself")
    func identity() throws {
        let sent = try forward([
            "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: gopher", "X-Forwarded-Host: evil.example",
            "X-Request-ID: a",
        ])
        #expect(sent.all(.xForwardedFor) == ["192.0.2.7"])
        #expect(sent.all(.xForwardedProto) == ["https"])
        #expect(sent.all(.xForwardedHost) == ["api.example:8443"])
        #expect(sent.all(.forwarded) == ["for=192.0.2.7;proto=https;host=\"api.example:8443\""])
        #expect(sent.all(.xRequestID) == ["00000000000000010000000000000002"])
        #expect(!sent.contains(.host))
    }

    @Test("a certificate that the client proved to hold goes along, in the form of RFC 9440")
    func certificate() throws {
        let certificate = ClientCertificate(
            subject: "CN=a", issuer: "CN=b", dnsNames: [], addresses: [], uris: [], mailAddresses: [],
            fingerprint: [0x0A, 0xFF], notAfter: 0, der: [0x30, 0x03, 0x02, 0x01, 0x05])
        #expect(certificate.fingerprint == "0aff")
        let client = ForwardedClient(
            address: .v6(1), isSecure: true, host: "", requestID: RequestID(high: 0, low: 0), certificate: certificate)
        #expect(try forward(["Client-Cert: :YQ==:"], from: client).all(.clientCert) == [":MAMCAQU=:"])
    }

    @Test("a client that named no host is not given one")
    func noHost() throws {
        let client = ForwardedClient(
            address: .v6(1), isSecure: false, host: "", requestID: RequestID(high: 0, low: 0))
        let sent = try forward([], from: client)
        #expect(sent.all(.xForwardedFor) == ["::1"])
        #expect(sent.all(.xForwardedProto) == ["http"])
        #expect(sent.all(.forwarded) == ["for=\"[::1]\";proto=http"])
        #expect(!sent.contains(.xForwardedHost))
    }
}
