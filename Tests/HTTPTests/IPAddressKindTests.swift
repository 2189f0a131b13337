import GatewayHTTP
import Testing

@Suite("Kinds of addresses")
struct IPAddressKindTests {
    @Test(
        "each special block is known from its first to its last address",
        arguments: [
            ("0.0.0.0", .unspecified), ("0.0.0.1", .reserved), ("0.255.255.255", .reserved), ("1.0.0.0", .global),
            ("9.255.255.255", .global), ("10.0.0.0", .private), ("10.255.255.255", .private), ("11.0.0.0", .global),
            ("100.63.255.255", .global), ("100.64.0.0", .private), ("100.127.255.255", .private),
            ("100.128.0.0", .global), ("126.255.255.255", .global), ("127.0.0.1", .loopback),
            ("127.255.255.255", .loopback), ("128.0.0.0", .global), ("169.253.255.255", .global),
            ("169.254.0.0", .linkLocal), ("169.254.255.255", .linkLocal), ("169.255.0.0", .global),
            ("172.15.255.255", .global), ("172.16.0.0", .private), ("172.31.255.255", .private),
            ("172.32.0.0", .global), ("192.0.0.0", .reserved), ("192.0.0.255", .reserved), ("192.0.1.0", .global),
            ("192.0.2.0", .reserved), ("192.0.3.0", .global), ("192.88.99.1", .reserved), ("192.167.255.255", .global),
            ("192.168.0.0", .private), ("192.168.255.255", .private), ("192.169.0.0", .global),
            ("198.17.255.255", .global), ("198.18.0.0", .reserved), ("198.19.255.255", .reserved),
            ("198.20.0.0", .global), ("198.51.100.7", .reserved), ("203.0.113.7", .reserved),
            ("223.255.255.255", .global), ("224.0.0.0", .multicast), ("239.255.255.255", .multicast),
            ("240.0.0.0", .reserved), ("255.255.255.255", .reserved), ("8.8.8.8", .global),
        ] as [(String, IPAddressKind)])
    func fourth(_ text: String, _ kind: IPAddressKind) throws {
        #expect(try #require(IPAddress(text)).kind == kind)
        // The same through every form that carries an IPv4 address.
        #expect(try #require(IPAddress("::ffff:\(text)")).kind == kind)
        #expect(try #require(IPAddress("::ffff:0:\(text)")).kind == kind)
        #expect(try #require(IPAddress("64:ff9b::\(text)")).kind == kind)
        guard case .v4(let value) = try #require(IPAddress(text)).form else { return }
        #expect(IPAddress.v6(0x2002 << 112 | UInt128(value) << 80 | 0xABCD).kind == kind)
        #expect(IPAddress.v6(0x2001_0000_0808_0808_0000_0000 << 32 | UInt128(~value)).kind == kind)
        if value > 1 { #expect(IPAddress.v6(UInt128(value)).kind == kind) }
    }

    @Test(
        "IPv6 blocks are known",
        arguments: [
            ("::", .unspecified), ("::1", .loopback), ("fc00::", .private), ("fdff:ffff::1", .private),
            ("fe80::1", .linkLocal), ("febf::1", .linkLocal), ("fec0::1", .private), ("feff::1", .private),
            ("ff00::", .multicast), ("ff02::1", .multicast), ("ffff::", .multicast), ("2001:db8::1", .reserved),
            ("2001:2::1", .reserved), ("2001:10::1", .reserved), ("2001:200::1", .global), ("2001:db9::1", .global),
            ("3fff::1", .reserved), ("3fff:1000::1", .global), ("2606:4700::1111", .global), ("100::1", .reserved),
            ("1::", .reserved), ("4000::1", .reserved), ("5f00::1", .reserved), ("fa00::", .reserved),
            ("64:ff9a::8.8.8.8", .reserved),
        ] as [(String, IPAddressKind)])
    func sixth(_ text: String, _ kind: IPAddressKind) throws {
        #expect(try #require(IPAddress(text)).kind == kind)
    }

    @Test(
        "metadata services are known in every dress",
        arguments: [
            "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "192.0.0.192", "168.63.129.16",
            "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::", "::169.254.169.254",
            "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0",
        ])
    func metadata(_ text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.kind == .metadata)
        #expect(address.isMetadata)
    }

