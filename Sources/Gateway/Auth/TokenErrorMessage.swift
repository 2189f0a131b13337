import GatewayBytes

extension TokenError: CustomStringConvertible {
    package var description: String { message }

    /// What is wrong and what to do, for a person. Values from the token are quoted, cut short and free of control
    /// characters; the token itself, its signature and secrets never appear.
    package var message: String {
        switch self {
        case .missing:
            "No token was sent. Send it as ?token=, as Authorization: Bearer, or as Sec-WebSocket-Protocol: bearer, <token>."
        case .tooLarge(let limit): "The token is larger than \(limit)."
        case .notThreeParts(let count):
            "A token has three parts separated by dots; this has \(count). Check that it was copied whole."
        case .encrypted: "This is an encrypted token (JWE). Only signed tokens (JWS) are accepted."
        case .notBase64URL(let part):
            "The token's \(part.rawValue) is not base64url without padding. Check that it was copied whole."
        case .notJSON(let part, let error): "The token's \(part.rawValue) is not strict JSON: \(Self.describe(error))."
        case .notAnObject(let part): "The token's \(part.rawValue) is not a JSON object."
        case .malformedHeader(let member, let expected): "The token's header \(member) must be \(expected)."
        case .criticalExtension: "The token's header has `crit`; no critical extension is supported."
        case .unencodedPayload: "The token's header has `b64`; unencoded payloads are not supported."
        case .compressed: "The token's header has `zip`; compressed tokens are not supported."
        case .unsigned(let name): "The token's algorithm is \(quoted(name)): unsigned tokens are never accepted."
        case .misspelledAlgorithm(let name, let meant):
            "The token's algorithm \(quoted(name)) is not spelled \(meant.rawValue); names are case-sensitive."
        case .unsupportedAlgorithm(let name):
            "The token's algorithm \(quoted(name)) is not supported. Accepted: HS, RS and ES with 256, 384 or 512."
        case .wrongType(let type): "The token's type \(quoted(type)) is not an access token; JWT or at+jwt is expected."
        default: policyMessage
        }
    }

    private var policyMessage: String {
        switch self {
        case .malformedClaim(let name, let expected): "The token's claim \(quoted(name)) must be \(expected)."
        case .missingClaim(let name): "The token lacks the claim \(quoted(name)), which is required."
        case .noKeyConfigured:
            "This gateway has no key to verify tokens with. Set SUPABASE_AUTH_DOMAIN, SUPABASE_JWKS_URL or SUPABASE_JWT_SECRET."
        case .keysUnavailable: "The issuer's keys cannot be fetched at the moment. Try again shortly."
        case .unknownKey(let id): "The issuer publishes no key called \(quoted(id)). Sign in again for a fresh token."
        case .noKeyFits(let algorithm): "No key of this gateway verifies \(algorithm.rawValue)."
        case .ambiguousKey(let algorithm):
            "The token names no key, and more than one verifies \(algorithm.rawValue). The issuer must set `kid`."
        case .algorithmNotForKey(let algorithm, let id): "The key \(quoted(id)) is not for \(algorithm.rawValue)."
        case .badSignature: "The token's signature does not verify: it was altered, or signed with another key."
        case .expired(let at, let now):
            "The token expired \(ago(now - at)), at \(utc(at)). Refresh it or sign in again."
        case .notYetValid(let from, _): "The token is not valid before \(utc(from)). Check the clocks."
        case .issuedInFuture(let at, _): "The token was issued in the future, at \(utc(at)). Check the clocks."
        case .wrongIssuer(let found, let expected):
            "The token is from issuer \(quoted(found)); this gateway accepts \(quoted(expected))."
        case .wrongAudience(let found, let expected):
            "The token is for \(quoted(found)); this gateway is \(quoted(expected))."
        case .emptySubject: "The token's claim \"sub\" is empty, so it names nobody."
        case .roleRefused(let role):
            "The role \(quoted(role)) may not enter; it belongs to a key shared by many, not to a person. Sign in."
        default: "The token was refused."
        }
    }

    private static func describe(_ error: JSONError) -> String {
        switch error {
        case .duplicateName(let name): "the name \(quoted(name)) comes twice"
        case .malformedUTF8: "a string is not UTF-8"
        case .loneSurrogate: "a string has half a surrogate pair"
        case .tooLarge, .tooDeep, .tooManyValues: "it is too large or too deep"
        case .trailingBytes: "something follows the object"
        case .unexpectedEnd: "it ends early"
        default: "the grammar is broken"
        }
    }

    private func ago(_ seconds: Double) -> String {
        switch seconds {
        case ..<0: "just now"
        case ..<120: "\(Int(seconds)) s ago"
        case ..<7200: "\(Int(seconds / 60)) min ago"
        case ..<172_800: "\(Int(seconds / 3600)) h ago"
        case ..<1e11: "\(Int(seconds / 86400)) days ago"
        default: "long ago"
        }
    }
}

/// A foreign text between quotes: at most 80 characters, nothing that could move a terminal or break a log line.
func quoted(_ text: String) -> String {
    var shown = "\""
    for scalar in text.unicodeScalars.prefix(80) {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned: shown += "\u{FFFD}"
        default: shown.unicodeScalars.append(scalar)
        }
    }
    if text.unicodeScalars.count > 80 { shown += "…" }
    return shown + "\""
}

func quoted(_ texts: [String]) -> String {
    texts.isEmpty
        ? "nobody" : texts.prefix(4).map { quoted($0) }.joined(separator: ", ") + (texts.count > 4 ? ", …" : "")
}

/// Seconds since 1970 as `2026-01-31T12:00:00Z`; beyond the years 1970 to 9999 as the bare number.
func utc(_ seconds: Double) -> String {
    guard seconds >= 0, seconds < 253_402_300_800 else { return "\(seconds)" }
    let whole = Int(seconds)
    // Days to a civil date, counting years from March so that the leap day comes last.
    let shifted = whole / 86400 + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let clock = "\(two(whole / 3600 % 24)):\(two(whole / 60 % 60)):\(two(whole % 60))"
    return "\(year)-\(two(month))-\(two(day))T\(clock)Z"
}
