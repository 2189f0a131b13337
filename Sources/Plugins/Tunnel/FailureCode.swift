import PluginKit

extension TunnelFailure {
    /// The guide's words for what kind of thing went wrong.
    enum Category: String, CaseIterable, Sendable { case network, auth, protocolError = "protocol", timeout, channel }

    /// What clients and operators know failures by. Several failures may have one code.
    enum Code: String, CaseIterable {
        case disconnected = "DESKTOP_CLIENT_DISCONNECTED"
        case reconnecting = "AGENT_RECONNECTING"
        case unreachable = "LLM_UNREACHABLE"
        case broken = "LLM_ANSWER_BROKEN"
        case circuitOpen = "CIRCUIT_OPEN"
        case channelLimit = "CHANNEL_LIMIT"
        case timeout = "LLM_REQUEST_TIMEOUT"
        case refused = "AGENT_REFUSED"
        case shareForbids = "SHARE_FORBIDS"
        case shareEnded = "SHARE_ENDED"
        case storeSilent = "SHARES_UNAVAILABLE"
        case tooLarge = "REQUEST_TOO_LARGE"
        case headTooLarge = "REQUEST_HEAD_TOO_LARGE"
        case invalidPath = "INVALID_PATH"
        case answerTooLarge = "ANSWER_TOO_LARGE"

        /// The answer's status, the guide's number, and its category.
        private var row: (status: Status, number: String, category: Category) {
            switch self {
            case .disconnected: (.serviceUnavailable, "TUNNEL_004", .network)
            case .reconnecting: (.serviceUnavailable, "TUNNEL_001", .network)
            case .unreachable: (.badGateway, "TUNNEL_004", .network)
            case .broken: (.badGateway, "TUNNEL_001", .network)
            case .circuitOpen: (.serviceUnavailable, "TUNNEL_004", .network)
            case .channelLimit: (.serviceUnavailable, "TUNNEL_006", .channel)
            case .timeout: (.gatewayTimeout, "TUNNEL_007", .timeout)
            case .refused: (.forbidden, "TUNNEL_010", .auth)
            case .shareForbids: (.forbidden, "TUNNEL_010", .auth)
            case .shareEnded: (.forbidden, "TUNNEL_010", .auth)
            case .storeSilent: (.serviceUnavailable, "TUNNEL_004", .network)
            case .tooLarge: (.contentTooLarge, "TUNNEL_010", .protocolError)
            case .headTooLarge: (.requestHeaderFieldsTooLarge, "TUNNEL_010", .protocolError)
            case .invalidPath: (.badRequest, "TUNNEL_010", .protocolError)
            case .answerTooLarge: (.badGateway, "TUNNEL_009", .protocolError)
            }
        }

        var status: Status { row.status }
        var number: String { row.number }
        var category: Category { row.category }
    }

    /// Every code that ``report`` can have, and so every value of the label.
    static let codes: [(code: String, category: Category)] = Code.allCases.map { ($0.rawValue, $0.category) }

    /// The number that the guide's clients know a fault by: one of the tunnel's own, or of the gateway's.
    static func tunnelCode(of fault: GatewayFault) -> String {
        if let code = Code(rawValue: fault.code) { return code.number }
        return switch (fault.status.code, fault.code) {
        case (401, "token_expired"): "TUNNEL_003"
        case (401, _), (403, "admin_required"), (403, "permission_required"): "TUNNEL_002"
        case (429, _): "TUNNEL_005"
        case (504, _): "TUNNEL_007"
        case (502, _): "TUNNEL_001"
        case (503, _), (500, _): "TUNNEL_004"
        default: "TUNNEL_010"
        }
    }
}
