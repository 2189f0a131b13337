package import GatewayBytes

/// What to fetch next. The fetcher follows no redirects; it reports them.
package struct KeyRequest: Equatable, Sendable {
    package let url: KeyURL
    /// Whether the operator's settings name this host. A host that only the issuer's metadata names is foreign: it must
    /// not lead to a private address.
    package let isOperatorHost: Bool
    /// The most body to read.
    package var sizeLimit: ByteCount { JWKSet.sizeLimit }
}

/// What came of a ``KeyRequest``.
package enum KeyResponse: Sendable {
    case body([UInt8])
    /// A 3xx with this `Location`.
    case redirect(String)
    /// Any other status.
    case status(Int)
    case tooLarge
    /// Nothing came: refused, timed out, no name, bad certificate. The text goes to the log.
    case unreachable(String)
}

/// Keys that were found, and where.
struct FoundKeys: Sendable {
    let set: JWKSet
    let body: [UInt8]
    let source: KeySource
}

/// One search through the candidates. Events in, actions out; the caller does the fetching.
struct KeySearch: Sendable {
    enum Step: Sendable {
        case fetch(KeyRequest)
        case found(FoundKeys)
        /// Nobody had a usable key; one line per place asked.
        case failed([String])
    }

    static let redirectLimit = 5

    private let issuer: String?
    private var remaining: ArraySlice<KeySource>
    private let operatorOrigins: Set<String>
    private var current: KeySource?
    private var url: KeyURL?
    private var redirects = 0
    /// Set while the JWK Set that a discovery document named is being asked for.
    private var isDiscovered = false
    private var failures: [String] = []

    /// - Parameters:
    ///   - candidates: Where to look, in order.
    ///   - remembered: The one that worked last time; it is asked first.
    ///   - issuer: What a discovery document must call itself (OpenID Connect Discovery 1.0 §4.3).
    init(_ candidates: [KeySource], remembered: KeySource?, issuer: String?) {
        let first = remembered.flatMap { candidates.contains($0) ? $0 : nil }
        let ordered = first.map { one in [one] + candidates.filter { $0 != one } } ?? candidates
        remaining = ordered[...]
        operatorOrigins = Set(candidates.map(\.url.origin))
        self.issuer = issuer
    }

    mutating func begin() -> Step { next() }

    mutating func received(_ response: KeyResponse) -> Step {
        guard let url, let current else { return next() }
        switch response {
        case .body(let body) where body.count > JWKSet.sizeLimit.bytes: return fail("more than \(JWKSet.sizeLimit)")
        case .body(let body):
            if case .discovery = current, !isDiscovered { return follow(body, from: url) }
            return accept(body, current)
        case .redirect(let location):
            redirects += 1
            guard redirects <= Self.redirectLimit else { return fail("more than \(Self.redirectLimit) redirects") }
            guard let target = url.redirected(to: location) else { return fail("redirects to another host") }
            return fetch(target)
        case .status(let status): return fail("status \(status)")
        case .tooLarge: return fail("more than \(JWKSet.sizeLimit)")
        case .unreachable(let reason): return fail(reason)
        }
    }

    private mutating func accept(_ body: [UInt8], _ source: KeySource) -> Step {
        do {
            return .found(FoundKeys(set: try JWKSet.parse(body), body: body, source: source))
        } catch {
            return fail(error.message)
        }
    }

    /// Reads a discovery document and asks the place it names.
    private mutating func follow(_ body: [UInt8], from url: KeyURL) -> Step {
        let json = try? JSON.parse(body, limits: JSONLimits(size: JWKSet.sizeLimit, depth: 16, values: 8192))
        guard let json else { return fail("not strict JSON") }
        guard let named = json["issuer"]?.string, let issuer, TokenPolicy.isSameIssuer(named, issuer) else {
            return fail("its issuer is \(quoted(json["issuer"]?.string ?? ""))")
        }
        guard let target = json["jwks_uri"]?.string.flatMap(KeyURL.init) else { return fail("no usable jwks_uri") }
        // What a public host says about this machine's own ports is not followed.
        guard !target.isLoopback || url.isLoopback else { return fail("its jwks_uri points to this machine") }
        isDiscovered = true
        return fetch(target)
    }

    private mutating func next() -> Step {
        guard let source = remaining.popFirst() else { return .failed(failures) }
        current = source
        redirects = 0
        isDiscovered = false
        return fetch(source.url)
    }

    private mutating func fetch(_ target: KeyURL) -> Step {
        url = target
        return .fetch(KeyRequest(url: target, isOperatorHost: operatorOrigins.contains(target.origin)))
    }

    private mutating func fail(_ reason: String) -> Step {
        failures.append("\(url?.text ?? "?"): \(reason)")
        return next()
    }
}
