/// What an address is for, by the IANA special-purpose registries. Exactly one kind fits: the most particular.
package enum IPAddressKind: String, Hashable, Sendable, CaseIterable {
    /// Publicly routed unicast.
    case global
    /// `0.0.0.0` and `::`, which connect to this very machine.
    case unspecified
    case loopback
    /// A network of its operator's own: RFC 1918, carrier-grade NAT (RFC 6598), unique local (RFC 4193), the
    /// deprecated site-local block, and NAT64 prefixes of local choice (RFC 8215).
    case `private`
    case linkLocal
    /// Where clouds hand out credentials to whoever can connect, and the services beside it.
    case metadata
    case multicast
    /// Documentation, benchmarking, protocol assignments, future use.
    case reserved
}

extension IPAddress {
    package var isLoopback: Bool { kind == .loopback }
    package var isPrivate: Bool { kind == .private }
    package var isMetadata: Bool { kind == .metadata }
    package var isMulticast: Bool { kind == .multicast }
    package var isUnspecified: Bool { kind == .unspecified }
    package var isReserved: Bool { kind == .reserved }
    package var isGlobal: Bool { kind == .global }

    /// Metadata addresses within `169.254.0.0/16` count too.
    package var isLinkLocal: Bool {
        switch destination.form {
        case .v4(let value): value >> 16 == 0xA9FE
        case .v6(let value): value >> 118 == 0x3FA
        }
    }

    /// Where a packet sent to this address comes out: the inner IPv4 address of the forms that carry one, else itself.
    ///
    /// Decoded are v4-mapped and v4-translated (RFC 2765), v4-compatible (RFC 4291 §2.5.5.1), NAT64 (RFC 6052 §2.1 and,
    /// read as a /96, RFC 8215), 6to4 (RFC 3056) and the client of Teredo (RFC 4380 §4).
    package var destination: IPAddress {
        guard case .v6(let value) = form, let inner = Self.innerIPv4(of: value) else { return self }
        return .v4(inner)
    }

    private static func innerIPv4(of value: UInt128) -> UInt32? {
        let low = UInt32(truncatingIfNeeded: value)
        switch value >> 32 {
        case 0xFFFF: return low
        case 0xFFFF_0000: return low
        case 0: return low > 1 ? low : nil  // `::` and `::1` are addresses of their own
        case 0x0064_FF9B << 64: return low
        default: break
        }
        if value >> 80 == localNAT64 { return low }
        if value >> 112 == 0x2002 { return UInt32(truncatingIfNeeded: value >> 80) }
        if value >> 96 == 0x2001_0000 { return ~low }
        return nil
    }

    private static let localNAT64: UInt128 = 0x0064_FF9B_0001

    /// Classified by ``destination``, so no wrapping makes a forbidden address look like another.
    package var kind: IPAddressKind {
        if case .v6(let value) = form, value >> 80 == Self.localNAT64 { return Self.kindOfLocalNAT64(value) }
        switch destination.form {
        case .v4(let value): return Self.kind(of: value)
        case .v6(let value): return Self.kind(of: value)
        }
    }

    /// `64:ff9b:1::/48` belongs to one network, which also chose where in it the IPv4 address stands (RFC 6052 §2.2:
    /// at 48, 56, 64 or 96 bits). The worst of the four readings counts, and none makes it a public address.
    private static func kindOfLocalNAT64(_ value: UInt128) -> IPAddressKind {
        func bits(from start: Int, _ count: Int) -> UInt32 {
            UInt32(truncatingIfNeeded: value >> UInt128(128 - start - count) & ((1 << UInt128(count)) - 1))
        }
        let readings = [
            bits(from: 96, 32), bits(from: 48, 16) << 16 | bits(from: 72, 16),
            bits(from: 56, 8) << 24 | bits(from: 72, 24), bits(from: 72, 32),
        ]
        let kinds = readings.map { kind(of: $0) }
        for worst in [IPAddressKind.metadata, .linkLocal] where kinds.contains(worst) { return worst }
        return kinds[0] == .global ? .private : kinds[0]
    }

    private static func kind(of value: UInt32) -> IPAddressKind {
        switch value {
        case 0: return .unspecified
        // AWS, Azure, Google and most others; AWS ECS and EKS; Alibaba; Oracle; Azure's second.
        case 0xA9FE_A9FE, 0xA9FE_AA02, 0xA9FE_AA17, 0x6464_64C8, 0xC000_00C0, 0xA83F_8110: return .metadata
        default: break
        }
        switch value >> 24 {
        case 0: return .reserved  // "this network", RFC 791
        case 10: return .private
        case 127: return .loopback
        case 224...239: return .multicast
        case 240...255: return .reserved
        default: break
        }
        switch value >> 16 {
        case 0xAC10...0xAC1F, 0xC0A8: return .private
        case 0x6440...0x647F: return .private  // 100.64.0.0/10
        case 0xA9FE: return .linkLocal
        case 0xC612, 0xC613: return .reserved  // benchmarking, RFC 2544
        default: break
        }
        switch value >> 8 {
        case 0xC0_0000: return .reserved  // protocol assignments, RFC 6890
        case 0xC0_0002, 0xC6_3364, 0xCB_0071: return .reserved  // documentation, RFC 5737
        case 0xC0_5863: return .reserved  // 6to4 relays, RFC 7526
        default: return .global
        }
    }

    private static func kind(of value: UInt128) -> IPAddressKind {
        if value == 0 { return .unspecified }
        if value == 1 { return .loopback }
        let top = UInt16(truncatingIfNeeded: value >> 112)
        let second = UInt16(truncatingIfNeeded: value >> 96)
        switch top {
        case 0xFF00...0xFFFF: return .multicast
        case 0xFE80...0xFEBF: return .linkLocal
        case 0xFEC0...0xFEFF: return .private
        case 0xFC00...0xFDFF:
            return isMetadataService(value) ? .metadata : .private
        case 0x2001 where second < 0x200 || second == 0xDB8: return .reserved  // RFC 2928, RFC 3849
        case 0x3FFF where second < 0x1000: return .reserved  // documentation, RFC 9637
        case 0x2000...0x3FFF: return .global
        default: return .reserved
        }
    }

    /// AWS (`fd00:ec2::/32`: credentials, DNS, time), Google (`fd20:ce::254`), Scaleway (`fd00:42::42`).
    private static func isMetadataService(_ value: UInt128) -> Bool {
        value >> 96 == 0xFD00_0EC2 || value == 0xFD20_00CE << 96 | 0x254 || value == 0xFD00_0042 << 96 | 0x42
    }
}
