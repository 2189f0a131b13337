import GatewayAuth
import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTelemetry
import GatewayUpstream
import PluginKit

/// Keeps the keys for tokens: the operator's own, and the issuer's, fetched and kept on disk.
struct TokenService {
    let authenticator: Authenticator
    let store: JWKSStore?
    /// Fetches when it is due; `nil` when no keys are published anywhere.
    let service: BackgroundService?

    /// - Parameter previous: Whose keys are used, if they are from the same places, before anything is fetched.
    init(
        settings auth: AuthSettings, stateDirectory: String, upstream: UpstreamClient, after previous: JWKSStore?,
        log: Logger
    ) throws(StartError) {
        authenticator = auth.authenticator()
        let path = "\(stateDirectory)/\(AuthSettings.savedKeysName)"
        let publishes = !auth.keySources.isEmpty
        do throws(KeyError) {
            // Without published keys too: the store is what hands the operator's own to the authenticator.
            let store = try auth.keyStore(
                for: authenticator, saved: publishes ? previous?.saved ?? (try? SmallFile.bytes(of: path)) : nil,
                world: Self.world(upstream, savingTo: path, log))
            self.store = publishes ? store : nil
            service = publishes ? Self.refreshing(store, log) : nil
        } catch {
            throw StartError("SUPABASE_JWT_SECRET: \(error.message)")
        }
    }

    private static func refreshing(_ store: JWKSStore, _ log: Logger) -> BackgroundService {
        BackgroundService(name: "issuer keys", plugin: "core") { context in
            while true {
                tell(await store.refresh(), log)
                guard let next = store.nextRefresh(at: AccessControl.now()) else { return }
                let wait = max(1, next - AccessControl.now())
                try await context.sleep(.milliseconds(Int64(min(wait, 86400) * 1000)))
            }
        }
    }

    private static func tell(_ outcome: JWKSStore.Outcome, _ log: Logger) {
        switch outcome {
        case .fetched(let source, let keys, let changed, let notes):
            if changed { log.info("issuer keys fetched", .string("from", source), .int("keys", keys)) }
            for note in notes where changed { log.warn("issuer key cannot be used", .string("reason", note)) }
        case .failed(let reasons):
            for reason in reasons { log.warn("issuer keys not fetched", .string("reason", reason)) }
        case .busy: break
        }
    }

    private static func world(_ upstream: UpstreamClient, savingTo path: String, _ log: Logger) -> JWKSStore.World {
        JWKSStore.World(
            now: { AccessControl.now() },
            fetch: { await fetch($0, upstream) },
            save: { bytes in
                guard let loop = EventLoop.current else { return }
                do {
                    try await loop.offload("save issuer keys") { try SmallFile.replace(path, with: bytes) }
                } catch {
                    log.warn("issuer keys not saved", .string("path", path), .error(error))
                }
            },
            launch: { operation in
                // Off a loop the fetch fails at once, and says so to whoever waits for it.
                guard let loop = EventLoop.current else {
                    Task { await operation() }
                    return
                }
                loop.launch { await operation() }
            })
    }

    private static func fetch(_ request: KeyRequest, _ upstream: UpstreamClient) async -> KeyResponse {
        do {
            let url = try HTTPURL(request.url.text)
            var fields = HeaderFields()
            fields.append(.accept, "application/json")
            let response = try await upstream.send(
                UpstreamRequest(.get, url, destination: request.isOperatorHost ? .operator : .foreign, fields: fields))
            if response.status.isRedirect, let location = response.header(.location) {
                response.body.discard()
                return .redirect(location)
            }
            guard response.status == .ok else {
                response.body.discard()
                return .status(response.status.code)
            }
            return .body(try await response.body.collect(limit: request.sizeLimit.bytes))
        } catch UpstreamError.bodyTooLarge {
            return .tooLarge
        } catch {
            return .unreachable("\(error)")
        }
    }
}
