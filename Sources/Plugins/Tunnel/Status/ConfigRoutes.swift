import GatewayTunnel
import PluginKit

/// `/api/tunnel/config`: what the tunnel goes by, and the one thing of it that can change while it runs.
///
/// Settings come from the environment and take effect by `gateway reload`, which shows beforehand what would close. So
/// only the log level is changed here, and only until settings are applied anew; for the rest the answer says where to go.
struct ConfigRoutes: Sendable {
    private let settings: TunnelSettings
    private let log: Logger

    private static let bodyLimit = 16 << 10
    private static let levelNames = LogLevel.allCases.map { $0.rawValue.uppercased() }

    static func add(_ settings: TunnelSettings, to gateway: inout Registrar) {
        let routes = ConfigRoutes(settings: settings, log: gateway.log)
        let config = "/api/tunnel/config"
        gateway.get(config, access: .operators) { _ in routes.answer { routes.write(config: &$0) } }
        gateway.route(.put, config, access: .admin) { try await routes.change($0) }
        gateway.post("\(config)/reset", access: .admin) { request in
            routes.set(nil, by: request)
            return routes.answer { json in
                json.member("message", "The log level is what the settings say. Nothing else can differ from them.")
                routes.write(config: &json)
            }
        }
        gateway.get("\(config)/log-level", access: .operators) { _ in
            routes.answer { $0.member("level", routes.level) }
        }
        gateway.route(.put, "\(config)/log-level", access: .admin) { try await routes.changeLevel($0) }
    }

    // MARK: Log level

    private var level: String { log.level.rawValue.uppercased() }

    private func changeLevel(_ request: Request) async throws -> Response {
        let body = try await request.body.collect(limit: Self.bodyLimit)
        let json = try? JSON.parse(body)
        guard let wanted = json?["level"]?.string.flatMap(LogLevel.init(text:)) else {
            return refuseLevel()
        }
        set(wanted, by: request)
        return answer { json in
            json.member("level", level)
            json.member("message", "In force until settings are applied anew; LOG_LEVEL is for good.")
        }
    }

    private func refuseLevel() -> Response {
        answer(.badRequest) { json in
            json.member("error", "The body is JSON with a level that exists.")
            json.key("validLevels")
            json.array { list in for name in Self.levelNames { list.value(name) } }
        }
    }

    /// Every change is logged, whatever the level.
    private func set(_ level: LogLevel?, by request: Request) {
        log.override(level: level)
        log.error(
            "log level changed", .string("level", self.level), .string("by", request.principal?.subject ?? ""),
            .request(request.id))
    }

    // MARK: Configuration

    private func change(_ request: Request) async throws -> Response {
        let body = try await request.body.collect(limit: Self.bodyLimit)
        guard let wishes = (try? JSON.parse(body))?.object, !wishes.isEmpty else {
            return refuse(.badRequest, "The body is a JSON object of settings.")
        }
        let known = values.map(\.name)
        for (name, _) in wishes.members where !known.contains(name) {
            return refuse(.badRequest, "There is no setting \(name) here.")
        }
        guard wishes.count == 1, let text = wishes["LOG_LEVEL"]?.string else {
            return refuse(
                .conflict,
                "Only LOG_LEVEL can change here, and alone. Set the others in the gateway's environment, see with `gateway "
                    + "plan` what that would do, and apply it with `gateway reload`.")
        }
        guard let wanted = LogLevel(text: text) else { return refuseLevel() }
        set(wanted, by: request)
        return answer { json in
            json.member("message", "The log level is in force until settings are applied anew.")
            write(config: &json)
        }
    }

    private func refuse(_ status: Status, _ reason: String) -> Response {
        answer(status) { $0.member("error", reason) }
    }

    private enum Value {
        case text(String)
        /// Times are in milliseconds and sizes in bytes, as bare numbers are in the environment.
        case number(Int)
    }

    /// The tunnel's settings by the names the environment has for them. None of them is secret.
    private var values: [(name: String, value: Value)] {
        let terms = settings.terms
        return [
            ("LOG_LEVEL", .text(level)),
            ("MAX_CONNECTIONS_PER_USER", .number(settings.agentsPerUser)),
            ("SSH_MAX_CHANNELS", .number(terms.streams)),
            ("IDLE_TIMEOUT", .number(settings.consumerIdle.wholeMilliseconds)),
            ("TUNNEL_AGENTS", .number(settings.agents)),
            ("TUNNEL_STREAM_WINDOW", .number(terms.streamWindow)),
            ("TUNNEL_AGENT_WINDOW", .number(terms.sessionWindow)),
            ("TUNNEL_RESUME_GRACE", .number(terms.resumeGrace * 1000)),
            ("TUNNEL_HELLO_TIMEOUT", .number(settings.helloTimeout.wholeMilliseconds)),
            ("TUNNEL_CONNECT_TIMEOUT", .number(settings.connectTimeout.wholeMilliseconds)),
            ("TUNNEL_FIRST_BYTE_TIMEOUT", .number(settings.firstByteTimeout.wholeMilliseconds)),
            ("TUNNEL_IDLE_TIMEOUT", .number(settings.idleTimeout.wholeMilliseconds)),
            ("TUNNEL_MAX_BODY", .number(settings.maxBody.bytes)),
            ("TUNNEL_ENVELOPE_BODY", .number(settings.envelopeBody.bytes)),
            ("TUNNEL_REMEMBERED_USERS", .number(settings.rememberedUsers)),
            ("TUNNEL_AGENT_PERMISSION", .text(settings.agentPermission)),
            ("TUNNEL_CONNECT_PERMISSION", .text(settings.connectPermission)),
        ]
    }

    private func write(config json: inout JSONWriter) {
        json.key("config")
        json.object { json in
            for (name, value) in values {
                switch value {
                case .text(let text): json.member(name, text)
                case .number(let number): json.member(name, number)
                }
            }
        }
        json.key("changeable")
        json.array { $0.value("LOG_LEVEL") }
    }

    private func answer(_ status: Status = .ok, _ write: (inout JSONWriter) -> Void) -> Response {
        var json = JSONWriter()
        json.object { json in
            write(&json)
            json.member("timestamp", Times.text())
        }
        return StatusRoutes.fresh(json.bytes + [UInt8(ascii: "\n")], status: status)
    }
}
