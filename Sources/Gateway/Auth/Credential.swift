/// How a token came to us.
package enum Carrier: String, Sendable {
    case query
    case authorization
    case subprotocol
    case cookie
}

/// A token and how it came.
package struct Credential: Sendable {
    package let token: [UInt8]
    package let carrier: Carrier
}

/// Why a request's credentials were refused before any token was looked at.
package enum CredentialError: Error, Equatable, Sendable {
    /// Two tokens that differ: guessing which one is meant would let one be checked and the other used.
    case conflicting(Carrier, Carrier)
    case malformed(Carrier)
    /// A browser sends cookies for any page that asks; without a known Origin the page may be anybody's.
    case foreignOrigin
    case missingOrigin

    package var status: Int {
        switch self {
        case .conflicting, .malformed: 400
        case .foreignOrigin, .missingOrigin: 403
        }
    }

    package var code: String {
        switch self {
        case .conflicting: "credentials_conflict"
        case .malformed: "credentials_malformed"
        case .foreignOrigin: "origin_refused"
        case .missingOrigin: "origin_missing"
        }
    }

    package var message: String {
        switch self {
        case .conflicting(let one, let other) where one == other:
            "The request carries two different tokens by \(one.rawValue). Send one."
        case .conflicting(let one, let other):
            "The request carries different tokens by \(one.rawValue) and \(other.rawValue). Send one."
        case .malformed(let carrier): "The token in the request's \(carrier.rawValue) is not well formed."
        case .foreignOrigin:
            "A cookie is not accepted from this Origin. Add it to ALLOWED_ORIGINS or send the token itself."
        case .missingOrigin: "A cookie is accepted here only with an Origin header. Send the token itself instead."
        }
    }
}

/// Which carriers an operator allows.
package struct CredentialRules: Sendable {
    /// The cookie that may hold a token; `nil` looks at no cookie.
    package let cookieName: [UInt8]?
    private let allowedOrigins: [AllowedOrigin]

    /// - Parameter allowedOrigins: Origins besides the request's own whose pages may use the cookie, such as
    ///   `https://app.example.com` or, for every host below one, `https://*.example.com`.
    package init(cookieName: String? = nil, allowedOrigins: [String] = []) {
        self.cookieName = cookieName.flatMap { $0.isEmpty ? nil : Array($0.utf8) }
        self.allowedOrigins = allowedOrigins.compactMap(AllowedOrigin.init)
    }

    func allows(_ origin: Span<UInt8>, own: Span<UInt8>) -> Bool {
        let origin = Origin.normalized(origin)
        guard !origin.isEmpty, origin != Array("null".utf8) else { return false }
        return origin == Origin.normalized(own) || allowedOrigins.contains { $0.matches(origin) }
    }
}

/// One entry of ALLOWED_ORIGINS.
private struct AllowedOrigin: Sendable {
    /// The whole origin, or with a wildcard the scheme with its slashes.
    private let start: [UInt8]
    /// With a wildcard, the dot and everything behind it.
    private let end: [UInt8]?

    /// - Returns: `nil` for a wildcard anywhere but in front of a host of two labels or more: `https://*.com` would be
    ///   half the world.
    init?(_ text: String) {
        let origin = Origin.normalized(Array(text.utf8).span)
        guard let star = origin.firstIndex(of: UInt8(ascii: "*")) else {
            start = origin
            end = nil
            return
        }
        let tail = Array(origin[(star + 1)...])
        guard origin[..<star].suffix(3).elementsEqual("://".utf8), tail.first == UInt8(ascii: ".") else { return nil }
        guard tail.dropFirst().contains(UInt8(ascii: ".")), !tail.contains(UInt8(ascii: "*")) else { return nil }
        start = Array(origin[..<star])
        end = tail
    }

    func matches(_ origin: [UInt8]) -> Bool {
        guard let end else { return origin == start }
        guard origin.count > start.count + end.count, origin.starts(with: start) else { return false }
        // Nothing but labels may stand for the star, or `https://evil.test/.example.com` would match.
        let labels = origin[start.count..<(origin.count - end.count)]
        return origin.suffix(end.count).elementsEqual(end) && labels.allSatisfy(Origin.isLabelByte)
    }
}

/// Origins as browsers write them (RFC 6454 §6.1), brought to one spelling.
enum Origin {
    static func isLabelByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
        default: false
        }
    }

    /// Lower-case, without a trailing slash or the scheme's own port.
    static func normalized(_ text: Span<UInt8>) -> [UInt8] {
        var origin = [UInt8]()
        for place in text.indices {
            let byte = text[place]
            origin.append(UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte)
        }
        if origin.last == UInt8(ascii: "/") { origin.removeLast() }
        for (scheme, port) in [("https://", ":443"), ("http://", ":80"), ("wss://", ":443"), ("ws://", ":80")]
        where origin.starts(with: scheme.utf8) && origin.suffix(port.utf8.count).elementsEqual(port.utf8) {
            origin.removeLast(port.utf8.count)
        }
        return origin
    }
}
