import GatewayHTTP

/// The fields with which a consumer's request reaches the local server.
enum LocalFields {
    /// Drops whatever tells of the consumer, its web page or the way here, and whatever would change what is asked.
    /// Host, length and framing are written by the client that sends the request.
    static func of(_ fields: HeaderFields) -> HeaderFields {
        var kept = HeaderFields(reserving: fields.byteCount)
        fields.forEach { name, value in
            // A value was checked when it was read.
            if !isDropped(name) { try? kept.append(name, checking: value) }
        }
        return kept
    }

    private static func isDropped(_ name: HeaderName) -> Bool {
        if name.isHopByHop { return true }
        let text = name.wireName.lowercased()
        // Some servers read an underscore as a hyphen, and so `X_Forwarded_For` as what it resembles.
        return text.contains("_") || names.contains(text) || prefixes.contains { text.hasPrefix($0) }
    }

    private static let names: Set = [
        "host", "content-length", "expect",
        "authorization", "cookie",
        "origin", "referer",
        "forwarded", "forwarded-for", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "x-cluster-client-ip",
        "x-envoy-external-address", "fastly-client-ip", "via", "client-cert", "client-cert-chain",
        "x-host", "x-scheme", "front-end-https", "x-rewrite-url", "x-http-method-override", "x-http-method",
        "x-method-override",
    ]

    private static let prefixes = ["x-forwarded", "x-original-", "cf-", "sec-", "access-control-request-"]
}
