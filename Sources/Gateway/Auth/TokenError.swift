package import GatewayBytes

/// The checks a token passes through, in this order. The names are what `gateway token explain` prints.
package enum TokenCheck: String, CaseIterable, Sendable {
    case size
    case parts
    case encoding
    case header
    case extensions
    case algorithm
    case type
    case claims
    case key
    case signature
    case expiry
    case notBefore = "not-before"
    case issuedAt = "issued-at"
    case issuer
    case audience
    case subject
    case role
}

/// One of the three parts of a compact token (RFC 7515 §7.1).
package enum TokenPart: String, Sendable {
    case header
    case claims
    case signature
}

/// Why a token was refused. One case per thing that can be wrong, so that a person knows what to change.
package enum TokenError: Error, Equatable, Sendable {
    case missing
    case tooLarge(limit: ByteCount)
    case notThreeParts(count: Int)
    case encrypted
    case notBase64URL(TokenPart)
    case notJSON(TokenPart, JSONError)
    case notAnObject(TokenPart)
    case malformedHeader(member: String, expected: String)
    case criticalExtension
    case unencodedPayload
    case compressed
    case unsigned(algorithm: String)
    case misspelledAlgorithm(String, meant: JWTAlgorithm)
    case unsupportedAlgorithm(String)
    case wrongType(String)
    case malformedClaim(name: String, expected: String)
    case missingClaim(name: String)
    case noKeyConfigured
    case keysUnavailable
    case unknownKey(id: String)
    case noKeyFits(JWTAlgorithm)
    case ambiguousKey(JWTAlgorithm)
    case algorithmNotForKey(JWTAlgorithm, id: String)
    case badSignature
    case expired(at: Double, now: Double)
    case notYetValid(from: Double, now: Double)
    case issuedInFuture(at: Double, now: Double)
    case wrongIssuer(found: String, expected: String)
    case wrongAudience(found: [String], expected: [String])
    case emptySubject
    case roleRefused(String)
}

extension TokenError {
    /// The status to answer with: 401 for a token that proves nothing, 403 for a genuine one that may not enter, 503
    /// when the issuer's keys cannot be had and a later try may do.
    package var status: Int {
        switch self {
        case .roleRefused: 403
        case .keysUnavailable: 503
        default: 401
        }
    }

    /// The `WWW-Authenticate` value that a 401 or 403 needs (RFC 6750 §3); `nil` for other statuses.
    package var challenge: String? {
        switch (self, status) {
        case (.missing, _): "Bearer"
        case (_, 401): "Bearer error=\"invalid_token\""
        case (_, 403): "Bearer error=\"insufficient_scope\""
        default: nil
        }
    }

    /// Whether fetching the issuer's keys again may help; see ``JWKSStore/obtainKey(id:)``.
    package var wantsFreshKeys: Bool {
        switch self {
        case .unknownKey, .keysUnavailable: true
        default: false
        }
    }

    /// The key id that ``wantsFreshKeys`` is about, when the token names one.
    package var wantedKeyID: String? {
        guard case .unknownKey(let id) = self else { return nil }
        return id
    }

    /// Whether the token was not shown to be the issuer's at all: what somebody sends who guesses. A genuine one that has
    /// expired, or is for somebody else, is not among them.
    package var isUnproven: Bool {
        guard status == 401, let check else { return false }
        return switch check {
        case .expiry, .notBefore, .issuedAt, .issuer, .audience, .subject, .role: false
        default: true
        }
    }

    package var isExpired: Bool {
        if case .expired = self { true } else { false }
    }

    /// The check that failed, or `nil` when there was no token to check.
    package var check: TokenCheck? {
        switch self {
        case .missing: nil
        case .tooLarge: .size
        case .notThreeParts, .encrypted: .parts
        case .notBase64URL: .encoding
        case .notJSON(let part, _), .notAnObject(let part): part == .header ? .header : .claims
        case .malformedHeader: .header
        case .criticalExtension, .unencodedPayload, .compressed: .extensions
        case .unsigned, .misspelledAlgorithm, .unsupportedAlgorithm: .algorithm
        case .wrongType: .type
        case .malformedClaim(let name, _), .missingClaim(let name): Self.check(of: name)
        case .noKeyConfigured, .keysUnavailable, .unknownKey, .noKeyFits, .ambiguousKey, .algorithmNotForKey: .key
        case .badSignature: .signature
        case .expired: .expiry
        case .notYetValid: .notBefore
        case .issuedInFuture: .issuedAt
        case .wrongIssuer: .issuer
        case .wrongAudience: .audience
        case .emptySubject: .subject
        case .roleRefused: .role
        }
    }

    private static func check(of claim: String) -> TokenCheck {
        switch claim {
        case "exp": .expiry
        case "nbf": .notBefore
        case "iat": .issuedAt
        case "iss": .issuer
        case "aud": .audience
        case "sub": .subject
        case "role": .role
        default: .claims
        }
    }

    /// A stable word for programs.
    package var code: String {
        switch self {
        case .missing: "token_missing"
        case .tooLarge: "token_too_large"
        case .notThreeParts, .notBase64URL, .notJSON, .notAnObject, .malformedHeader: "token_malformed"
        case .encrypted: "token_encrypted"
        case .criticalExtension, .unencodedPayload, .compressed: "token_extension_unsupported"
        case .unsigned: "token_unsigned"
        case .misspelledAlgorithm, .unsupportedAlgorithm: "token_algorithm_unsupported"
        case .wrongType: "token_type_unsupported"
        case .malformedClaim: "token_claim_malformed"
        case .missingClaim, .emptySubject: "token_claim_missing"
        case .noKeyConfigured: "auth_not_configured"
        case .keysUnavailable: "auth_keys_unavailable"
        case .unknownKey, .noKeyFits, .ambiguousKey: "token_key_unknown"
        case .algorithmNotForKey: "token_key_mismatch"
        case .badSignature: "token_signature_invalid"
        case .expired: "token_expired"
        case .notYetValid: "token_not_yet_valid"
        case .issuedInFuture: "token_issued_in_future"
        case .wrongIssuer: "token_issuer_refused"
        case .wrongAudience: "token_audience_refused"
        case .roleRefused: "token_role_refused"
        }
    }
}
