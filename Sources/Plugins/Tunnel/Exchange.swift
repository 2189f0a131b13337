import GatewayTunnel
import PluginKit

/// A consumer's end of one stream, on the consumer's loop.
///
/// One task reads and another may write; both wait here. What arrives is acknowledged when the next piece is asked for, so
/// a consumer that reads slowly slows its own stream.
final class Exchange {
    private let loop: EventLoop
    private var port: LoopBound<ExchangePort>?
    private var isCancelled = false

    private var answer: StreamAnswer?
    private var chunks: [[UInt8]] = []
    private var firstChunk = 0
    /// Handed to the consumer and not acknowledged.
    private var inHand = 0
    private var isInputEnded = false
    private var failure: TunnelFailure?
    private var reader: LoopWait?

    private var room: Int
    private var writer: LoopWait?
    /// When the agent last took a part of what was written.
    private(set) var lastTaken: MonotonicTime

    private init(loop: EventLoop, window: Int) {
        self.loop = loop
        room = window
        lastTaken = loop.now
    }

    /// Asks an agent. Returns at once; what comes of it shows in ``head(until:orElse:)``.
    ///
    /// - Parameter ends: Whether nothing will be written.
    static func open(
        _ request: StreamRequest, ends: Bool, at agent: AgentRecord, terms: TunnelTerms, on loop: EventLoop
    ) -> Exchange {
        let exchange = Exchange(loop: loop, window: terms.streamWindow)
        let handle = LoopBound(exchange, on: loop)
        agent.link.run { link in
            do throws(TunnelFailure) {
                let port = LoopBound(try link.open(request, ends: ends, for: handle), on: agent.link.loop)
                handle.run { $0.opened(port) }
            } catch {
                handle.run { $0.finished(error) }
            }
        }
        return exchange
    }

    private func opened(_ port: LoopBound<ExchangePort>) {
        guard !isCancelled else { return port.run { $0.cancel() } }
        if failure == nil { self.port = port }
        writer?.wake()
    }

    // MARK: Reading

    /// The head of the answer.
    ///
    /// - Throws: ``TunnelFailure``, or `CancellationError`.
    func head(until deadline: MonotonicTime, orElse late: TunnelFailure) async throws -> StreamAnswer {
        while true {
            if let answer { return answer }
            if let failure { throw failure }
            try await waitToRead(until: deadline, orElse: late)
        }
    }

    /// The next bytes as they arrive; `nil` at the end.
    ///
    /// - Throws: As ``head(until:orElse:)``.
    func next(until deadline: MonotonicTime, orElse late: TunnelFailure) async throws -> [UInt8]? {
        acknowledge()
        while true {
            if firstChunk < chunks.count { return take() }
            if isInputEnded { return nil }
            if let failure { throw failure }
            try await waitToRead(until: deadline, orElse: late)
        }
    }

    private func take() -> [UInt8] {
        let chunk = chunks[firstChunk]
        chunks[firstChunk] = []
        firstChunk += 1
        if firstChunk == chunks.count {
            chunks.removeAll(keepingCapacity: true)
            firstChunk = 0
        }
        inHand = chunk.count
        return chunk
    }

    private func acknowledge() {
        guard inHand > 0 else { return }
        let count = inHand
        inHand = 0
        port?.run { $0.consume(count) }
    }

    private func waitToRead(until deadline: MonotonicTime, orElse late: TunnelFailure) async throws {
        let wait = LoopWait()
        reader = wait
        defer { reader = nil }
        switch await wait.run(on: loop, until: deadline) {
        case .woken: break
        case .late: throw late
        case .cancelled: throw CancellationError()
        }
    }

    // MARK: Writing

    /// Sends bytes to the agent; suspends while as many as allowed are under way.
    ///
    /// - Throws: ``TunnelFailure`` once the stream is over, or `CancellationError`.
    func write(_ bytes: [UInt8]) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            if let failure { throw failure }
            guard let port, room > 0 else {
                try await waitToWrite()
                continue
            }
            let part = Array(rest.prefix(room))
            rest = rest.dropFirst(part.count)
            room -= part.count
            port.run { $0.write(part) }
        }
    }

    /// Everything has been written.
    func finishWriting() async throws {
        while port == nil {
            if let failure { throw failure }
            try await waitToWrite()
        }
        port?.run { $0.endOutput() }
    }

    /// Returns once the stream is complete: its end has been read, and the agent has passed on everything that was written.
    /// Whoever reads may wait for that, and no other.
    ///
    /// - Throws: As ``write(_:)``.
    func completed() async throws {
        while port != nil { try await waitToRead(until: .distantFuture, orElse: .idleTimeout) }
        if let failure { throw failure }
    }

    private func waitToWrite() async throws {
        let wait = LoopWait()
        writer = wait
        defer { writer = nil }
        guard await wait.run(on: loop) == .woken else { throw CancellationError() }
    }

    // MARK: The stream's side

    /// Whether no more can come of it.
    var isOver: Bool { failure != nil || isInputEnded }

    func answered(_ answer: StreamAnswer) {
        self.answer = answer
        reader?.wake()
    }

    func received(_ bytes: [UInt8]) {
        // Byte by byte, a window full of arrays would weigh many times what it holds.
        if let last = chunks.indices.last, last >= firstChunk, chunks[last].count + bytes.count <= Self.smallChunk {
            chunks[last] += bytes
        } else {
            chunks.append(bytes)
        }
        reader?.wake()
    }

    /// Bytes up to which pieces that wait are joined.
    private static let smallChunk = 4 << 10

    func inputEnded() {
        isInputEnded = true
        reader?.wake()
    }

    func roomGrew(by count: Int) {
        room += count
        lastTaken = loop.now
        if room > 0 { writer?.wake() }
    }

    /// The stream is over; `nil` when it was complete.
    func finished(_ failure: TunnelFailure?) {
        port = nil
        reader?.wake()
        writer?.wake()
        if let failure { fail(failure) }
    }

    private func fail(_ failure: TunnelFailure) {
        if self.failure == nil { self.failure = failure }
        reader?.wake()
        writer?.wake()
    }

    /// The consumer wants no more: the agent stops the work. No effect on a stream that is complete.
    ///
    /// - Parameter failure: What whoever still reads is told.
    func cancel(because failure: TunnelFailure = .reset(.cancelled, "")) {
        guard !isCancelled else { return }
        isCancelled = true
        port?.run { $0.cancel() }
        port = nil
        fail(failure)
    }
}

/// Cancels an exchange when whoever holds this lets go of it: a consumer can vanish in many places.
final class ExchangeHold {
    let exchange: Exchange
    private let loop: EventLoop
    private let grant: Grant?

    /// - Parameter grant: What the consumer may ask by; revoked, it cancels the exchange.
    init(_ exchange: Exchange, on loop: EventLoop, by grant: Grant? = nil) {
        self.exchange = exchange
        self.loop = loop
        self.grant = grant
        guard let grant else { return }
        let bound = LoopBound(exchange, on: loop)
        grant.use(as: ObjectIdentifier(exchange)) { bound.run { $0.cancel(because: .shareEnded) } }
    }

    deinit {
        grant?.forget(ObjectIdentifier(exchange))
        // Safe: touched on its loop only.
        nonisolated(unsafe) let exchange = exchange
        if loop.isCurrent { unsafe exchange.cancel() } else { loop.submit { unsafe exchange.cancel() } }
    }
}
