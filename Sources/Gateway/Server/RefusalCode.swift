import GatewayHTTP

extension RequestError {
    /// A stable word for programs, one for each status a refused head is answered with.
    var code: String {
        switch status {
        case .requestTimeout: "request_timeout"
        case .contentTooLarge: "content_too_large"
        case .uriTooLong: "request_line_too_long"
        case .expectationFailed: "expectation_unsupported"
        case .requestHeaderFieldsTooLarge: "head_too_large"
        case .notImplemented: "not_implemented"
        case .httpVersionNotSupported: "version_not_supported"
        default: "bad_request"
        }
    }
}
