import PluginKit

/// Where a redirect may lead, and how often.
struct RedirectRule: Sendable {
    let allowed: AllowedOrigins
    let limit: Int

    /// Where `status` sends the request; `nil` for any other answer.
    ///
    /// - Parameters:
    ///   - url: Where the answer came from.
    ///   - followed: Redirects followed for this request so far.
    /// - Throws: 403 when it leads off the allow-list, 502 when it leads nowhere or there were too many.
    func target(
        of status: Status, location: String?, from url: HTTPURL, followed: Int
    ) throws(GatewayFault) -> HTTPURL? {
        guard Self.isFollowed(status) else { return nil }
        guard followed < limit else { throw Self.fault("more than \(limit) redirects") }
        guard let location else { throw Self.fault("a redirect that does not say where to") }
        let target: HTTPURL
        do throws(HTTPURLError) {
            target = try url.resolve(location, as: .lenient)
        } catch {
            throw Self.fault("a redirect to something that is not an http or https URL")
        }
        guard allowed.allows(target) else {
            throw GatewayFault(
                .forbidden, "origin_not_allowed",
                "The origin redirects to \(target.origin), which HLS_ALLOWED_ORIGINS does not list.")
        }
        return target
    }

    /// The redirects that a GET or HEAD repeats itself for. 300 and 304 are answers.
    private static func isFollowed(_ status: Status) -> Bool {
        switch status {
        case .movedPermanently, .found, .seeOther, .temporaryRedirect, .permanentRedirect: true
        default: false
        }
    }

    private static func fault(_ reason: String) -> GatewayFault {
        GatewayFault(.badGateway, "bad_redirect", "Proxy error: \(reason).", source: .upstream)
    }
}
