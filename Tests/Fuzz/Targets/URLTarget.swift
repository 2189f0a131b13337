import GatewayHTTP

/// A URL and, on a second line, a reference to resolve against it.
enum URLTarget {
    static func run(_ bytes: [UInt8]) {
        let lines = bytes.split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false).map { Array($0) }
        let first = lines[0]
        let reference = lines.count > 1 ? lines[1] : []
        let strict = try? HTTPURL(first.span, as: .strict)
        let lenient = try? HTTPURL(first.span, as: .lenient)
        if let strict {
            require(lenient == strict, "\(strict) strictly, otherwise \(String(describing: lenient))")
        }
        guard let base = lenient else { return }
        check(base)
        for spelling in [HTTPURL.Spelling.strict, .lenient] {
            for limit in [64, HTTPURL.defaultLimit] {
                guard let url = try? base.resolve(reference.span, as: spelling, limit: limit) else { continue }
                require(url.bytes.count <= limit, "\(url.bytes.count) bytes, at most \(limit)")
                check(url)
                checkOrigin(url, of: reference, from: base)
            }
        }
        checkQuery(base, reference)
    }

    /// What holds for every URL there is.
    private static func check(_ url: HTTPURL) {
        require(url.bytes.allSatisfy { 0x21...0x7E ~= $0 }, "not visible ASCII: \(url.bytes.shown)")
        require(!url.bytes.contains { "\\#\"<>^`{}".utf8.contains($0) }, "a byte no URL has: \(url.bytes.shown)")
        require(url.path.first == UInt8(ascii: "/"), "a path without a slash: \(url.bytes.shown)")
        let segments = url.path.split(separator: UInt8(ascii: "/"))
        require(!segments.contains { $0 == Array(".".utf8)[...] || $0 == Array("..".utf8)[...] }, "\(url.bytes.shown)")
        require(!url.host.isEmpty && url.port > 0, "no host or port: \(url.bytes.shown)")
        require(!url.authority.contains(UInt8(ascii: "@")), "a user: \(url.bytes.shown)")
        require(!url.host.contains { 0x41...0x5A ~= $0 }, "a host in capitals: \(url.bytes.shown)")
        require(Array(url.originBytes + url.target) == url.bytes, "parts that are not the whole")
        require(Array(url.path + (url.query.map { [UInt8(ascii: "?")] + $0 } ?? [])) == Array(url.target), "parts")

        guard let again = try? HTTPURL(url.bytes.span, as: .strict) else {
            fatalError("not a URL by its own rules: \(url.bytes.shown)")
        }
        require(again == url, "not canonical: \(url.bytes.shown), then \(again.bytes.shown)")
        require(again.address == url.address && again.port == url.port && again.scheme == url.scheme, "\(url)")
        require((try? url.resolve("")) == url, "an empty reference leads elsewhere")
        require((try? url.resolve(url.bytes.span)) == url, "resolved against itself it is another")
    }

    /// Only a reference with an authority leaves the origin.
    private static func checkOrigin(_ url: HTTPURL, of reference: [UInt8], from base: HTTPURL) {
        let trimmed = reference.drop { $0 == 0x20 || $0 == 0x09 }
        let parts = URIReference(Array(trimmed).span)
        guard parts.scheme == nil, parts.authority == nil else { return }
        require(url.hasSameOrigin(as: base), "\(reference.shown) leads from \(base) to \(url)")
    }

    private static func checkQuery(_ url: HTTPURL, _ query: [UInt8]) {
        guard let changed = try? url.replacingQuery(query.span) else { return }
        check(changed)
        require(changed.query.map { Array($0) } == query, "another query")
        require(Array(changed.path) == Array(url.path) && changed.hasSameOrigin(as: url), "more than the query changed")
    }
}
