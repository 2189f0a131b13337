import CLinux
import Glibc

/// Accepts connections on one loop. Each loop has its own, on the same address; the kernel spreads connections.
package final class Listener: Channel, TimerTarget {
    private let loop: EventLoop
    private var descriptor: WatchedDescriptor
    private let limits: AcceptLimits
    private let accepted: (CInt, SocketAddress) -> Void
    private let mayAccept: () -> Bool
    private let report: @Sendable (RuntimeReport) -> Void
    private var pause = TimerToken.none
    /// Told once for each spell without descriptors, not at every attempt.
    private var hasReported = false

    /// - Parameters:
    ///   - descriptor: From ``Socket/listen(on:backlog:sharing:)``; owned from here on.
    ///   - mayAccept: Whether the process has room; when not, connections wait in the kernel's backlog.
    ///   - accepted: Owns the descriptor it is given.
    package init(
        descriptor: CInt, loop: EventLoop, limits: AcceptLimits = AcceptLimits(),
        report: @escaping @Sendable (RuntimeReport) -> Void = { _ in },
        mayAccept: @escaping () -> Bool = { true },
        accepted: @escaping (CInt, SocketAddress) -> Void
    ) {
        self.descriptor = WatchedDescriptor(owning: descriptor)
        self.loop = loop
        self.limits = limits
        self.report = report
        self.mayAccept = mayAccept
        self.accepted = accepted
    }

    package func start() throws(SystemError) { try descriptor.watch(.readable, for: self, on: loop) }

    /// Closes the socket: the kernel refuses what comes from here on.
    package func stop() {
        loop.cancelTimer(pause)
        pause = .none
        descriptor.close(on: loop)
    }

    package func ready(_ readiness: Readiness) {
        for _ in 0..<limits.perEvent {
            guard descriptor.isOpen else { return }
            guard mayAccept() else { return rest() }
            switch Socket.accept(descriptor.number) {
            case .connection(let connection, let peer):
                hasReported = false
                accepted(connection, peer)
            case .none: return
            case .gone: continue
            case .failed(let error):
                // Level-triggered readiness would spin while no descriptor is free.
                if !hasReported { report(.acceptPaused(loop: loop.index, error)) }
                hasReported = true
                return rest()
            }
        }
    }

    private func rest() {
        descriptor.want([], on: loop)
        pause = loop.setTimer(at: loop.now + limits.pause, for: self, tag: 0)
    }

    package func loopEnds() { stop() }

    package func timerFired(tag: UInt32) {
        pause = .none
        descriptor.want(.readable, on: loop)
    }
}

/// Bounds of accepting.
package struct AcceptLimits: Sendable {
    /// Connections the kernel completes before they are accepted (`LISTEN_BACKLOG`).
    package var backlog = 4096
    /// Most connections taken in one event, so that a flood of new ones leaves the others their turn.
    package var perEvent = 64
    /// How long accepting rests when there is no descriptor or no room.
    package var pause: Duration = .milliseconds(50)

    package init() {}
}
