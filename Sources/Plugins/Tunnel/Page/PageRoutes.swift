import PluginKit

/// The page `/tunnel/`: a user's agents, credentials and a console. Its files are part of the program.
///
/// The page itself is for anybody, and knows nothing: what it shows it asks the gateway for, with the user's token.
enum PageRoutes {
    static func add(to gateway: inout Registrar) {
        let headers = SecurityHeaders(framing: .nobody, referrer: "no-referrer", policy: policy)
        gateway.use(headers, on: .path("/tunnel/"))
        gateway.use(ResponseCompression(in: gateway.context), on: .path("/tunnel/"))
        gateway.get("/tunnel") { _ in
            var fields = HeaderFields()
            fields.append(.location, "/tunnel/")
            return Response(status: .permanentRedirect, fields: fields)
        }
        add("/tunnel/", PackageResources.index_html, "text/html; charset=utf-8", to: &gateway)
        add("/tunnel/page.css", PackageResources.page_css, "text/css; charset=utf-8", to: &gateway)
        add("/tunnel/page.js", PackageResources.page_js, "text/javascript; charset=utf-8", to: &gateway)
        add("/tunnel/icon.svg", PackageResources.icon_svg, "image/svg+xml", to: &gateway)
    }

    /// Nothing from anywhere else, no script or style in the markup, no frame, no form that leaves.
    private static let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        + "form-action 'none'; base-uri 'none'"

    private static func add(
        _ path: String, _ bytes: [UInt8], _ type: StaticString, to gateway: inout Registrar
    ) {
        var fields = HeaderFields()
        fields.append(.contentType, type)
        // It belongs to this build: another build may answer the next request.
        fields.append(.cacheControl, "no-cache")
        let sent = fields
        gateway.get(path) { _ in Response(fields: sent, body: .bytes(bytes)) }
    }
}
