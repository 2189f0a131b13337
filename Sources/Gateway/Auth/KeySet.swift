import GatewayBytes

/// The keys tokens are verified with at one moment: the operator's own, and those the issuer publishes.
package struct KeySet: Sendable {
    /// From settings; valid for ever.
    package let fixed: [VerificationKey]
    /// From the issuer's JWKS, or from the file of last good keys.
    package let published: [VerificationKey]
    /// When the published keys are too old to be believed, in seconds since 1970.
    package let publishedUntil: Double
    /// Whether published keys are expected at all, so that fetching may help.
    package let expectsPublished: Bool

    package init(
        fixed: [VerificationKey] = [], published: [VerificationKey] = [], publishedUntil: Double = .infinity,
        expectsPublished: Bool? = nil
    ) {
        self.fixed = fixed
        self.published = published
        self.publishedUntil = publishedUntil
        self.expectsPublished = expectsPublished ?? !published.isEmpty
    }

    package static let empty = KeySet()

    /// The key a token must be verified with: by its `kid`, or without one only when exactly one key fits.
    ///
    /// - Returns: The key, and until when it may be believed.
    func choose(_ header: JWTHeader, now: Double) throws(TokenError) -> (key: VerificationKey, until: Double) {
        let believed = now < publishedUntil ? published : []
        guard !fixed.isEmpty || !believed.isEmpty else { throw expectsPublished ? .keysUnavailable : .noKeyConfigured }

        let keys = fixed.map { (key: $0, until: Double.infinity) } + believed.map { (key: $0, until: publishedUntil) }
        let algorithm = header.algorithm
        if let id = header.keyID {
            let named = keys.filter { $0.key.id?.isExactly(id) == true }
            if !named.isEmpty {
                guard let found = named.first(where: { $0.key.algorithms.contains(algorithm) }) else {
                    throw .algorithmNotForKey(algorithm, id: id)
                }
                return found
            }
        }
        // An operator's secret has no name, while issuers name every key: such a token is tried with the nameless keys.
        let fitting = keys.filter {
            $0.key.algorithms.contains(algorithm) && (header.keyID == nil || $0.key.id == nil)
        }
        switch fitting.count {
        case 1: return fitting[0]
        case 2...: throw .ambiguousKey(algorithm)
        default: throw absence(of: header, believed: believed)
        }
    }

    private func absence(of header: JWTHeader, believed: [VerificationKey]) -> TokenError {
        // No issuer publishes a secret, so fetching cannot help a token that needs one.
        guard expectsPublished, header.algorithm.family != .hmac else { return .noKeyFits(header.algorithm) }
        if let id = header.keyID { return .unknownKey(id: id) }
        return believed.isEmpty ? .keysUnavailable : .noKeyFits(header.algorithm)
    }
}
