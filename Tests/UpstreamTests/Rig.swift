import GatewayConfig
import GatewayHTTP
import GatewayTLS
import GatewayTelemetry
import GatewayTestSupport
import Glibc
import Testing

@testable import GatewayRuntime
@testable import GatewayUpstream

/// A client on a loop of its own.
struct Rig: Sendable {
    let client: UpstreamClient
    let metrics: UpstreamMetrics
    let loop: EventLoop

    /// - Parameters:
    ///   - environment: Settings besides permission to connect to 127.0.0.0/8.
    ///   - names: Looks up host names; without it there are none.
    static func with<R: Sendable>(
        _ environment: [String: String] = [:], trusting trust: TLSVerification = .certificates(pem: []),
        workers: WorkerPool = WorkerPool(threads: 2), sockets: UpstreamSocketSettings = UpstreamSocketSettings(),
        names: @escaping @Sendable (String) throws -> [SocketAddress] = { _ in throw NoNames() },
        _ body: @escaping @Sendable (Rig) async throws -> R
    ) throws -> R {
        let thread = try LoopThread(workers: workers)
        let settings = try settings(environment)
        let metrics = try UpstreamMetrics(registry: Metrics(loops: 1))
        let tls = try TLSClientContext.make(verification: trust == .certificates(pem: []) ? .none : trust)
        let client = UpstreamClient(
            loopCount: 1, settings: settings, sockets: sockets, tls: tls, metrics: metrics, names: names)
        let rig = Rig(client: client, metrics: metrics, loop: thread.loop)
        let result = Result { try thread.run { _ in try await body(rig) } }
        try thread.stop()
        return try result.get()
    }

    struct NoNames: Error {}

    static func settings(_ environment: [String: String]) throws -> UpstreamSettings {
        var reader = SettingsReader(
            environment: environment.merging(["ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8"]) { given, _ in given })
        let settings = UpstreamSettings(from: &reader)
        #expect(reader.problems.isEmpty)
        return settings
    }

    func request(
        _ method: GatewayHTTP.Method = .get, _ url: String, _ destination: DestinationKind = .foreign,
        body: UpstreamRequest.Body = .none, timeouts: UpstreamTimeouts? = nil
    ) throws -> UpstreamRequest {
        var request = UpstreamRequest(method, try HTTPURL(url), destination: destination, body: body)
        request.timeouts = timeouts
        return request
    }

    func send(
        _ method: GatewayHTTP.Method = .get, _ url: String, _ destination: DestinationKind = .foreign,
        body: UpstreamRequest.Body = .none, timeouts: UpstreamTimeouts? = nil
    ) async throws -> UpstreamResponse {
        try await client.send(try request(method, url, destination, body: body, timeouts: timeouts))
    }

    /// Sends a request and reads the whole answer.
    func text(
        _ method: GatewayHTTP.Method = .get, _ url: String, _ destination: DestinationKind = .foreign,
        body: UpstreamRequest.Body = .none
    ) async throws -> String {
        let response = try await send(method, url, destination, body: body)
        return String(decoding: try await response.body.collect(limit: 1 << 24), as: UTF8.self)
    }

    /// What a request fails with.
    func failure(_ body: () async throws -> Void) async -> Failure {
        do {
            try await body()
            return .none
        } catch let error as UpstreamError {
            return .upstream(error)
        } catch {
            return error is CancellationError ? .cancelled : .other("\(error)")
        }
    }

    enum Failure: Sendable, CustomStringConvertible {
        case none
        case upstream(UpstreamError)
        case cancelled
        case other(String)

        var description: String {
            switch self {
            case .none: "nothing"
            case .upstream(let error): Mirror(reflecting: error).children.first?.label ?? "\(error)"
            case .cancelled: "cancelled"
            case .other(let text): text
            }
        }

        /// The case without its values, such as `bodyIncomplete`.
        var name: String {
            guard case .upstream(let error) = self else { return description }
            switch error {
            case .destinationRefused: return "destinationRefused"
            case .nameNotFound: return "nameNotFound"
            case .nameLookupFailed: return "nameLookupFailed"
            case .connectFailed: return "connectFailed"
            case .connectTimedOut: return "connectTimedOut"
            case .cipher: return "cipher"
            case .firstByteTimedOut: return "firstByteTimedOut"
            case .idleTimedOut: return "idleTimedOut"
            case .closedBeforeAnswer: return "closedBeforeAnswer"
            case .malformed: return "malformed"
            case .bodyIncomplete: return "bodyIncomplete"
            case .bodyTooLarge: return "bodyTooLarge"
            case .tooManyWaiting: return "tooManyWaiting"
            case .tooManyConnections: return "tooManyConnections"
            case .unsendable: return "unsendable"
            case .upgradeFailed: return "upgradeFailed"
            }
        }
    }

    /// Lets the loop begin another turn and tell of what has happened.
    func turn() async {
        // The first may still be over within this turn.
        for _ in 0..<2 { await loop.nextTurn() }
    }

    /// Waits until `condition` holds, letting the loop turn meanwhile.
    func until(_ condition: () -> Bool) async throws {
        let deadline = MonotonicTime.read() + .seconds(50)
        while !condition() {
            guard MonotonicTime.read() < deadline else { throw LoopThread.TimedOut() }
            try await loop.sleep(.milliseconds(1))
        }
    }

    /// Waits until `value` has begun to grow and does so no more: ten looks in a row find the same.
    func settled(_ value: () -> Int) async throws -> Int {
        var (last, looks) = (0, 0)
        try await until {
            let now = value()
            looks = now == last && now > 0 ? looks + 1 : 0
            last = now
            return looks == 10
        }
        return last
    }

    /// Waits for what another thread says.
    func outcome<R: Sendable>(_ outcome: Outcome<R>) async throws -> R {
        try await loop.offload("test") { try outcome.value() }
    }
}
