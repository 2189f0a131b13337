import GatewayTunnel
import PluginKit

/// `ANY /api/ollama/*` and its like: a consumer's HTTP request goes to an agent, and the answer streams back.
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
        if let length = head.length, length > UInt64(host.settings.maxBody.bytes) {
            throw TunnelFailure.tooLarge(limit: host.settings.maxBody.bytes)
        }
        request.body.restrict(to: host.settings.maxBody.bytes)
        let hasBody = request.head.framing.hasBody
        let found = try await host.finder.find(
            principal.subject, name ?? request.header(Self.agentField), for: .http(head))
        let agent = found.record
        let began = request.loop.now
        let pass = try Self.enter(agent, at: began)
        host.metrics.requests.increment()
        let exchange = Exchange.open(
            .http(head), ends: !hasBody, at: agent, terms: host.settings.terms, on: request.loop)
        let hold = ExchangeHold(exchange, on: request.loop, by: found.grant)
        let body = request.body
        let upload = hasBody ? Self.upload(to: exchange, on: request.loop) { try await body.next() } : nil
        do {
            let answer = try await self.head(of: exchange, from: agent, since: began)
            Self.judge(answer.status, pass, at: request.loop.now)
            return response(answer, of: hold, upload, to: request)
        } catch {
            upload?.cancel()
            // What was wrong with the body is what the consumer should hear.
            if let upload, let fault = await upload.value { throw fault }
            Self.judge(error, pass, at: request.loop.now)
            throw error
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

    private func head(
        of exchange: Exchange, from agent: AgentRecord, since began: MonotonicTime,
        until deadline: MonotonicTime = .distantFuture
    ) async throws -> StreamAnswer {
        let answer = try await awaitHead(of: exchange, from: agent, since: began, until: deadline)
        let microseconds = Int(MonotonicTime.read().nanoseconds(since: began) / 1000)
        host.metrics.firstByte.observe(microseconds: microseconds)
        agent.traffic.answered(after: microseconds)
        return answer
    }

    /// An agent whose connection has just broken gets a shorter time to come back than one that is there to answer.
    private func awaitHead(
        of exchange: Exchange, from agent: AgentRecord, since began: MonotonicTime, until deadline: MonotonicTime
    ) async throws -> StreamAnswer {
        let back = began + host.settings.connectTimeout
        if !agent.traffic.isAttached, back < deadline {
            do {
                return try await exchange.head(until: back, orElse: .reconnecting)
            } catch TunnelFailure.reconnecting where agent.traffic.isAttached {}
        }
        let due = began + host.settings.firstByteTimeout
        return try await exchange.head(
            until: min(due, deadline), orElse: due < deadline ? .firstByteTimeout : .callerTimeout)
    }

    /// Sends the body in a task of its own, so that an answer may begin before it is complete, and so that a server
    /// which takes no more of it does not keep the consumer longer than one which takes all and says nothing.
    ///
    /// - Parameter next: The next piece of the body; `nil` at its end.
    /// - Returns: The task, whose value is the fault in the body, if there was one.
    private static func upload(
        to exchange: Exchange, on loop: EventLoop, _ next: @escaping () async throws -> [UInt8]?
    ) -> Upload {
        let upload = Upload()
        upload.task = loop.launch {
            do {
                while let chunk = try await next() { try await exchange.write(chunk) }
                try await exchange.finishWriting()
            } catch let fault as GatewayFault {
                upload.fault = fault
                exchange.cancel()
            } catch {
                // The stream is over, or the consumer has left: whoever reads the answer finds out.
            }
        }
        return upload
    }

    // MARK: Without HTTP

    /// An answer that has begun, for a consumer that reads it itself.
    struct Asked {
        let answer: StreamAnswer
        fileprivate let hold: ExchangeHold
    }

    /// Asks for a consumer whose request is in memory already.
    ///
    /// - Parameter deadline: The caller's own.
    /// - Throws: ``TunnelFailure``, or `CancellationError`.
    func ask(
        _ head: StreamHTTPRequest, body: [UInt8], of user: String, _ name: String?, on loop: EventLoop,
        until deadline: MonotonicTime
    ) async throws -> Asked {
        guard body.count <= host.settings.maxBody.bytes else {
            throw TunnelFailure.tooLarge(limit: host.settings.maxBody.bytes)
        }
        let found = try await host.finder.find(user, name, for: .http(head))
        let agent = found.record
        let began = loop.now
        let pass = try Self.enter(agent, at: began)
        host.metrics.requests.increment()
        let exchange = Exchange.open(.http(head), ends: body.isEmpty, at: agent, terms: host.settings.terms, on: loop)
        let hold = ExchangeHold(exchange, on: loop, by: found.grant)
        var rest = body.isEmpty ? nil : body
        if rest != nil { _ = Self.upload(to: exchange, on: loop) { rest.take() } }
        var answer: StreamAnswer
        do {
            answer = try await self.head(of: exchange, from: agent, since: began, until: deadline)
            Self.judge(answer.status, pass, at: loop.now)
        } catch {
            Self.judge(error, pass, at: loop.now)
            throw error
        }
        for name in Self.ownFields { answer.fields.remove(name) }
        return Asked(answer: answer, hold: hold)
    }

    /// The next bytes of an answer; `nil` at its end.
    func next(of asked: Asked, on loop: EventLoop, until deadline: MonotonicTime) async throws -> [UInt8]? {
        let idle = loop.now + host.settings.idleTimeout
        let chunk = try await asked.hold.exchange.next(
            until: min(idle, deadline), orElse: idle < deadline ? .idleTimeout : .callerTimeout)
        if chunk == nil { host.metrics.answered.increment() }
        return chunk
    }

    private func response(
        _ answer: StreamAnswer, of hold: ExchangeHold, _ upload: Upload?, to request: Request
    ) -> Response {
        var fields = answer.fields
        for name in Self.ownFields { fields.remove(name) }
        let length = answer.length
        guard request.method != .head, !answer.status.forbidsBody else {
            host.metrics.answered.increment()
            let body: ResponseBody = length.map { .stream(length: $0) { _ in } } ?? .empty
            return Response(status: answer.status, fields: fields, body: request.method == .head ? body : .empty)
        }
        let kind = AnswerKind(fields.first(.contentType))
        let idle = host.settings.idleTimeout
        let metrics = host.metrics
        let loop = request.loop
        return .stream(status: answer.status, fields: fields, length: length) { writer in
            defer { upload?.cancel() }
            do {
                while let chunk = try await hold.exchange.next(until: loop.now + idle, orElse: .idleTimeout) {
                    try await writer.write(chunk)
                }
                metrics.answered.increment()
            } catch let failure as TunnelFailure {
                metrics.failed(failure)
                if length == nil, let notice = kind.notice(of: failure) { try await writer.write(notice) }
                throw failure
            }
        }
    }

    /// What the model server must not say in the gateway's name.
    private static let ownFields: [HeaderName] = [
        .setCookie, .server, HeaderName(literal: "X-Powered-By"), .accessControlAllowOrigin,
        .accessControlAllowCredentials, .accessControlAllowMethods, .accessControlAllowHeaders,
        .accessControlExposeHeaders, .accessControlMaxAge, .altSvc,
    ]

    // MARK: Request

    /// The head that the agent gets: without credentials, and with the path as the model server knows it.
    private static func head(of request: Request, below prefix: Int) throws -> StreamHTTPRequest {
        let method = request.method
        guard method != .other, method != .connect, method != .trace else {
            throw GatewayFault(.notImplemented, "method_not_forwarded", "This method is not forwarded.")
        }
        let bytes = unsafe request.headBytes
        let asSent = unsafe Array(request.head.path(in: bytes))
        let path = request.normalisedPath ?? asSent
        let query = request.head.queryRange.map { unsafe QueryToken.strip(Array($0.of(bytes)).span) } ?? []
        var target = Array(path.dropFirst(prefix))
        if target.isEmpty { target = [UInt8(ascii: "/")] }
        guard TunnelPath.isForwardable(target) else { throw TunnelFailure.invalidPath }
        if !query.isEmpty { target += [UInt8(ascii: "?")] + query }
        var fields = HeaderFields(reserving: request.head.length)
        let hopByHop = unsafe HopByHopFields(of: request.head.fields, in: bytes)
        for field in request.head.fields {
            guard unsafe !hopByHop.contains(field, in: bytes), unsafe !withheld.contains(field, in: bytes) else {
                continue
            }
            unsafe fields.append(field, from: bytes)
        }
        let length = request.head.framing.hasBody ? request.body.declaredLength : nil
        return StreamHTTPRequest(
            method: method.wireName.description, target: String(decoding: target, as: UTF8.self), fields: fields,
            length: length)
    }

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
}

