import GatewayTunnel
import PluginKit

/// What the routes about rights have in common: reading a body, answering, and saying why the store is silent.
struct TunnelAPI: Sendable {
    let host: AgentHost

    /// No request of these is larger.
    private static let bodyLimit = ByteCount.kibibytes(16)

    /// A handler whose caller is known, and whose troubles with the store become answers.
    func handler(_ answer: @escaping @Sendable (Request, Principal) async throws -> Response) -> Handler {
        let host = host
        return { request in
            // The route is for those who are signed in; this is how the type knows.
            guard let principal = request.principal else { throw GatewayFault.signInFirst }
            do {
                return try await answer(request, principal)
            } catch let error as TunnelStoreError {
                if case .failed(let reason) = error {
                    host.log.error("the store failed", .string("error", reason), .request(request.id))
                }
                throw error.fault
            }
        }
    }

    /// The object that a request holds.
    ///
    /// - Throws: 400 for anything else, 413 for one that is too large.
    static func object(in request: Request) async throws -> JSONObject {
        let bytes = try await request.body.collect(limit: bodyLimit.bytes)
        let limits = JSONLimits(size: bodyLimit, depth: 4, values: 256)
        guard let object = try? JSON.parse(bytes, limits: limits).object else {
            throw GatewayFault.badBody("The body must be a JSON object.")
        }
        return object
    }

    /// A member that names an agent.
    static func agentName(_ member: String, in object: JSONObject) throws(GatewayFault) -> String {
        guard let name = object[member]?.string, TunnelProtocol.isAgentName(name) else {
            throw .badBody("\"\(member)\" must be 1 to 64 of A-Z a-z 0-9 . _ -")
        }
        return name
    }

    /// An answer that nobody keeps.
    static func answer(_ status: Status = .ok, _ write: (inout JSONWriter) -> Void) -> Response {
        var json = JSONWriter()
        json.object(write)
        var response = Response.json(json.bytes + [0x0A], status: status)
        response.fields.append(.cacheControl, "no-store")
        return response
    }

    static var nothing: Response { Response(status: .noContent) }

    /// One segment of a path as text; `nil` for what is no UTF-8.
    static func decoded(_ capture: String?) -> String? {
        guard let capture else { return nil }
        return QueryToken.percentDecoded(Array(capture.utf8).span).flatMap { String(validating: $0, as: UTF8.self) }
    }
}

extension JSONWriter {
    /// A moment as `2026-01-02T03:04:05.000Z`; `null` for none.
    mutating func time(_ name: String, _ seconds: Int64?) {
        key(name)
        guard let seconds else { return null() }
        var buffer = OutputBuffer(capacity: 32)
        WallTime(seconds: seconds).appendRFC3339(to: &buffer)
        value(unsafe buffer.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) })
    }

    mutating func texts(_ name: String, _ texts: [String]) {
        key(name)
        array { json in for text in texts { json.value(text) } }
    }
}

extension TunnelStoreError {
    /// What whoever asked is told.
    var fault: GatewayFault {
        var fields = HeaderFields()
        switch self {
        case .unavailable(let reason):
            return GatewayFault(
                .serviceUnavailable, "store_unavailable",
                "Enrolments, shares and default agents cannot be kept here: \(reason).", source: .gateway)
        case .busy:
            fields.append(.retryAfter, "1")
            return GatewayFault(
                .serviceUnavailable, "store_busy", "Too much is asked at once. Try again.", source: .gateway,
                fields: fields)
        case .failed:
            fields.append(.retryAfter, "5")
            return GatewayFault(
                .serviceUnavailable, "store_failed", "The store failed; the gateway's log knows this request id.",
                source: .gateway, fields: fields)
        }
    }
}

extension GatewayFault {
    static func badBody(_ message: String) -> GatewayFault { GatewayFault(.badRequest, "bad_request", message) }

    static func gone(_ code: String, _ message: String) -> GatewayFault { GatewayFault(.notFound, code, message) }

    static var signInFirst: GatewayFault { GatewayFault(.unauthorized, "token_missing", "Show a token.") }
}
