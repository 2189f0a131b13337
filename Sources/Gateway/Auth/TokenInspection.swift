import GatewayBytes

/// A token that passed every check.
struct VerifiedToken: Sendable {
    let principal: Principal
    /// Until when the verdict may be remembered: the token's end, or that of the belief in its key.
    let rememberUntil: Double
}

/// Runs every check on one token, in the order of ``TokenCheck``.
///
/// Deciding and explaining are this one function, so an explanation cannot drift from the decision.
struct TokenInspection {
    let keys: KeySet
    let policy: TokenPolicy
    let limits: TokenLimits
    let now: Double
    /// What passed, for people; `nil` when nobody asks.
    private(set) var passed: [(check: TokenCheck, detail: String)]?

    init(keys: KeySet, policy: TokenPolicy, limits: TokenLimits, now: Double, explaining: Bool = false) {
        self.keys = keys
        self.policy = policy
        self.limits = limits
        self.now = now
        passed = explaining ? [] : nil
    }

    mutating func inspect(_ bytes: [UInt8]) throws(TokenError) -> VerifiedToken {
        let token = try read(bytes)
        let until = try verify(token)
        let principal = try judge(token.claims)
        return VerifiedToken(principal: principal, rememberUntil: min(until, principal.expiry))
    }

    private mutating func read(_ bytes: [UInt8]) throws(TokenError) -> CompactToken {
        let limit = limits.size
        guard bytes.count <= limit.bytes else { throw .tooLarge(limit: limit) }
        pass(.size, "\(bytes.count) bytes, at most \(limit)")
        let pieces = try CompactToken.pieces(of: bytes)
        pass(.parts, "three")
        let parts = try CompactToken.decode(pieces)
        pass(.encoding, "strict base64url")
        let header = try readHeader(parts.header)
        let claims = try Claims(CompactToken.object(.claims, parts.claims, limits: limits))
        pass(.claims, "one JSON object")
        return CompactToken(bytes: bytes, header: header, claims: claims, signature: parts.signature)
    }

    private mutating func readHeader(_ bytes: [UInt8]) throws(TokenError) -> JWTHeader {
        let object = try CompactToken.object(.header, bytes, limits: limits)
        let keyID = try JWTHeader.keyID(object, limits: limits)
        pass(.header, keyID.map { "kid \(quoted($0))" } ?? "no kid")
        try JWTHeader.checkExtensions(object)
        pass(.extensions, "no crit, b64 or zip")
        let algorithm = try JWTHeader.algorithm(object)
        pass(.algorithm, algorithm.rawValue)
        let type = try JWTHeader.type(object)
        pass(.type, type == nil ? "not set" : "an access token")
        return JWTHeader(algorithm: algorithm, keyID: keyID, type: type)
    }

    private mutating func verify(_ token: CompactToken) throws(TokenError) -> Double {
        let (key, until) = try keys.choose(token.header, now: now)
        pass(.key, key.description)
        try SignatureVerifier.verify(token, with: key)
        pass(.signature, "verifies")
        return until
    }

    private mutating func judge(_ claims: Claims) throws(TokenError) -> Principal {
        let expiry = try policy.checkExpiry(claims, now: now)
        pass(.expiry, "valid until \(utc(expiry))")
        try policy.checkNotBefore(claims, now: now)
        pass(.notBefore, claims["nbf"] == nil ? "not set" : "has begun")
        try policy.checkIssuedAt(claims, now: now)
        pass(.issuedAt, claims["iat"] == nil ? "not set" : "in the past")
        let issuer = try policy.checkIssuer(claims)
        pass(.issuer, quoted(issuer))
        try policy.checkAudience(claims)
        let takesAny = policy.audiences.isEmpty
        pass(.audience, takesAny ? "any is taken" : "names this gateway")
        let subject = try policy.checkSubject(claims)
        pass(.subject, quoted(subject))
        let roles = try policy.checkRole(claims)
        pass(.role, roles.isEmpty ? "none" : quoted(roles))
        return Principal(
            subject: subject, issuer: issuer, expiry: expiry, roles: roles, claims: claims,
            tierClaims: policy.tierClaims)
    }

    private mutating func pass(_ check: TokenCheck, _ detail: @autoclosure () -> String) {
        passed?.append((check, detail()))
    }
}

/// What `gateway token explain` prints: every check that passed, then the exact one that failed.
package struct TokenExplanation: Sendable {
    package let passed: [(check: TokenCheck, detail: String)]
    package let failure: TokenError?
    /// Whom the token speaks for, when every check passed.
    package let principal: Principal?

    /// One line per check, the failing one last; checks after it were not run.
    package var lines: [String] {
        var lines = passed.map { "ok    \(Self.pad($0.check.rawValue)) \($0.detail)" }
        if let failure {
            lines.append("FAIL  \(Self.pad(failure.check?.rawValue ?? "token")) \(failure.message) [\(failure.code)]")
        }
        return lines
    }

    private static func pad(_ name: String) -> String {
        name + String(repeating: " ", count: max(0, 12 - name.utf8.count))
    }
}
