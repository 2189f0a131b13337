import GatewayBytes

/// Who somebody is, in 128 bits that are equal in every replica: of the SHA-256 of issuer and subject.
package struct PrincipalIdentity: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64

    init(issuer: String, subject: String) {
        // The length in front: no issuer and subject run together like another two.
        let digest = TokenDigest(of: Array("\(issuer.utf8.count):\(issuer)\(subject)".utf8).span)
        (high, low) = digest.firstWords
    }
}

/// Who a verified token speaks for, and until when. Small and shared: it lives as long as a socket does.
package final class Principal: Sendable, CustomStringConvertible {
    package let subject: String
    package let issuer: String
    /// When the token ends, in seconds since 1970; never beyond ``latestExpiry``.
    package let expiry: Double
    package let roles: [String]
    package let permissions: [String]
    /// The plan the issuer says the user is on, `free` when it says nothing.
    package let tier: String
    /// Stands for issuer and subject where something is counted.
    package let identity: PrincipalIdentity

    /// 1 January 2200. Tokens may say `exp: 1e300`; a timer in nanoseconds must still hold the wait.
    package static let latestExpiry: Double = 7_258_118_400

    static let defaultTier = "free"
    static let namespace = "https://cloudtolocalllm.com/"

    package init(
        subject: String, issuer: String, expiry: Double, roles: [String] = [], permissions: [String] = [],
        tier: String? = nil
    ) {
        self.subject = subject
        self.issuer = issuer
        self.expiry = min(expiry, Self.latestExpiry)
        self.roles = roles
        self.permissions = permissions
        self.tier = tier ?? Self.defaultTier
        identity = PrincipalIdentity(issuer: issuer, subject: subject)
    }

    /// Reads rights from claims only the issuer can set. `user_metadata` is not among them: in Supabase every user
    /// writes his own.
    ///
    /// - Parameter tierClaims: See ``TokenPolicy/tierClaims``.
    convenience init(
        subject: String, issuer: String, expiry: Double, roles: [String], claims: Claims, tierClaims: [String]
    ) {
        let metadata = claims["app_metadata"]
        let permissions =
            claims["permissions"]?.strings ?? claims[Self.namespace + "permissions"]?.strings
            ?? metadata?["permissions"]?.strings ?? []
        let tier = tierClaims.lazy.compactMap { Self.text($0, of: claims) }.first
        self.init(
            subject: subject, issuer: issuer, expiry: expiry, roles: roles, permissions: permissions,
            tier: tier.flatMap { $0.isEmpty ? nil : $0 })
    }

    /// The text of a claim, or of a member of one: `tier`, `app_metadata.tier`.
    private static func text(_ name: String, of claims: Claims) -> String? {
        if let claim = claims[name] { return claim.string }
        guard let dot = name.lastIndex(of: ".") else { return nil }
        return claims[String(name[..<dot])]?[String(name[name.index(after: dot)...])]?.string
    }

    /// Whether the permission `admin` was granted, by exactly that name.
    package var isAdmin: Bool { has("admin") }

    package func has(_ permission: String) -> Bool { permissions.contains { $0.isExactly(permission) } }

    package func hasExpired(at now: Double) -> Bool { now >= expiry }

    package func secondsLeft(at now: Double) -> Double { max(0, expiry - now) }

    /// Why a new token cannot go on with a socket that an older one opened.
    package enum RenewalRefusal: Error, Equatable, Sendable {
        case otherIssuer
        case otherSubject
        case moreRights(String)

        package var code: String {
            switch self {
            case .otherIssuer, .otherSubject: "renewal_other_identity"
            case .moreRights: "renewal_more_rights"
            }
        }

        package var message: String {
            switch self {
            case .otherIssuer: "The new token is from another issuer. Reconnect with it."
            case .otherSubject: "The new token is for another user. Reconnect with it."
            case .moreRights(let right): "The new token adds \(quoted(right)). Reconnect to use it."
            }
        }
    }

    /// - Returns: `nil` when `next` may take over: the same issuer and subject, and no right this one lacks.
    package func renewalRefusal(with next: Principal) -> RenewalRefusal? {
        guard next.issuer.isExactly(issuer) else { return .otherIssuer }
        guard next.subject.isExactly(subject) else { return .otherSubject }
        for permission in next.permissions where !has(permission) { return .moreRights(permission) }
        for role in next.roles where !roles.contains(where: { $0.isExactly(role) }) { return .moreRights(role) }
        // Tiers are the issuer's words, so only the default is known to be no more than any other.
        guard next.tier.isExactly(tier) || next.tier.isExactly(Self.defaultTier) else { return .moreRights(next.tier) }
        return nil
    }

    package func mayRenew(with next: Principal) -> Bool { renewalRefusal(with: next) == nil }

    package var description: String { "\(quoted(subject)) of \(quoted(issuer)) until \(utc(expiry))" }
}
