package import GatewayBytes

/// Why a JWK Set as a whole was refused.
package enum JWKSetError: Error, Equatable, Sendable {
    case notJSON(JSONError)
    case notAKeySet
    case tooManyKeys(count: Int, limit: Int)
    case noUsableKey(notes: [String])

    package var message: String {
        switch self {
        case .notJSON: "not strict JSON"
        case .notAKeySet: "not a JWK Set: an object with an array \"keys\" is expected"
        case .tooManyKeys(let count, let limit): "\(count) keys, at most \(limit) are accepted"
        case .noUsableKey(let notes):
            notes.isEmpty ? "no key in it" : "no usable key: \(notes.joined(separator: "; "))"
        }
    }
}

/// The usable keys of a JWK Set (RFC 7517 §5). Keys we cannot use are left out with a note, not an error: an issuer may
/// publish kinds for others.
package struct JWKSet: Sendable {
    package let keys: [VerificationKey]
    /// Why keys were left out, for the log.
    package let notes: [String]

    package static let keyLimit = 32
    package static let sizeLimit = ByteCount.kibibytes(256)

    package static func parse(_ bytes: [UInt8]) throws(JWKSetError) -> JWKSet {
        let json: JSON
        do {
            json = try JSON.parse(bytes, limits: JSONLimits(size: sizeLimit, depth: 8, values: 8192))
        } catch {
            throw .notJSON(error)
        }
        guard let members = json["keys"]?.array else { throw .notAKeySet }
        guard members.count <= keyLimit else { throw .tooManyKeys(count: members.count, limit: keyLimit) }

        var keys: [VerificationKey] = []
        var notes: [String] = []
        for (place, member) in members.enumerated() {
            let name = member["kid"]?.string.map { "key \(quoted($0))" } ?? "key \(place + 1)"
            do throws(JWKRefusal) {
                let key = try JWK(member).verificationKey()
                // Two keys of one name that both fit would make the choice depend on luck: the first one counts.
                let isTwin = keys.contains {
                    $0.isNamed(like: key) && $0.algorithms.contains(where: key.algorithms.contains)
                }
                guard !isTwin else { throw .because("its kid was already used") }
                keys.append(key)
            } catch {
                notes.append("\(name): \(error.reason)")
            }
        }
        guard !keys.isEmpty else { throw .noUsableKey(notes: notes) }
        return JWKSet(keys: keys, notes: notes)
    }
}

extension VerificationKey {
    fileprivate func isNamed(like other: VerificationKey) -> Bool {
        guard let id, let otherID = other.id else { return false }
        return id.isExactly(otherID)
    }
}

private struct JWKRefusal: Error {
    let reason: String
    static func because(_ reason: String) -> JWKRefusal { JWKRefusal(reason: reason) }
}

/// One key of the set (RFC 7517 §4).
private struct JWK {
    private let object: JSONObject

    init(_ json: JSON) throws(JWKRefusal) {
        guard case .object(let object) = json else { throw .because("not an object") }
        self.object = object
    }

    func verificationKey() throws(JWKRefusal) -> VerificationKey {
        let kind = try text("kty")
        // A secret that is published is none: who verifies with it accepts tokens from everybody.
        if kind == "oct" { throw .because("a shared secret must not be published") }
        guard kind == "RSA" || kind == "EC" else { throw .because("key type \(quoted(kind)) is not supported") }
        guard object["d"] == nil else { throw .because("its private part is published, so anybody can sign with it") }
        try checkPurpose()
        let algorithm = try algorithm()
        do throws(KeyError) {
            return kind == "RSA" ? try rsa(algorithm) : try ellipticCurve(algorithm)
        } catch {
            throw .because(error.message)
        }
    }

    private func checkPurpose() throws(JWKRefusal) {
        if let use = object["use"], use != .string("sig") { throw .because("its use is not \"sig\"") }
        if let operations = object["key_ops"], operations.strings?.contains("verify") != true {
            throw .because("its key_ops lack \"verify\"")
        }
    }

    private func algorithm() throws(JWKRefusal) -> JWTAlgorithm? {
        guard let member = object["alg"] else { return nil }
        guard let name = member.string,
            let algorithm = JWTAlgorithm.allCases.first(where: { $0.rawValue.isExactly(name) })
        else { throw .because("its alg \(quoted(member.string ?? "")) is not supported") }
        return algorithm
    }

    /// A `kid` that is no text, or too long for a token's header to carry, leaves the key nameless.
    private var id: String? {
        guard let id = object["kid"]?.string, 1...TokenLimits().keyID ~= id.utf8.count else { return nil }
        return id
    }

    private func rsa(_ algorithm: JWTAlgorithm?) throws(KeyError) -> VerificationKey {
        guard let modulus = number("n"), let exponent = number("e") else { throw .unreadable }
        return try .rsa(modulus: modulus, exponent: exponent, id: id, algorithm: algorithm)
    }

    private func ellipticCurve(_ algorithm: JWTAlgorithm?) throws(KeyError) -> VerificationKey {
        guard let name = object["crv"]?.string, let curve = EllipticCurve(rawValue: name) else {
            throw .unsupportedKind
        }
        guard let x = number("x"), let y = number("y") else { throw .unreadable }
        return try .ellipticCurve(curve, x: x, y: y, id: id, algorithm: algorithm)
    }

    private func number(_ name: String) -> [UInt8]? { object[name]?.string.flatMap { Base64URL.decode($0) } }

    private func text(_ name: String) throws(JWKRefusal) -> String {
        guard let text = object[name]?.string else { throw .because("no \(name)") }
        return text
    }
}
