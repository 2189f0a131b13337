package import PluginKit

// docs: settings
/// What `SNAPSHOT_*` can say.
package struct SnapshotSettings: Settings {
    let url: HTTPURL
    let interval: Duration
    let timeout: Duration
    let limit: ByteCount

    package init(from env: inout SettingsReader) {
        url = env.required("URL", example: "https://api.example.com/rates.json", "The document to keep.")
        interval = env.optional(
            "INTERVAL", default: .seconds(30), in: .milliseconds(10) ... .seconds(86400), bare: .seconds,
            "How long to wait after each look at the document.")
        timeout = env.optional(
            "TIMEOUT", default: .seconds(10), in: .milliseconds(10) ... .seconds(300), bare: .seconds,
            "How long connecting, the answer's head and each pause in its body may take.")
        limit = env.optional(
            "LIMIT", default: .mebibytes(1), in: .bytes(1) ... .mebibytes(64), bare: .bytes,
            "Largest document. A larger one is not taken.")
    }
}
// docs: end

/// Keeps the newest copy of another server's document and answers it from memory, also while that server is away.
package struct Snapshot: Plugin {
    package static let name: PluginName = "snapshot"
    package static let summary = "Answers GET /snapshot with the newest copy of SNAPSHOT_URL."

    private let settings: SnapshotSettings

    package init(settings: SnapshotSettings) { self.settings = settings }

    // docs: register
    package func register(with gateway: inout Registrar) {
        let kept = Kept()
        let fetching = Fetching(
            settings: settings, upstream: gateway.upstream,
            results: gateway.metrics.counters("looks_total", "Looks at the document, by result.", labels: ["result"]))

        gateway.service("refresh") { context in
            while true {
                try await fetching.refresh(kept, context.log)
                try await context.sleep(settings.interval)
            }
        }
        gateway.get("/snapshot") { _ in
            guard let copy = kept.copy else {
                throw GatewayFault(.serviceUnavailable, "no_copy", "No copy was made yet.", source: .upstream)
            }
            return copy.response
        }
        gateway.health("copy") {
            switch (kept.copy, kept.isFresh) {
            case (nil, _): .unhealthy("no copy was made yet")
            case (_, false): .degraded("the last look failed; an older copy is answered")
            case (_, true): .healthy
            }
        }
    }
    // docs: end
}

// docs: state
/// The newest copy. One loop writes it, all read it.
private final class Kept: Sendable {
    struct Copy: Sendable {
        let type: String
        let bytes: [UInt8]

        var response: Response {
            var fields = HeaderFields()
            // A parsed value holds no control character, which is all that could be refused here.
            try? fields.append(.contentType, checking: type)
            return Response(fields: fields, body: .bytes(bytes))
        }
    }

    private let state = Guarded<(copy: Copy?, isFresh: Bool)>((nil, false))

    var copy: Copy? { state.withLock { $0.copy } }
    /// Whether the last look succeeded.
    var isFresh: Bool { state.withLock { $0.isFresh } }

    func keep(_ copy: Copy) { state.withLock { $0 = (copy, true) } }
    func markStale() { state.withLock { $0.isFresh = false } }
}
// docs: end

// docs: fetch
/// Looks at the document.
private struct Fetching: Sendable {
    let settings: SnapshotSettings
    let upstream: UpstreamClient
    let results: MetricFamily<Counter>

    /// A failure is told and counted, and changes nothing else: the next look may succeed.
    ///
    /// - Throws: `CancellationError` when the gateway drains.
    func refresh(_ kept: Kept, _ log: Logger) async throws {
        do {
            kept.keep(try await fetch())
            results.with("kept").increment()
        } catch let error as CancellationError {
            throw error
        } catch {
            kept.markStale()
            results.with("failed").increment()
            log.warn("document could not be fetched", .string("url", settings.url.description), .error(error))
        }
    }

    private func fetch() async throws -> Kept.Copy {
        var request = UpstreamRequest(.get, settings.url, destination: .operator)
        request.timeouts = UpstreamTimeouts(
            connect: settings.timeout, firstByte: settings.timeout, idle: settings.timeout)
        let answer = try await upstream.send(request)
        guard answer.status == .ok else {
            answer.body.discard()
            throw GatewayFault(.badGateway, "not_ok", "The answer was \(answer.status).", source: .upstream)
        }
        let bytes = try await answer.body.collect(limit: settings.limit.bytes)
        return Kept.Copy(type: answer.header(.contentType) ?? "application/octet-stream", bytes: bytes)
    }
}
// docs: end
