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
    /// ``ByteStream/sent`` when the write deadline was set: progress since then extends it.
    var sentAtDeadline: UInt64 = 0
}

extension HTTPConnection {
    /// Writes a response, waits while its client is slow, and records the exchange.
    func send(_ response: Response, to request: Request, started: MonotonicTime) async {
        if !body.isComplete, body.expectsContinue { reply.mustClose = true }
        // An upstream that answers before it has the whole body leaves a reader behind, who would compete with ours.
        if inputWaiter != nil { reply.mustClose = true }
        switch response.body {
        case .empty: writeWhole(response, to: request, body: .empty) { _ in }
        case .literal(let text):
            writeWhole(response, to: request, body: .length(UInt64(text.utf8CodeUnitCount))) { $0.append(text) }
            reply.bodyBytes = text.utf8CodeUnitCount
        case .bytes(let bytes):
            writeWhole(response, to: request, body: .length(UInt64(bytes.count))) { $0.append(bytes) }
            reply.bodyBytes = bytes.count
        case .stream(let length, let write):
            await sendStream(response, to: request, length: length, write)
        case .upstream(let upstream):
            await relay(response, to: request, from: upstream)
        case .webSocket: break
        }
        record(response.status, request, started: started)
    }

    private func plan(_ response: Response, _ request: Request, _ body: OutgoingBody) -> ResponsePlan {
        let keepsOpen = request.head.keepAlive && !reply.mustClose && !server.isDraining
        let plan = ResponsePlan(
            response.status, body: body, answering: request.method, minorVersion: Int(request.head.minorVersion) == 0 ? 0 : 1,
            connection: response.status == .switchingProtocols ? .upgrade : keepsOpen ? .keepAlive : .close)
        reply.plan = plan
        if !plan.keepAlive { reply.mustClose = true }
        return plan
    }

    private func writeHead(_ response: Response, _ plan: ResponsePlan) {
        server.updateDate()
        stream.write { $0.appendResponseHead(response.status, response.fields, plan: plan, date: server.dates) }
    }

    private func writeWhole(
        _ response: Response, to request: Request, body: OutgoingBody, _ append: (inout OutputBuffer) -> Void
    ) {
        let plan = plan(response, request, body)
        server.updateDate()
        stream.write { output in
            output.appendResponseHead(response.status, response.fields, plan: plan, date: server.dates)
            if plan.coding != .none { append(&output) }
        }
    }

    /// An error that has no request: the head could not be read.
    func writeRefusal(_ response: Response) {
        guard case .bytes(let bytes) = response.body else { return }
        let plan = ResponsePlan(
            response.status, body: .length(UInt64(bytes.count)), answering: .get, minorVersion: 1, connection: .close)
        writeHead(response, plan)
        stream.write { $0.append(bytes) }
    }

    // MARK: Streams

    private func sendStream(
        _ response: Response, to request: Request, length: UInt64?,
        _ write: (BodyWriter) async throws -> Void
    ) async {
        let plan = plan(response, request, length.map { .length($0) } ?? .unknownLength)
        writeHead(response, plan)
        guard plan.coding != .none else { return }
        do {
            try await write(self)
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

    /// Makes it plain that the body is not whole: no last chunk, fewer bytes than declared, or a reset.
    private func cutShort() {
        reply.mustClose = true
        server.metrics.brokenResponses.increment()
        stream.flush()
        stream.abort()
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
                while let chunk = try await upstream.next() { try await write(chunk) }
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
        return try await upstream.splice(into: stream, writeTimeout: settings.writeTimeout)
    }

    // MARK: Record

    /// Counts and logs a finished exchange.
    func record(_ status: Status, _ request: Request, started: MonotonicTime) {
        let microseconds = Int(MonotonicTime.read().nanoseconds(since: started) / 1000)
        server.record(
            request, of: route, remote: remote, status: status, received: Int(clamping: body.received), sent: reply.bodyBytes,
            microseconds: microseconds)
    }
}

extension HTTPConnection: BodyWriter {
    func write(_ bytes: [UInt8]) async throws {
        guard !isClosed, let plan = reply.plan else { throw CancellationError() }
        guard !bytes.isEmpty else { return }
        reply.bodyBytes += bytes.count
        switch plan.coding {
        case .none: return
        case .chunked: stream.write { $0.appendChunk(bytes.span) }
        case .identity(let length):
            guard UInt64(reply.bodyBytes) <= length else { throw BodyLengthError() }
            stream.write { $0.append(bytes) }
        case .untilClose: stream.write { $0.append(bytes) }
        }
        if stream.unsent > settings.sendBuffer.bytes { await drained(below: settings.sendBuffer.bytes / 2) }
        if isClosed { throw CancellationError() }
    }

    func setTrailers(_ fields: HeaderFields) { reply.trailers = fields }
}

/// A handler wrote more than it had declared.
struct BodyLengthError: Error {}
