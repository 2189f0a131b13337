/// A URL keys may be fetched from: https, or http to this very machine.
package struct KeyURL: Hashable, Sendable, CustomStringConvertible {
    /// Scheme, host and port, lower-case: what a redirect has to keep.
    package let origin: String
    /// From the slash on, with a query if there is one.
    package let path: String
    package let isLoopback: Bool

    package var text: String { origin + path }
    package var description: String { text }

    /// - Returns: `nil` for another scheme, plain http to another machine, user names, fragments, spaces, backslashes.
    package init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count <= 2048 else { return nil }
        let foreign: (UInt8) -> Bool = { $0 <= 0x20 || $0 >= 0x7F || "\\#@\"<>".utf8.contains($0) }
        guard !text.utf8.contains(where: foreign) else { return nil }
        let pieces = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        guard pieces.count == 2 else { return nil }
        let scheme = pieces[0].lowercased()
        let rest = pieces[1]
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        guard let authority = Self.authority(String(rest[..<end].lowercased()), scheme: scheme) else { return nil }
        isLoopback = Self.isLoopback(authority.host)
        guard scheme == "https" || scheme == "http" && isLoopback else { return nil }
        origin = "\(scheme)://\(authority.host)\(authority.port)"
        let tail = String(rest[end...])
        path = tail.hasPrefix("/") ? tail : "/" + tail
    }

    /// Appends to the path, with exactly one slash between.
    package func appending(_ more: String) -> KeyURL? {
        KeyURL((text.hasSuffix("/") ? String(text.dropLast()) : text) + "/" + more)
    }

    /// Where a redirect leads, or `nil` when it leaves the host, the port or the scheme.
    package func redirected(to location: String) -> KeyURL? {
        let target: KeyURL?
        if location.hasPrefix("//") {
            target = KeyURL(String(origin.prefix { $0 != "/" }) + location)
        } else if location.hasPrefix("/") {
            target = KeyURL(origin + location)
        } else if location.contains("://") {
            target = KeyURL(location)
        } else {
            let folder = path.prefix { $0 != "?" }
            let end = folder.lastIndex(of: "/") ?? folder.startIndex
            target = KeyURL("\(origin)\(folder[...end])\(location)")
        }
        guard let target, target.origin == origin else { return nil }
        return target
    }

    private static func authority(_ text: String, scheme: String) -> (host: String, port: String)? {
        let closing = text.lastIndex(of: "]")
        let colon = text.lastIndex(of: ":").flatMap { place in closing.map { place > $0 } ?? true ? place : nil }
        let host = String(text[..<(colon ?? text.endIndex)])
        guard isHost(host) else { return nil }
        guard let colon else { return (host, "") }
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let port = UInt16(digits),
            port > 0
        else { return nil }
        return (host, port == (scheme == "https" ? 443 : 80) ? "" : ":\(port)")
    }

    private static func isHost(_ host: String) -> Bool {
        if host.hasPrefix("["), host.hasSuffix("]") {
            return host.count > 3
                && host.dropFirst().dropLast().utf8.allSatisfy { "0123456789abcdef:.".utf8.contains($0) }
        }
        return !host.isEmpty && host.utf8.count <= 253
            && host.utf8.allSatisfy { "abcdefghijklmnopqrstuvwxyz0123456789-._".utf8.contains($0) }
    }

    private static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "[::1]" { return true }
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false)
        return numbers.count == 4 && numbers[0] == "127"
            && numbers.allSatisfy { UInt8($0).map(String.init) == String($0) }
    }
}

/// A place where an issuer may publish its keys.
package enum KeySource: Hashable, Sendable {
    /// A JWK Set.
    case keySet(KeyURL)
    /// An OpenID Provider's metadata, which names the JWK Set (OpenID Connect Discovery 1.0 §4).
    case discovery(KeyURL)

    var url: KeyURL {
        switch self {
        case .keySet(let url), .discovery(let url): url
        }
    }

    /// Where to look, in order; the first place with a usable key wins.
    package static func candidates(keySetURL: KeyURL?, issuer: String?, domain: String?) -> [KeySource] {
        var sources: [KeySource?] = [keySetURL.map(KeySource.keySet)]
        if let issuer = issuer.flatMap(KeyURL.init) {
            sources.append(issuer.appending(".well-known/openid-configuration").map(KeySource.discovery))
            sources.append(issuer.appending(".well-known/jwks.json").map(KeySource.keySet))
        }
        if let domain = domain.flatMap(Self.domainURL) {
            sources.append(domain.appending("auth/v1/.well-known/jwks.json").map(KeySource.keySet))
            sources.append(domain.appending(".well-known/jwks.json").map(KeySource.keySet))
        }
        var seen: Set<KeySource> = []
        return sources.compactMap(\.self).filter { seen.insert($0).inserted }
    }

    /// A domain as people write it: bare, or with the scheme in front.
    package static func domainURL(_ domain: String) -> KeyURL? {
        KeyURL(domain.contains("://") ? domain : "https://\(domain)")
    }
}
