import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import GatewayTelemetry
import GatewayTransport
import PluginKit

/// Where the current response stands.
struct ReplyState {
    /// The connection cannot carry another request.
    var mustClose = false
    var plan: ResponsePlan?
    var bodyBytes = 0
    var trailers = HeaderFields()
    /// Bytes of the body written since the task last suspended.
    var sinceTurn = 0
    /// When the client must have taken some of what waits for it, and ``ByteStream/taken`` when that was set.
    var due = MonotonicTime.distantFuture
    var takenBefore: Int64 = 0
}

extension HTTPConnection {
    /// Writes a response, waits while its client is slow, and records the exchange.
    func send(_ response: Response, to request: Request, started: MonotonicTime) async {
        guard !sendAtOnce(response, to: request, started: started) else { return }
        switch response.body {
        case .stream(let length, let write):
            await sendStream(response, to: request, length: length, write)
        case .upstream(let upstream):
            await relay(response, to: request, from: upstream)
        case .empty, .literal, .bytes, .webSocket: break
        }
        record(response.status, request, started: started)
    }

    /// Writes a response whose body is at hand, and records the exchange.
    ///
    /// - Returns: Whether it did; a body that still has to be made is left to ``send(_:to:started:)``.
    func sendAtOnce(_ response: Response, to request: Request, started: MonotonicTime) -> Bool {
        if !body.isComplete, body.expectsContinue { reply.mustClose = true }
        // An upstream that answers before it has the whole body leaves a reader behind, who would compete with ours.
        if inputWaiter != nil { reply.mustClose = true }
        switch response.body {
        case .empty: writeWhole(response, to: request, body: .empty) { _ in }
        case .literal(let text):
            writeWhole(response, to: request, body: .length(UInt64(text.utf8CodeUnitCount))) { $0.append(text) }
        case .bytes(let bytes):
            writeWhole(response, to: request, body: .length(UInt64(bytes.count))) { $0.append(bytes) }
        case .upstream(let upstream):
            guard let count = upstream.countAtOnce else { return false }
            writeWhole(response, to: request, body: .length(UInt64(count))) { upstream.takeAtOnce(into: &$0) }
            upstream.discard()
        case .stream, .webSocket: return false
        }
        record(response.status, request, started: started)
        return true
    }

    private func plan(_ response: Response, _ request: Request, _ body: OutgoingBody) -> ResponsePlan {
        let keepsOpen = request.head.keepAlive && !reply.mustClose && (!isEnding || hasNextRequest)
        // An Upgrade field needs the connection option of the same name (RFC 9110 §7.8).
        let isOffer = response.status == .upgradeRequired
        let plan = ResponsePlan(
            response.status, body: body, answering: request.method,
            minorVersion: Int(request.head.minorVersion) == 0 ? 0 : 1,
            connection: keepsOpen ? (isOffer ? .upgrade : .keepAlive) : .close)
        reply.plan = plan
        if !plan.keepAlive, !(isOffer && keepsOpen) { reply.mustClose = true }
        return plan
    }

    private func writeHead(_ response: Response, _ plan: ResponsePlan) {
        server.updateDate()
        stream.write { $0.appendResponseHead(response.status, response.fields, plan: plan, date: server.dates) }
    }

    private func writeWhole(
        _ response: Response, to request: Request, body: OutgoingBody, _ append: (inout OutputBuffer) -> Void
    ) {
        // No handler reads on after this: a rest too large to read past ends the connection, and the client is told.
        if !self.body.isComplete, !canDiscardBody { reply.mustClose = true }
        let plan = plan(response, request, body)
        server.updateDate()
        stream.write { output in
            output.appendResponseHead(response.status, response.fields, plan: plan, date: server.dates)
            if plan.coding != .none { append(&output) }
        }
        if case .identity(let length) = plan.coding { reply.bodyBytes = Int(clamping: length) }
    }

    /// An error that has no request: the head could not be read.
    func writeRefusal(_ response: Response, to method: Method) {
        guard case .bytes(let bytes) = response.body else { return }
        let plan = ResponsePlan(
            response.status, body: .length(UInt64(bytes.count)), answering: method, minorVersion: 1, connection: .close)
        writeHead(response, plan)
        if plan.coding != .none { stream.write { $0.append(bytes) } }
    }

    // MARK: Streams

