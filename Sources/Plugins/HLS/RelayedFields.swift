import PluginKit

/// The fields of answers to viewers. Of an origin's fields only those named here go along: no cookie of the origin's is
/// set for the gateway's host, and none of its policies holds for it.
enum RelayedFields {
    /// For a body that is passed on as it is.
    ///
    /// - Parameter header: The origin's field of that name.
    static func media(status: Status, _ header: (HeaderName) -> String?) -> HeaderFields {
        var fields = shared
        for name in [HeaderName.contentType, .contentEncoding, .contentRange, .acceptRanges, .eTag, .lastModified] {
            // A parsed value holds no control character, which is all that could be refused here.
            if let value = header(name) { try? fields.append(name, checking: value) }
        }
        if !fields.contains(.contentType), status != .notModified {
            fields.append(.contentType, "application/octet-stream")
        }
        // The origin knows best: it may keep keys out of caches. Segments never change.
        if let caching = header(.cacheControl) {
            try? fields.append(.cacheControl, checking: caching)
            if let age = header(.age) { try? fields.append(.age, checking: age) }
        } else {
            fields.append(.cacheControl, "public, max-age=3600")
        }
        return fields
    }

    /// For a playlist that was rewritten: its tag and date are no longer the origin's.
    static let playlist: HeaderFields = {
        var fields = shared
        // The registered name (RFC 8216 §4). Players know the older x-mpegURL too, and some warn of it.
        fields.append(.contentType, "application/vnd.apple.mpegurl")
        fields.append(.cacheControl, "no-cache")
        return fields
    }()

    /// Somebody else's bytes under this host: a browser must not run them as a page of it.
    private static let shared: HeaderFields = {
        var fields = HeaderFields()
        fields.append(.xContentTypeOptions, "nosniff")
        fields.append(.contentSecurityPolicy, "sandbox")
        return fields
    }()
}
