import GatewayBytes

/// The claims of a token (RFC 7519 §4), typed on reading. Only a verified token's claims mean anything.
struct Claims: Sendable {
    private let object: JSONObject

    /// - Throws: ``TokenError/malformedClaim(name:expected:)`` for values that two JSON readers could take differently:
    ///   numbers beyond 64 bits and NUL characters. libjwt's reader refuses both, and would report a bad signature.
    init(_ object: JSONObject) throws(TokenError) {
        self.object = object
        for member in object.members {
            guard !member.name.utf8.contains(0), Self.isUnambiguous(member.value) else {
                throw .malformedClaim(name: member.name, expected: "free of NUL characters and numbers beyond 64 bits")
            }
        }
    }

    private static func isUnambiguous(_ value: JSON) -> Bool {
        switch value {
        case .null, .bool: true
        case .number(let number): number.double != nil && (Int64(number.text) != nil || !number.isPlainInteger)
        case .string(let text): !text.utf8.contains(0)
        case .array(let elements): elements.allSatisfy(isUnambiguous)
        case .object(let object):
            object.members.allSatisfy { !$0.name.utf8.contains(0) && isUnambiguous($0.value) }
        }
    }

    subscript(name: String) -> JSON? { object[name] }

    /// The claim as a string, or `nil` when it is not there.
    func string(_ name: String) throws(TokenError) -> String? {
        guard let claim = object[name] else { return nil }
        guard let text = claim.string else { throw .malformedClaim(name: name, expected: "a string") }
        return text
    }

    /// A NumericDate (RFC 7519 §2): seconds since 1970, possibly fractional, never text.
    func date(_ name: String) throws(TokenError) -> Double? {
        guard let claim = object[name] else { return nil }
        guard let seconds = claim.number?.double else {
            throw .malformedClaim(name: name, expected: "a number of seconds since 1970")
        }
        return seconds
    }

    /// A claim that is one string or several, as `aud` is (RFC 7519 §4.1.3).
    func strings(_ name: String) throws(TokenError) -> [String]? {
        guard let claim = object[name] else { return nil }
        if let one = claim.string { return [one] }
        guard let several = claim.strings else {
            throw .malformedClaim(name: name, expected: "a string or an array of strings")
        }
        return several
    }
}

extension JSONNumber {
    fileprivate var isPlainInteger: Bool {
        text.utf8.allSatisfy { $0 == UInt8(ascii: "-") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
    }
}
