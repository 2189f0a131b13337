import COpenSSL

/// A key as OpenSSL holds it. Freed when it goes out of scope; every call leaves OpenSSL's error queue empty, because
/// TLS on the same thread reads that queue.
@safe struct PublicKey: ~Copyable {
    enum Kind: Equatable {
        case rsa(bits: Int)
        case ellipticCurve(EllipticCurve)
    }

    private let key: OpaquePointer

    private init(owning key: OpaquePointer) { unsafe self.key = key }

    deinit { unsafe EVP_PKEY_free(key) }

    /// `nil` for kinds that sign no token we accept: DSA, Ed25519, RSA-PSS, other curves.
    var kind: Kind? {
        switch unsafe EVP_PKEY_get_base_id(key) {
        case EVP_PKEY_RSA: return .rsa(bits: Int(unsafe EVP_PKEY_get_bits(key)))
        case EVP_PKEY_EC:
            return groupName.flatMap { name in EllipticCurve.allCases.first { $0.groupName == name } }
                .map(Kind.ellipticCurve)
        default: return nil
        }
    }

    private var groupName: String? {
        var name = [CChar](repeating: 0, count: 64)
        var length = 0
        let found = unsafe EVP_PKEY_get_group_name(key, &name, name.count, &length)
        guard found == 1, length < name.count else {
            ERR_clear_error()
            return nil
        }
        return String(decoding: name[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    // MARK: From a JWK's numbers

    /// - Parameters: Big-endian modulus and exponent, as in a JWK's `n` and `e`.
    static func rsa(modulus: [UInt8], exponent: [UInt8]) -> PublicKey? {
        defer { ERR_clear_error() }
        guard let builder = unsafe OSSL_PARAM_BLD_new() else { return nil }
        defer { unsafe OSSL_PARAM_BLD_free(builder) }
        guard let n = unsafe BN_bin2bn(modulus, CInt(modulus.count), nil) else { return nil }
        defer { unsafe BN_free(n) }
        guard let e = unsafe BN_bin2bn(exponent, CInt(exponent.count), nil) else { return nil }
        defer { unsafe BN_free(e) }
        guard unsafe co_push_rsa(builder, n, e) == 1 else { return nil }
        return unsafe owned(build("RSA", from: builder))
    }

    /// - Parameters: Big-endian coordinates of exactly the curve's field length, as in a JWK's `x` and `y`.
    /// - Returns: `nil` when the point is not on the curve.
    static func ellipticCurve(_ curve: EllipticCurve, x: [UInt8], y: [UInt8]) -> PublicKey? {
        defer { ERR_clear_error() }
        guard x.count == curve.fieldLength, y.count == curve.fieldLength else { return nil }
        guard let builder = unsafe OSSL_PARAM_BLD_new() else { return nil }
        defer { unsafe OSSL_PARAM_BLD_free(builder) }
        let point: [UInt8] = [4] + x + y  // uncompressed, SEC 1 §2.3.3
        let group = Array(curve.groupName.utf8CString)
        let key: OpaquePointer? = unsafe group.withUnsafeBufferPointer { group in
            unsafe point.withUnsafeBytes { point in
                guard unsafe co_push_ec(builder, group.baseAddress, point.baseAddress, point.count) == 1 else {
                    return nil
                }
                return unsafe build("EC", from: builder)
            }
        }
        return unsafe owned(key)
    }

    private static func build(_ type: String, from builder: OpaquePointer) -> OpaquePointer? {
        guard let parameters = unsafe OSSL_PARAM_BLD_to_param(builder) else { return nil }
        defer { unsafe OSSL_PARAM_free(parameters) }
        guard let context = unsafe EVP_PKEY_CTX_new_from_name(nil, type, nil) else { return nil }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard
            unsafe EVP_PKEY_fromdata_init(context) == 1,
            unsafe EVP_PKEY_fromdata(context, &key, co_public_key, parameters) == 1
        else { return nil }
        return unsafe key
    }

    private static func owned(_ key: OpaquePointer?) -> PublicKey? {
        guard let key = unsafe key else { return nil }
        let owned = unsafe PublicKey(owning: key)
        guard owned.isSound else { return nil }
        return consume owned
    }

    /// Whether OpenSSL finds the numbers plausible: a point on its curve, a modulus that is odd and no prime.
    private var isSound: Bool {
        guard let context = unsafe EVP_PKEY_CTX_new(key, nil) else { return false }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        return unsafe EVP_PKEY_public_check(context) == 1
    }

    // MARK: Verifying

    /// Whether `signature` is this key's over `message`: PKCS #1 v1.5 for RSA, two numbers of field length for EC.
    func verifies(_ signature: [UInt8], over message: [UInt8], digest: String) -> Bool {
        defer { ERR_clear_error() }
        let encoded: [UInt8]?
        switch kind {
        case .rsa: encoded = signature
        case .ellipticCurve(let curve): encoded = Self.der(signature, half: curve.fieldLength)
        case nil: encoded = nil
        }
        guard let encoded, let context = unsafe EVP_MD_CTX_new() else { return false }
        defer { unsafe EVP_MD_CTX_free(context) }
        guard unsafe EVP_DigestVerifyInit_ex(context, nil, digest, nil, nil, key, nil) == 1 else { return false }
        return unsafe EVP_DigestVerify(context, encoded, encoded.count, message, message.count) == 1
    }

    /// The form OpenSSL wants of an elliptic signature (RFC 3279 §2.2.3).
    private static func der(_ signature: [UInt8], half: Int) -> [UInt8]? {
        guard signature.count == half * 2, let pair = unsafe ECDSA_SIG_new() else { return nil }
        defer { unsafe ECDSA_SIG_free(pair) }
        let r = unsafe BN_bin2bn(Array(signature[..<half]), CInt(half), nil)
        let s = unsafe BN_bin2bn(Array(signature[half...]), CInt(half), nil)
        guard unsafe ECDSA_SIG_set0(pair, r, s) == 1 else {
            unsafe BN_free(r)
            unsafe BN_free(s)
            return nil
        }
        let length = unsafe i2d_ECDSA_SIG(pair, nil)
        guard length > 0 else { return nil }
        return unsafe [UInt8](unsafeUninitializedCapacity: Int(length)) { room, count in
            var place = room.baseAddress
            count = unsafe Int(max(0, i2d_ECDSA_SIG(pair, &place)))
        }
    }

    // MARK: PEM

    /// Reads a `PUBLIC KEY` block (RFC 7468 §13).
    static func publicPEM(_ text: [UInt8]) -> PublicKey? {
        defer { ERR_clear_error() }
        let key = unsafe withMemory(over: text) { unsafe co_read_public_key($0) }
        return unsafe owned(key)
    }

    /// Reads an unencrypted private key in PEM; an encrypted one is refused rather than asked for on the terminal.
    static func privatePEM(_ text: [UInt8]) -> PublicKey? {
        defer { ERR_clear_error() }
        let key = unsafe withMemory(over: text) { unsafe co_read_private_key($0) }
        guard let key = unsafe key else { return nil }
        return unsafe PublicKey(owning: key)
    }

    private static func withMemory(
        over text: [UInt8], _ read: (OpaquePointer) -> OpaquePointer?
    ) -> OpaquePointer? {
        unsafe text.withUnsafeBytes { raw in
            guard raw.count > 0, raw.count < 1 << 20 else { return nil }
            guard let bio = unsafe BIO_new_mem_buf(raw.baseAddress, CInt(raw.count)) else { return nil }
            defer { unsafe BIO_free(bio) }
            return unsafe read(bio)
        }
    }

    /// The public half as a `PUBLIC KEY` block, which is how libjwt wants it.
    var pem: [UInt8]? {
        defer { ERR_clear_error() }
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { return nil }
        defer { unsafe BIO_free(bio) }
        guard unsafe PEM_write_bio_PUBKEY(bio, key) == 1 else { return nil }
        var start: UnsafePointer<CChar>?
        let count = unsafe co_bio_bytes(bio, &start)
        guard count > 0, let start = unsafe start else { return nil }
        return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
    }
}
