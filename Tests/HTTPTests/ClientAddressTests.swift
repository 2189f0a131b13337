import GatewayHTTP
import Testing

/// Reads a head with `lines` and what a rule makes of it.
private func claim(
    _ source: ClientAddressSource, _ lines: [String], trusting: [String] = ["10.0.0.0/8", "fd00::/8"], maxHops: Int = 32
) throws -> ClientClaim {
    let text = (["GET / HTTP/1.1", "Host: here.example"] + lines).joined(separator: "\r\n") + "\r\n\r\n"
    let (head, bytes) = try #require(readHead(text), "not a request: \(lines)")
    let rule = ClientAddressRule(source, trusting: try trusting.map { try IPPrefix($0) }, maxHops: maxHops)
    return try unsafe bytes.withUnsafeBytes { unsafe try rule.read(head.fields, in: $0) }
}

private func address(
    _ source: ClientAddressSource, _ lines: String..., trusting: [String] = ["10.0.0.0/8", "fd00::/8"]
)
    throws -> String?
{
    try claim(source, lines, trusting: trusting).address?.description
}

@Suite("The client's address")
struct ClientAddressTests {
    @Test(
        "X-Forwarded-For is read from its end, past trusted proxies only",
        arguments: [
            ("203.0.113.9", "203.0.113.9"), ("203.0.113.9, 10.0.0.1", "203.0.113.9"),
            ("203.0.113.9,10.0.0.1,10.9.9.9", "203.0.113.9"), ("1.2.3.4, 203.0.113.9", "203.0.113.9"),
            ("10.0.0.7, 203.0.113.9, 10.0.0.1", "203.0.113.9"), ("127.0.0.1, 203.0.113.9", "203.0.113.9"),
            ("10.0.0.7, 10.0.0.1", "10.0.0.7"), ("10.0.0.7", "10.0.0.7"), (" ,, 203.0.113.9 ,\t,", "203.0.113.9"),
            ("junk, 203.0.113.9", "203.0.113.9"), ("\", 203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:1234", "203.0.113.9"), ("2001:db8::7", "2001:db8::7"), ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:443, fd00::1", "2001:db8::7"), ("::ffff:203.0.113.9", "203.0.113.9"),
            ("203.0.113.9, ::ffff:10.0.0.1", "203.0.113.9"), ("192.168.1.1", "192.168.1.1"),
            ("203.0.113.9, [::ffff:10.0.0.1]:80", "203.0.113.9"), ("[::ffff:203.0.113.9]", "203.0.113.9"),
        ])
    func forwardedFor(_ value: String, _ expected: String) throws {
        #expect(try address(.xForwardedFor, "X-Forwarded-For: \(value)") == expected)
    }

    @Test("several lines are one list")
    func severalLines() throws {
        let lines = ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 203.0.113.9, 10.0.0.2", "X-Forwarded-For: 10.0.0.1"]
        #expect(try claim(.xForwardedFor, lines).address?.description == "203.0.113.9")
        #expect(try claim(.xForwardedFor, lines.reversed()).address?.description == "1.2.3.4")
    }

    @Test(
        "what is no address, where one is needed, is refused",
        arguments: [
            "unknown", "203.0.113", "203.0.113.9.1", "0x7f.1", "[203.0.113.9]", "[2001:db8::7", "2001:db8::7]:1",
            "203.0.113.9:", "203.0.113.9:x", "203.0.113.9:123456", "fe80::1%eth0", "\"203.0.113.9\"", "example.com",
            "203.0.113.9 10.0.0.1", "junk, 10.0.0.1", "203.0.113.9;10.0.0.1", "[]", ":", "[::1]1",
            String(repeating: "1", count: 100),
        ])
    func malformed(_ value: String) {
        #expect(throws: ClientAddressError.malformed) { try claim(.xForwardedFor, ["X-Forwarded-For: \(value)"]) }
        #expect(throws: ClientAddressError.malformed) { try claim(.cfConnectingIP, ["CF-Connecting-IP: \(value)"]) }
    }

