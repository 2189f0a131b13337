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
    /// Origins besides the request's own whose pages may use the cookie, normalized.
    private let allowedOrigins: [[UInt8]]

    package init(cookieName: String? = nil, allowedOrigins: [String] = []) {
        self.cookieName = cookieName.flatMap { $0.isEmpty ? nil : Array($0.utf8) }
        self.allowedOrigins = allowedOrigins.map { Origin.normalized(Array($0.utf8).span) }
    }

    func allows(_ origin: Span<UInt8>, own: Span<UInt8>) -> Bool {
        let origin = Origin.normalized(origin)
        guard !origin.isEmpty, origin != Array("null".utf8) else { return false }
        return origin == Origin.normalized(own) || allowedOrigins.contains(origin)
    }
}

/// Origins as browsers write them (RFC 6454 §6.1), brought to one spelling.
enum Origin {
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
