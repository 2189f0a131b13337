/// Why a network was refused.
package enum IPPrefixError: Error, Hashable, Sendable {
    /// Neither `address/length` nor a plain address.
    case malformed
    /// The length exceeds 32 or 128, or has a leading zero or a sign.
    case length
    /// Bits behind the length are set, as in `10.1.2.3/8`: more likely a slip than a wish. `meant` is the network
    /// without them.
    case bitsBehindLength(meant: IPPrefix)
}

/// A network in CIDR notation (RFC 4632, RFC 4291 §2.3), such as `10.0.0.0/8` or `fd00::/8`.
package struct IPPrefix: Hashable, Sendable {
    package let address: IPAddress
    package let length: Int

    /// Every bit of `address` behind `length` is dropped. `length` is cut to the family's width.
    package init(_ address: IPAddress, length: Int) {
        let length = min(max(length, 0), address.bitWidth)
        self.length = length
        self.address =
            switch address.form {
            case .v4(let value): .v4((value >> UInt32(32 - length)) << UInt32(32 - length))
            case .v6(let value): .v6((value >> UInt128(128 - length)) << UInt128(128 - length))
            }
    }

    /// Reads `address/length`; a plain address is a network of one.
    ///
    /// A network inside `::ffff:0:0/96` becomes the IPv4 network it stands for.
    package init(_ text: String) throws(IPPrefixError) {
        let bytes = Array(text.utf8)
        let slash = bytes.firstIndex(of: UInt8(ascii: "/")) ?? bytes.count
        guard let address = IPAddress(text: bytes.span.extracting(0..<slash)) else { throw .malformed }
        var length = address.bitWidth
        if slash < bytes.count {
            length = try Self.length(bytes.span.extracting(slash + 1..<bytes.count), atMost: address.bitWidth)
        }
        let prefix = IPPrefix(address, length: length)
        guard prefix.address == address else { throw .bitsBehindLength(meant: prefix) }
        self = prefix.unmapped
    }

    private static func length(_ digits: Span<UInt8>, atMost limit: Int) throws(IPPrefixError) -> Int {
        guard digits.count >= 1, digits.count <= 3, digits[0] != 0x30 || digits.count == 1 else { throw .length }
        var value = 0
        for place in digits.indices {
            guard digits[place] >= 0x30, digits[place] <= 0x39 else { throw .length }
            value = value * 10 + Int(digits[place] - 0x30)
        }
        guard value <= limit else { throw .length }
        return value
    }

    private var unmapped: IPPrefix {
        guard case .v6(let value) = address.form, length >= 96, value >> 32 == 0xFFFF else { return self }
        return IPPrefix(.v4(UInt32(truncatingIfNeeded: value)), length: length - 96)
    }

    /// A v4-mapped address counts as the IPv4 address it stands for, since a dual-stack socket reports IPv4 peers so.
    package func contains(_ other: IPAddress) -> Bool {
        switch (address.form, other.unmapped.form) {
        case (.v4(let network), .v4(let value)): (network ^ value) >> UInt32(32 - length) == 0
        case (.v6(let network), .v6(let value)): (network ^ value) >> UInt128(128 - length) == 0
        case (.v4, .v6), (.v6, .v4): false
        }
    }
}

extension IPPrefix: CustomStringConvertible {
    package var description: String { "\(address)/\(length)" }
}

/// Networks as a setting lists them, and shown so that they can be set like this again: `10.0.0.0/8,fd00::/8`.
package struct IPPrefixList: Sendable, CustomStringConvertible {
    package let prefixes: [IPPrefix]

    package init(_ prefixes: [IPPrefix] = []) { self.prefixes = prefixes }

    package var description: String { prefixes.map(\.description).joined(separator: ",") }
}

extension IPAddress {
    /// The IPv4 address that `::ffff:a.b.c.d` stands for; every other address as it is.
    package var unmapped: IPAddress {
        guard case .v6(let value) = form, value >> 32 == 0xFFFF else { return self }
        return .v4(UInt32(truncatingIfNeeded: value))
    }
}
