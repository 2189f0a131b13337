import GatewayAuth
import GatewayBytes
import GatewayHTTP
import HLSPlugin

/// The query of a viewer's request, which may hold a token: what goes on to an upstream, and what goes into a log.
enum QueryTarget {
    static func run(_ bytes: [UInt8]) {
        let rest = QueryToken.strip(bytes.span)
        require(!QueryToken.isPresent(in: rest.span), "a token is left: \(rest.shown)")
        require(QueryToken.strip(rest.span) == rest, "stripped in two ways: \(rest.shown)")
        let pieces = bytes.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false).map { Array($0) }
        let others = pieces.filter { !QueryToken.isPresent(in: $0.span) }
        require(
            Array(others.joined(separator: [UInt8(ascii: "&")])) == rest, "more is gone than the token: \(rest.shown)")

        let logged = redact(bytes)
        require(redact(logged) == logged, "redacted in two ways: \(logged.shown)")
        for parameter in split(logged, at: "&") where parameter.starts(with: "token=".utf8) {
            require(parameter.elementsEqual("token=<redacted>".utf8), "a token in the log: \(logged.shown)")
        }
        checkDirectives(bytes)
    }

    private static func redact(_ query: [UInt8]) -> [UInt8] {
        var output = OutputBuffer()
        QueryToken.redact(query.span, into: &output)
        return unsafe output.withUnsafeBytes { unsafe [UInt8]($0) }
    }

    private static func split(_ query: [UInt8], at separator: Unicode.Scalar) -> [[UInt8]] {
        query.split(separator: UInt8(ascii: separator)).map { Array($0) }
    }

    /// Of the viewer's query only what HLS defines reaches the origin, and only into the query.
    private static func checkDirectives(_ query: [UInt8]) {
        let text = "https://origin.test/live/a.m3u8?key=1&_HLS_msn=2"
        guard let url = try? HTTPURL(text) else { fatalError("no URL: \(text)") }
        guard let merged = try? PlaylistDirectives.merge(query.span, into: url) else { return }
        require(merged.hasSameOrigin(as: url) && Array(merged.path) == Array(url.path), "led to \(merged)")
        require((try? HTTPURL(merged.bytes.span, as: .strict)) == merged, "not canonical: \(merged.bytes.shown)")
        let parameters = split(Array(merged.query ?? []), at: "&")
        require(parameters.contains(Array("key=1".utf8)), "the origin's own is lost: \(merged.bytes.shown)")
        for parameter in parameters where parameter != Array("key=1".utf8) {
            require(parameter.starts(with: "_HLS_".utf8), "no directive: \(parameter.shown)")
        }
    }
}
