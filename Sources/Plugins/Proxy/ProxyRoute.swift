import PluginKit

/// Paths of one host, or of all, and the servers behind them.
struct ProxyRoute: Hashable, Sendable {
    /// In lower case, without a port; `nil` answers every host.
    let host: String?
    /// Without a slash at its end: empty for `/`.
    let prefix: String
    let targets: [ProxyTarget]

    /// The path itself, with a slash, and everything below.
    var patterns: [String] { (prefix.isEmpty ? [] : [prefix]) + ["\(prefix)/", "\(prefix)/{path...}"] }

    /// Host and path, as they stand in PROXY_ROUTES. Two routes of one name would collide.
    var name: String { (host ?? "") + (prefix.isEmpty ? "/" : prefix) }

    /// Whether a request for ``prefix`` of `other` would also be one for this.
    func covers(_ other: ProxyRoute) -> Bool {
        prefix == other.prefix || other.prefix.hasPrefix(prefix + "/")
    }

    /// Whether a request for `authority` is one for this, its port aside.
    func takes(_ authority: UnsafeRawBufferPointer) -> Bool {
        guard let host else { return true }
        guard authority.count >= host.utf8.count else { return false }
        var place = 0
        for byte in host.utf8 {
            guard unsafe Self.lowered(authority[place]) == byte else { return false }
            place += 1
        }
        return unsafe place == authority.count || authority[place] == UInt8(ascii: ":")
    }

    private static func lowered(_ byte: UInt8) -> UInt8 {
        UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
    }
}

/// One server of a route, and where on it the route's paths are.
struct ProxyTarget: Hashable, Sendable {
    let base: HTTPURL
    /// What stands in place of the route's prefix, without a slash at its end; `nil` leaves the path as it is.
    let replacement: [UInt8]?

    /// Where a request for `path` goes.
    ///
    /// - Parameters:
    ///   - path: At or below `prefix`, normalised by the server: no segment of it climbs.
    ///   - query: Without its question mark; empty for none.
    func url(
        path: [UInt8], below prefix: String, query: [UInt8], limit: Int = 64 << 10
    ) throws(HTTPURLError) -> HTTPURL {
        var path = replacement.map { $0 + path.dropFirst(prefix.utf8.count) } ?? path
        if path.isEmpty { path = [UInt8(ascii: "/")] }
        if let url = base.with(path: path, query: query, limit: limit) { return url }
        // Put together and then read, never resolved: `//other.example/` as a reference would be another host.
        var text = base.originBytes + path
        if !query.isEmpty {
            text.append(UInt8(ascii: "?"))
            text.append(contentsOf: query)
        }
        return try HTTPURL(Array(text).span, as: .lenient, limit: limit)
    }

    /// A Location that names the upstream itself, as a path on the gateway; `nil` for one that can stay as it is.
    ///
    /// The upstream is asked under its own name, so that is the name its redirects carry, and nobody outside knows it.
    /// The path never begins with two slashes, since what follows these is read as a host (RFC 3986 §4.2).
    func location(_ location: String, below prefix: String) -> String? {
        guard let url = try? HTTPURL(location), url.hasSameOrigin(as: base) else { return nil }
        // Fragments are the client's; HTTPURL drops them.
        let fragment = location.firstIndex(of: "#").map { String(location[$0...]) } ?? ""
        let target = String(decoding: url.target, as: UTF8.self)
        guard let replacement else { return Self.atThisHost(target + fragment) }
        let own = String(decoding: replacement, as: UTF8.self)
        guard target.hasPrefix(own) else { return nil }
        let rest = target.dropFirst(own.count)
        guard rest.isEmpty || "/?".contains(rest.prefix(1)) else { return nil }
        let path: String = prefix + (prefix.isEmpty && !rest.hasPrefix("/") ? "/" : "") + rest + fragment
        return Self.atThisHost(path)
    }

    /// The same path as a reference that cannot be read as another host: `/.//x` resolves to `//x` (RFC 3986 §5.2.4).
    private static func atThisHost(_ path: String) -> String { path.hasPrefix("//") ? "/." + path : path }
}