    @Test("a local NAT64 is never public, and as bad as what is inside")
    func localNAT64() throws {
        #expect(IPAddress("64:ff9b:1::8.8.8.8")?.kind == .private)
        #expect(IPAddress("64:ff9b:1::127.0.0.1")?.kind == .loopback)
        #expect(IPAddress("64:ff9b:1::10.0.0.1")?.kind == .private)
        #expect(IPAddress("64:ff9b:2::8.8.8.8")?.kind == .reserved)
    }

    @Test("each question has its yes and its no")
    func questions() throws {
        #expect(IPAddress("127.0.0.1")?.isLoopback == true)
        #expect(IPAddress("10.0.0.1")?.isPrivate == true)
        #expect(IPAddress("169.254.1.1")?.isLinkLocal == true)
        #expect(IPAddress("169.254.169.254")?.isLinkLocal == true)
        #expect(IPAddress("::ffff:169.254.1.1")?.isLinkLocal == true)
        #expect(IPAddress("fe80::1")?.isLinkLocal == true)
        #expect(IPAddress("fec0::1")?.isLinkLocal == false)
        #expect(IPAddress("224.0.0.1")?.isMulticast == true)
        #expect(IPAddress("::")?.isUnspecified == true)
        #expect(IPAddress("240.0.0.1")?.isReserved == true)
        #expect(IPAddress("8.8.8.8")?.isGlobal == true)
        #expect(IPAddress("8.8.8.8")?.isLoopback == false)
    }
}

@Suite("Where the gateway connects")
struct DestinationClassTests {
    static let nothing = DestinationClass.foreign(allowing: [])

    @Test(
        "a foreign destination must be public",
        arguments: [
            ("0.0.0.0", .unspecified), ("127.0.0.1", .loopback), ("::1", .loopback), ("10.0.0.1", .private),
            ("100.64.0.1", .private), ("fd12::1", .private), ("169.254.1.1", .linkLocal), ("fe80::1", .linkLocal),
            ("169.254.169.254", .metadata), ("fd00:ec2::254", .metadata), ("224.0.0.1", .multicast),
            ("192.0.2.1", .reserved), ("::ffff:127.0.0.1", .loopback), ("64:ff9b::10.0.0.1", .private),
            ("64:ff9b:1::192.168.0.1", .private), ("2002:7f00:1::", .loopback), ("::127.0.0.1", .loopback),
        ] as [(String, DestinationRefusal.Reason)])
    func foreign(_ text: String, _ reason: DestinationRefusal.Reason) throws {
        let address = try #require(IPAddress(text))
        let refusal = DestinationRefusal(address: address, reason: reason)
        #expect(throws: refusal) { try Self.nothing.check(address) }
        #expect(refusal.description.hasPrefix(address.description))
    }

    @Test("public addresses are open to all", arguments: ["8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8"])
    func open(_ text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(Self.nothing.allows(address))
        #expect(DestinationClass.operator.allows(address))
    }

    @Test("listed networks are open to foreign destinations, wrapped or not")
    func listed() throws {
        let rule = DestinationClass.foreign(allowing: [
            try IPPrefix("127.0.0.0/8"), try IPPrefix("10.1.0.0/16"), try IPPrefix("fd12::/16"),
            try IPPrefix("64:ff9b:1::/48"),
        ])
        for text in ["127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd12::9", "64:ff9b:1::8.8.8.8"] {
            #expect(rule.allows(try #require(IPAddress(text))), "\(text)")
        }
        for text in ["10.2.0.1", "::1", "fd13::1", "0.0.0.0", "::ffff:10.2.0.1", "64:ff9b:1::169.254.169.254"] {
            #expect(!rule.allows(try #require(IPAddress(text))), "\(text)")
        }
    }

    @Test("no list opens link-local or metadata addresses")
    func neverOpen() throws {
        let everything = DestinationClass.foreign(allowing: [try IPPrefix("0.0.0.0/0"), try IPPrefix("::/0")])
        for rule in [everything, .operator] {
            for text in ["169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254"] {
                #expect(!rule.allows(try #require(IPAddress(text))), "\(text)")
            }
        }
    }

    @Test("the operator may name machines of their own", arguments: ["127.0.0.1", "10.0.0.1", "::1", "fd12::1"])
    func operators(_ text: String) throws {
        #expect(DestinationClass.operator.allows(try #require(IPAddress(text))))
    }
}
