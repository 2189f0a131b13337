import COpenSSL
import GatewayAuth
import GatewayBytes

/// Tokens from strangers. Nobody here can sign, so nothing may pass but the two tokens that are given away.
enum TokenTarget {
    private static let genuine = [Array(FuzzKeys.hmacToken.utf8), Array(FuzzKeys.rsaToken.utf8)]

    private static let authenticator: Authenticator = {
        let keys = KeySet(fixed: [FuzzKeys.secretKey], published: [FuzzKeys.rsaKey])
        let authenticator = Authenticator(policy: FuzzKeys.policy, keys: keys)
        for token in genuine {
            let verdict = authenticator.authenticate(token, now: FuzzKeys.now)
            guard case .success = verdict else { fatalError("a genuine token is refused: \(verdict)") }
        }
        return authenticator
    }()

    static func run(_ bytes: [UInt8]) {
        let verdict = authenticator.authenticate(bytes, now: FuzzKeys.now)
        let explanation = authenticator.explain(bytes, now: FuzzKeys.now)
        let isGenuine = genuine.contains(bytes)
        switch verdict {
        case .success(let principal):
            require(isGenuine, "a forged token passes as \(principal)")
            require(explanation.failure == nil, "explained as \(String(describing: explanation.failure))")
        case .failure(let error):
            require(!isGenuine, "a genuine token is refused: \(error)")
            require(!error.message.utf8.contains { $0 < 0x20 || $0 == 0x7F }, "a control byte in: \(error.message)")
            require(bytes.isEmpty || explanation.failure == error, "explained otherwise than \(error)")
        }
    }
}

/// Header and claims, as two lines of JSON, signed here: what a malicious or careless issuer could send. What passes must
/// be what the rules ask for, read a second time.
enum ClaimsTarget {
    private static let authenticator = Authenticator(
        policy: FuzzKeys.policy, keys: KeySet(fixed: [FuzzKeys.secretKey], published: [FuzzKeys.rsaKey]))

    static func run(_ bytes: [UInt8]) {
        let lines = bytes.split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false)
        guard lines.count == 2 else { return }
        let text = Array("\(Base64URL.encode(Array(lines[0]))).\(Base64URL.encode(Array(lines[1])))".utf8)
        check(text, header: Array(lines[0]), claims: Array(lines[1]))
        // Keys that everybody knows: the public one, as text, and none.
        for known in [Array(FuzzKeys.rsaPublic.utf8), Array(FuzzKeys.rsaPublic.utf8.dropLast()), []] {
            for digest in digests.values {
                let verdict = authenticator.authenticate(sign(text, with: known, digest), now: FuzzKeys.now)
                guard case .failure = verdict else { fatalError("a token signed by anybody passes: \(verdict)") }
            }
        }
    }

    private static let digests = ["HS256": "SHA256", "HS384": "SHA384", "HS512": "SHA512"]

    private static func sign(_ text: [UInt8], with key: [UInt8], _ digest: String) -> [UInt8] {
        var mac = [UInt8](repeating: 0, count: 64)
        var length: UInt32 = 0
        let algorithm = unsafe EVP_get_digestbyname(digest)
        _ = unsafe HMAC(algorithm, key, CInt(key.count), text, text.count, &mac, &length)
        require(length >= 32, "no digest")
        return text + [UInt8(ascii: ".")] + Array(Base64URL.encode(Array(mac[..<Int(length)])).utf8)
    }

    private static func check(_ text: [UInt8], header: [UInt8], claims: [UInt8]) {
        let said = (try? JSON.parse(header))?["alg"]?.string
        let digest = said.flatMap { digests[$0] }
        let token = sign(text, with: FuzzKeys.secret, digest ?? "SHA256")
        let verdict = authenticator.authenticate(token, now: FuzzKeys.now)
        switch verdict {
        case .failure(let error):
            require(error != .badSignature || digest == nil, "a right signature is called bad: \(claims.shown)")
            require(!error.message.utf8.contains { $0 < 0x20 || $0 == 0x7F }, "a control byte in: \(error.message)")
        case .success(let principal):
            guard let header = try? JSON.parse(header).object, let claims = try? JSON.parse(claims).object else {
                fatalError("a token passes that is not JSON")
            }
            require(digest != nil, "algorithm \(header)")
            require(["crit", "b64", "zip"].allSatisfy { header[$0] == nil }, "header \(header)")
            check(claims, principal)
        }
    }

    private static func check(_ claims: JSONObject, _ principal: Principal) {
        guard let expiry = claims["exp"]?.number?.double else { fatalError("no exp in \(claims)") }
        require(expiry > FuzzKeys.now && principal.expiry <= expiry, "expires at \(expiry)")
        require(principal.expiry.isFinite && principal.expiry <= Principal.latestExpiry, "\(principal)")
        for name in ["nbf", "iat"] {
            guard let claim = claims[name] else { continue }
            require((claim.number?.double ?? .infinity) <= FuzzKeys.now + 5, "\(name) is \(claim)")
        }
        guard let subject = claims["sub"]?.string, !subject.isEmpty else { fatalError("no sub in \(claims)") }
        require(subject.isExactly(principal.subject), "\(principal) from \(claims)")
        require(
            ["https://issuer.test", "https://issuer.test/"].contains { claims["iss"] == .string($0) }, "\(claims)")
        let audiences = claims["aud"]?.strings ?? [claims["aud"]?.string].compactMap(\.self)
        require(audiences.contains { $0.isExactly("gateway") }, "audience \(audiences)")
        let roles = claims["role"]?.strings ?? [claims["role"]?.string].compactMap(\.self)
        require(!roles.contains { $0.isExactly("anon") || $0.isExactly("service_role") }, "roles \(roles)")
    }
}

/// A JWK Set, as an issuer's server answers.
enum KeySetTarget {
    static func run(_ bytes: [UInt8]) {
        guard let set = try? JWKSet.parse(bytes) else { return }
        require(1...JWKSet.keyLimit ~= set.keys.count, "\(set.keys.count) keys")
        for note in set.notes {
            require(!note.utf8.contains { $0 < 0x20 || $0 == 0x7F }, "a control byte in: \(note)")
        }
        for key in set.keys {
            require(key.algorithms.allSatisfy { $0.family != .hmac }, "a published secret: \(key)")
        }
        let authenticator = Authenticator(policy: FuzzKeys.policy, keys: KeySet(published: set.keys))
        let verdict = authenticator.authenticate(Array(FuzzKeys.hmacToken.utf8), now: FuzzKeys.now)
        guard case .failure = verdict else { fatalError("a secret's token passes by a published key") }
        _ = authenticator.authenticate(Array(FuzzKeys.rsaToken.utf8), now: FuzzKeys.now)
    }
}
