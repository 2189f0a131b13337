package import PluginKit

/// Why a viewer's delivery directives were not forwarded.
package enum PlaylistDirectiveError: Error, Hashable, Sendable {
    case tooMany(limit: Int)
    /// The upstream URL would not be one with them.
    case url(HTTPURLError)
}

/// Query parameters that a player adds for the origin to answer: blocking reloads and delta updates (`_HLS_msn`,
/// `_HLS_part`, `_HLS_skip`), interstitials (`_HLS_primary_id`, `_HLS_start_offset`), steering (`_HLS_pathway`,
/// `_HLS_throughput`). RFC 8216bis §6.2.5 keeps the whole prefix for them.
package enum PlaylistDirectives {
    /// The upstream URL with the directives of the viewer's query, and nothing else of that query.
    ///
    /// A directive takes the place of upstream parameters of the same name and stands behind the others, in the order
    /// the player chose.
    ///
    /// - Parameter query: The viewer's query without its question mark; empty when there is none.
    package static func merge(
        _ query: Span<UInt8>, into url: HTTPURL, limits: PlaylistLimits = .init()
    ) throws(PlaylistDirectiveError) -> HTTPURL {
        let directives = QueryParameters.all(in: query).filter { isDirective($0, in: query) }
        guard !directives.isEmpty else { return url }
        guard directives.count <= limits.directives else { throw .tooMany(limit: limits.directives) }
        let names = directives.map { $0.name(in: query) }

        var merged: [UInt8] = []
        if let own = url.query {
            let bytes = Array(own)
            let span = bytes.span
            for parameter in QueryParameters.all(in: span) where !names.contains(parameter.name(in: span)) {
                append(parameter, of: span, to: &merged)
            }
        }
        for directive in directives { append(directive, of: query, to: &merged) }
        do throws(HTTPURLError) {
            return try url.replacingQuery(merged.span, limit: limits.url.bytes)
        } catch {
            throw .url(error)
        }
    }

    private static func isDirective(_ parameter: QueryParameter, in query: Span<UInt8>) -> Bool {
        parameter.nameEnd - parameter.whole.lowerBound > prefix.count
            && query.matches(parameter.whole.lowerBound..<parameter.whole.lowerBound + prefix.count, prefix)
    }

    private static func append(_ parameter: QueryParameter, of query: Span<UInt8>, to merged: inout [UInt8]) {
        if !merged.isEmpty { merged.append(UInt8(ascii: "&")) }
        for place in parameter.whole { merged.append(query[place]) }
    }

    private static let prefix = Array("_HLS_".utf8)
}