    private func sendStream(
        _ response: Response, to request: Request, length: UInt64?,
        _ write: (BodyWriter) async throws -> Void
    ) async {
        let plan = plan(response, request, length.map { .length($0) } ?? .unknownLength)
        writeHead(response, plan)
        guard plan.coding != .none else { return }
        let writer = ResponseWriter(self)
        defer { writer.end() }
        do {
            try await write(writer)
            finishBody(plan)
        } catch {
            breakBody(error, request)
        }
    }

    /// Ends a body in order, if it is whole.
    private func finishBody(_ plan: ResponsePlan) {
        switch plan.coding {
        case .none, .untilClose: break
        case .chunked: stream.write { $0.appendLastChunk(trailers: reply.trailers) }
        case .identity(let length):
            if UInt64(reply.bodyBytes) != length { cutShort() }
        }
    }

    private func breakBody(_ error: any Error, _ request: Request) {
        if !(error is CancellationError) { server.logBrokenBody(error, request) }
        cutShort()
    }

    /// Makes it plain that the body is not whole: no last chunk, fewer bytes than declared, or a reset where only the
    /// connection's end tells.
    private func cutShort() {
        reply.mustClose = true
        server.metrics.brokenResponses.increment()
        stream.flush()
        if reply.plan?.coding == .untilClose { stream.abort() }
    }

    private func relay(_ response: Response, to request: Request, from upstream: UpstreamBody) async {
        let plan = plan(response, request, upstream.length.map { .length($0) } ?? .unknownLength)
        writeHead(response, plan)
        guard plan.coding != .none else { return upstream.discard() }
        do {
            switch plan.coding {
            case .identity where !stream.isSecure && upstream.canSplice:
                reply.bodyBytes += try await splice(upstream)
            default:
                while let chunk = try await upstream.next() { try await writeBody(chunk) }
            }
            finishBody(plan)
        } catch {
            upstream.discard()
            breakBody(error, request)
        }
    }

    private func splice(_ upstream: UpstreamBody) async throws -> Int {
        stream.flush()
        await drained(below: 0)
        guard !isClosed else { throw CancellationError() }
        do {
            return try await upstream.splice(into: stream, writeTimeout: settings.writeTimeout)
        } catch RelayError.sinkStalled {
            server.metrics.writeTimeouts.increment()
            throw CancellationError()
        }
    }

    // MARK: Record

    /// Counts and logs a finished exchange.
    func record(_ status: Status, _ request: Request, started: MonotonicTime) {
        let microseconds = Int(MonotonicTime.read().nanoseconds(since: started) / 1000)
        server.record(
            request, of: route, remote: remote, status: status, received: Int(clamping: body.received),
            sent: reply.bodyBytes,
            microseconds: microseconds)
    }
}

extension HTTPConnection {
    /// Bytes of one response after which the loop's other connections have their turn, even if its client takes
    /// everything at once.
    private static let turnBytes = 1 << 20

    /// Sends more of the body of the current response; suspends while the client is slow.
    func writeBody(_ bytes: [UInt8]) async throws {
        guard !isClosed, let plan = reply.plan else { throw CancellationError() }
        guard !bytes.isEmpty else { return }
        reply.bodyBytes += bytes.count
        switch plan.coding {
        case .none: return
        case .chunked: stream.write { $0.appendChunk(bytes.span) }
        case .identity(let length):
            guard UInt64(reply.bodyBytes) <= length else { throw BodyLengthError() }
            unsafe bytes.withUnsafeBytes { unsafe stream.write($0) }
        case .untilClose: unsafe bytes.withUnsafeBytes { unsafe stream.write($0) }
        }
        reply.sinceTurn += bytes.count
        if stream.unsent > settings.sendBuffer.bytes {
            reply.sinceTurn = 0
            await drained(below: settings.sendBuffer.bytes / 2)
        } else if reply.sinceTurn > Self.turnBytes {
            reply.sinceTurn = 0
            await stream.loop.nextTurn()
        }
        if isClosed { throw CancellationError() }
    }
}

/// What a handler writes its response's body to. One that is kept writes nothing into the responses that follow.
private final class ResponseWriter: BodyWriter {
    private var connection: HTTPConnection?

    init(_ connection: HTTPConnection) { self.connection = connection }

    func end() { connection = nil }

    func write(_ bytes: [UInt8]) async throws {
        guard let connection else { throw CancellationError() }
        try await connection.writeBody(bytes)
    }

    func setTrailers(_ fields: HeaderFields) { connection?.reply.trailers = fields }
}

/// A handler wrote more than it had declared.
struct BodyLengthError: Error {}
