import GatewayRuntime

/// One loop's memory of host names. Look-ups run on the worker pool; requests for one name share one look-up.
final class Resolver {
    private enum Entry {
        case known([SocketAddress], until: MonotonicTime)
        case failed(UpstreamError, until: MonotonicTime)
        case pending([Waiter])
    }

    private let loop: EventLoop
    private let settings: UpstreamSettings
    private var entries: [String: Entry] = [:]

    init(loop: EventLoop, settings: UpstreamSettings) {
        self.loop = loop
        self.settings = settings
    }

    /// The addresses of `host`, in the system's order.
    func addresses(of host: String, port: UInt16) async throws(UpstreamError) -> [SocketAddress] {
        while true {
            switch entries[host] {
            case .known(let addresses, let until) where loop.now < until:
                return addresses.map { $0.with(port: port) }
            case .failed(let error, let until) where loop.now < until:
                throw error
            case .pending(var waiters):
                await suspend { waiter in
                    waiters.append(waiter)
                    entries[host] = .pending(waiters)
                }
            default:
                await lookUp(host)
            }
        }
    }

    private func lookUp(_ host: String) async {
        makeRoom()
        entries[host] = .pending([])
        let outcome: Entry
        do {
            let addresses = try await loop.offload("name look-up") { try NameLookup.addresses(of: host, port: 0) }
            outcome = .known(addresses, until: loop.now + max(settings.nameTTL, .milliseconds(1)))
        } catch {
            let until = loop.now + max(settings.nameFailureTTL, .milliseconds(1))
            outcome = .failed(Self.explain(error, host), until: until)
        }
        let before = entries[host]
        entries[host] = outcome
        if case .pending(let waiters) = before {
            for waiter in waiters { waiter.resume() }
        }
    }

    private static func explain(_ error: any Error, _ host: String) -> UpstreamError {
        guard let failure = error as? NameLookup.Failure else { return .nameLookupFailed("the worker pool is busy") }
        return failure.isNoSuchName ? .nameNotFound(host) : .nameLookupFailed(failure.description)
    }

    /// Forgets what has expired, else anything that is not pending, once the memory is full.
    private func makeRoom() {
        guard entries.count >= settings.nameCacheSize else { return }
        entries = entries.filter { _, entry in
            switch entry {
            case .known(_, let until), .failed(_, let until): loop.now < until
            case .pending: true
            }
        }
        guard entries.count >= settings.nameCacheSize else { return }
        entries = entries.filter { _, entry in
            if case .pending = entry { return true }
            return false
        }
    }
}
