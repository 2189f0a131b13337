import GatewayTunnel
import PluginKit

/// Why a consumer gets no answer, or not all of it.
enum TunnelFailure: Error, Equatable {
    /// The user has no agent connected, or none of that name.
    case noAgent
    /// There was one a moment ago, or the gateway itself has just started: trying again soon may work.
    case reconnecting
    /// The agent serves as much as it may.
    case channelLimit(Int)
    case reset(TunnelReset, String)
    case firstByteTimeout
    case idleTimeout
    /// The time that the caller gave.
    case callerTimeout
    case tooLarge(limit: Int)
    case invalidPath
    /// The server behind the agent is known to be down.
    case circuitOpen(retryAfter: Int)
    /// Not for a single message.
    case answerTooLarge(limit: Int)
    /// The agent is another user's, who has not allowed this.
    case shareForbids
    /// Its owner took the share back while the request ran.
    case shareEnded
    /// Whether there is a share cannot be found out now.
    case storeSilent

    /// Whether it says something about the server behind the agent.
    var isModelsFault: Bool {
        switch self {
        case .firstByteTimeout, .idleTimeout, .reset(.unreachable, _), .reset(.timeout, _), .reset(.broken, _): true
        default: false
        }
    }

    /// As the guide's clients are told: status, code, number, and a sentence.
    struct Report {
        let status: Status
        let code: String
        let tunnelCode: String
        let message: String
        var retryAfter: Int?
    }

    var report: Report {
        switch self {
        case .noAgent:
            Report(
                status: .serviceUnavailable, code: "DESKTOP_CLIENT_DISCONNECTED", tunnelCode: "TUNNEL_004",
                message: "Desktop client not connected", retryAfter: 5)
        case .reconnecting:
            Report(
                status: .serviceUnavailable, code: "AGENT_RECONNECTING", tunnelCode: "TUNNEL_001",
                message: "The desktop client is reconnecting. Try again.", retryAfter: 2)
        case .channelLimit(let limit):
            Report(
                status: .serviceUnavailable, code: "CHANNEL_LIMIT", tunnelCode: "TUNNEL_006",
                message: "Channel limit exceeded (\(limit) channels per connection)", retryAfter: 1)
        case .reset(let reason, let message): Self.report(of: reason, message)
        case .firstByteTimeout, .idleTimeout, .callerTimeout:
            Report(
                status: .gatewayTimeout, code: "LLM_REQUEST_TIMEOUT", tunnelCode: "TUNNEL_007",
                message: "The model did not answer in time.")
        case .tooLarge(let limit):
            Report(
                status: .contentTooLarge, code: "REQUEST_TOO_LARGE", tunnelCode: "TUNNEL_010",
                message: "The request body is larger than the \(limit) bytes allowed here.")
        case .invalidPath:
            Report(
                status: .badRequest, code: "INVALID_PATH", tunnelCode: "TUNNEL_010",
                message: "The path cannot be forwarded: it holds an empty or hidden segment.")
        case .circuitOpen(let seconds):
            Report(
                status: .serviceUnavailable, code: "CIRCUIT_OPEN", tunnelCode: "TUNNEL_004",
                message: "Circuit breaker is OPEN - requests are blocked", retryAfter: seconds)
        case .answerTooLarge(let limit):
            Report(
                status: .badGateway, code: "ANSWER_TOO_LARGE", tunnelCode: "TUNNEL_009",
                message: "The answer is larger than \(limit) bytes. Ask for it with \"stream\": true.")
        case .shareForbids:
            Report(
                status: .forbidden, code: "SHARE_FORBIDS", tunnelCode: "TUNNEL_010",
                message: "The agent's owner has not shared this method and path.")
        case .shareEnded:
            Report(
                status: .forbidden, code: "SHARE_ENDED", tunnelCode: "TUNNEL_010",
                message: "The agent's owner has ended the share.")
        case .storeSilent:
            Report(
                status: .serviceUnavailable, code: "SHARES_UNAVAILABLE", tunnelCode: "TUNNEL_004",
                message: "Shares cannot be looked up now. Try again.", retryAfter: 2)
        }
    }

