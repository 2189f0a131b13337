import GatewayTunnel
import PluginKit

/// `ANY /api/ollama/*` and its like: a consumer's HTTP request goes to an agent, and the answer streams back.
///
/// In the order in which it happens to a request; ``ConsumerSocket`` comes in by ``ask(_:body:of:_:on:until:)``.
final class ConsumerRequests: Sendable {
    let host: AgentHost

    init(host: AgentHost) { self.host = host }

    /// The field by which a consumer names an agent.
    static let agentField = HeaderName(literal: "X-Tunnel-Agent")

    /// - Parameters:
    ///   - prefix: What the request's path begins with that the model server does not know.
    ///   - agent: The agent that the path names, if it names one.
    func answer(_ request: Request, below prefix: Int, agent name: String?) async throws -> Response {
        do {
            return try await forward(request, below: prefix, agent: name)
        } catch let failure as TunnelFailure {
            host.metrics.failed(failure)
            throw failure.fault
        }
    }

    private func forward(_ request: Request, below prefix: Int, agent name: String?) async throws -> Response {
        guard let principal = request.principal else { throw TunnelFailure.noAgent }
        let head = try Self.head(of: request, below: prefix)
        let limit = host.settings.maxBody.bytes
        if let length = head.length, length > UInt64(limit) { throw TunnelFailure.tooLarge(limit: limit) }
        // One that declares no length is cut off while it streams.
        request.body.restrict(to: limit)
        let body = request.body
        let pieces: Upload.Source = { try await body.next() }
        let asked = try await begin(
            head, body: request.head.framing.hasBody ? pieces : nil, of: principal.subject,
            name ?? request.header(Self.agentField), on: request.loop)
        return response(asked, to: request)
    }

    /// Asks for a consumer whose request is in memory already.
    ///
    /// - Parameter deadline: The caller's own.
    /// - Throws: ``TunnelFailure``, or `CancellationError`.
    func ask(
        _ head: StreamHTTPRequest, body: [UInt8], of user: String, _ name: String?, on loop: EventLoop,
        until deadline: MonotonicTime
    ) async throws -> Asked {
        let limit = host.settings.maxBody.bytes
        guard body.count <= limit else { throw TunnelFailure.tooLarge(limit: limit) }
        var rest: [UInt8]? = body
        let pieces: Upload.Source = { rest.take() }
        return try await begin(
            head, body: body.isEmpty ? nil : pieces, of: user, name, on: loop, until: deadline)
    }

    // MARK: The head that goes

    /// What the agent gets: without credentials, and with the path as the model server knows it.
    private static func head(of request: Request, below prefix: Int) throws -> StreamHTTPRequest {
        let method = request.method
        guard method != .other, method != .connect, method != .trace else {
            throw GatewayFault(.notImplemented, "method_not_forwarded", "This method is not forwarded.")
        }
        return StreamHTTPRequest(
            method: method.wireName.description, target: try target(of: request, below: prefix),
            fields: fields(of: request), length: request.head.framing.hasBody ? request.body.declaredLength : nil)
    }

    private static func target(of request: Request, below prefix: Int) throws(TunnelFailure) -> String {
        let bytes = unsafe request.headBytes
        var target =
            if let path = request.normalisedPath {
                Array(path.dropFirst(prefix))
            } else {
                unsafe Array(request.head.path(in: bytes).dropFirst(prefix))
            }
        if target.isEmpty { target = [UInt8(ascii: "/")] }
        guard TunnelPath.isForwardable(target) else { throw .invalidPath }
        let query = request.head.queryRange.map { unsafe QueryToken.strip(Array($0.of(bytes)).span) } ?? []
        if !query.isEmpty { target += [UInt8(ascii: "?")] + query }
        return String(decoding: target, as: UTF8.self)
    }

    private static func fields(of request: Request) -> HeaderFields {
        let bytes = unsafe request.headBytes
        var fields = HeaderFields(reserving: request.head.length)
        let hopByHop = unsafe HopByHopFields(of: request.head.fields, in: bytes)
        for field in request.head.fields {
            guard !hopByHop.contains(field), unsafe !withheld.contains(field, in: bytes) else {
                continue
            }
            unsafe fields.append(field, from: bytes)
        }
        return fields
    }

