/// Why a host, with or without a port, was refused.
package enum AuthorityError: Error, Equatable, Sendable {
    case empty
    /// Longer than a host name can be (255 bytes) and a port.
    case tooLong
    /// `user@host`.
    case userInformation
    case invalidByte(UInt8)
    /// `a..b` or `.a`.
    case emptyLabel
    case invalidAddressLiteral
    /// Empty, zero, with leading zeros, above 65535 or not a number.
    case invalidPort

    package var message: String {
        switch self {
        case .empty: "the host is empty"
        case .tooLong: "the host is too long"
        case .userInformation: "the host carries user information"
        case .invalidByte(let octet): "the host holds the byte \(hexadecimal(octet))"
        case .emptyLabel: "the host has an empty label"
        case .invalidAddressLiteral: "the host is not a valid IPv6 address in brackets"
        case .invalidPort: "the port is not a number from 1 to 65535"
        }
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2), narrower than RFC 3986: no percent-encoding, no sub-delimiters (a comma in
/// a host is two hosts merged into one), no zone identifiers, no IPvFuture, no empty port. No host that a resolver
/// would find is lost by that.
enum Authority {
    private static let longest = 262

    @inline(__always)
    static func check(_ text: Input) throws(AuthorityError) {
        guard text.count > 0 else { throw .empty }
        guard text.count <= longest else { throw .tooLong }
        var index = 0
        if text[0] == 0x5B {
            index = try endOfLiteral(text)
        } else {
            var previous: UInt8 = 0x2E
            while index < text.count, Octet.isA(text[index], Octet.unreserved) {
                if text[index] == 0x2E, previous == 0x2E { throw .emptyLabel }
                previous = text[index]
                index &+= 1
            }
            guard index > 0 || text[0] != 0x3A else { throw .empty }
        }
        guard index < text.count else { return }
        try checkRest(text, from: index)
    }

    /// Everything after the host: nothing but a port may follow.
    private static func checkRest(_ text: Input, from index: Int) throws(AuthorityError) {
        for place in index..<text.count where text[place] == 0x40 { throw .userInformation }
        guard text[index] == 0x3A else { throw .invalidByte(text[index]) }
        let port = text[index + 1..<text.count]
        guard let number = port.decimal, port[0] != 0x30, number <= 65_535 else { throw .invalidPort }
    }

    /// Whether a port is given, in an authority that has been checked.
    static func hasPort(_ text: Input) -> Bool {
        var index = text.count
        while index > 0, text[index - 1] &- 0x30 < 10 { index -= 1 }
        return index > 0 && index < text.count && text[index - 1] == 0x3A
    }

    private static func endOfLiteral(_ text: Input) throws(AuthorityError) -> Int {
        for index in 1..<text.count where text[index] == 0x5D {
            guard isIPv6(text[1..<index]) else { break }
            return index + 1
        }
        throw .invalidAddressLiteral
    }

    /// RFC 4291 §2.2.
    private static func isIPv6(_ text: Input) -> Bool {
        var groups = 0
        var isCompressed = false
        var index = 0
        if text.count >= 2, text[0] == 0x3A, text[1] == 0x3A {
            isCompressed = true
            index = 2
        }
        while index < text.count {
            let start = index
            while index < text.count, Octet.isA(text[index], Octet.hexadecimal) { index += 1 }
            if index < text.count, text[index] == 0x2E {
                guard isIPv4(text[start..<text.count]) else { return false }
                groups += 2
                break
            }
            guard index > start, index - start <= 4 else { return false }
            groups += 1
            guard index < text.count else { break }
            guard text[index] == 0x3A, index + 1 < text.count else { return false }
            index += 1
            if text[index] == 0x3A {
                guard !isCompressed else { return false }
                isCompressed = true
                index += 1
            }
        }
        return isCompressed ? groups <= 7 : groups == 8
    }

    private static func isIPv4(_ text: Input) -> Bool {
        var parts = 0
        var index = 0
        while true {
            let start = index
            while index < text.count, text[index] &- 0x30 < 10 { index += 1 }
            let part = text[start..<index]
            guard let value = part.decimal, value <= 255, part.count == 1 || part[0] != 0x30 else { return false }
            parts += 1
            guard index < text.count else { return parts == 4 }
            guard text[index] == 0x2E, parts < 4 else { return false }
            index += 1
        }
    }
}
