import GatewayHTTP
import Testing

/// Headers of both versions, right and wrong.
private enum Headers {
    typealias Client = ProxyProtocolHeader.Client

    static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]

    /// A header of version 2 around `payload`.
    static func binary(_ command: UInt8, _ family: UInt8, _ payload: [UInt8], length: Int? = nil) -> [UInt8] {
        let length = length ?? payload.count
        return signature + [command, family, UInt8(length >> 8), UInt8(length & 0xFF)] + payload
    }

    static let ipv4: [UInt8] = [203, 0, 113, 9, 192, 0, 2, 1, 0xD4, 0x31, 0x01, 0xBB]
    static let ipv6: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + Array(repeating: 0, count: 11) + [7] + Array(repeating: 1, count: 16)
        + [0xFF, 0xFF, 0, 80]
    static let mapped: [UInt8] =
        Array(repeating: 0, count: 10) + [0xFF, 0xFF, 203, 0, 113, 9] + Array(repeating: 1, count: 16) + [0, 1, 0, 2]

    struct Good: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]
        let client: ProxyProtocolHeader.Client
        var testDescription: String { name }

        init(_ name: String, _ bytes: [UInt8], _ client: ProxyProtocolHeader.Client) {
            self.name = name
            self.bytes = bytes
            self.client = client
        }
    }

    static let somebody = Client.address(.v4(0xCB00_7109), port: 54321)

    static let good: [Good] = [
        Good("TCP4", Array("PROXY TCP4 203.0.113.9 192.0.2.1 54321 443\r\n".utf8), somebody),
        Good(
            "TCP6", Array("PROXY TCP6 2001:db8::7 ::1 65535 0\r\n".utf8),
            .address(.v6(0x2001_0db8_0000_0000_0000_0000_0000_0007), port: 65535)),
        Good("mapped TCP6", Array("PROXY TCP6 ::ffff:203.0.113.9 ::1 54321 1\r\n".utf8), somebody),
        Good("UNKNOWN", Array("PROXY UNKNOWN\r\n".utf8), .unknown),
        Good("UNKNOWN and more", Array("PROXY UNKNOWN ffff::1 x y\r\n".utf8), .unknown),
        Good("the longest line", Array(("PROXY UNKNOWN " + String(repeating: "x", count: 91) + "\r\n").utf8), .unknown),
        Good("binary IPv4", binary(0x21, 0x11, ipv4), somebody),
        Good("binary IPv4 with extensions", binary(0x21, 0x11, ipv4 + [4, 0, 1, 0, 0xEE, 0xFF, 0xFF]), somebody),
        Good(
            "binary IPv6", binary(0x21, 0x21, ipv6),
            .address(.v6(0x2001_0db8_0000_0000_0000_0000_0000_0007), port: 65535)),
        Good("binary mapped", binary(0x21, 0x21, mapped), .address(.v4(0xCB00_7109), port: 1)),
        Good("local", binary(0x20, 0x00, []), .proxyItself),
        Good("local with addresses", binary(0x20, 0x11, ipv4), .proxyItself),
        Good("local with half an address", binary(0x20, 0x11, [1, 2]), .proxyItself),
        Good("local of datagrams", binary(0x20, 0x12, ipv4), .proxyItself),
        Good("local of transport 3", binary(0x20, 0x13, ipv4), .proxyItself),
        Good("local of family 4", binary(0x20, 0x41, ipv4), .proxyItself),
        Good("local of family 15", binary(0x20, 0xFF, []), .proxyItself),
        Good("unspecified", binary(0x21, 0x00, [9, 9, 9]), .unknown),
        Good("IPv4 of no transport", binary(0x21, 0x10, ipv4), .unknown),
        Good("UNIX", binary(0x21, 0x31, [UInt8](repeating: 0x2F, count: 216)), .unknown),
        Good("as long as may be", binary(0x21, 0x11, ipv4 + [UInt8](repeating: 0, count: 4068)), somebody),
    ]

    struct Bad: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]
        let error: ProxyProtocolError
        var testDescription: String { name }

        init(_ name: String, _ bytes: [UInt8], _ error: ProxyProtocolError) {
            self.name = name
            self.bytes = bytes
            self.error = error
        }

        init(_ line: String, _ error: ProxyProtocolError) {
            self.init(line.debugDescription, Array(line.utf8), error)
        }
    }

    static let bad: [Bad] =
        [
            Bad("GET / HTTP/1.1\r\n", .noSignature), Bad("PUT / HTTP/1.1\r\n", .noSignature),
            Bad("proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", .noSignature), Bad("PROXY\r\n", .noSignature),
            Bad(" PROXY TCP4", .noSignature), Bad("\r\n\r\n\0\r\nQUIX", .noSignature),
            Bad("a TLS hello", [0x16, 3, 1, 2, 0], .noSignature),
            Bad("PROXY UNKNOWN " + String(repeating: "x", count: 92) + "\r\n", .lineTooLong),
            Bad("PROXY " + String(repeating: "x", count: 101), .lineTooLong),
            Bad("version 1 binary", signature + [0x11, 0x11, 0, 12] + ipv4, .unknownVersion(1)),
            Bad("version 3 binary", signature + [0x31, 0x11, 0, 12] + ipv4, .unknownVersion(3)),
            Bad("command 2", binary(0x22, 0x11, ipv4), .unknownCommand(2)),
            Bad("family 4", binary(0x21, 0x41, ipv4), .unknownFamily(4)),
            Bad("datagrams", binary(0x21, 0x12, ipv4), .unknownTransport(2)),
            Bad("transport 3", binary(0x21, 0x13, ipv4), .unknownTransport(3)),
            Bad("IPv4 cut short", binary(0x21, 0x11, Array(ipv4.dropLast())), .addressesCutShort),
            Bad("IPv6 cut short", binary(0x21, 0x21, Array(ipv6.dropLast())), .addressesCutShort),
            Bad("UNIX cut short", binary(0x21, 0x31, [1]), .addressesCutShort),
            Bad("too long, before it has come", binary(0x21, 0x11, ipv4, length: 4081), .tooLong(4097)),
            Bad("too long, though local", binary(0x20, 0x00, [], length: 65535), .tooLong(65551)),
        ]
        + [
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n", "PROXY \r\n", "PROXY TCP4\r\n", "PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n",
            "PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
            "PROXY TCP4 ::1 1.1.1.1 1 1\r\n", "PROXY TCP4 1.1.1.1 ::1 1 1\r\n", "PROXY TCP6 1.1.1.1 ::1 1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 +1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 x\r\n",
            "PROXY TCP4 01.1.1.1 1.1.1.1 1 1\r\n", "PROXY TCP4 1.1.1.1:1 1.1.1.1 1 1\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\r\n", "PROXY unknown\r\n", "PROXY UNKNOWNS\r\n",
        ].map { Bad($0, .malformedLine) }
}

