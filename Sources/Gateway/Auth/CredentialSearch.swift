/// Finds the one token a request carries. Show it each field, then ask for the ``result(isWebSocket:isSafeMethod:origin:ownOrigin:)``.
///
/// Copies only tokens; a request without one costs a scan of the fields shown.
package struct CredentialSearch: Sendable {
    private let rules: CredentialRules
    private var found: Credential?
    private var cookie: [UInt8]?
    private var failure: CredentialError?
    private var bearerAwaitsToken = false

    package init(_ rules: CredentialRules) { self.rules = rules }

    /// The query of the request target, without `?`.
    package mutating func look(inQuery query: Span<UInt8>) {
        QueryToken.forEachParameter(of: query) { name, value in
            guard QueryToken.isToken(name) else { return }
            guard let token = QueryToken.percentDecoded(value) else { return fail(.malformed(.query)) }
            found(token, by: .query)
        }
    }

    /// One `Authorization` field value (RFC 6750 §2.1). Schemes other than Bearer are not ours to judge.
    package mutating func look(inAuthorization value: Span<UInt8>) {
        let scheme: StaticString = "bearer"
        let length = scheme.utf8CodeUnitCount
        guard value.count >= length else { return }
        for place in 0..<length where unsafe value[place] | 0x20 != scheme.utf8Start[place] { return }
        guard value.count > length else { return fail(.malformed(.authorization)) }
        guard value[length] == 0x20 else { return }
        let token = Self.trimmed(value, from: length, to: value.count)
        guard !token.isEmpty else { return fail(.malformed(.authorization)) }
        found(token, by: .authorization)
    }

    /// One `Sec-WebSocket-Protocol` field value, in the order the fields came: the element after `bearer` is the token.
    ///
    /// - Parameter offer: Called with each element that is neither, from its first to behind its last byte. Select one of
    ///   those if it is known; else answer `bearer`.
    package mutating func look(
        inSubprotocols value: Span<UInt8>, offer: (Range<Int>) -> Void = { _ in }
    ) {
        var start = 0
        while start <= value.count {
            var end = start
            while end < value.count, value[end] != UInt8(ascii: ",") { end += 1 }
            let element = Self.trimmedRange(value, from: start, to: end)
            if bearerAwaitsToken {
                bearerAwaitsToken = false
                found(Self.copy(value, element), by: .subprotocol)
            } else if Self.equals(value, element, "bearer") {
                bearerAwaitsToken = true
            } else if !element.isEmpty {
                offer(element)
            }
            start = end + 1
        }
    }

    /// One `Cookie` field value (RFC 6265 §4.2.1). Looked at only when an operator named a cookie.
    package mutating func look(inCookie value: Span<UInt8>) {
        guard let name = rules.cookieName else { return }
        var start = 0
        while start < value.count {
            var end = start
            while end < value.count, value[end] != UInt8(ascii: ";") { end += 1 }
            var pair = Self.trimmedRange(value, from: start, to: end)
            start = end + 1
            guard pair.count > name.count, value[pair.lowerBound + name.count] == UInt8(ascii: "=") else { continue }
            guard name.indices.allSatisfy({ value[pair.lowerBound + $0] == name[$0] }) else { continue }
            pair = (pair.lowerBound + name.count + 1)..<pair.upperBound
            if pair.count >= 2, value[pair.lowerBound] == 0x22, value[pair.upperBound - 1] == 0x22 {
                pair = (pair.lowerBound + 1)..<(pair.upperBound - 1)
            }
            let token = Self.copy(value, pair)
            if let cookie, cookie != token { fail(.conflicting(.cookie, .cookie)) }
            if !token.isEmpty { cookie = token }
        }
    }

    /// - Parameters:
    ///   - isSafeMethod: GET, HEAD, OPTIONS or TRACE (RFC 9110 §9.2.1).
    ///   - origin: The `Origin` field; empty when there is none.
    ///   - ownOrigin: `scheme://host[:port]` as the client reached us.
    /// - Returns: `nil` when the request carries no token.
    package func result(
        isWebSocket: Bool, isSafeMethod: Bool, origin: Span<UInt8>, ownOrigin: Span<UInt8>
    ) throws(CredentialError) -> Credential? {
        if let failure { throw failure }
        // `bearer` as the last element: the client has an empty token.
        if bearerAwaitsToken { throw .malformed(.subprotocol) }
        if let found {
            if let cookie, cookie != found.token { throw .conflicting(found.carrier, .cookie) }
            return found
        }
        guard let cookie else { return nil }
        if isWebSocket || !isSafeMethod {
            guard !origin.isEmpty else { throw .missingOrigin }
            guard rules.allows(origin, own: ownOrigin) else { throw .foreignOrigin }
        }
        return Credential(token: cookie, carrier: .cookie)
    }

    // MARK: Findings

    private mutating func found(_ token: [UInt8], by carrier: Carrier) {
        guard !token.isEmpty else { return }
        if let found {
            if found.token != token { fail(.conflicting(found.carrier, carrier)) }
        } else {
            found = Credential(token: token, carrier: carrier)
        }
    }

    /// The first failure is the one reported.
    private mutating func fail(_ error: CredentialError) { failure = failure ?? error }

    // MARK: Bytes

    private static func trimmedRange(_ value: Span<UInt8>, from start: Int, to end: Int) -> Range<Int> {
        var start = start
        var end = end
        while start < end, value[start] == 0x20 || value[start] == 0x09 { start += 1 }
        while end > start, value[end - 1] == 0x20 || value[end - 1] == 0x09 { end -= 1 }
        return start..<end
    }

    private static func trimmed(_ value: Span<UInt8>, from start: Int, to end: Int) -> [UInt8] {
        copy(value, trimmedRange(value, from: start, to: end))
    }

    private static func copy(_ value: Span<UInt8>, _ range: Range<Int>) -> [UInt8] {
        unsafe value.extracting(range).withUnsafeBufferPointer { unsafe Array($0) }
    }

    private static func equals(_ value: Span<UInt8>, _ range: Range<Int>, _ word: StaticString) -> Bool {
        guard range.count == word.utf8CodeUnitCount else { return false }
        for place in 0..<range.count where unsafe value[range.lowerBound + place] != word.utf8Start[place] {
            return false
        }
        return true
    }
}
