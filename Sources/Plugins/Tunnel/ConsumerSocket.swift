import GatewayTunnel
import PluginKit

/// A consumer's WebSocket on `/` and WEBSOCKET_PATH: requests in envelopes, answered in any order, each by its id.
final class ConsumerSocket: WebSocketHandler, TimerTarget {
    private let requests: ConsumerRequests
    private let limit: RateLimit
    private let subject: RateSubject
    private let user: String
    private let loop: EventLoop
    private let release: () -> Void
    private var socket: (any WebSocket)?
    private var running: [String: Task<Void, Never>] = [:]
    /// Ids made for requests without one.
    private var made = 0
    /// Tasks that wait until the consumer has read.
    private var senders: [Waiter] = []
    private var idleTimer = TimerToken.none
    private var isDraining = false

    /// Unsent bytes above which answers wait.
    private static let backlog = 256 << 10

    /// - Parameter release: Called when the socket has closed, or never opened.
    init(requests: ConsumerRequests, limit: RateLimit, request: Request, release: @escaping () -> Void) {
        self.requests = requests
        self.limit = limit
        subject = RateSubject(of: request)
        user = request.principal?.subject ?? ""
        loop = request.loop
        self.release = release
    }

    deinit { release() }

    func opened(_ socket: any WebSocket) {
        self.socket = socket
        requests.host.metrics.consumers.add()
        requests.host.metrics.socketsOpened.increment()
        restartIdleness()
    }

    func received(_ message: WebSocketMessage, on socket: any WebSocket) {
        restartIdleness()
        let use = RateUse(messages: 1, bytes: UInt64(message.count))
        switch limit.check(use, of: subject, on: loop) {
        case .allowed: read(message, socket)
        case .refused(let refusal): socket.send(text: EnvelopeWriter.limited(refusal))
        case .undecided(let question):
            let (kind, bytes) = (message.kind, message.bytes)
            socket.pause()
            loop.launch {
                if let refusal = await question.answer() {
                    socket.send(text: EnvelopeWriter.limited(refusal))
                } else {
                    unsafe bytes.withUnsafeBytes {
                        self.read(unsafe WebSocketMessage(kind: kind, borrowing: $0), socket)
                    }
                }
                socket.resume()
            }
        }
    }

    private func read(_ message: WebSocketMessage, _ socket: any WebSocket) {
        // It may have left while its limit was looked up: nobody would end what was begun now.
        guard self.socket != nil else { return }
        guard message.kind == .text else { return socket.close(.unsupportedData, reason: "envelopes are text") }
        do throws(EnvelopeError) {
            switch try Envelope(message.bytes) {
            case .request(let request): begin(request, socket)
            case .ping(let ping):
                socket.send(text: EnvelopeWriter.pong(ping))
                socket.pong()
            case .cancel(let id): running[id]?.cancel()
            case .close: socket.close(.normal, reason: "Normal closure")
            case .ignored: break
            }
        } catch {
            refuse(error, socket)
        }
    }

    private func refuse(_ error: EnvelopeError, _ socket: any WebSocket) {
        switch error {
        case .noEnvelope: socket.send(text: EnvelopeWriter.invalid)
        case .badRequest(let id, let isOlderForm, let what):
            let writer = EnvelopeWriter(id: id ?? "", isOlderForm: isOlderForm, timesAreText: false)
            let report = TunnelFailure.Report(
                status: .badRequest, code: "INVALID_REQUEST", tunnelCode: "TUNNEL_010", message: what)
            socket.send(text: writer.failure(report))
        }
    }

    // MARK: Requests

    /// For a request without an id: one that no other under way has.
    private func nextID(on socket: any WebSocket) -> String {
        while true {
            made += 1
            let id = "\(socket.requestID)-\(made)"
            if running[id] == nil { return id }
        }
    }

    private func begin(_ request: EnvelopeRequest, _ socket: any WebSocket) {
        let id = request.id ?? nextID(on: socket)
        let writer = EnvelopeWriter(id: id, isOlderForm: request.isOlderForm, timesAreText: request.timesAreText)
        guard running[id] == nil else {
            let report = TunnelFailure.Report(
                status: .conflict, code: "DUPLICATE_REQUEST_ID", tunnelCode: "TUNNEL_010",
                message: "A request with this id is under way.")
            return say(writer.failure(report))
        }
        guard running.count < requests.host.settings.terms.streams, !isDraining else {
            let failure = isDraining ? .reconnecting : TunnelFailure.channelLimit(requests.host.settings.terms.streams)
            return say(writer.failure(failure.report))
        }
        running[id] = loop.launch {
            await self.serve(request, writer)
            self.running[id] = nil
            self.restartIdleness()
            if self.isDraining, self.running.isEmpty { self.leave() }
        }
    }

