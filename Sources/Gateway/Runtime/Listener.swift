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
    private var graceTimer = TimerToken.none
    /// Told once for each spell without descriptors, not at every attempt.
    private var hasReported = false
    private var ending: Ending?

    private struct Ending {
        /// Until then connections that had begun may be completed.
        let graceEnds: MonotonicTime
        let done: () -> Void
    }

    private enum Tag {
        static let rested: UInt32 = 0
        static let graceEnded: UInt32 = 1
    }

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

    /// Closes the socket at once: the kernel refuses what comes from here on, and resets what waits to be accepted.
    package func stop() {
        loop.cancelTimer(pause)
        loop.cancelTimer(graceTimer)
        pause = .none
        graceTimer = .none
        ending = nil
        descriptor.close(on: loop)
    }

    /// Closes without losing anybody who was told that the connection stands: the kernel begins no more connections,
    /// completes those it has begun, and closes once all are accepted (docs/decisions/0017).
    ///
    /// - Parameters:
    ///   - grace: How long handshakes under way may take. Below a second it delays nobody: that is when a client whose
    ///     first packet was ignored sends it again, and is refused.
    ///   - done: Called when the socket has closed, perhaps at once; not after ``stop()``. While there is no room or no
    ///     descriptor for what waits, it waits.
    package func drain(grace: Duration, done: @escaping () -> Void) {
        guard descriptor.isOpen, ending == nil else { return done() }
        Socket.ignoreNewConnections(descriptor.number)
        ending = Ending(graceEnds: loop.now + grace, done: done)
        if grace > .zero { graceTimer = loop.setTimer(at: loop.now + grace, for: self, tag: Tag.graceEnded) }
        ready(.readable)
    }

    package func ready(_ readiness: Readiness) {
        for _ in 0..<limits.perEvent {
            guard descriptor.isOpen else { return }
            guard mayAccept() else { return rest() }
            switch Socket.accept(descriptor.number) {
            case .connection(let connection, let peer):
                hasReported = false
                accepted(connection, peer)
            case .none: return nothingWaits()
            case .gone: continue
            case .failed(let error):
                // Level-triggered readiness would spin while no descriptor is free.
                if !hasReported { report(.acceptPaused(loop: loop.index, error)) }
                hasReported = true
                return rest()
            }
        }
        // The kernel tells of what still waits, but not that nothing does.
        if isDue { loop.callSoon(self, tag: Tag.graceEnded) }
    }

    private var isDue: Bool { ending.map { loop.now >= $0.graceEnds } ?? false }

    private func nothingWaits() {
        guard isDue, let done = ending?.done else { return }
        stop()
        done()
    }

    private func rest() {
        descriptor.want([], on: loop)
        loop.cancelTimer(pause)
        pause = loop.setTimer(at: loop.now + limits.pause, for: self, tag: Tag.rested)
    }

    package func loopEnds() { stop() }

    package func timerFired(tag: UInt32) {
        guard descriptor.isOpen else { return }
        if tag == Tag.rested {
            pause = .none
            descriptor.want(.readable, on: loop)
        } else {
            graceTimer = .none
        }
        if isDue { ready(.readable) }
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
