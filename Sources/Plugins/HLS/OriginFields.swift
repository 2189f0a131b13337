import PluginKit

/// The fields of a request to an origin. Made from nothing: of the viewer's own fields only those named here go along,
/// so no credential, cookie or address of theirs does.
enum OriginFields {
    /// What is asked for, as far as the request tells.
    enum Purpose {
        /// Read whole and rewritten: neither a part of it nor "not modified" is of use. Players ask for
        /// `Range: bytes=0-` of everything.
        case playlist
        /// Relayed as it comes.
        case media
    }

    /// - Parameter viewer: The viewer's field of that name.
    static func of(
        _ purpose: Purpose, userAgent: String, viewer: (HeaderName) -> String?
    ) throws(FieldValueError) -> HeaderFields {
        var fields = HeaderFields()
        fields.append(.accept, "*/*")
        // A compressed playlist could not be rewritten, and media gains nothing.
        fields.append(.acceptEncoding, "identity")
        try fields.append(.userAgent, checking: userAgent)
        guard purpose == .media else { return fields }
        let range = viewer(.range)
        if let range { try fields.append(.range, checking: range) }
        for name in [HeaderName.ifRange, .ifNoneMatch, .ifModifiedSince] {
            // If-Range without Range is to be ignored (RFC 9110 §13.1.5).
            guard name != .ifRange || range != nil, let value = viewer(name) else { continue }
            try fields.append(name, checking: value)
        }
        return fields
    }

    /// Referer and Origin as a page of the origin's own would send them.
    static func appendReferer(of url: HTTPURL, to fields: inout HeaderFields) throws(FieldValueError) {
        try fields.append(.referer, checking: url.origin + "/")
        try fields.append(.origin, checking: url.origin)
    }
}
