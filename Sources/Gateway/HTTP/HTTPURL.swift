/// Why bytes are not a URL this gateway works with.
package enum HTTPURLError: Error, Hashable, Sendable {
    /// Longer than the limit, in bytes.
    case tooLong(limit: Int)
    /// A relative reference where an absolute URL is needed.
    case missingScheme
    /// Neither http nor https. Lower-cased, cut to 32 characters.
    case unsupportedScheme(String)
    /// `http:/x`, `http:x`, `http:///x`.
    case missingHost
    /// A name or password before `@`: credentials do not belong in a URL, and `https://bank.example@evil.example`
    /// reads as the wrong host.
    case userinfo
    /// Not a DNS name in ASCII: other characters, an empty or over-long label, more than 253 bytes.
    case invalidHost
    /// A host that other software would read as an IPv4 address though it is not a dotted quad: `127.1`, `0x7f.1`,
    /// `2130706433`, `0177.0.0.1`.
    case ambiguousIPv4
    /// Brackets without a plain IPv6 address inside; zones and future forms are refused too.
    case invalidIPv6
    /// Not 1 through 65535 in decimal without leading zeros.
    case invalidPort
    /// A control character, blank, backslash, non-ASCII byte or delimiter that RFC 3986 keeps out of URIs.
    case forbiddenByte(UInt8)
    /// A percent sign without two hexadecimal digits.
    case invalidPercentEncoding
}

