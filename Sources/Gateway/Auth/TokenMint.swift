import CJWT
import COpenSSL
package import GatewayBytes

/// Why a token could not be made.
package enum MintError: Error, Equatable, Sendable {
    case key(KeyError)
    /// The key is of another kind or curve than the algorithm's.
    case algorithmForOtherKind(JWTAlgorithm)
    /// libjwt refused the claims or the key.
    case refused

    package var message: String {
        switch self {
        case .key(let error): error.message
        case .algorithmForOtherKind(let algorithm): "the key is not of the kind that \(algorithm.rawValue) uses"
        case .refused: "the token could not be signed"
        }
    }
}

/// Signs tokens, for `gateway token mint`, the dev mode and tests.
package struct TokenMint: Sendable {
    private let key: NonEmptyBytes
    package let algorithm: JWTAlgorithm
    package let keyID: String?

    /// Signs with an HMAC secret.
    package init(secret: Secret, algorithm: JWTAlgorithm = .hs256, keyID: String? = nil) throws(MintError) {
        guard algorithm.family == .hmac else { throw .algorithmForOtherKind(algorithm) }
        guard let key = NonEmptyBytes(unsafe secret.withBytes { unsafe Array($0) }) else { throw .key(.emptySecret) }
        self.key = key
        self.algorithm = algorithm
        self.keyID = keyID
    }

    /// Signs with an unencrypted private key in PEM.
    ///
    /// - Parameter algorithm: Unset, RS256 for RSA and the curve's own for EC.
    package init(privateKeyPEM: Secret, algorithm: JWTAlgorithm? = nil, keyID: String? = nil) throws(MintError) {
        let pem = unsafe privateKeyPEM.withBytes { unsafe Array($0) }
        guard let key = NonEmptyBytes(pem), let parsed = PublicKey.privatePEM(pem) else { throw .key(.unreadable) }
        guard let kind = parsed.kind else { throw .key(.unsupportedKind) }
        switch kind {
        case .rsa(let bits):
            guard bits >= VerificationKey.rsaBits.lowerBound else { throw .key(.rsaTooShort(bits: bits)) }
            self.algorithm = algorithm ?? .rs256
            guard self.algorithm.family == .rsa else { throw .algorithmForOtherKind(self.algorithm) }
        case .ellipticCurve(let curve):
            self.algorithm = algorithm ?? curve.algorithm
            guard self.algorithm.curve == curve else { throw .algorithmForOtherKind(self.algorithm) }
        }
        self.key = key
        self.keyID = keyID
    }

    /// Signs exactly these claims; nothing is added.
    package func mint(_ claims: JSONObject) throws(MintError) -> String {
        var json = JSONWriter()
        json.value(.object(claims))
        guard let token = sign(json.bytes.map { CChar(bitPattern: $0) } + [0]) else { throw .refused }
        return token
    }

    /// Signs the claims a gateway asks for.
    ///
    /// - Parameters:
    ///   - now: Seconds since 1970; becomes `iat`.
    ///   - lifetime: Seconds until `exp`.
    ///   - more: Further claims; they win over the ones before.
    package func mint(
        subject: String, issuer: String?, audience: [String], now: Double, lifetime: Double,
        more: JSONObject = JSONObject()
    ) throws(MintError) -> String {
        let issued = now.rounded(.down)
        var claims: JSONObject = ["sub": .string(subject)]
        claims["iss"] = issuer.map(JSON.string)
        if audience.count == 1 { claims["aud"] = .string(audience[0]) }
        if audience.count > 1 { claims["aud"] = .array(audience.map(JSON.string)) }
        claims["iat"] = Self.date(issued)
        claims["exp"] = Self.date(issued + lifetime)
        for member in more.members { claims[member.name] = member.value }
        return try mint(claims)
    }

    /// Whole seconds as an integer: some readers take no fraction, not even a zero.
    private static func date(_ seconds: Double) -> JSON? {
        if let whole = Int64(exactly: seconds) { return .number(JSONNumber(whole)) }
        return JSONNumber(seconds).map(JSON.number)
    }

    private func sign(_ claims: [CChar]) -> String? {
        defer { ERR_clear_error() }
        var made: OpaquePointer?
        guard unsafe jwt_new(&made) == 0, let jwt = unsafe made else { return nil }
        defer { unsafe jwt_free(jwt) }
        if let keyID { guard unsafe jwt_add_header(jwt, "kid", keyID) == 0 else { return nil } }
        guard unsafe jwt_add_grants_json(jwt, claims) == 0 else { return nil }
        let isKeySet = unsafe key.bytes.withUnsafeBufferPointer { key in
            guard let length = CInt(exactly: key.count) else { return false }
            return unsafe jwt_set_alg(jwt, algorithm.libjwt, key.baseAddress, length) == 0
        }
        guard isKeySet, let text = unsafe jwt_encode_str(jwt) else { return nil }
        defer { unsafe cj_free(text) }
        return unsafe String(cString: text)
    }
}