    private func serve(_ request: EnvelopeRequest, _ writer: EnvelopeWriter) async {
        let began = loop.now
        do {
            let lease = try await limit.begin(of: subject, on: loop)
            defer { lease?.end() }
            let deadline = request.timeout.map { began + $0 } ?? .distantFuture
            let asked = try await requests.ask(
                request.head, body: request.body, of: user, request.agent, on: loop, until: deadline)
            try await pass(asked, of: request, writer, began, until: deadline)
        } catch let failure as TunnelFailure {
            requests.host.metrics.failed(failure)
            note(failure.report)
            say(writer.failure(failure.report))
        } catch let refusal as RateRefusal {
            say(EnvelopeWriter.limited(refusal, id: writer.id))
        } catch {
            // Cancelled by the consumer, who knows, or because it left.
        }
    }

    /// What a user may not is told here as the core tells it of requests.
    private func note(_ report: TunnelFailure.Report) {
        guard report.status == .forbidden, let socket else { return }
        requests.host.audit.refusal("request refused", of: user, on: socket.requestID, .string("reason", report.code))
    }

    private func pass(
        _ asked: ConsumerRequests.Asked, of request: EnvelopeRequest, _ writer: EnvelopeWriter, _ began: MonotonicTime,
        until deadline: MonotonicTime
    ) async throws {
        var whole: [UInt8] = []
        var pieces = TextPieces()
        if request.streams { try await send(writer.start(asked.answer)) }
        while let chunk = try await requests.next(of: asked, on: loop, until: deadline) {
            if request.streams {
                let piece = pieces.add(chunk)
                if !piece.isEmpty { try await send(writer.chunk(piece)) }
                continue
            }
            let limit = requests.host.settings.envelopeBody.bytes
            guard whole.count + chunk.count <= limit else { throw TunnelFailure.answerTooLarge(limit: limit) }
            whole += chunk
        }
        requests.host.metrics.answered.increment()
        let latency = Int((loop.now.nanoseconds - began.nanoseconds) / 1_000_000)
        guard request.streams else { return try await send(writer.answer(asked.answer, body: whole, latency: latency)) }
        let rest = pieces.finish()
        if !rest.isEmpty { try await send(writer.chunk(rest)) }
        try await send(writer.end(latency: latency))
    }

    /// Sends at once, whatever is unsent: for what is small and last.
    private func say(_ text: String) { socket?.send(text: text) }

    private func send(_ text: String) async throws {
        while let socket, socket.unsentBytes > Self.backlog { await suspend { senders.append($0) } }
        try Task.checkCancellation()
        guard let socket else { throw CancellationError() }
        socket.send(text: text)
    }

    func drained(_ socket: any WebSocket) { wakeSenders() }

    private func wakeSenders() {
        let waiting = senders
        senders = []
        for sender in waiting { sender.resume() }
    }

    // MARK: End

    private func restartIdleness() {
        loop.cancelTimer(idleTimer)
        guard socket != nil, running.isEmpty else { return }
        idleTimer = loop.setTimer(at: loop.now + requests.host.settings.consumerIdle, for: self)
    }

    func timerFired(tag: UInt32) { socket?.close(.goingAway, reason: "Idle timeout") }

    func draining(_ socket: any WebSocket) -> Bool {
        isDraining = true
        return !running.isEmpty
    }

    private func leave() { socket?.close(.goingAway, reason: "Server shutting down") }

    func closed(_ socket: any WebSocket, code: CloseCode, reason: String) {
        loop.cancelTimer(idleTimer)
        requests.host.metrics.consumers.subtract()
        requests.host.metrics.socketClosed(code, reason)
        self.socket = nil
        for task in running.values { task.cancel() }
        wakeSenders()
    }
}

/// How many sockets each user has.
final class SocketCount: Sendable {
    private let counts = Guarded<[String: Int]>([:])
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// - Returns: Whether one more is allowed; it is counted then.
    func take(_ user: String) -> Bool {
        counts.withLock { counts in
            guard counts[user, default: 0] < limit else { return false }
            counts[user, default: 0] += 1
            return true
        }
    }

    func giveBack(_ user: String) {
        counts.withLock { counts in
            counts[user, default: 1] -= 1
            if counts[user] == 0 { counts[user] = nil }
        }
    }
}
