import CJWT
import COpenSSL

/// Verifies one signature with libjwt, and does around the call what libjwt leaves out.
///
/// libjwt takes the algorithm from the token, treats an empty key as "do not verify", pairs HS256 with the text of a
/// public key and ES256 with any curve. So the key comes by a type that holds bytes, is bound to its algorithms before
/// the call, the signature has to have the length that key makes, and the algorithm libjwt used is compared after.
enum SignatureVerifier {
    /// - Throws: ``TokenError/algorithmNotForKey(_:id:)`` or ``TokenError/badSignature``.
    static func verify(_ token: CompactToken, with key: VerificationKey) throws(TokenError) {
        let algorithm = token.header.algorithm
        guard key.algorithms.contains(algorithm) else {
            throw .algorithmNotForKey(algorithm, id: key.id ?? key.description)
        }
        guard token.signature.count == key.signatureLength(algorithm) else { throw .badSignature }
        guard decode(token.bytes, key: key.bytes) == algorithm.libjwt else { throw .badSignature }
    }

    /// - Parameter token: Base64url and dots, so it holds no NUL.
    /// - Returns: The algorithm of a token whose signature verified, else `nil`.
    private static func decode(_ token: [UInt8], key: NonEmptyBytes) -> jwt_alg_t? {
        // libcrypto's error queue belongs to the thread, and TLS reads it after each of its own calls.
        defer { ERR_clear_error() }
        let text = token.map { CChar(bitPattern: $0) } + [0]
        return unsafe key.bytes.withUnsafeBufferPointer { key in
            guard let start = key.baseAddress, key.count > 0, let length = CInt(exactly: key.count) else { return nil }
            var decoded: OpaquePointer?
            let status = unsafe jwt_decode(&decoded, text, start, length)
            guard let decoded = unsafe decoded else { return nil }
            defer { unsafe jwt_free(decoded) }
            return status == 0 ? unsafe jwt_get_alg(decoded) : nil
        }
    }
}

extension VerificationKey {
    fileprivate var bytes: NonEmptyBytes {
        switch material {
        case .hmac(let secret): secret
        case .rsa(let pem, _): pem
        case .ellipticCurve(let pem, _): pem
        }
    }
}

extension JWTAlgorithm {
    var libjwt: jwt_alg_t {
        switch self {
        case .hs256: JWT_ALG_HS256
        case .hs384: JWT_ALG_HS384
        case .hs512: JWT_ALG_HS512
        case .rs256: JWT_ALG_RS256
        case .rs384: JWT_ALG_RS384
        case .rs512: JWT_ALG_RS512
        case .es256: JWT_ALG_ES256
        case .es384: JWT_ALG_ES384
        case .es512: JWT_ALG_ES512
        }
    }
}
