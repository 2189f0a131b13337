import PluginKit

/// Answers `/proxy/manifest/{link}` and `/proxy/segment/{link}`.
struct StreamRelay: Sendable {
    private let viewers: ViewerRule
    private let allowed: AllowedOrigins
    private let origin: OriginClient
    private let userAgent: String
    private let limits: PlaylistLimits
    private let metrics: HLSMetrics
    private let log: Logger

    /// Playlists from this size on are rewritten by the worker pool: the loop has others to serve meanwhile.
    private static let heavy = 256 << 10

    init(settings: HLSSettings, upstream: UpstreamClient, metrics: HLSMetrics, log: Logger) {
        viewers = ViewerRule(isPublic: settings.isPublic)
        allowed = settings.allowedOrigins
        origin = OriginClient(
            upstream: upstream,
            redirects: RedirectRule(allowed: settings.allowedOrigins, limit: settings.maxRedirects),
            timeouts: settings.timeouts, sendsReferer: settings.sendsReferer)
        userAgent = settings.userAgent
        limits = PlaylistLimits(input: settings.playlistLimit)
        self.metrics = metrics
        self.log = log
    }

    /// - Parameter kind: What the link's path says it leads to. What arrives decides.
    func answer(_ request: Request, _ kind: LinkKind) async throws -> Response {
        do {
            return try await respond(to: request, kind)
        } catch let fault as GatewayFault {
            throw counted(fault)
        } catch let error as UpstreamError {
            log.warn("origin failed", .string("reason", error.description), .request(request.id))
            throw counted(.originFailed(error))
        } catch let error as PlaylistError {
            log.warn("playlist refused", .string("reason", error.description), .request(request.id))
            throw counted(.proxyError("playlist_refused", error.description))
        } catch is WorkerPool.Busy {
            throw counted(
                GatewayFault(.serviceUnavailable, "busy", "Too many playlists are being rewritten.", source: .gateway))
        }
    }

    private func counted(_ fault: GatewayFault) -> GatewayFault {
        metrics.refused.with(fault.code).increment()
        var fault = fault
        fault.fields.append(.cacheControl, "no-store")
        return fault
    }

    private func respond(to request: Request, _ kind: LinkKind) async throws -> Response {
        try viewers.check(request)
        let link = try link(of: request, kind)
        guard allowed.allows(link.url) else { throw GatewayFault.originNotAllowed(link.url) }
        guard kind == .media, !PlaylistSignature.hasSuffix(link.url.path) else {
            return try await playlist(link, for: request)
        }
        return try await media(link, for: request)
    }

    private func link(of request: Request, _ kind: LinkKind) throws(GatewayFault) -> ProxyLink {
        let encoded = Array((request.capture("link") ?? "").utf8)
        let link: ProxyLink
        do throws(ProxyLinkError) {
            link = try ProxyLink(kind: kind, encoded: encoded.span, limits: limits)
        } catch {
            throw .badLink(error)
        }
        // Nothing else of the viewer's query goes on: it may hold their token.
        let query = Array((request.query ?? "").utf8)
        do throws(PlaylistDirectiveError) {
            let url = try PlaylistDirectives.merge(query.span, into: link.url, limits: limits)
            return ProxyLink(kind: kind, url: url, variables: link.variables)
        } catch {
            throw .badDirectives(error)
        }
    }

    // MARK: Playlists

    private func playlist(_ link: ProxyLink, for request: Request) async throws -> Response {
        let fields = try OriginFields.of(.playlist, userAgent: userAgent) { _ in nil }
        let answer = try await origin.fetch(.get, link.url, fields)
        let type = answer.header(.contentType) ?? ""
        try await OriginStatus.check(answer, for: .playlist)
        do {
            guard BodySignature(contentType: type, path: answer.url.path) != .playlist else {
                return try await rewritten(answer, from: [], link, for: request)
            }
            let start = try await Self.start(of: answer.body)
            guard PlaylistSignature.start(in: start.span) == nil else {
                return try await rewritten(answer, from: start, link, for: request)
            }
            // Some link to a plain file as they would to a playlist.
            return relayed(answer, from: start, for: request)
        } catch {
            answer.body.discard()
            throw error
        }
    }

    private func rewritten(
        _ answer: UpstreamResponse, from start: [UInt8], _ link: ProxyLink, for request: Request
    ) async throws -> Response {
        if let coding = answer.header(.contentEncoding), coding.lowercased() != "identity" {
            throw GatewayFault.proxyError("playlist_compressed", "the playlist is compressed, which was not asked for")
        }
        let rewriter = PlaylistRewriter(base: answer.url, inherited: link.variables, limits: limits)
        guard start.count <= limits.input.bytes else { throw PlaylistError.tooLarge(limit: limits.input) }
        let text: [UInt8]
        do {
            text = try await start + answer.body.collect(limit: limits.input.bytes - start.count)
        } catch UpstreamError.bodyTooLarge {
            throw PlaylistError.tooLarge(limit: limits.input)
        }
        let playlist =
            text.count < Self.heavy
            ? try rewriter.rewrite(text, link: ProxyLink.writer())
            : try await request.loop.offload("playlist rewrite") {
                try rewriter.rewrite(text, link: ProxyLink.writer())
            }
        metrics.playlists.increment()
        return Response(fields: RelayedFields.playlist, body: .bytes(playlist.bytes))
    }

    // MARK: Everything else

    private func media(_ link: ProxyLink, for request: Request) async throws -> Response {
        let fields = try OriginFields.of(.media, userAgent: userAgent) { request.header($0) }
        let answer = try await origin.fetch(request.method, link.url, fields)
        try await OriginStatus.check(answer, for: .media)
        do {
            let isWhole = request.method == .get && answer.status == .ok
            let signature = BodySignature(contentType: answer.header(.contentType) ?? "", path: answer.url.path)
            var start: [UInt8] = []
            if signature == .unknown, request.method == .get { start = try await Self.start(of: answer.body) }
            guard signature == .playlist || PlaylistSignature.start(in: start.span) != nil else {
                return relayed(answer, from: start, for: request)
            }
            guard !isWhole else { return try await rewritten(answer, from: start, link, for: request) }
        } catch {
            answer.body.discard()
            throw error
        }
        // A playlist after all, and only a part of it, or its head: asked for again as what it is.
        await OriginClient.release(answer.body)
        return try await playlist(link, for: request)
    }

    /// Passes a body on as it is.
    ///
    /// - Parameter start: What was read of it already.
    private func relayed(_ answer: UpstreamResponse, from start: [UInt8], for request: Request) -> Response {
        metrics.segments.increment()
        let body = answer.body
        let fields = RelayedFields.media(status: answer.status, answer.header)
        if request.method == .head || answer.status == .notModified {
            body.discard()
            // The length is that of a body which is not sent; the server leaves an undeclared one undeclared.
            let nothing: ResponseBody = answer.declaredLength.map { .stream(length: $0) { _ in } } ?? .empty
            return Response(status: answer.status, fields: fields, body: nothing)
        }
        guard !start.isEmpty else { return Response(status: answer.status, fields: fields, body: .upstream(body)) }
        return .stream(status: answer.status, fields: fields, length: body.length) { writer in
            do {
                try await writer.write(start)
                while let bytes = try await body.next() { try await writer.write(bytes) }
            } catch {
                body.discard()
                throw error
            }
        }
    }

    /// The first bytes of a body, enough to know a playlist by; fewer only when there are no more.
    private static func start(of body: UpstreamBody) async throws -> [UInt8] {
        var start: [UInt8] = []
        while start.count < BodySignature.length, let bytes = try await body.next() { start += bytes }
        return start
    }
}