    @Test(
        "one field is read, and its absence is not made up for by the others", arguments: ClientAddressSource.allCases)
    func exactlyOne(_ source: ClientAddressSource) throws {
        let lines = [
            "X-Forwarded-For: 203.0.113.1", "Forwarded: for=203.0.113.2", "CF-Connecting-IP: 203.0.113.3",
            "X-Real-IP: 203.0.113.4", "True-Client-IP: 203.0.113.5",
        ]
        let expected: [ClientAddressSource: String] = [
            .xForwardedFor: "203.0.113.1", .forwarded: "203.0.113.2", .cfConnectingIP: "203.0.113.3",
        ]
        #expect(try claim(source, lines).address?.description == expected[source])
        let others = lines.filter { line in expected[source].map { !line.contains($0) } ?? true }
        #expect(try claim(source, others).address == nil)
    }

    @Test("there is an end to the proxies that are looked at")
    func hops() throws {
        let lines = ["X-Forwarded-For: 203.0.113.9, 10.0.0.1, 10.0.0.2"]
        #expect(try claim(.xForwardedFor, lines, maxHops: 3).address != nil)
        #expect(throws: ClientAddressError.tooManyHops) { try claim(.xForwardedFor, lines, maxHops: 2) }
        #expect(!ClientAddressError.tooManyHops.message.isEmpty)
    }

    @Test("CF-Connecting-IP holds one address and stands there once")
    func cloudflare() throws {
        #expect(try address(.cfConnectingIP, "CF-Connecting-IP: 2001:db8::7") == "2001:db8::7")
        #expect(throws: ClientAddressError.repeated) {
            try claim(.cfConnectingIP, ["CF-Connecting-IP: 203.0.113.1", "cf-connecting-ip: 203.0.113.1"])
        }
        #expect(throws: ClientAddressError.malformed) {
            try claim(.cfConnectingIP, ["CF-Connecting-IP: 203.0.113.1, 203.0.113.2"])
        }
    }

    @Test("an address counts as trusted in every spelling of it, and nothing is trusted by itself")
    func trust() throws {
        let rule = ClientAddressRule(.none, trusting: [try IPPrefix("10.0.0.0/8"), try IPPrefix("192.0.2.7")])
        let none = ClientAddressRule(.none, trusting: [])
        for (text, expected) in [
            ("10.255.0.1", true), ("::ffff:10.1.1.1", true), ("192.0.2.7", true), ("192.0.2.8", false),
            ("127.0.0.1", false), ("::1", false), ("64:ff9b::10.0.0.1", false),
        ] {
            let address = try #require(IPAddress(text))
            #expect(rule.trusts(address) == expected, "\(text)")
            #expect(!none.trusts(address))
        }
    }
}

@Suite("Forwarded (RFC 7239)")
struct ForwardedTests {
    @Test(
        "the element of the client is found from the end, whatever stands before it",
        arguments: [
            ("for=203.0.113.9", "203.0.113.9"), ("For=\"203.0.113.9:47011\"", "203.0.113.9"),
            ("for=\"[2001:db8::7]\"", "2001:db8::7"), ("for=\"[2001:db8::7]:80\";by=10.0.0.1", "2001:db8::7"),
            ("for=203.0.113.9, for=10.0.0.1", "203.0.113.9"),
            ("for=203.0.113.9;proto=http,for=10.0.0.1;by=_x", "203.0.113.9"),
            ("for=1.2.3.4, for=203.0.113.9", "203.0.113.9"),
            ("for=203.0.113.9, for=\"[::ffff:10.0.0.1]\"", "203.0.113.9"), ("for=\", for=203.0.113.9", "203.0.113.9"),
            ("for=1.2.3.4;x=\", for=203.0.113.9;host=\"a.example\"", "203.0.113.9"),
            ("\\\", for=203.0.113.9", "203.0.113.9"), ("for=10.0.0.7, for=10.0.0.1", "10.0.0.7"),
            (" , for=203.0.113.9 ; proto=https ,, ", "203.0.113.9"), (";for=203.0.113.9;", "203.0.113.9"),
            ("for=\"203.0.113.9:_secret\"", "203.0.113.9"), ("x=\"a,b;c\";for=203.0.113.9", "203.0.113.9"),
        ])
    func elements(_ value: String, _ expected: String) throws {
        #expect(try address(.forwarded, "Forwarded: \(value)") == expected)
    }

