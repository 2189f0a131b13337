package import GatewayBytes

/// Why a key cannot verify tokens.
package enum KeyError: Error, Equatable, Sendable {
    case emptySecret
    /// A published key must never be a secret: everybody could sign with it.
    case secretIsPublicKey
    case unreadable
    case unsupportedKind
    case rsaTooShort(bits: Int)
    case rsaTooLong(bits: Int)
    case rsaExponent
    case notOnCurve
    case algorithmForOtherKind(JWTAlgorithm)

    package var message: String {
        switch self {
        case .emptySecret: "the secret is empty"
        case .secretIsPublicKey: "the secret is a PEM block; a key others may read cannot be a secret"
        case .unreadable: "the key cannot be read"
        case .unsupportedKind: "only RSA and the curves P-256, P-384 and P-521 are supported"
        case .rsaTooShort(let bits): "an RSA key of \(bits) bits is too short; 2048 is the least"
        case .rsaTooLong(let bits): "an RSA key of \(bits) bits is too long; 8192 is the most"
        case .rsaExponent: "the RSA exponent must be odd, from 3 to 32 bits"
        case .notOnCurve: "the point is not on the curve"
        case .algorithmForOtherKind(let algorithm): "the key is not of the kind that \(algorithm.rawValue) uses"
        }
    }
}

/// One key and exactly the algorithms it may be used with.
///
/// Cannot exist without key bytes: libjwt takes an empty key for "do not verify" and reports success.
package struct VerificationKey: Sendable, CustomStringConvertible {
    enum Material: Sendable {
        case hmac(NonEmptyBytes)
        /// A `PUBLIC KEY` block written by OpenSSL.
        case rsa(NonEmptyBytes, bits: Int)
        case ellipticCurve(NonEmptyBytes, EllipticCurve)
    }

    /// `kid`; a key from settings has none.
    package let id: String?
    package let algorithms: [JWTAlgorithm]
    let material: Material

    static let rsaBits = 2048...8192

    /// An HMAC secret: verifies HS256, HS384 and HS512.
    package static func secret(_ secret: Secret, id: String? = nil) throws(KeyError) -> VerificationKey {
        let bytes = unsafe secret.withBytes { unsafe Array($0) }
        guard let key = NonEmptyBytes(bytes) else { throw .emptySecret }
        guard !bytes.starts(with: "-----BEGIN".utf8) else { throw .secretIsPublicKey }
        return VerificationKey(id: id, algorithms: [.hs256, .hs384, .hs512], material: .hmac(key))
    }

    /// A public key in PEM.
    ///
    /// - Parameter algorithm: Binds the key to one algorithm; without it an RSA key takes RS256, RS384 and RS512.
    package static func publicKey(
        pem: [UInt8], id: String? = nil, algorithm: JWTAlgorithm? = nil
    ) throws(KeyError) -> VerificationKey {
        guard let key = PublicKey.publicPEM(pem) else { throw .unreadable }
        return try make(key, id: id, algorithm: algorithm)
    }

    /// A JWK's RSA numbers, big-endian (RFC 7518 §6.3.1).
    static func rsa(
        modulus: [UInt8], exponent: [UInt8], id: String?, algorithm: JWTAlgorithm?
    ) throws(KeyError) -> VerificationKey {
        // RFC 7518 wants no leading zeros; issuers that copy ASN.1 integers send one.
        let modulus = Array(modulus.drop { $0 == 0 })
        let exponent = Array(exponent.drop { $0 == 0 })
        // Before OpenSSL sees it: a huge modulus or exponent costs seconds.
        let bits = modulus.isEmpty ? 0 : modulus.count * 8 - modulus[0].leadingZeroBitCount
        guard bits >= rsaBits.lowerBound else { throw .rsaTooShort(bits: bits) }
        guard bits <= rsaBits.upperBound else { throw .rsaTooLong(bits: bits) }
        guard let lowest = exponent.last, lowest & 1 == 1, exponent.count <= 4, exponent != [1] else {
            throw .rsaExponent
        }
        guard let key = PublicKey.rsa(modulus: modulus, exponent: exponent) else { throw .unreadable }
        return try make(key, id: id, algorithm: algorithm)
    }

    /// A JWK's point, big-endian (RFC 7518 §6.2.1).
    static func ellipticCurve(
        _ curve: EllipticCurve, x: [UInt8], y: [UInt8], id: String?, algorithm: JWTAlgorithm?
    ) throws(KeyError) -> VerificationKey {
        guard let key = PublicKey.ellipticCurve(curve, x: x, y: y) else { throw .notOnCurve }
        return try make(key, id: id, algorithm: algorithm)
    }

    private static func make(
        _ key: borrowing PublicKey, id: String?, algorithm: JWTAlgorithm?
    ) throws(KeyError) -> VerificationKey {
        guard let pem = key.pem.flatMap(NonEmptyBytes.init) else { throw .unreadable }
        var algorithms: [JWTAlgorithm]
        let material: Material
        switch key.kind {
        case .rsa(let bits):
            guard bits >= rsaBits.lowerBound else { throw .rsaTooShort(bits: bits) }
            guard bits <= rsaBits.upperBound else { throw .rsaTooLong(bits: bits) }
            algorithms = [.rs256, .rs384, .rs512]
            material = .rsa(pem, bits: bits)
        case .ellipticCurve(let curve):
            algorithms = [curve.algorithm]
            material = .ellipticCurve(pem, curve)
        case nil: throw .unsupportedKind
        }
        if let algorithm {
            guard algorithms.contains(algorithm) else { throw .algorithmForOtherKind(algorithm) }
            algorithms = [algorithm]
        }
        return VerificationKey(id: id, algorithms: algorithms, material: material)
    }

    /// What an operator should know about a key that works all the same.
    package var weakness: String? {
        guard case .hmac(let secret) = material, secret.bytes.count < 32 else { return nil }
        return "the HMAC secret has \(secret.bytes.count) bytes; HS256 asks for 32 or more (RFC 7518 §3.2)"
    }

    /// Bytes a signature by this key has.
    func signatureLength(_ algorithm: JWTAlgorithm) -> Int {
        switch material {
        case .hmac: algorithm.hashLength
        case .rsa(_, let bits): (bits + 7) / 8
        case .ellipticCurve(_, let curve): curve.fieldLength * 2
        }
    }

    /// Names the key without its bytes.
    package var description: String {
        let kind =
            switch material {
            case .hmac: "HMAC secret"
            case .rsa(_, let bits): "RSA \(bits)"
            case .ellipticCurve(_, let curve): curve.rawValue
            }
        return id.map { "\(kind) \(quoted($0))" } ?? kind
    }
}

/// Bytes of which there is at least one.
struct NonEmptyBytes: Sendable, CustomStringConvertible, CustomReflectable {
    let bytes: [UInt8]

    init?(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return nil }
        self.bytes = bytes
    }

    var description: String { "<secret>" }
    var customMirror: Mirror { Mirror(self, children: []) }
}
