import GatewayHTTP
import Testing

@Suite("Addresses in text")
struct IPAddressTests {
    @Test(
        "an address is written back in its one canonical spelling",
        arguments: [
            ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("192.168.10.1", "192.168.10.1"),
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("0:0:0:0:0:0:0:0", "::"),
            ("2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:db8::1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1:0:0:4:5:6:0:0", "1::4:5:6:0:0"),
            ("fe80::0001", "fe80::1"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("::FFFF:c000:201", "::ffff:192.0.2.1"),
            ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
            ("::1.2.3.4", "::102:304"), ("1::5:255.255.255.255", "1::5:ffff:ffff"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ])
    func canonical(_ text: String, _ expected: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == expected)
        #expect(IPAddress(expected) == address)
        let bytes = address.networkBytes
        let again = IPAddress(networkBytes: bytes.span)
        #expect(again == address)
        #expect(bytes.count * 8 == address.bitWidth)
    }

    @Test(
        "any other spelling is no address",
        arguments: [
            "", "1", "127.1", "127.0.1", "0x7f.0.0.1", "0177.0.0.1", "01.2.3.4", "1.2.3.04", "1.2.3.00", "256.1.1.1",
            "1.2.3.256", "1.2.3.4.5", "1.2.3.4.", ".1.2.3.4", "1..3.4", "1.2.3", "1.2.3.", " 1.2.3.4", "1.2.3.4 ",
            "+1.2.3.4", "1.2.3.-4", "2130706433", "1.2.3.4\0", "1.2.3.4/8", "1.2.3.4:80", "１.2.3.4",
            ":", ":1", "1:", ":::", "1:::2", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::",
            "::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "12345::", "g::", "::1%lo", "fe80::1%25eth0", "[::1]", "::1 ",
            "::1.2.3", "::1.2.3.256", "::01.2.3.4", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "::0x1",
            "::ffff:127.1", "1:2:3:4:5:6:7:8:", ":1:2:3:4:5:6:7:8", "::-1",
            "0000:0000:0000:0000:0000:0000:255.255.255.2555",
        ])
    func refused(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("socket bytes of another length are no address", arguments: [0, 3, 5, 15, 17])
    func networkBytes(_ count: Int) {
        let bytes = [UInt8](repeating: 1, count: count)
        let address = IPAddress(networkBytes: bytes.span)
        #expect(address == nil)
    }

    @Test("every prefix of an address is read without harm", arguments: ["255.255.255.255", "1:2::ffff:1.2.3.4"])
    func split(_ text: String) {
        let bytes = Array(text.utf8)
        for end in bytes.indices {
            let part = IPAddress(text: bytes.span.extracting(0..<end))
            if let part { #expect(IPAddress(part.description) == part) }
        }
    }
}

@Suite("Networks in CIDR notation")
struct IPPrefixTests {
    @Test(
        "a network holds its addresses and no neighbour",
        arguments: [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"), ("192.168.4.0/22", "192.168.7.255", "192.168.8.0"),
            ("1.2.3.4", "1.2.3.4", "1.2.3.5"), ("1.2.3.4/32", "1.2.3.4", "1.2.3.5"), ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("fd00::/8", "fdff::1", "fe00::"), ("::/0", "2001:db8::1", "1.2.3.4"), ("::1", "::1", "::2"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
        ])
    func contains(_ text: String, _ inside: String, _ outside: String) throws {
        let prefix = try IPPrefix(text)
        #expect(prefix.contains(try #require(IPAddress(inside))))
        #expect(!prefix.contains(try #require(IPAddress(outside))))
        #expect(try IPPrefix(prefix.description) == prefix)
    }

    @Test("what is no network is refused", arguments: ["", "/", "/8", "10.0.0.0.0/8", "10/8", "abc", "1.2.3.4 /8"])
    func malformed(_ text: String) {
        #expect(throws: IPPrefixError.malformed) { try IPPrefix(text) }
    }

    @Test(
        "a length that is none is refused",
        arguments: ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/8/8", "::/1000"])
    func length(_ text: String) {
        #expect(throws: IPPrefixError.length) { try IPPrefix(text) }
    }

    @Test("bits behind the length are a slip, and the answer says what was meant")
    func bitsBehind() throws {
        let meant = try IPPrefix("10.0.0.0/8")
        #expect(throws: IPPrefixError.bitsBehindLength(meant: meant)) { try IPPrefix("10.1.2.3/8") }
    }
}