@Suite("PROXY protocol")
struct ProxyProtocolTests {
    @Test("a header is read, wherever it is split, and what follows is left alone", arguments: Headers.good)
    fileprivate func good(_ sample: Headers.Good) throws {
        for count in sample.bytes.indices {
            let part = Array(sample.bytes[..<count])
            #expect(try ProxyProtocolHeader.parse(part.span) == nil, "\(count) bytes")
        }
        for rest in ["", "GET / HTTP/1.1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n"] {
            let bytes = sample.bytes + Array(rest.utf8)
            let header = try #require(try ProxyProtocolHeader.parse(bytes.span))
            #expect(header.client == sample.client)
            #expect(header.length == sample.bytes.count)
        }
    }

    @Test("anything else is refused for its reason, wherever it is split", arguments: Headers.bad)
    fileprivate func bad(_ sample: Headers.Bad) throws {
        #expect(throws: sample.error) { try ProxyProtocolHeader.parse(sample.bytes.span) }
        #expect(!sample.error.message.isEmpty)
        for count in sample.bytes.indices {
            let part = Array(sample.bytes[..<count])
            do throws(ProxyProtocolError) {
                let header = try ProxyProtocolHeader.parse(part.span)
                #expect(header == nil, "\(count) bytes")
            } catch {
                #expect(error == sample.error, "\(count) bytes")
            }
        }
    }

    @Test("how long a header may be is the caller's choice")
    func limit() throws {
        let bytes = Headers.binary(0x21, 0x11, Headers.ipv4)
        #expect(throws: ProxyProtocolError.tooLong(28)) { try ProxyProtocolHeader.parse(bytes.span, limit: 27) }
        #expect(try ProxyProtocolHeader.parse(bytes.span, limit: 28)?.client == Headers.somebody)
    }

    @Test("arbitrary bytes are refused, incomplete or a header, and nothing else")
    func arbitrary() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var bytes = Headers.good.randomElement(using: &generator)?.bytes ?? []
            for _ in 0..<Int.random(in: 1...3) {
                bytes[Int.random(in: bytes.indices)] = UInt8.random(in: 0...255)
            }
            if let header = try? ProxyProtocolHeader.parse(bytes.span) { #expect(header.length <= bytes.count) }
        }
    }
}
