import PluginKit

/// One path and the server behind it.
struct ProxyRoute: Hashable, Sendable {
    /// Without a slash at its end: empty for `/`.
    let prefix: String
    let upstream: HTTPURL
    /// What stands in place of ``prefix`` upstream, without a slash at its end; `nil` leaves the path as it is.
    let replacement: [UInt8]?

    /// Where a request for `path` goes.
    ///
    /// - Parameters:
    ///   - path: At or below ``prefix``, normalised by the server: no segment of it climbs.
    ///   - query: Without its question mark; empty for none.
    func url(path: [UInt8], query: [UInt8], limit: Int = 64 << 10) throws(HTTPURLError) -> HTTPURL {
        // Put together and then read, never resolved: `//other.example/` as a reference would be another host.
        var text = Array(upstream.originBytes)
        let start = text.count
        text.append(contentsOf: replacement.map { $0 + path.dropFirst(prefix.utf8.count) } ?? path)
        if text.count == start { text.append(UInt8(ascii: "/")) }
        if !query.isEmpty {
            text.append(UInt8(ascii: "?"))
            text.append(contentsOf: query)
        }
        return try HTTPURL(text.span, as: .lenient, limit: limit)
    }

    /// A Location that names the upstream itself, as a path on the gateway; `nil` for one that can stay as it is.
    ///
    /// The upstream is asked under its own name, so that is the name its redirects carry, and nobody outside knows it.
    func location(_ location: String) -> String? {
        guard let url = try? HTTPURL(location), url.hasSameOrigin(as: upstream) else { return nil }
        // Fragments are the client's; HTTPURL drops them.
        let fragment = location.firstIndex(of: "#").map { String(location[$0...]) } ?? ""
        let target = String(decoding: url.target, as: UTF8.self)
        guard let replacement else { return target + fragment }
        let base = String(decoding: replacement, as: UTF8.self)
        guard target.hasPrefix(base) else { return nil }
        let rest = target.dropFirst(base.count)
        guard rest.isEmpty || "/?".contains(rest.prefix(1)) else { return nil }
        return prefix + (prefix.isEmpty && !rest.hasPrefix("/") ? "/" : "") + rest + fragment
    }
}