/// The task that sends a request's body.
final class Upload {
    var task: Task<Void, Never>?
    var fault: GatewayFault?

    func cancel() { task?.cancel() }

    /// Once the task has ended.
    var value: GatewayFault? {
        get async {
            await task?.value
            return fault
        }
    }
}

/// Which paths may go to an agent. The agent decides again.
enum TunnelPath {
    /// - Parameter path: Normalised: dot segments are refused before.
    static func isForwardable(_ path: [UInt8]) -> Bool {
        guard path.first == UInt8(ascii: "/") else { return false }
        let text = String(decoding: path, as: UTF8.self)
        return !text.contains("//") && !text.contains("\\") && !text.lowercasedHasAny(of: ["%2f", "%5c", "%00"])
            && path.allSatisfy { (0x21...0x7E).contains($0) }
    }
}

extension String {
    fileprivate func lowercasedHasAny(of parts: [String]) -> Bool {
        let lower = lowercased()
        return parts.contains { lower.contains($0) }
    }
}

/// How a streaming answer can be told apart from one that broke off: its readers get a last event.
enum AnswerKind {
    case events
    case lines
    case other

    init(_ contentType: String?) {
        let type = (contentType ?? "").prefix { $0 != ";" && $0 != " " }.lowercased()
        switch type {
        case "text/event-stream": self = .events
        case "application/x-ndjson", "application/jsonl", "application/json-seq": self = .lines
        default: self = .other
        }
    }

    /// What is written before the framing is broken; `nil` where readers expect no such thing.
    func notice(of failure: TunnelFailure) -> [UInt8]? {
        var json = JSONWriter()
        json.object { json in
            json.key("error")
            failure.report.write(to: &json)
        }
        switch self {
        // A line that was cut off is ended first.
        case .events: return Array("\n\nevent: error\ndata: ".utf8) + json.bytes + Array("\n\n".utf8)
        case .lines: return [UInt8(ascii: "\n")] + json.bytes + [UInt8(ascii: "\n")]
        case .other: return nil
        }
    }
}
