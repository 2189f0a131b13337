import GatewayHTTP
import GatewayRuntime
import GatewayTelemetry
import GatewayTunnel
import GatewayUpstream

/// The server that requests are passed on to.
struct LocalServer {
    let url: HTTPURL
    let client: UpstreamClient
    let timeouts: UpstreamTimeouts
}

/// One request of a consumer's, at the local server.
///
/// Its body counts as consumed once it was passed on, its answer leaves chunk by chunk as there is credit. Whatever ends
/// the stream closes the connection to the server at once, so that a model stops working for nobody.
final class RequestServing: TunnelStreamHandler {
    private let stream: TunnelStream
    private let server: LocalServer
    private let log: Logger
    private let loop: EventLoop
    private var task: Task<Void, Never>?

    /// Body bytes that nobody has taken yet.
    private var arrived: [UInt8] = []
    /// Bytes handed over, which count as consumed when more are asked for.
    private var handedOver = 0
    private var hasBodyEnded = false
    private var hasAnswered = false
    private var isDiscarding = false
    private var inputWait: LoopWait?
    private var roomWait: LoopWait?

    init(_ stream: TunnelStream, at server: LocalServer, on loop: EventLoop, log: Logger) {
        self.stream = stream
        self.server = server
        self.loop = loop
        self.log = log
        hasBodyEnded = stream.hasInputEnded
    }

    /// Asks the server; the answer goes back by the stream.
    func start(_ method: Method, _ url: HTTPURL, _ request: StreamHTTPRequest) {
        var upstream = UpstreamRequest(method, url, destination: .operator, fields: LocalFields.of(request.fields))
        upstream.timeouts = server.timeouts
        if !hasBodyEnded { upstream.body = .stream(length: request.length) { try await self.nextChunk() } }
        let asked = upstream
        task = loop.launch { await self.serve(asked) }
    }

    private func serve(_ request: UpstreamRequest) async {
        do {
            let answer = try await server.client.send(request)
            hasAnswered = true
            stream.answer(
                StreamAnswer(
                    status: answer.status, fields: answer.endToEndFields, length: answer.declaredLength))
            while let chunk = try await answer.body.next() { try await pass(chunk, of: answer.body) }
            stream.end()
            discardBody()
            log.debug(
                "request served", .string("method", "\(request.method.wireName)"),
                .utf8("path", Array(request.url.path)), .int("status", answer.status.code))
        } catch {
            fail(error)
        }
    }

    private func pass(_ chunk: [UInt8], of body: UpstreamBody) async throws {
        var rest = chunk[...]
        while true {
            let count = unsafe rest.withUnsafeBytes { unsafe stream.write($0) }
            rest = rest.dropFirst(count)
            guard !rest.isEmpty else { return }
            if count == 0 { try await room(or: body) }
        }
    }

    /// Suspends until the consumer has taken something.
    private func room(or body: UpstreamBody) async throws {
        guard stream.isOpen else { throw CancellationError() }
        let wait = LoopWait()
        roomWait = wait
        guard await wait.run(on: loop) == .woken, stream.isOpen else {
            body.discard()
            throw CancellationError()
        }
    }

    // MARK: The request's body

    private func nextChunk() async throws -> [UInt8]? {
        count()
        while arrived.isEmpty {
            if hasBodyEnded { return nil }
            let wait = LoopWait()
            inputWait = wait
            guard await wait.run(on: loop) == .woken, stream.isOpen else { throw CancellationError() }
        }
        defer { arrived = [] }
        handedOver = arrived.count
        return arrived
    }

    private func count() {
        let used = handedOver
        handedOver = 0
        stream.consume(used)
    }

    /// The server has answered without reading all of it, or nobody will: the consumer may send the rest all the same.
    private func discardBody() {
        isDiscarding = true
        handedOver += arrived.count
        arrived = []
        count()
    }

    // MARK: The stream

    func answered(_ answer: StreamAnswer) {}

    func received(_ bytes: UnsafeRawBufferPointer) {
        if isDiscarding { return stream.consume(bytes.count) }
        unsafe arrived.append(contentsOf: bytes)
        inputWait?.wake()
    }

    func inputEnded() {
        hasBodyEnded = true
        inputWait?.wake()
    }

    func roomGrew() { roomWait?.wake() }

    func finished(_ reason: TunnelReset?, message: String) {
        guard let reason else { return }
        log.debug("request given up", .int("stream", stream.id), .string("reason", reason.rawValue))
        task?.cancel()
        inputWait?.wake()
        roomWait?.wake()
    }

    private func fail(_ error: any Error) {
        guard stream.isOpen else { return }
        let (reason, message) = Self.reset(for: error, answered: hasAnswered)
        log.warn(
            "request failed at the local server", .string("reason", reason.rawValue), .error(error),
            .int("stream", stream.id))
        stream.reset(reason, message)
    }

    /// What the gateway is told; it knows nothing of this machine, and need not.
    static func reset(for error: any Error, answered: Bool) -> (TunnelReset, String) {
        switch error as? UpstreamError {
        case .firstByteTimedOut?, .idleTimedOut?: (.timeout, "the local server did not answer in time")
        case .tooManyWaiting?, .tooManyConnections?: (.overloaded, "too many requests wait for the local server")
        case let error? where error.isBeforeRequest: (.unreachable, "the local server does not answer")
        case _ where answered: (.broken, "the local server broke off its answer")
        default: (.broken, "the local server did not answer as it should")
        }
    }
}

/// A stream that was reset when it was opened: there is nothing to tell anybody.
final class RefusedStream: TunnelStreamHandler {
    func answered(_ answer: StreamAnswer) {}
    func received(_ bytes: UnsafeRawBufferPointer) {}
    func inputEnded() {}
    func roomGrew() {}
    func finished(_ reason: TunnelReset?, message: String) {}
}
