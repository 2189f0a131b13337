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
    /// Path, query and header fields are more than an agent takes.
    case headTooLarge
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
        case .noAgent: Report(.disconnected, "Desktop client not connected", retryAfter: 5)
        case .reconnecting, .reset(.lost, _):
            Report(.reconnecting, "The desktop client is reconnecting. Try again.", retryAfter: 2)
        case .channelLimit(let limit):
            Report(.channelLimit, "Channel limit exceeded (\(limit) channels per connection)", retryAfter: 1)
        case .reset(.overloaded, _):
            Report(.channelLimit, "The desktop client serves as many requests as it can.", retryAfter: 1)
        case .firstByteTimeout, .idleTimeout, .callerTimeout, .reset(.timeout, _):
            Report(.timeout, "The model did not answer in time.")
        case .reset(.unreachable, _): Report(.unreachable, "The desktop client cannot reach the model server.")
        case .reset(.cancelled, _), .reset(.broken, _), .reset(.flow, _), .reset(.offset, _):
            Report(.broken, "The answer of the model server broke off.")
        case .reset(.refused, let message):
            Report(.refused, message.isEmpty ? "The desktop client does not offer this." : message)
        case .circuitOpen(let seconds):
            Report(.circuitOpen, "Circuit breaker is OPEN - requests are blocked", retryAfter: seconds)
        case .tooLarge(let limit):
            Report(.tooLarge, "The request body is larger than the \(limit) bytes allowed here.")
        case .headTooLarge:
            Report(.headTooLarge, "Path, query and header fields are more than can be sent to an agent.")
        case .invalidPath: Report(.invalidPath, "The path cannot be forwarded: it holds an empty or hidden segment.")
        case .answerTooLarge(let limit):
            Report(.answerTooLarge, "The answer is larger than \(limit) bytes. Ask for it with \"stream\": true.")
        case .shareForbids: Report(.shareForbids, "The agent's owner has not shared this method and path.")
        case .shareEnded: Report(.shareEnded, "The agent's owner has ended the share.")
        case .storeSilent: Report(.storeSilent, "Shares cannot be looked up now. Try again.", retryAfter: 2)
        }
    }

    /// The fault that a request is answered with.
    var fault: GatewayFault {
        let report = report
        var fields = HeaderFields()
        if let seconds = report.retryAfter { fields.append(.retryAfter, decimal: seconds) }
        return GatewayFault(report.status, report.code, report.message, source: .upstream, fields: fields)
    }
}

extension TunnelFailure.Report {
    init(_ code: TunnelFailure.Code, _ message: String, retryAfter: Int? = nil) {
        self.init(
            status: code.status, code: code.rawValue, tunnelCode: code.number, message: message, retryAfter: retryAfter)
    }

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
        case 413 where fault.code == "content_too_large": TunnelFailure.Code.tooLarge.rawValue
        case 400 where fault.code == TunnelPathErrors.code: TunnelFailure.Code.invalidPath.rawValue
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
