import GatewayBytes

/// What the claims of a genuine token must say before it opens a door.
package struct TokenPolicy: Sendable {
    /// `iss` must be this, give or take one trailing slash. `nil` takes any, and is only for an operator who said so.
    package var issuer: String?
    /// `aud` must name one of these. Empty takes any, and is only for an operator who said so.
    package var audiences: [String]
    /// How far the issuer's clock may run ahead, in seconds, for `nbf` and `iat`. `exp` gets no grace: being early costs
    /// a token seconds of its life, being late prolongs a session somebody may have ended.
    package var clockSkew: Double
    /// Values of `role` that may not enter. Supabase's public anon key is a long-lived signed token.
    package var refusedRoles: [String]

    /// Where the user's tier stands, the first that is there: names of claims, or of a member behind a dot.
    package var tierClaims: [String]

    package static let publicRoles = ["anon", "service_role"]

    package init(
        issuer: String?, audiences: [String], clockSkew: Double = 5, refusedRoles: [String] = Self.publicRoles,
        tierClaims: [String] = AuthSettings.usualTierClaims
    ) {
        self.issuer = issuer
        self.audiences = audiences
        self.clockSkew = clockSkew
        self.refusedRoles = refusedRoles
        self.tierClaims = tierClaims
    }

    func checkExpiry(_ claims: Claims, now: Double) throws(TokenError) -> Double {
        guard let expiry = try claims.date("exp") else { throw .missingClaim(name: "exp") }
        guard now < expiry else { throw .expired(at: expiry, now: now) }
        return expiry
    }

    func checkNotBefore(_ claims: Claims, now: Double) throws(TokenError) {
        guard let start = try claims.date("nbf") else { return }
        guard start <= now + clockSkew else { throw .notYetValid(from: start, now: now) }
    }

    func checkIssuedAt(_ claims: Claims, now: Double) throws(TokenError) {
        guard let issued = try claims.date("iat") else { return }
        guard issued <= now + clockSkew else { throw .issuedInFuture(at: issued, now: now) }
    }

    /// - Returns: The issuer, or an empty text when none is demanded and none is there.
    func checkIssuer(_ claims: Claims) throws(TokenError) -> String {
        let found = try claims.string("iss")
        guard let issuer else { return found ?? "" }
        guard let found else { throw .missingClaim(name: "iss") }
        guard Self.isSameIssuer(found, issuer) else { throw .wrongIssuer(found: found, expected: issuer) }
        return found
    }

    func checkAudience(_ claims: Claims) throws(TokenError) {
        let found = try claims.strings("aud")
        guard !audiences.isEmpty else { return }
        guard let found else { throw .missingClaim(name: "aud") }
        guard found.contains(where: { one in audiences.contains { $0.isExactly(one) } }) else {
            throw .wrongAudience(found: found, expected: audiences)
        }
    }

    func checkSubject(_ claims: Claims) throws(TokenError) -> String {
        guard let subject = try claims.string("sub") else { throw .missingClaim(name: "sub") }
        guard !subject.isEmpty else { throw .emptySubject }
        guard !subject.hasControlCharacters else {
            throw .malformedClaim(name: "sub", expected: "free of control characters")
        }
        return subject
    }

    func checkRole(_ claims: Claims) throws(TokenError) -> [String] {
        let roles = try claims.strings("role") ?? []
        for role in roles where refusedRoles.contains(where: { $0.isExactly(role) }) { throw .roleRefused(role) }
        return roles
    }

    /// Whether two issuers are the same text, give or take one trailing slash.
    static func isSameIssuer(_ left: String, _ right: String) -> Bool {
        withoutSlash(left).isExactly(withoutSlash(right))
    }

    private static func withoutSlash(_ issuer: String) -> String {
        issuer.utf8.last == UInt8(ascii: "/") ? String(issuer.dropLast()) : issuer
    }
}
