import PluginKit

/// What viewers are told. Players look at the status alone, so the body has the gateway's shape and the words are those
/// that programs of this family use.
extension GatewayFault {
    static func badLink(_ error: ProxyLinkError) -> GatewayFault {
        GatewayFault(.badRequest, "invalid_link", "Invalid proxy URL: \(error).")
    }

    static func badDirectives(_ error: PlaylistDirectiveError) -> GatewayFault {
        GatewayFault(.badRequest, "invalid_directives", "The playlist directives cannot be passed on: \(error).")
    }

    static func originNotAllowed(_ url: HTTPURL) -> GatewayFault {
        GatewayFault(
            .forbidden, "origin_not_allowed", "HLS_ALLOWED_ORIGINS does not list \(url.origin).")
    }

    /// An answer that is an error becomes one of the same status.
    static func originAnswered(_ status: Status, retryAfter: String?) -> GatewayFault {
        var fields = HeaderFields()
        if let retryAfter { try? fields.append(.retryAfter, checking: retryAfter) }
        return GatewayFault(
            status, "upstream_error", "Upstream error: \(status).", source: .upstream, fields: fields)
    }

    /// - Parameter contentRange: `bytes */length`, which tells how long the whole is.
    static func rangeNotSatisfiable(contentRange: String?) -> GatewayFault {
        var fields = HeaderFields()
        if let contentRange { try? fields.append(.contentRange, checking: contentRange) }
        return GatewayFault(
            .rangeNotSatisfiable, "range_not_satisfiable", "Upstream error: the range lies outside the body.",
            source: .upstream, fields: fields)
    }

    static func proxyError(_ code: String, _ reason: String) -> GatewayFault {
        GatewayFault(.badGateway, code, "Proxy error: \(reason).", source: .upstream)
    }

    static func originFailed(_ error: UpstreamError) -> GatewayFault {
        let fault = GatewayFault(error)
        let words =
            switch fault.status {
            case .gatewayTimeout: "Upstream timeout: \(fault.message)"
            case .forbidden: "\(fault.message) ALLOW_PRIVATE_NETWORKS can list its network."
            default: "Proxy error: \(fault.message)"
            }
        return GatewayFault(fault.status, fault.code, words, source: .upstream, fields: fault.fields)
    }
}

extension ProxyLinkError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooLong: "it is too long"
        case .encoding: "it is not URL-safe base64"
        case .url(let error): "what it encodes is not a usable http or https URL (\(error))"
        }
    }
}

extension PlaylistDirectiveError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooMany(let limit): "there are more than \(limit)"
        case .url(let error): "they make no usable URL (\(error))"
        }
    }
}