    // MARK: At the agent

    /// A request whose answer has begun.
    final class Asked {
        let answer: StreamAnswer
        fileprivate let hold: ExchangeHold
        fileprivate let upload: Upload?
        /// Bytes that the body must have, if that is known.
        private let length: UInt64?
        private var received: UInt64 = 0

        fileprivate init(_ answer: StreamAnswer, to method: String, hold: ExchangeHold, upload: Upload?) {
            self.answer = answer
            self.hold = hold
            self.upload = upload
            length = method == "HEAD" || answer.status.forbidsBody ? nil : answer.length
        }

        /// Whoever has all that was declared may leave before the agent says that this was all.
        fileprivate var isWhole: Bool { received == length }

        /// Counts the next bytes, or the end.
        ///
        /// - Throws: ``TunnelFailure`` when the body is not what was declared.
        fileprivate func count(_ chunk: [UInt8]?) throws(TunnelFailure) {
            received += UInt64(chunk?.count ?? 0)
            guard let length else { return }
            guard chunk == nil ? received == length : received <= length else { throw .reset(.broken, "") }
        }
    }

    /// Finds the agent, sends the request, and returns when the head of the answer has come.
    ///
    /// - Parameters:
    ///   - body: `nil` for a request without one.
    ///   - name: What the consumer called the agent.
    ///   - deadline: For the head; the settings' limits hold besides.
    /// - Throws: ``TunnelFailure``, what was wrong with the body, or `CancellationError`.
    private func begin(
        _ head: StreamHTTPRequest, body: Upload.Source?, of user: String, _ name: String?, on loop: EventLoop,
        until deadline: MonotonicTime = .distantFuture
    ) async throws -> Asked {
        guard StreamRequest.http(head).fits else { throw TunnelFailure.headTooLarge }
        let found = try await host.finder.find(user, name, for: .http(head))
        let agent = found.record
        let began = loop.now
        let pass = try Self.enter(agent, at: began)
        host.metrics.requests.increment()
        let exchange = Exchange.open(.http(head), ends: body == nil, at: agent, terms: host.settings.terms, on: loop)
        let hold = ExchangeHold(exchange, on: loop, by: found.grant)
        let upload = body.map { Upload($0, to: exchange, on: loop) }
        do {
            var answer = try await self.head(of: exchange, from: agent, behind: upload, since: began, until: deadline)
            Self.judge(answer.status, pass, at: loop.now)
            for name in Self.ownFields { answer.fields.remove(name) }
            return Asked(answer, to: head.method, hold: hold, upload: upload)
        } catch {
            upload?.cancel()
            // What was wrong with the body is what the consumer should hear. It is known by now; whoever waited for the upload
            // would wait for the consumer to send more.
            if let fault = upload?.fault { throw fault }
            Self.judge(error, pass, at: loop.now)
            throw error
        }
    }

    private func head(
        of exchange: Exchange, from agent: AgentRecord, behind upload: Upload?, since began: MonotonicTime,
        until deadline: MonotonicTime
    ) async throws -> StreamAnswer {
        let answer = try await awaitHead(of: exchange, from: agent, behind: upload, since: began, until: deadline)
        let microseconds = Int(MonotonicTime.read().nanoseconds(since: began) / 1000)
        host.metrics.firstByte.observe(microseconds: microseconds)
        agent.traffic.answered(after: microseconds)
        return answer
    }

    /// An agent whose connection has just broken gets a shorter time to come back than one that is there to answer. That
    /// one's time runs from the last progress of the request: a consumer that sends slowly is not its fault.
    private func awaitHead(
        of exchange: Exchange, from agent: AgentRecord, behind upload: Upload?, since began: MonotonicTime,
        until deadline: MonotonicTime
    ) async throws -> StreamAnswer {
        let back = began + host.settings.connectTimeout
        if !agent.traffic.isAttached, back < deadline {
            do {
                return try await exchange.head(until: back, orElse: .reconnecting)
            } catch TunnelFailure.reconnecting where agent.traffic.isAttached {}
        }
        let patience = host.settings.firstByteTimeout
        var due = began + patience
        while true {
            do {
                return try await exchange.head(
                    until: min(due, deadline), orElse: due < deadline ? .firstByteTimeout : .callerTimeout)
            } catch TunnelFailure.firstByteTimeout {
                guard let later = upload?.due(within: patience) else { throw TunnelFailure.firstByteTimeout }
                due = later
            }
        }
    }

