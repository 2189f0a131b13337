import PluginKit

/// The fields of a request as its upstream gets them.
enum ForwardedFields {
    static func of(_ request: Request) throws(FieldValueError) -> HeaderFields {
        try unsafe of(request.head, request.headBytes, from: ForwardedClient(request))
    }

    /// End-to-end fields as they came, and the client's identity written anew (RFC 9110 §7.6.1).
    static func of(
        _ head: RequestHead, _ bytes: UnsafeRawBufferPointer, from client: ForwardedClient
    ) throws(FieldValueError) -> HeaderFields {
        var fields = HeaderFields(reserving: head.length + 256)
        let hopByHop = unsafe HopByHopFields(of: head.fields, in: bytes)
        for field in head.fields {
            guard !hopByHop.contains(field), unsafe !replaced.contains(field, in: bytes) else {
                continue
            }
            unsafe fields.append(field, from: bytes)
        }
        // Behind those of the proxies before (RFC 9110 §7.6.3): the version that was received, and a name for who did.
        fields.append(.via, head.minorVersion == 0 ? "1.0 gateway" : "1.1 gateway")
        try fields.append(client)
        return fields
    }

    /// Written by the gateway, or by nobody: whoever believes these fields must be able to believe them all.
    private static let replaced = HeaderNameSet(
        [
            // The upstream client writes Host and framing, and waits for no `100 Continue`.
            .host, .contentLength, .expect,
            .forwarded, .xForwardedFor, .xForwardedHost, .xForwardedPort, .xForwardedPrefix, .xForwardedProto,
            .xForwardedServer, .xRealIP, .xClientIP, .trueClientIP, .cfConnectingIP, .xRequestID, .clientCert,
            .clientCertChain,
            // Another path than the one that was routed.
            .xOriginalURL, .xRewriteURL,
            // Becomes HTTP_PROXY in a CGI's environment.
        ] + [HeaderName("Proxy")].compactMap(\.self))
}
