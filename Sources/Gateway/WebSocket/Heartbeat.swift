/// When to ping and when to give up, for all sockets of a route: PING_INTERVAL, PONG_TIMEOUT, MAX_MISSED_PONGS.
package struct HeartbeatPolicy: Equatable, Sendable {
    /// Silence before a ping, in nanoseconds.
    package let interval: UInt64
    /// How long after a ping any frame may take, in nanoseconds.
    package let patience: UInt64
    /// The miss that closes.
    package let allowedMisses: UInt8

    /// - Parameters:
    ///   - interval: More than zero.
    ///   - patience: More than zero.
    ///   - allowedMisses: 1 through 255; at the last of them the peer is dead. By default that is known after
    ///     30 + 3 x 5 = 45 seconds.
    package init(interval: Duration = .seconds(30), patience: Duration = .seconds(5), allowedMisses: Int = 3) {
        precondition(interval > .zero && patience > .zero, "a heartbeat needs time")
        precondition(1...255 ~= allowedMisses, "a heartbeat allows 1 through 255 misses")
        self.interval = Self.nanoseconds(interval)
        self.patience = Self.nanoseconds(patience)
        self.allowedMisses = UInt8(allowedMisses)
    }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        return UInt64(clamping: seconds) * 1_000_000_000 + UInt64(clamping: attoseconds / 1_000_000_000)
    }
}

/// One socket's heartbeat, in 24 bytes. The caller owns the clock and the socket.
///
/// A ping follows `interval` without any frame. If no frame comes within `patience` that is a miss, and a new ping goes
/// out at once; `allowedMisses` misses close with 1001.
package struct Heartbeat: Sendable {
    package enum Action: Equatable, Sendable {
        /// Nothing to do before this time.
        case wait(until: UInt64)
        /// Send a ping with ``Heartbeat/payload`` now, and tick again at `until`.
        case ping(until: UInt64)
        case close(CloseCode)
    }

    private var deadline: UInt64
    /// When the last ping left; zero when its pong has come.
    private var sentAt: UInt64 = 0
    private var sequence: UInt32 = 0
    private var misses: UInt8 = 0
    private var isWaiting = false

    /// - Parameter now: Monotonic nanoseconds, as everywhere in this type.
    package init(_ policy: HeartbeatPolicy, startingAt now: UInt64) { deadline = now &+ policy.interval }

    /// Any frame counts as a sign of life. A few stores; no timer has to move, ``tick(at:_:)`` finds out.
    @inline(__always)
    package mutating func heard(at now: UInt64, _ policy: HeartbeatPolicy) {
        misses = 0
        isWaiting = false
        deadline = now &+ policy.interval
    }

    /// Says what is due at `now`.
    package mutating func tick(at now: UInt64, _ policy: HeartbeatPolicy) -> Action {
        guard now >= deadline else { return .wait(until: deadline) }
        if isWaiting {
            misses += 1
            guard misses < policy.allowedMisses else { return .close(.goingAway) }
        }
        isWaiting = true
        deadline = now &+ policy.patience
        sentAt = max(now, 1)
        sequence &+= 1
        return .ping(until: deadline)
    }

    /// Whether the ping that is due follows silence, and not another ping.
    package var isFirstPing: Bool { misses == 0 }

    /// What the ping that is due carries: its number, so that only the answer to the last one tells a round trip.
    package var payload: [UInt8] {
        [
            UInt8(truncatingIfNeeded: sequence >> 24), UInt8(truncatingIfNeeded: sequence >> 16),
            UInt8(truncatingIfNeeded: sequence >> 8), UInt8(truncatingIfNeeded: sequence),
        ]
    }

    /// Takes a pong. It is a frame like any other, so call ``heard(at:_:)`` too.
    ///
    /// - Returns: The round trip in nanoseconds, when this answers the last ping and is the first to do so.
    package mutating func roundTrip(_ pong: UnsafeRawBufferPointer, at now: UInt64) -> UInt64? {
        guard sentAt != 0, pong.count == 4 else { return nil }
        let number = unsafe UInt32(bigEndian: pong.loadUnaligned(as: UInt32.self))
        guard number == sequence, now >= sentAt else { return nil }
        defer { sentAt = 0 }
        return now - sentAt
    }
}