/// An absolute http or https URL, checked and canonical: lower-case scheme and host, no default port, no dot segments,
/// no user information, no fragment, a path that starts with a slash. Path and query are otherwise the bytes given.
///
/// Two URLs are equal when these bytes are equal.
package struct HTTPURL: Sendable {
    package enum Scheme: String, Hashable, Sendable {
        case http
        case https

        package var defaultPort: UInt16 { self == .http ? 80 : 443 }
    }

    /// How bytes that may not stand in a URI are met.
    package enum Spelling: Hashable, Sendable {
        /// Refuse them.
        case strict
        /// Percent-encode blanks, non-ASCII bytes, `"<>^`{}` and stray percent signs in path and query, and backslashes
        /// in the query, and drop blanks around the whole, as players do with playlists. Control characters are
        /// refused, and so are backslashes in the path, which some read as slashes.
        case lenient
    }

    /// The limit of every initialiser that is not told another, in bytes.
    package static let defaultLimit = 8192

    /// The whole URL in ASCII.
    package let bytes: [UInt8]
    package let scheme: Scheme
    /// The port to connect to, given or default. Never zero.
    package let port: UInt16
    /// The host when it is an address and not a name.
    package let address: IPAddress?

    let hostEnd: Int
    let pathStart: Int
    let pathEnd: Int

    init(bytes: [UInt8], authority: HTTPURLAuthority, pathStart: Int, pathEnd: Int) {
        self.bytes = bytes
        scheme = authority.scheme
        port = authority.port
        address = authority.address
        hostEnd = authority.hostEnd
        self.pathStart = pathStart
        self.pathEnd = pathEnd
    }

    /// `http://localhost/`, for where a value is needed and none could be read.
    package static let placeholder = HTTPURL(
        bytes: Array("http://localhost/".utf8),
        authority: HTTPURLAuthority(scheme: .http, port: 80, address: nil, hostEnd: 16), pathStart: 16, pathEnd: 17)

    /// Reads an absolute URL strictly.
    package init(_ text: String, limit: Int = Self.defaultLimit) throws(HTTPURLError) {
        try self.init(Array(text.utf8).span, as: .strict, limit: limit)
    }

    /// Reads an absolute URL as it may stand in a playlist. See ``Spelling/lenient``.
    package init(lenient text: String, limit: Int = Self.defaultLimit) throws(HTTPURLError) {
        try self.init(Array(text.utf8).span, as: .lenient, limit: limit)
    }

    /// - Parameter limit: Longest acceptable input and result, in bytes.
    package init(
        _ text: Span<UInt8>, as spelling: Spelling = .strict, limit: Int = Self.defaultLimit
    ) throws(HTTPURLError) {
        self = try HTTPURLReader.read(text, relativeTo: nil, as: spelling, limit: limit)
    }

    /// Resolves a reference against this URL (RFC 3986 §5.2, strict: a reference with a scheme is absolute).
    package func resolve(
        _ reference: Span<UInt8>, as spelling: Spelling = .strict, limit: Int = Self.defaultLimit
    ) throws(HTTPURLError) -> HTTPURL {
        try HTTPURLReader.read(reference, relativeTo: self, as: spelling, limit: limit)
    }

    /// The same server, and another path and query, as they are: for what is canonical already, as nearly all paths of
    /// requests are once the server has routed by them.
    ///
    /// - Parameter query: Without its question mark; empty for none.
    /// - Returns: `nil` when they are not canonical, or the result is too long; reading the whole says what they become.
    package func with(path: [UInt8], query: [UInt8], limit: Int = Self.defaultLimit) -> HTTPURL? {
        guard pathStart + path.count + query.count < limit, Self.isCanonical(path: path), Self.isCanonical(query: query)
        else {
            return nil
        }
        var changed: [UInt8] = []
        changed.reserveCapacity(pathStart + path.count + query.count + 1)
        changed.append(contentsOf: bytes[..<pathStart])
        changed.append(contentsOf: path)
        let pathEnd = changed.count
        if !query.isEmpty {
            changed.append(UInt8(ascii: "?"))
            changed.append(contentsOf: query)
        }
        let authority = HTTPURLAuthority(scheme: scheme, port: port, address: address, hostEnd: hostEnd)
        return HTTPURL(bytes: changed, authority: authority, pathStart: pathStart, pathEnd: pathEnd)
    }

    /// Begins with a slash, and has neither percent signs nor a segment that begins with a dot: both need a second look.
    private static func isCanonical(path: [UInt8]) -> Bool {
        guard path.first == UInt8(ascii: "/") else { return false }
        var previous: UInt8 = 0
        for byte in path {
            guard isPlain(byte) || byte == UInt8(ascii: "/") else { return false }
            if byte == UInt8(ascii: "."), previous == UInt8(ascii: "/") { return false }
            previous = byte
        }
        return true
    }

    private static func isCanonical(query: [UInt8]) -> Bool {
        query.allSatisfy { isPlain($0) || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
    }

    /// A byte of a segment that every spelling leaves as it is.
    private static func isPlain(_ byte: UInt8) -> Bool { Octet.isA(byte, Octet.path) && byte != UInt8(ascii: "^") }

    package func resolve(_ reference: String, as spelling: Spelling = .strict) throws(HTTPURLError) -> HTTPURL {
        try resolve(Array(reference.utf8).span, as: spelling)
    }
}

extension HTTPURL: Hashable {
    // Everything else follows from the bytes.
    package static func == (left: HTTPURL, right: HTTPURL) -> Bool { left.bytes == right.bytes }
    package func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
}

extension HTTPURL: CustomStringConvertible {
    /// For logs and errors: the query is left out, since it may carry a credential. ``bytes`` has it all.
    package var description: String {
        let shown = String(decoding: bytes[..<pathEnd], as: UTF8.self)
        return pathEnd < bytes.count ? shown + "?…" : shown
    }
}

extension HTTPURL {
    private var authorityStart: Int { scheme == .http ? 7 : 8 }

    /// The host as it stands in the URL: lower case, an IPv6 address in brackets.
    package var host: ArraySlice<UInt8> { bytes[authorityStart..<hostEnd] }

    /// The name to resolve and to verify, or the address without brackets.
    package var hostName: String {
        address?.description ?? String(decoding: host, as: UTF8.self)
    }

    /// Host, and port unless it is the scheme's default: the value of a Host field (RFC 9110 §7.2).
    package var authority: ArraySlice<UInt8> { bytes[authorityStart..<pathStart] }

    /// `scheme://host[:port]`, canonical: what allow-lists compare.
    package var originBytes: ArraySlice<UInt8> { bytes[..<pathStart] }
    package var origin: String { String(decoding: originBytes, as: UTF8.self) }

    package func hasSameOrigin(as other: HTTPURL) -> Bool { hasOrigin(other.originBytes) }

    /// Whether ``originBytes`` are these.
    package func hasOrigin(_ other: ArraySlice<UInt8>) -> Bool {
        unsafe bytes.withUnsafeBytes { own in
            unsafe other.withUnsafeBytes { other in unsafe Input(own)[0..<pathStart].equals(Input(other)) }
        }
    }

    /// Path and query: the target of a request line (RFC 9112 §3.2.1).
    package var target: ArraySlice<UInt8> { bytes[pathStart...] }

    /// Starts with a slash.
    package var path: ArraySlice<UInt8> { bytes[pathStart..<pathEnd] }

    /// Without the question mark; `nil` when there is no question mark.
    package var query: ArraySlice<UInt8>? { pathEnd < bytes.count ? bytes[(pathEnd + 1)...] : nil }

    /// The same URL with another query, or with none.
    ///
    /// - Parameter query: Without the question mark. Checked strictly.
    package func replacingQuery(
        _ query: Span<UInt8>?, limit: Int = Self.defaultLimit
    ) throws(HTTPURLError) -> HTTPURL {
        var changed = Array(bytes[..<pathEnd])
        if let query {
            guard query.count < limit - pathEnd else { throw .tooLong(limit: limit) }
            changed.append(UInt8(ascii: "?"))
            try HTTPURLReader.append(query, to: &changed, inQuery: true, as: .strict)
        }
        let authority = HTTPURLAuthority(scheme: scheme, port: port, address: address, hostEnd: hostEnd)
        return HTTPURL(bytes: changed, authority: authority, pathStart: pathStart, pathEnd: pathEnd)
    }
}
