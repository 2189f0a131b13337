import GatewayRuntime
import GatewayWebSocket
import PluginKit

/// How many WebSockets stay and how many close, by place and reason.
struct SocketTally: Equatable, Sendable {
    struct Group: Hashable, Sendable {
        /// The path, behind the port's name if it is not the main one.
        let place: String
        let reason: String
    }

    var kept = 0
    var closed: [Group: Int] = [:]

    mutating func add(_ other: SocketTally) {
        kept += other.kept
        closed.merge(other.closed, uniquingKeysWith: +)
    }
}

/// How a WebSocket is told to go. Shared by all that go for one reason.
final class SocketEnding: Sendable {
    let code: CloseCode
    /// At most 123 bytes, or its end is lost.
    let reason: String

    init(_ code: CloseCode, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    static let shuttingDown = SocketEnding(.goingAway, "Server shutting down")
}

/// A port to accept on from here on.
struct OpenedPort: Sendable {
    let descriptor: CInt
    let entry: EntryPoint
    let number: Int
}

extension LoopServer {
    /// Goes over to `change.new`.
    ///
    /// Requests under way stay with the generation they began under, and idle connections find the new one with their
    /// next request. WebSockets that the new one would not have close with 1012 over DRAIN_JITTER; connections to a port
    /// that is gone end as in a drain.
    ///
    /// - Returns: What becomes of the sockets that are open.
    func adopt(_ change: GenerationChange, opening: [OpenedPort], closing: [Int]) -> SocketTally {
        guard !isDraining else {
            for port in opening { WatchedDescriptor.discard(port.descriptor) }
            return SocketTally()
        }
        closePorts(closing)
        let heartbeat = heartbeatPolicy
        replaceGeneration(change.new)
        for port in opening {
            do throws(SystemError) {
                try listen(port.descriptor, entry: port.entry, number: port.number)
            } catch {
                log.error("port cannot be watched", .string("entry", port.entry.name), .error(error))
            }
        }
        for connection in connections.values { connection.leaveIfOutdated() }
        let isHeartbeatNew = heartbeat != heartbeatPolicy
        let tally = settle(change) { socket, reason in
            if let reason { return self.dismiss(socket, reason) }
            if isHeartbeatNew { socket.heartbeatChanged() }
        }
        loop.runReadyJobs()
        return tally
    }

    /// What would become of the sockets that are open.
    func count(_ change: GenerationChange) -> SocketTally { settle(change) { _, _ in } }

    /// Goes through the sockets that are neither closing nor told to.
    private func settle(
        _ change: GenerationChange, _ act: (WebSocketConnection, SocketEnding?) -> Void
    ) -> SocketTally {
        var tally = SocketTally()
        // Sockets are many, their grounds are few.
        var known: [SocketGrounds: (group: SocketTally.Group, ending: SocketEnding)?] = [:]
        for socket in sockets.values where socket.isStaying {
            let verdict = known[socket.grounds] ?? Self.verdict(change, socket.grounds)
            known[socket.grounds] = .some(verdict)
            if let verdict {
                tally.closed[verdict.group, default: 0] += 1
            } else {
                tally.kept += 1
            }
            act(socket, verdict?.ending)
        }
        return tally
    }

    private static func verdict(
        _ change: GenerationChange, _ grounds: SocketGrounds
    ) -> (group: SocketTally.Group, ending: SocketEnding)? {
        guard let reason = change.reason(toClose: grounds) else { return nil }
        let (entry, path) = (grounds.route.entryPoint, grounds.route.pattern.description)
        let place = entry == .main ? path : "\(entry.name) \(path)"
        return (
            SocketTally.Group(place: place, reason: reason),
            SocketEnding(.serviceRestart, "Service restart: \(reason)")
        )
    }

    private func dismiss(_ socket: WebSocketConnection, _ ending: SocketEnding) {
        let jitter = settings.operations.closeJitter.wholeNanoseconds
        let wait = jitter == 0 ? 0 : UInt64.random(in: 0..<jitter)
        socket.leave(at: MonotonicTime(nanoseconds: loop.now.nanoseconds + wait), ending)
    }

    /// A socket whose handshake began under a generation that is over by now closes like those that were open then.
    func recheck(_ socket: WebSocketConnection, openedUnder generation: Generation) {
        guard generation !== self.generation, socket.isStaying else { return }
        let change = GenerationChange(from: generation, to: self.generation)
        if let verdict = Self.verdict(change, socket.grounds) { dismiss(socket, verdict.ending) }
    }
}
