import GatewayBytes
import GatewayConfig
import GatewayHTTP
import GatewayRuntime
import GatewayTLS
import GatewayTelemetry
import GatewayUpstream
import GatewayWebSocket

/// The HTTP clients of the tunnel's commands, each for one loop.
enum Clients {
    /// One that reaches the gateway.
    ///
    /// - Parameter authorities: See ``ConnectionOptions``. Read here: blocks.
    static func forGateway(
        _ options: ConnectionOptions, sockets: UpstreamSocketSettings
    ) throws(Ending) -> UpstreamClient {
        let tls: TLSClientContext
        do throws(TLSContextError) {
            tls = try TLSClientContext.make(verification: options.authorities.map { .file($0) } ?? .systemStore)
        } catch {
            let file = options.authorities.map { "--ca \($0)" } ?? "the system's certificates"
            throw Ending("\(file) cannot be used: \(error)", Ending.configuration)
        }
        return UpstreamClient(
            loopCount: 1, settings: settings(), sockets: sockets, tls: tls, metrics: try metrics())
    }

    /// One that reaches this machine and no other: the only name it knows is `localhost`.
    static func forLocalServer(_ target: LocalTarget) throws(Ending) -> UpstreamClient {
        let tls: TLSClientContext
        do throws(TLSContextError) { tls = try TLSClientContext.make() } catch {
            throw Ending("TLS: \(error)", Ending.configuration)
        }
        let port = target.url.port
        return UpstreamClient(loopCount: 1, settings: settings(), tls: tls, metrics: try metrics()) { host in
            guard host == "localhost" else { throw NotLocal() }
            return LocalTarget.addresses(port: port)
        }
    }

    private struct NotLocal: Error {}

    private static func settings() -> UpstreamSettings {
        // Shorter than servers usually keep what is idle: a request must not meet a connection that is being closed.
        var reader = SettingsReader(environment: ["UPSTREAM_KEEP_ALIVE": "4s"])
        return UpstreamSettings(from: &reader)
    }

    private static func metrics() throws(Ending) -> UpstreamMetrics {
        do throws(MetricError) {
            return try UpstreamMetrics(registry: Metrics(loops: 1))
        } catch {
            throw Ending("\(error)", Ending.configuration)
        }
    }
}

extension ConnectionOptions {
    /// A request to a path of the gateway's that shows `credential`.
    func request(
        _ method: GatewayHTTP.Method, _ path: String, as credential: Credential, body: [UInt8] = []
    ) -> UpstreamRequest {
        var fields = HeaderFields()
        // A credential was checked when it was read.
        try? fields.append(.authorization, checking: "Bearer \(credential.text)")
        fields.append(.userAgent, "gateway/1.0")
        if !body.isEmpty { fields.append(.contentType, "application/json") }
        return UpstreamRequest(
            method, address.endpoint(path), destination: .operator, fields: fields,
            body: body.isEmpty ? .none : .bytes(body))
    }
}
