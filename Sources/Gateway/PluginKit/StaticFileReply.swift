/// One answer with one file: the whole, a part, several parts, or that the client's copy is good.
struct StaticFileReply {
    let file: StaticFile
    let request: Request
    let limits: StaticFileLimits

    func response() throws -> Response {
        let now = WallClock.read().seconds
        let head = request.head
        let bytes = unsafe request.headBytes
        switch unsafe head.preconditions(in: bytes, for: file.validators, now: now) {
        case .notModified: return Response(status: .notModified, fields: file.notModifiedFields)
        case .failed:
            throw GatewayFault(
                .preconditionFailed, "precondition_failed", "The file is not in the state that the request asks for.",
                fields: file.notModifiedFields)
        case .proceed: break
        }
        switch unsafe head.selection(
            in: bytes, of: file.size, for: file.validators, now: now, limit: limits.ranges)
        {
        case .whole: return whole
        case .unsatisfiable: throw unsatisfiable
        case .parts(let parts) where parts.count == 1: return try part(parts[0])
        // Whether Content-Encoding would speak of the parts or of what frames them, nobody agrees on.
        case .parts where file.isCompressed: return whole
        case .parts(let parts): return try several(parts)
        }
    }

    private var whole: Response { Response(fields: file.fields, body: body(of: [.file(0..<file.size)], file.size)) }

    private func part(_ part: Range<UInt64>) throws -> Response {
        var fields = file.fields
        try fields.append(.contentRange, checking: ContentRange.value(part, of: file.size))
        return Response(
            status: .partialContent, fields: fields, body: body(of: [.file(part)], UInt64(part.count)))
    }

    private func several(_ parts: [Range<UInt64>]) throws -> Response {
        let boundary =
            String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
        let frame = MultipartRanges(parts, of: file.size, partType: file.type, boundary: boundary)
        var fields = file.fields
        try fields.set(.contentType, checking: frame.contentType)
        var pieces: [Piece] = []
        for place in parts.indices { pieces += [.bytes(frame.lead(place)), .file(parts[place])] }
        pieces.append(.bytes(frame.end))
        return Response(status: .partialContent, fields: fields, body: body(of: pieces, frame.byteCount))
    }

    private var unsatisfiable: GatewayFault {
        var fields = HeaderFields()
        // Digits only.
        try? fields.append(.contentRange, checking: ContentRange.unsatisfied(length: file.size))
        return GatewayFault(
            .rangeNotSatisfiable, "range_not_satisfiable",
            "The file has \(file.size) bytes, none of them in the range.",
            fields: fields)
    }

    // MARK: Body

    /// What a body is put together of.
    enum Piece: Sendable {
        case bytes([UInt8])
        case file(Range<UInt64>)
    }

    private func body(of pieces: [Piece], _ length: UInt64) -> ResponseBody {
        switch file.content {
        case .memory(let content):
            if pieces.count == 1, length == file.size { return .bytes(content) }
            var body: [UInt8] = []
            body.reserveCapacity(Int(length))
            for piece in pieces {
                switch piece {
                case .bytes(let bytes): body += bytes
                case .file(let range): body += content[Int(range.lowerBound)..<Int(range.upperBound)]
                }
            }
            return .bytes(body)
        case .open(let file):
            let source = StaticFileSource(file: file, loop: request.loop, chunk: limits.chunk.bytes)
            return .stream(length: length) { writer in
                for piece in pieces {
                    switch piece {
                    case .bytes(let bytes): try await writer.write(bytes)
                    case .file(let range): try await source.send(range, to: writer)
                    }
                }
            }
        }
    }
}

/// Reads a large file as fast as its client takes it.
struct StaticFileSource {
    let file: OpenFile
    let loop: EventLoop
    let chunk: Int

    /// After so many bytes that never had to wait, the loop's other connections have their turn.
    private static let turnBytes = 1 << 20

    /// - Throws: ``Shortened`` when the file has lost bytes since it was opened, ``SystemError``, ``WorkerPool/Busy``,
    ///   and what `writer` throws.
    func send(_ range: Range<UInt64>, to writer: any BodyWriter) async throws {
        var place = range.lowerBound
        var sinceTurn = 0
        while place < range.upperBound {
            let count = Int(min(UInt64(chunk), range.upperBound - place))
            let bytes = try await read(at: place, count: count)
            guard !bytes.isEmpty else { throw Shortened() }
            place += UInt64(bytes.count)
            try await writer.write(bytes)
            sinceTurn += bytes.count
            guard sinceTurn >= Self.turnBytes else { continue }
            sinceTurn = 0
            await loop.nextTurn()
        }
    }

    private func read(at place: UInt64, count: Int) async throws -> [UInt8] {
        if let bytes = file.readFromMemory(at: place, count: count) { return bytes }
        let file = file
        return try await loop.offload("static file") { try file.read(at: place, count: count) }
    }

    struct Shortened: Error, CustomStringConvertible {
        var description: String { "the file was cut while it was being sent" }
    }
}
