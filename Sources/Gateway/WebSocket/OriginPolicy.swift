/// Which web pages may open a WebSocket here. Browsers send `Origin` and let no page forge it; other clients send none.
package struct OriginPolicy: Equatable, Sendable {
    /// Any origin at all, also `null`.
    package var allowsAny = false
    /// Pages of the very host and scheme that the request came to.
    package var allowsSameOrigin = false
    package var allowed: [OriginRule] = []
    /// Refuses requests without an origin: for routes where a cookie authenticates.
    package var requiresOrigin = false

    package static let any = OriginPolicy(allowsAny: true)
    package static let sameOrigin = OriginPolicy(allowsSameOrigin: true)
    package static func allowing(_ rules: [OriginRule], orSameOrigin: Bool = true) -> OriginPolicy {
        OriginPolicy(allowsSameOrigin: orSameOrigin, allowed: rules)
    }

    package init(
        allowsAny: Bool = false, allowsSameOrigin: Bool = false, allowed: [OriginRule] = [],
        requiresOrigin: Bool = false
    ) {
        self.allowsAny = allowsAny
        self.allowsSameOrigin = allowsSameOrigin
        self.allowed = allowed
        self.requiresOrigin = requiresOrigin
    }

    /// - Parameters:
    ///   - origins: The values of the request's `Origin` fields.
    ///   - host: Its `Host`, for the same-origin rule.
    ///   - isSecure: Whether the client came by TLS, at this server or at a trusted proxy.
    package func allows(origins: [String], host: String?, isSecure: Bool) -> Bool {
        guard let text = origins.first else { return !requiresOrigin }
        guard origins.count == 1 else { return false }
        if allowsAny { return true }
        guard let origin = Origin(text) else { return false }
        if allowsSameOrigin, let host, let own = Origin((isSecure ? "https://" : "http://") + host), own == origin {
            return true
        }
        return allowed.contains { $0.matches(origin) }
    }
}

/// An entry of ALLOWED_ORIGINS: `https://app.example.com`, `http://localhost:3000`, `https://*.example.com`.
package struct OriginRule: Equatable, Sendable {
    private let origin: Origin
    private let matchesSubdomains: Bool

    /// - Returns: `nil` when `text` is not scheme://host[:port] with at most one `*.` in front of the host.
    package init?(_ text: String) {
        let parts = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        let isWild = parts[1].hasPrefix("*.")
        let rest = isWild ? parts[1].dropFirst(2) : parts[1]
        guard !rest.contains("*"), let origin = Origin("\(parts[0])://\(rest)") else { return nil }
        // `https://*.com` would be half the world.
        guard !isWild || origin.host.contains(".") else { return nil }
        self.origin = origin
        matchesSubdomains = isWild
    }

    /// A wildcard matches any number of labels before its domain, and not the domain itself.
    func matches(_ other: Origin) -> Bool {
        guard matchesSubdomains else { return other == origin }
        return other.scheme == origin.scheme && other.port == origin.port && other.host.hasSuffix("." + origin.host)
            && other.host.utf8.count > origin.host.utf8.count + 1
    }
}

/// A scheme, host and port (RFC 6454 §4), in lower case and with the default port filled in.
struct Origin: Equatable, Sendable {
    let scheme: String
    let host: String
    let port: Int

    init?(_ text: String) {
        let parts = text.lowercased().split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let standard = Self.standardPort(parts[0]) else { return nil }
        guard let (host, port) = Self.splitPort(parts[1]) else { return nil }
        scheme = String(parts[0])
        self.host = String(host)
        self.port = port ?? standard
    }

    private static func standardPort(_ scheme: Substring) -> Int? {
        switch scheme {
        case "http", "ws": 80
        case "https", "wss": 443
        default: scheme.isEmpty || !scheme.utf8.allSatisfy(FieldScanner.isTokenByte) ? nil : 0
        }
    }

    /// Splits `host[:port]`, where the host may be an IPv6 address in brackets.
    private static func splitPort(_ text: Substring) -> (host: Substring, port: Int?)? {
        let afterHost: Substring.Index
        if text.hasPrefix("[") {
            guard let bracket = text.firstIndex(of: "]") else { return nil }
            afterHost = text.index(after: bracket)
        } else {
            afterHost = text.firstIndex(of: ":") ?? text.endIndex
        }
        let host = text[..<afterHost]
        guard isHost(host) else { return nil }
        let rest = text[afterHost...]
        if rest.isEmpty { return (host, nil) }
        guard rest.hasPrefix(":"), rest.dropFirst().utf8.allSatisfy({ 0x30...0x39 ~= $0 }),
            let port = Int(rest.dropFirst()), 1...65535 ~= port
        else { return nil }
        return (host, port)
    }

    private static func isHost(_ text: Substring) -> Bool {
        let inner = text.hasPrefix("[") ? text.dropFirst().dropLast() : text
        let allowsColon = text.hasPrefix("[")
        return !inner.isEmpty
            && inner.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                    UInt8(ascii: "."), UInt8(ascii: "_"):
                    true
                case UInt8(ascii: ":"): allowsColon
                default: false
                }
            }
    }
}