    private static func report(of reason: TunnelReset, _ message: String) -> Report {
        switch reason {
        case .refused:
            Report(
                status: .forbidden, code: "AGENT_REFUSED", tunnelCode: "TUNNEL_010",
                message: message.isEmpty ? "The desktop client does not offer this." : message)
        case .unreachable:
            Report(
                status: .badGateway, code: "LLM_UNREACHABLE", tunnelCode: "TUNNEL_004",
                message: "The desktop client cannot reach the model server.")
        case .timeout:
            Report(
                status: .gatewayTimeout, code: "LLM_REQUEST_TIMEOUT", tunnelCode: "TUNNEL_007",
                message: "The model did not answer in time.")
        case .overloaded:
            Report(
                status: .serviceUnavailable, code: "CHANNEL_LIMIT", tunnelCode: "TUNNEL_006",
                message: "The desktop client serves as many requests as it can.", retryAfter: 1)
        case .lost: TunnelFailure.reconnecting.report
        case .cancelled, .broken, .flow, .offset:
            Report(
                status: .badGateway, code: "LLM_ANSWER_BROKEN", tunnelCode: "TUNNEL_001",
                message: "The answer of the model server broke off.")
        }
    }

    /// The fault that a request is answered with.
    var fault: GatewayFault {
        let report = report
        var fields = HeaderFields()
        if let seconds = report.retryAfter { fields.append(.retryAfter, decimal: seconds) }
        return GatewayFault(report.status, report.code, report.message, source: .upstream, fields: fields)
    }

    /// The number that the guide's clients know a code by.
    static func tunnelCode(of fault: GatewayFault) -> String {
        switch (fault.status.code, fault.code) {
        case (401, "token_expired"): "TUNNEL_003"
        case (401, _), (403, "admin_required"), (403, "permission_required"): "TUNNEL_002"
        case (429, _): "TUNNEL_005"
        case (504, _): "TUNNEL_007"
        case (502, "LLM_UNREACHABLE"): "TUNNEL_004"
        case (502, _): "TUNNEL_001"
        case (503, "CHANNEL_LIMIT"): "TUNNEL_006"
        case (503, "AGENT_RECONNECTING"): "TUNNEL_001"
        case (503, _), (500, _): "TUNNEL_004"
        default: "TUNNEL_010"
        }
    }
}

extension TunnelFailure.Report {
    /// `{"code":…,"message":…,"tunnelCode":…}`, for those who read an answer that has begun.
    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("code", code)
            json.member("message", message)
            json.member("tunnelCode", tunnelCode)
        }
    }
}

/// Answers the tunnel's faults in the shape its clients know: the gateway's, with a number.
struct TunnelErrors: Middleware {
    func handle(_ request: Request, next: Next) async throws -> Response {
        do {
            return try await next(request)
        } catch let fault as GatewayFault {
            return Self.response(to: fault, request)
        }
    }

    static func response(to fault: GatewayFault, _ request: Request) -> Response {
        var json = JSONWriter()
        json.object { json in
            json.key("error")
            json.object { error in
                error.member("code", code(of: fault))
                error.member("message", fault.message)
                error.member("tunnelCode", TunnelFailure.tunnelCode(of: fault))
            }
            json.member("requestId", request.id.description)
            for detail in fault.details { json.member(detail.name, detail.value) }
        }
        var fields = ContentTypes.json
        fields.append(contentsOf: fault.fields)
        return Response(status: fault.status, fields: fields, body: .bytes(json.bytes))
    }

    /// The guide's word for whatever is wrong with a token.
    private static func code(of fault: GatewayFault) -> String {
        switch fault.status.code {
        case 401: "AUTH_REQUIRED"
        case 413 where fault.code == "content_too_large": "REQUEST_TOO_LARGE"
        case 400 where fault.code == TunnelPathErrors.code: TunnelFailure.invalidPath.report.code
        default: fault.code
        }
    }
}

/// The same for paths that are refused before any route is looked for: dot segments and bad encodings below the paths of
/// consumers.
struct TunnelPathErrors: Middleware {
    /// What the server calls such a path.
    static let code = "bad_path"
    private static let prefixes = ["/api/ollama/", "/ollama/", "/api/direct-proxy/", "/api/tunnel/"]

    func handle(_ request: Request, next: Next) async throws -> Response {
        do {
            return try await next(request)
        } catch let fault as GatewayFault where fault.code == Self.code {
            let path = request.path
            guard Self.prefixes.contains(where: { path.hasPrefix($0) }) else { throw fault }
            return TunnelErrors.response(to: fault, request)
        }
    }
}