    @Test(
        "a client without a name is nobody, and so is whoever it speaks for",
        arguments: [
            "for=unknown", "for=_hidden", "for=1.2.3.4, for=unknown", "for=1.2.3.4, proto=https", "by=10.0.0.1",
            "for=\"unknown:80\"", "for=\"_a:_b\"",
        ])
    func nameless(_ value: String) throws {
        #expect(try claim(.forwarded, ["Forwarded: \(value)"]).address == nil)
    }

    @Test(
        "an element out of form is refused",
        arguments: [
            "203.0.113.9", "for", "for=", "for=\"203.0.113.9", "for=2001:db8::7", "for=[::1]",
            "for=203.0.113.9;for=1.2.3.4",
            "for=a.example", "for=\"203.0.113.9\\\"", "for=203.0.113.9 proto=https", "for=\"203.0.113.9\"x", "=x",
            "for=1.2.3.4;host=a;host=b", "for =1.2.3.4", "for= 1.2.3.4", "for=_", "for=\"unknown:x y\"",
            "for=1.2.3.4 5",
        ])
    func malformed(_ value: String) {
        #expect(throws: ClientAddressError.malformed) { try claim(.forwarded, ["Forwarded: \(value)"]) }
    }

    @Test("scheme and host are those of the client's own element")
    func schemeAndHost() throws {
        let line = "Forwarded: for=1.2.3.4;host=evil.example, for=203.0.113.9;proto=HTTPS;host=\"a.example:8443\""
        let bytes = Sample("GET / HTTP/1.1\r\nHost: here.example\r\n\(line), for=10.0.0.1;proto=http;host=b\r\n\r\n")
            .bytes
        let claim = try claim(.forwarded, ["\(line), for=10.0.0.1;proto=http;host=b"])
        #expect(claim.isSecure == true)
        #expect(claim.host.map { text($0, bytes) } == "a.example:8443")
        let doubtful = try Self.said("for=203.0.113.9;proto=gopher;host=\"a b\"")
        #expect(doubtful.isSecure == nil)
        #expect(doubtful.host == nil)
    }

    private static func said(_ value: String) throws -> ClientClaim { try claim(.forwarded, ["Forwarded: \(value)"]) }
}

@Suite("The client's scheme and host")
struct ClientSchemeTests {
    @Test(
        "X-Forwarded-Proto is one known word, or it was not said",
        arguments: [
            ("https", true), ("HTTPS", true), ("wss", true), ("http", false), ("ws", false), ("https,http", nil),
            ("gopher", nil), ("", nil), ("on", nil),
        ] as [(String, Bool?)])
    func scheme(_ value: String, _ expected: Bool?) throws {
        for source in [ClientAddressSource.xForwardedFor, .cfConnectingIP] {
            #expect(try claim(source, ["X-Forwarded-Proto: \(value)"]).isSecure == expected)
        }
        #expect(try claim(.xForwardedFor, ["X-Forwarded-Proto: https", "X-Forwarded-Proto: https"]).isSecure == nil)
    }

    @Test(
        "X-Forwarded-Host is one host, or it was not said",
        arguments: [
            ("a.example", true), ("a.example:8443", true), ("[::1]:80", true), ("a.example, b.example", false),
            ("", false),
            ("a@b", false), ("a:0", false), ("a/b", false),
        ])
    func host(_ value: String, _ isSaid: Bool) throws {
        let line = "X-Forwarded-Host: \(value)"
        let bytes = Sample("GET / HTTP/1.1\r\nHost: here.example\r\n\(line)\r\n\r\n").bytes
        let host = try claim(.xForwardedFor, [line]).host
        #expect(host.map { text($0, bytes) } == (isSaid ? value : nil))
        #expect(try claim(.xForwardedFor, [line, line]).host == nil)
    }

    @Test("where no field is read, none of them is", arguments: [ClientAddressSource.none, .proxyProtocol, .forwarded])
    func unread(_ source: ClientAddressSource) throws {
        #expect(
            try claim(
                source, ["X-Forwarded-Proto: https", "X-Forwarded-Host: a.example", "X-Forwarded-For: 203.0.113.9"])
                == ClientClaim())
    }
}
