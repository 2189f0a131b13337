import GatewayCompression

/// What compressing responses may cost.
package struct ResponseCompressionLimits: Sendable {
    /// Smaller bodies are sent as they are: below about a kilobyte little is gained.
    package var threshold = ByteCount.kibibytes(1)
    /// zlib's scale, 1 (fast) through 9 (small).
    package var level = 5
    /// For the state of all streams that are being compressed, in the whole process: 256 KiB each. Beyond it bodies are
    /// sent as they are.
    package var streamMemory = ByteCount.mebibytes(64)

    package init() {}
}

/// Compresses responses in gzip where the client accepts it and the type is one that shrinks.
///
/// Left alone is what is coded already, a part of something (206, Content-Range), marked `no-transform`, or too small. A
/// compressed response has a weak entity tag, as it is no longer the handler's bytes, and no ranges; a HEAD gets the
/// fields of its GET without a length, which nobody knows before the work is done.
///
/// Where a secret and text of an attacker's choosing share one body, its compressed length tells about the secret: send
/// such a response with `Cache-Control: no-transform`.
package struct ResponseCompression: Middleware {
    private let limits: ResponseCompressionLimits
    private let budget: ByteBudget
    private let compressors: PerLoop<OneShot>

    /// Compressing more than this at once would keep a loop from its other connections.
    private static let oneShotLimit = 64 << 10

    /// - Parameter context: ``Registrar/context``.
    package init(in context: GatewayContext, limits: ResponseCompressionLimits = ResponseCompressionLimits()) {
        let level = min(max(limits.level, 1), 9)
        self.limits = limits
        budget = ByteBudget(limit: limits.streamMemory)
        compressors = PerLoop(count: context.loopCount) { _ in OneShot(level: level) }
    }

    package func handle(_ request: Request, next: Next) async throws -> Response {
        var response = try await next(request)
        if response.status == .notModified {
            matchTag(of: request, in: &response.fields)
            return response
        }
        let codings = unsafe request.head.acceptedCodings(in: request.headBytes)
        guard mayBeCompressed(response, whatever: codings.prefersGzip && codings.refusesIdentity) else {
            return response
        }
        response.fields.vary(on: .acceptEncoding)
        guard codings.prefersGzip, let body = compressed(response.body, for: request) else { return response }
        response.body = body
        response.fields.append(.contentEncoding, "gzip")
        response.fields.remove(.acceptRanges)
        response.fields.weakenEntityTag()
        return response
    }

    // MARK: Whether

    /// - Parameter whatever: The client takes nothing but gzip: then neither size nor type speaks against it.
    private func mayBeCompressed(_ response: Response, whatever: Bool) -> Bool {
        let fields = response.fields
        guard response.status.code >= 200, !response.status.forbidsBody, response.status != .partialContent,
            response.status != .resetContent, !fields.contains(.contentEncoding), !fields.contains(.contentRange),
            !fields.contains(.contentDigest), fields.allowTransformation, isWorthIt(response.body, whatever)
        else { return false }
        return unsafe whatever || fields.withFirst(.contentType) { unsafe MediaTypes.isCompressible($0) } == true
    }

    private func isWorthIt(_ body: ResponseBody, _ whatever: Bool) -> Bool {
        let length: UInt64?
        switch body {
        case .empty, .webSocket: return false
        case .literal(let text): length = UInt64(text.utf8CodeUnitCount)
        case .bytes(let bytes): length = UInt64(bytes.count)
        case .stream(let declared, _): length = declared
        case .upstream(let upstream): length = upstream.length
        }
        guard let length else { return true }
        return length > 0 && (whatever || length >= UInt64(limits.threshold.bytes))
    }

    /// A client whose copy is the compressed one holds the weak form of the handler's tag: the 304 has to name that.
    private func matchTag(of request: Request, in fields: inout HeaderFields) {
        guard let tag = fields.first(.eTag), !tag.hasPrefix("W/"),
            request.values(of: .ifNoneMatch).contains(where: { $0.contains("W/\(tag)") })
        else { return }
        fields.weakenEntityTag()
        fields.vary(on: .acceptEncoding)
    }

    // MARK: How

    /// - Returns: `nil` when the body is better sent as it is.
    private func compressed(_ body: ResponseBody, for request: Request) -> ResponseBody? {
        if request.method == .head {
            if case .upstream(let upstream) = body { upstream.discard() }
            return .empty
        }
        switch body {
        case .empty, .webSocket: return nil
        case .literal(let text):
            let bytes = unsafe UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
            return compressed(unsafe Array(bytes), request)
        case .bytes(let bytes): return compressed(bytes, request)
        case .stream(let declared, let write): return stream(declared, request, write)
        case .upstream(let upstream):
            return stream(upstream.length, request) { writer in
                do {
                    while let chunk = try await upstream.next() { try await writer.write(chunk) }
                } catch {
                    upstream.discard()
                    throw error
                }
            }
        }
    }

    private func compressed(_ bytes: [UInt8], _ request: Request) -> ResponseBody? {
        guard bytes.count > Self.oneShotLimit else {
            return compressors.value(on: request.loop).compress(bytes).map { .bytes($0) }
        }
        return stream(UInt64(bytes.count), request) { try await $0.write(bytes) }
    }

    private func stream(
        _ declared: UInt64?, _ request: Request, _ write: @escaping (BodyWriter) async throws -> Void
    ) -> ResponseBody? {
        guard let stream = GzipStream.make(level: min(max(limits.level, 1), 9), budget: budget) else { return nil }
        let loop = request.loop
        return .stream(length: nil) { writer in
            let compressing = GzipBodyWriter(stream, to: writer, on: loop, declared: declared)
            try await write(compressing)
            try await compressing.finish()
        }
    }
}

/// A loop's compressor for bodies in one piece, made with the first of them.
private final class OneShot {
    private let level: Int
    private var compressor: GzipCompressor?
    private var output = OutputBuffer(capacity: 16 << 10)

    init(level: Int) { self.level = level }

    /// - Returns: `nil` when the bytes do not shrink.
    func compress(_ bytes: [UInt8]) -> [UInt8]? {
        if compressor == nil { compressor = try? .make(level: level) }
        defer { output.removeAll() }
        let isSmaller = unsafe bytes.withUnsafeBytes { unsafe compressor?.compress($0, into: &output) }
        return isSmaller == true ? unsafe output.withUnsafeBytes { unsafe Array($0) } : nil
    }
}

extension HeaderFields {
    /// Whether intermediaries may change how the content is coded (RFC 9111 §5.2.2.6).
    fileprivate var allowTransformation: Bool {
        guard contains(.cacheControl) else { return true }
        return !all(.cacheControl).contains { value in
            unsafe Array(value.utf8).withUnsafeBytes { unsafe list($0, contains: "no-transform") }
        }
    }

    fileprivate mutating func weakenEntityTag() {
        guard let tag = first(.eTag), !tag.hasPrefix("W/") else { return }
        // The tag was a field value already.
        try? set(.eTag, checking: "W/\(tag)")
    }
}
