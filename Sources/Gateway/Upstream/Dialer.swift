import GatewayRuntime
import GatewayTLS
import GatewayTransport

/// Opens one connection to whichever address answers first (RFC 8305, "happy eyeballs").
///
/// Attempts start 250 ms apart, IPv6 and IPv4 in turn, or as soon as the one before has failed.
final class Dialer: TimerTarget {
    private static let stagger = Duration.milliseconds(250)

    private let loop: EventLoop
    private let host: String
    private let tls: TLSClientContext?
    private var waiting: [SocketAddress]
    private var attempts: [Attempt] = []
    private var winner: ByteStream?
    private var lastError: UpstreamError = .connectTimedOut
    private var isOver = false
    private let over = LoopWait()
    private var nextTimer = TimerToken.none

    init(loop: EventLoop, addresses: [SocketAddress], host: String, tls: TLSClientContext?) {
        self.loop = loop
        self.host = host
        self.tls = tls
        waiting = Self.interleaved(addresses)
    }

    /// The families in turn, beginning with that of the system's first choice (RFC 8305 §4).
    static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
        guard let first = addresses.first else { return [] }
        var preferred = addresses.filter { $0.isIPv6 == first.isIPv6 }[...]
        var others = addresses.filter { $0.isIPv6 != first.isIPv6 }[...]
        var mixed: [SocketAddress] = []
        while let address = preferred.popFirst() {
            mixed.append(address)
            if let other = others.popFirst() { mixed.append(other) }
        }
        return mixed + others
    }

    /// - Parameter deadline: When to give up.
    func open(until deadline: MonotonicTime) async throws(UpstreamError) -> ByteStream {
        defer { loop.cancelTimer(nextTimer) }
        startNext()
        switch await over.run(on: loop, until: deadline) {
        case .woken: break
        case .late: giveUp(.connectTimedOut)
        case .cancelled: giveUp(.connectFailed("cancelled"))
        }
        guard let winner else { throw lastError }
        return winner
    }

    private func startNext() {
        loop.cancelTimer(nextTimer)
        while !isOver, !waiting.isEmpty {
            let address = waiting.removeFirst()
            guard start(address) else { continue }
            if !waiting.isEmpty {
                nextTimer = loop.setTimer(at: loop.now + Self.stagger, for: self)
            }
            return
        }
        if attempts.isEmpty { finish() }
    }

    /// - Returns: Whether the attempt is under way; if not, ``lastError`` says why.
    private func start(_ address: SocketAddress) -> Bool {
        do throws(SystemError) {
            let descriptor = try Socket.connect(to: address)
            guard let cipher = cipher(on: descriptor) else { return false }
            let stream = ByteStream(
                descriptor: descriptor, peer: address, loop: loop, cipher: cipher.session, connecting: true)
            let attempt = Attempt(stream: stream, dialer: self)
            attempts.append(attempt)
            do throws(SystemError) {
                try stream.start(attempt)
            } catch {
                attempts.removeAll { $0 === attempt }
                attempt.dialer = nil
                stream.close()
                throw error
            }
            return true
        } catch {
            lastError = .connectFailed(error.reason)
            return false
        }
    }

    /// The cipher of a new connection, if it is to have one; `nil` when it cannot be made, and then the descriptor is
    /// closed.
    private func cipher(on descriptor: CInt) -> (session: TLSSession?, Void)? {
        do throws(TLSError) {
            return (try tls?.session(on: descriptor, host: host), ())
        } catch {
            WatchedDescriptor.discard(descriptor)
            lastError = .cipher("\(error)")
            return nil
        }
    }

    fileprivate func opened(_ attempt: Attempt) {
        guard !isOver else { return attempt.stream.close() }
        winner = attempt.stream
        attempts.removeAll { $0 === attempt }
        finish()
    }

    fileprivate func failed(_ attempt: Attempt, _ reason: StreamEnd) {
        attempts.removeAll { $0 === attempt }
        guard !isOver else { return }
        switch reason {
        case .failed(let error): lastError = .connectFailed(error.reason)
        case .cipher(let error): lastError = .cipher("\(error)")
        case .peer, .local: lastError = .connectFailed("connection closed")
        }
        startNext()
    }

    private func finish() {
        isOver = true
        let losers = attempts
        attempts = []
        for loser in losers { loser.stream.close() }
        over.wake()
    }

    private func giveUp(_ error: UpstreamError) {
        guard !isOver else { return }
        lastError = error
        finish()
    }

    func timerFired(tag: UInt32) {
        startNext()
    }
}

/// One address being tried.
private final class Attempt: ByteStreamHandler {
    let stream: ByteStream
    /// `nil` once nobody is interested in what becomes of it.
    var dialer: Dialer?

    init(stream: ByteStream, dialer: Dialer) {
        self.stream = stream
        self.dialer = dialer
    }

    func streamOpened() { dialer?.opened(self) }
    func streamReadable() { stream.pauseInput() }
    func streamPeerFinished() {}
    func streamDrained() {}
    func streamDeadline() {}
    func streamClosed(_ reason: StreamEnd) {
        dialer?.failed(self, reason)
        dialer = nil
    }
}
