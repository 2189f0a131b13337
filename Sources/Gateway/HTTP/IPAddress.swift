import GatewayBytes

/// An IPv4 or IPv6 address, held as the number it is.
///
/// Built from text by a strict reader of its own, never by the resolver: `inet_aton` and `getaddrinfo` take
/// `0x7f.1`, `127.1` and `2130706433` for loopback, and a check that reads an address differently from the connect
/// call is no check.
package struct IPAddress: Hashable, Sendable {
    // Why words: Swift 6.3 returns some structs around a UInt128 through memory that is aligned to eight bytes only, and
    // then reads it as if to sixteen.
    private let high: UInt64
    private let low: UInt64
    private let isV6: Bool

    package enum Form: Hashable, Sendable {
        case v4(UInt32)
        case v6(UInt128)
    }

    private init(high: UInt64, low: UInt64, isV6: Bool) {
        self.high = high
        self.low = low
        self.isV6 = isV6
    }

    package static func v4(_ value: UInt32) -> IPAddress { IPAddress(high: 0, low: UInt64(value), isV6: false) }

    package static func v6(_ value: UInt128) -> IPAddress {
        IPAddress(
            high: UInt64(truncatingIfNeeded: value >> 64), low: UInt64(truncatingIfNeeded: value), isV6: true)
    }

    /// The address as the number of its family.
    package var form: Form {
        isV6 ? .v6(UInt128(high) << 64 | UInt128(low)) : .v4(UInt32(truncatingIfNeeded: low))
    }

    /// - Parameter networkBytes: Four or sixteen bytes, most significant first, as they stand in a socket address.
    package init?(networkBytes: Span<UInt8>) {
        switch networkBytes.count {
        case 4:
            var value: UInt32 = 0
            for place in networkBytes.indices { value = value << 8 | UInt32(networkBytes[place]) }
            self = .v4(value)
        case 16:
            var value: UInt128 = 0
            for place in networkBytes.indices { value = value << 8 | UInt128(networkBytes[place]) }
            self = .v6(value)
        default:
            return nil
        }
    }

    /// Four or sixteen bytes, most significant first.
    package var networkBytes: [UInt8] {
        switch form {
        case .v4(let value):
            return (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
        case .v6(let value):
            return (0..<16).map { UInt8(truncatingIfNeeded: value >> UInt128(120 - 8 * $0)) }
        }
    }

    /// Bits in an address of this family: 32 or 128.
    package var bitWidth: Int { isV6 ? 128 : 32 }
}

extension IPAddress: CustomStringConvertible {
    /// The one canonical spelling: a dotted quad, or RFC 5952 (a v4-mapped address ends in its dotted quad).
    package var description: String {
        var text: [UInt8] = []
        append(to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Appends what ``description`` says, without making a string.
    package func append(to output: inout [UInt8]) {
        output.append(addingCapacity: Self.longestText) { append(to: &$0) }
    }

    /// Most bytes that the written form takes.
    package static let longestText = 39

    /// Appends the same where ``longestText`` bytes are free.
    package func append(to output: inout OutputSpan<UInt8>) {
        switch form {
        case .v4(let value):
            Self.appendQuad(value, to: &output)
        case .v6(let value) where value >> 32 == 0xFFFF:
            output.append("::ffff:")
            Self.appendQuad(UInt32(truncatingIfNeeded: value), to: &output)
        case .v6(let value):
            Self.appendGroups(value, to: &output)
        }
    }

    private static func appendQuad(_ value: UInt32, to output: inout OutputSpan<UInt8>) {
        for place in 0..<4 {
            if place > 0 { output.append(UInt8(ascii: ".")) }
            let part = UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * place))
            if part >= 100 { output.append(0x30 + part / 100) }
            if part >= 10 { output.append(0x30 + part / 10 % 10) }
            output.append(0x30 + part % 10)
        }
    }

    private static func appendGroups(_ value: UInt128, to output: inout OutputSpan<UInt8>) {
        func group(_ index: Int) -> UInt16 { UInt16(truncatingIfNeeded: value >> UInt128(112 - 16 * index)) }

        let zeros = longestZeroRun(group)
        var index = 0
        while index < 8 {
            if index == zeros.lowerBound, !zeros.isEmpty {
                output.append("::")
                index = zeros.upperBound
                continue
            }
            if index > 0, index != zeros.upperBound || zeros.isEmpty { output.append(UInt8(ascii: ":")) }
            appendHexadecimal(group(index), to: &output)
            index += 1
        }
    }

    /// The first of the longest runs of at least two zero groups (RFC 5952 §4.2), or an empty range.
    private static func longestZeroRun(_ group: (Int) -> UInt16) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for index in 0..<8 {
            guard group(index) == 0 else {
                start = index + 1
                continue
            }
            if index + 1 - start > max(longest.count, 1) { longest = start..<index + 1 }
        }
        return longest
    }

    private static func appendHexadecimal(_ value: UInt16, to output: inout OutputSpan<UInt8>) {
        var started = false
        for shift in [12, 8, 4, 0] as [UInt16] {
            let digit = UInt8(truncatingIfNeeded: value >> shift & 0xF)
            guard started || digit != 0 || shift == 0 else { continue }
            started = true
            output.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
    }
}
