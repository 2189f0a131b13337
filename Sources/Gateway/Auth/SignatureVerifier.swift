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
        let isGenuine =
            token.header.type == .accessToken
            ? verifyDirectly(token, with: key) : verifyByLibjwt(token, with: key)
        guard isGenuine else { throw .badSignature }
    }

    /// Verifies with OpenSSL itself, for the one kind of token libjwt has no way to read: it refuses every `typ` but
    /// `JWT` before it looks at the signature, and RFC 9068 access tokens are `at+jwt`.
    static func verifyDirectly(_ token: CompactToken, with key: VerificationKey) -> Bool {
        guard let end = token.bytes.lastIndex(of: UInt8(ascii: ".")) else { return false }
        let message = Array(token.bytes[..<end])
        let digest = "SHA\(token.header.algorithm.hashLength * 8)"
        switch key.material {
        case .hmac(let secret):
            return Self.hmac(message, secret, digest: digest).map { isSame($0, token.signature) } ?? false
        case .rsa(let pem, _), .ellipticCurve(let pem, _):
            guard let key = PublicKey.publicPEM(pem.bytes) else { return false }
            return key.verifies(token.signature, over: message, digest: digest)
        }
    }

    private static func hmac(_ message: [UInt8], _ secret: NonEmptyBytes, digest: String) -> [UInt8]? {
        defer { ERR_clear_error() }
        guard let algorithm = unsafe EVP_get_digestbyname(digest) else { return nil }
        var mac = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        let key = secret.bytes
        guard
            unsafe HMAC(algorithm, key, CInt(key.count), message, message.count, &mac, &length) != nil
        else { return nil }
        return Array(mac[..<Int(length)])
    }

    /// Takes as long whatever the bytes are.
    private static func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        unsafe left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
    }

    /// What libjwt says; apart from tests, ``verify(_:with:)`` is the way in.
    static func verifyByLibjwt(_ token: CompactToken, with key: VerificationKey) -> Bool {
        decode(token.bytes, key: key.bytes) == token.header.algorithm.libjwt
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