    // MARK: Circuit breaker

    private static func enter(_ agent: AgentRecord, at now: MonotonicTime) throws(TunnelFailure) -> CircuitPass {
        do throws(CircuitOpen) {
            return try agent.breaker.enter(at: now)
        } catch {
            throw .circuitOpen(retryAfter: error.retryAfterSeconds)
        }
    }

    /// A 4xx blames the request, not the server.
    private static func judge(_ status: Status, _ pass: CircuitPass, at now: MonotonicTime) {
        if status.code >= 500 { pass.failed(at: now) } else { pass.succeeded() }
    }

    private static func judge(_ error: any Error, _ pass: CircuitPass, at now: MonotonicTime) {
        if let failure = error as? TunnelFailure, failure.isModelsFault { pass.failed(at: now) }
    }

    // MARK: The answer

    /// The next bytes of an answer; `nil` at its end.
    ///
    /// - Throws: ``TunnelFailure``, also for a body that is not as long as was declared, or `CancellationError`.
    func next(
        of asked: Asked, on loop: EventLoop, until deadline: MonotonicTime = .distantFuture
    ) async throws -> [UInt8]? {
        let idle = loop.now + host.settings.idleTimeout
        let chunk = try await asked.hold.exchange.next(
            until: min(idle, deadline), orElse: idle < deadline ? .idleTimeout : .callerTimeout)
        try asked.count(chunk)
        return chunk
    }

    private func response(_ asked: Asked, to request: Request) -> Response {
        let answer = asked.answer
        let length = answer.length
        guard request.method != .head, !answer.status.forbidsBody, length != 0 else {
            host.metrics.answered.increment()
            let body: ResponseBody = length.map { .stream(length: $0) { _ in } } ?? .empty
            return Response(
                status: answer.status, fields: answer.fields, body: request.method == .head ? body : .empty)
        }
        let kind = AnswerKind(answer.fields.first(.contentType))
        let loop = request.loop
        return .stream(status: answer.status, fields: answer.fields, length: length) { writer in
            defer { asked.upload?.cancel() }
            do {
                while let chunk = try await self.next(of: asked, on: loop) {
                    try await writer.write(chunk)
                    if asked.isWhole { self.host.metrics.answered.increment() }
                }
                if length == nil { self.host.metrics.answered.increment() }
            } catch let failure as TunnelFailure where !asked.isWhole {
                self.host.metrics.failed(failure)
                if length == nil, let notice = kind.notice(of: failure) { try await writer.write(notice) }
                throw failure
            }
        }
    }

    // MARK: Fields that are not passed on

    /// Whether a consumer's field of this name stays here.
    static func isWithheld(_ name: HeaderName) -> Bool { withheldNames.contains { $0 == name } }

    /// Credentials, who the consumer is, and what the agent's own client writes.
    private static let withheldNames =
        [
            .host, .contentLength, .expect, .authorization, .cookie, .origin, .referer, .forwarded, .xForwardedFor,
            .xForwardedHost, .xForwardedPort, .xForwardedPrefix, .xForwardedProto, .xForwardedServer, .xRealIP,
            .xClientIP, .trueClientIP, .cfConnectingIP, .xRequestID, .clientCert, .clientCertChain, .xOriginalURL,
            .xRewriteURL, agentField,
        ] + [HeaderName("Proxy")].compactMap(\.self)
    private static let withheld = HeaderNameSet(withheldNames)

    /// What the model server must not say in the gateway's name.
    private static let ownFields: [HeaderName] = [
        .setCookie, .server, HeaderName(literal: "X-Powered-By"), .accessControlAllowOrigin,
        .accessControlAllowCredentials, .accessControlAllowMethods, .accessControlAllowHeaders,
        .accessControlExposeHeaders, .accessControlMaxAge, .altSvc,
    ]
}
