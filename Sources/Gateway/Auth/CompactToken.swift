package import GatewayBytes

/// How much token is looked at.
package struct TokenLimits: Sendable {
    /// Bytes of the whole compact token. Longer ones are refused before anything is decoded.
    package var size: ByteCount
    /// Bytes of a `kid`; issuers use a few dozen.
    package var keyID: Int

    package init(size: ByteCount = .kibibytes(16), keyID: Int = 256) {
        self.size = size
        self.keyID = keyID
    }

    var json: JSONLimits { JSONLimits(size: size, depth: 16, values: 4096) }
}

/// A signed token in compact form (RFC 7515 §7.1), taken apart and not yet believed.
///
/// Everything the signature library would let pass is refused here: the three parts are strict base64url, header and
/// claims are one JSON object each without a repeated name, and the header asks for nothing we do not do.
struct CompactToken: Sendable {
    /// The whole token, which is what gets verified.
    let bytes: [UInt8]
    let header: JWTHeader
    let claims: Claims
    let signature: [UInt8]

    /// The three parts, decoded. Nothing inside them was looked at.
    struct Parts {
        let header: [UInt8]
        let claims: [UInt8]
        let signature: [UInt8]
    }

    static func pieces(of bytes: [UInt8]) throws(TokenError) -> [ArraySlice<UInt8>] {
        let pieces = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard pieces.count == 3 else {
            throw pieces.count == 5 ? .encrypted : .notThreeParts(count: pieces.count)
        }
        return pieces
    }

    static func decode(_ pieces: [ArraySlice<UInt8>]) throws(TokenError) -> Parts {
        guard let header = Base64URL.decode(pieces[0]), !header.isEmpty else { throw .notBase64URL(.header) }
        guard let claims = Base64URL.decode(pieces[1]), !claims.isEmpty else { throw .notBase64URL(.claims) }
        guard let signature = Base64URL.decode(pieces[2]) else { throw .notBase64URL(.signature) }
        return Parts(header: header, claims: claims, signature: signature)
    }

    static func object(_ part: TokenPart, _ bytes: [UInt8], limits: TokenLimits) throws(TokenError) -> JSONObject {
        let json: JSON
        do { json = try JSON.parse(bytes, limits: limits.json) } catch { throw .notJSON(part, error) }
        guard case .object(let object) = json else { throw .notAnObject(part) }
        return object
    }
}

/// What a token's header says about itself. Nothing in it is trusted; `jwk`, `jku`, `x5c` and `x5u` are not even read.
struct JWTHeader: Sendable {
    let algorithm: JWTAlgorithm
    /// `kid`: which key the issuer says it used.
    let keyID: String?

    /// `typ`; `nil` when the token leaves it out.
    let type: TokenType?

    static func keyID(_ object: JSONObject, limits: TokenLimits) throws(TokenError) -> String? {
        guard let member = object["kid"] else { return nil }
        let expected = "a string of 1 to \(limits.keyID) bytes without control characters"
        guard let id = member.string, 1...limits.keyID ~= id.utf8.count, !id.hasControlCharacters else {
            throw .malformedHeader(member: "kid", expected: expected)
        }
        return id
    }

    static func checkExtensions(_ object: JSONObject) throws(TokenError) {
        guard object["crit"] == nil else { throw .criticalExtension }
        guard object["b64"] == nil else { throw .unencodedPayload }
        guard object["zip"] == nil else { throw .compressed }
    }

    static func algorithm(_ object: JSONObject) throws(TokenError) -> JWTAlgorithm {
        guard let name = object["alg"]?.string else {
            throw .malformedHeader(member: "alg", expected: "a string")
        }
        // Compared by bytes: Swift's own `==`, and so `rawValue:`, folds canonical equivalents.
        if let algorithm = JWTAlgorithm.allCases.first(where: { $0.rawValue.isExactly(name) }) { return algorithm }
        let plain = name.uppercased()
        if plain == "NONE" || plain.isEmpty { throw .unsigned(algorithm: name) }
        if let meant = JWTAlgorithm(rawValue: plain) { throw .misspelledAlgorithm(name, meant: meant) }
        throw .unsupportedAlgorithm(name)
    }

    /// `typ` may be left out; with it, other kinds of token (`secevent+jwt`, `logout+jwt`, …) are kept from passing as
    /// access tokens (RFC 8725 §3.11).
    static func type(_ object: JSONObject) throws(TokenError) -> TokenType? {
        guard let member = object["typ"] else { return nil }
        guard let text = member.string else { throw .malformedHeader(member: "typ", expected: "a string") }
        let name = text.lowercased()
        if name.isExactly("jwt") { return .jwt }
        if name.isExactly("at+jwt") || name.isExactly("application/at+jwt") { return .accessToken }
        throw .wrongType(text)
    }
}

/// The kinds of token we take.
enum TokenType: Sendable {
    /// Plain `JWT` (RFC 7519 §5.1).
    case jwt
    /// `at+jwt` (RFC 9068 §2.1).
    case accessToken
}

extension String {
    /// C0 controls and DEL. They break log lines and header fields, and no issuer means them.
    var hasControlCharacters: Bool { utf8.contains { $0 < 0x20 || $0 == 0x7F } }
}
