/// A signature algorithm we verify, spelled as in RFC 7518 §3.1. Names are case-sensitive.
package enum JWTAlgorithm: String, CaseIterable, Sendable {
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"

    package enum Family: Sendable {
        case hmac
        case rsa
        case ellipticCurve
    }

    package var family: Family {
        switch self {
        case .hs256, .hs384, .hs512: .hmac
        case .rs256, .rs384, .rs512: .rsa
        case .es256, .es384, .es512: .ellipticCurve
        }
    }

    /// The one curve an ES algorithm may be used with (RFC 7518 §3.4).
    package var curve: EllipticCurve? {
        switch self {
        case .es256: .p256
        case .es384: .p384
        case .es512: .p521
        default: nil
        }
    }

    /// Bytes of the hash inside, which is also the length of an HMAC.
    package var hashLength: Int {
        switch self {
        case .hs256, .rs256, .es256: 32
        case .hs384, .rs384, .es384: 48
        case .hs512, .rs512, .es512: 64
        }
    }
}

/// A curve of RFC 7518 §6.2.1.1, spelled as in a JWK's `crv`.
package enum EllipticCurve: String, CaseIterable, Sendable {
    case p256 = "P-256"
    case p384 = "P-384"
    case p521 = "P-521"

    /// Bytes of one coordinate, and of each half of a signature.
    package var fieldLength: Int {
        switch self {
        case .p256: 32
        case .p384: 48
        case .p521: 66
        }
    }

    package var algorithm: JWTAlgorithm {
        switch self {
        case .p256: .es256
        case .p384: .es384
        case .p521: .es512
        }
    }

    /// What OpenSSL calls the curve.
    var groupName: String {
        switch self {
        case .p256: "prime256v1"
        case .p384: "secp384r1"
        case .p521: "secp521r1"
        }
    }
}
