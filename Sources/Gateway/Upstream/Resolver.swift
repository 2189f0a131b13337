import GatewayRuntime

/// One loop's memory of host names. Look-ups run on the worker pool; requests for one name share one look-up.
final class Resolver {
    /// Looks a name up; blocks, so it is called on a worker thread. Throws ``NameLookup/Failure``.
    typealias Source = @Sendable (String) throws -> [SocketAddress]

    private enum Entry {
        case known([SocketAddress], until: MonotonicTime)
        case failed(UpstreamError, until: MonotonicTime)
        case pending(Pending)
    }

    /// A look-up under way, and who waits for it.
    private final class Pending {
        var outcome: Result<[SocketAddress], UpstreamError>?
        var waits: [LoopWait] = []
    }

    private let loop: EventLoop
    var settings: UpstreamSettings
    private let source: Source
    private var entries: [String: Entry] = [:]

    init(loop: EventLoop, settings: UpstreamSettings, source: @escaping Source) {
        self.loop = loop
        self.settings = settings
        self.source = source
    }

    /// The addresses of `host`, in the system's order.
    ///
    /// - Parameter deadline: When to give up. The look-up itself goes on, for whoever asks next.
    func addresses(
        of host: String, port: UInt16, until deadline: MonotonicTime
    ) async throws(UpstreamError) -> [SocketAddress] {
        switch entries[host] {
        case .known(let addresses, let until) where loop.now < until:
            return addresses.map { $0.with(port: port) }
        case .failed(let error, let until) where loop.now < until:
            throw error
        case .pending(let pending):
            return try await outcome(of: pending, until: deadline).map { $0.with(port: port) }
        default:
            return try await outcome(of: begin(host), until: deadline).map { $0.with(port: port) }
        }
    }

    private func begin(_ host: String) -> Pending {
        makeRoom()
        let pending = Pending()
        entries[host] = .pending(pending)
        // A task of its own: whoever asked first may be cancelled, the others still want the answer.
        loop.launch { await self.lookUp(host, pending) }
        return pending
    }

    private func lookUp(_ host: String, _ pending: Pending) async {
        do {
            let source = source
            let addresses = try await loop.offload("name look-up") { try source(host) }
            entries[host] = .known(addresses, until: loop.now + settings.nameTTL)
            pending.outcome = .success(addresses)
        } catch let failure as NameLookup.Failure {
            let error: UpstreamError =
                failure.isNoSuchName ? .nameNotFound(host) : .nameLookupFailed(failure.description)
            entries[host] = .failed(error, until: loop.now + settings.nameFailureTTL)
            pending.outcome = .failure(error)
        } catch {
            // It says nothing about the name, so nothing is remembered.
            entries[host] = nil
            pending.outcome = .failure(.nameLookupFailed("too many look-ups at once"))
        }
        for wait in pending.waits { wait.wake() }
    }

    private func outcome(
        of pending: Pending, until deadline: MonotonicTime
    ) async throws(UpstreamError) -> [SocketAddress] {
        let wait = LoopWait()
        pending.waits.append(wait)
        let outcome = await wait.run(on: loop, until: deadline)
        if let result = pending.outcome { return try result.get() }
        pending.waits.removeAll { $0 === wait }
        throw outcome == .cancelled ? .connectFailed("cancelled") : .connectTimedOut
    }

    /// Names remembered or being looked up.
    var count: Int { entries.count }

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
