import PluginKit

/// When enrolments were last used, written together every few seconds: a thousand agents that come back at once are one
/// transaction, and none of them waits for it.
final class EnrolmentUses: Sendable {
    private let store: any TunnelStore
    private let waiting = Guarded<[String: Int64]>([:])
    private let interval: Duration

    init(_ store: any TunnelStore, every interval: Duration = TunnelStoreLimits.usesWait) {
        self.store = store
        self.interval = interval
    }

    func note(_ id: String, at now: Int64) {
        waiting.withLock { waiting in
            guard waiting[id] != nil || waiting.count < TunnelStoreLimits.uses else { return }
            waiting[id] = now
        }
    }

    /// Those that wait, too: for whoever lists enrolments.
    func latest(of enrolment: Enrolment) -> Int64? { waiting.withLock { $0[enrolment.id] } ?? enrolment.lastUsedAt }

    /// Writes until the gateway drains, and then once more.
    func run(_ context: ServiceContext) async throws {
        do {
            while true {
                try await context.sleep(interval)
                await write(context.log)
            }
        } catch {
            await write(context.log)
            throw error
        }
    }

    private func write(_ log: Logger) async {
        let uses = waiting.withLock { $0 }
        guard !uses.isEmpty else { return }
        do throws(TunnelStoreError) {
            try await store.noteUses(uses)
            // What came meanwhile stays.
            waiting.withLock { waiting in
                for (id, time) in uses where waiting[id] == time { waiting[id] = nil }
            }
        } catch {
            log.warn("last uses of enrolments could not be written", .string("error", "\(error)"))
        }
    }
}
