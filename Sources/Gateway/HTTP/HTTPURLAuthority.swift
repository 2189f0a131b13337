extension HTTPURLReader {
    /// Appends the canonical host, and the port unless it is the default.
    static func readAuthority(
        _ text: Span<UInt8>, scheme: HTTPURL.Scheme, into bytes: inout [UInt8]
    ) throws(HTTPURLError) -> HTTPURLAuthority {
        for place in text.indices where text[place] == UInt8(ascii: "@") { throw .userinfo }
        guard text.count > 0 else { throw .missingHost }

        let hostLength: Int
        let address: IPAddress?
        if text[0] == UInt8(ascii: "[") {
            (hostLength, address) = try readBracketed(text, into: &bytes)
        } else {
            hostLength = try readName(text, into: &bytes)
            address = try readQuad(text.extracting(0..<hostLength))
        }

        var authority = HTTPURLAuthority(
            scheme: scheme, port: scheme.defaultPort, address: address, hostEnd: bytes.count)
        guard hostLength < text.count else { return authority }
        guard text[hostLength] == UInt8(ascii: ":") else { throw .invalidHost }
        authority.port = try readPort(text.extracting(hostLength + 1..<text.count), default: scheme.defaultPort)
        if authority.port != scheme.defaultPort {
            bytes.append(UInt8(ascii: ":"))
            bytes.append(contentsOf: String(authority.port).utf8)
        }
        return authority
    }

    private static func readBracketed(
        _ text: Span<UInt8>, into bytes: inout [UInt8]
    ) throws(HTTPURLError) -> (length: Int, address: IPAddress) {
        var end = 1
        while end < text.count, text[end] != UInt8(ascii: "]") { end += 1 }
        guard end < text.count, let address = IPAddress(text: text.extracting(1..<end)), case .v6 = address.form else {
            throw .invalidIPv6
        }
        bytes.append(UInt8(ascii: "["))
        address.append(to: &bytes)
        bytes.append(UInt8(ascii: "]"))
        return (end + 1, address)
    }

    /// Appends a DNS name in lower case and returns its length. Underscores are let through: they occur in practice.
    /// A dot at the end stays, since it keeps a resolver from trying its search domains.
    private static func readName(_ text: Span<UInt8>, into bytes: inout [UInt8]) throws(HTTPURLError) -> Int {
        var length = 0
        var label = 0
        while length < text.count, text[length] != UInt8(ascii: ":") {
            let byte = text[length]
            switch byte {
            case UInt8(ascii: "."):
                guard label > 0 else { throw .invalidHost }
                label = 0
            case 0x30...0x39, UInt8(ascii: "-"), UInt8(ascii: "_"):
                label += 1
            case let byte where URIReference.isLetter(byte):
                label += 1
            default:
                throw .invalidHost
            }
            guard label <= 63, length < 253 else { throw .invalidHost }
            bytes.append(URIReference.isLetter(byte) ? byte | 0x20 : byte)
            length += 1
        }
        guard length > 0 else { throw .missingHost }
        return length
    }

    /// The address when `host` is a dotted quad, `nil` when it is a name; refused when its last label is a number,
    /// decimal or hexadecimal, and the whole is no dotted quad: then `inet_aton` may read an address out of it.
    private static func readQuad(_ host: Span<UInt8>) throws(HTTPURLError) -> IPAddress? {
        if let value = IPAddress.dottedQuad(host) { return .v4(value) }
        var end = host.count
        if host[end - 1] == UInt8(ascii: ".") { end -= 1 }
        var start = end
        while start > 0, host[start - 1] != UInt8(ascii: ".") { start -= 1 }

        let isHexadecimal = end - start >= 2 && host[start] == 0x30 && host[start + 1] | 0x20 == UInt8(ascii: "x")
        for place in (isHexadecimal ? start + 2 : start)..<end {
            guard let digit = URIReference.hexadecimalDigit(host[place]), isHexadecimal || digit < 10 else {
                return nil
            }
        }
        throw .ambiguousIPv4
    }

    private static func readPort(_ digits: Span<UInt8>, default port: UInt16) throws(HTTPURLError) -> UInt16 {
        guard digits.count > 0 else { return port }  // `host:` is allowed, RFC 3986 §3.2.3
        guard digits.count <= 5, digits[0] != 0x30 else { throw .invalidPort }
        var value = 0
        for place in digits.indices {
            guard digits[place] >= 0x30, digits[place] <= 0x39 else { throw .invalidPort }
            value = value * 10 + Int(digits[place] - 0x30)
        }
        guard let port = UInt16(exactly: value) else { throw .invalidPort }
        return port
    }
}
