/// Reads response heads for the upstream client (RFC 9112 §4), as strict as ``RequestParser`` wherever framing is
/// concerned. Three liberties: the space after the status may be missing when there is no reason phrase; Connection may
/// name Transfer-Encoding (RFC 9110 §7.6.1); and only names that frame the message may not be spelt with underscores.
package struct ResponseParser: Sendable {
    private enum Pause { case done, incomplete, full }

    private let bounds: HeadBounds
    private let scanner = FieldScanner(names: NameIndex.shared, lookalikes: .ofResponses)
    private var progress = LineProgress()
    private var hasStatusLine = false

    package init(limits: HeadLimits = HeadLimits()) { bounds = HeadBounds(limits) }

    /// Forgets a head that was read in part. Needed after an error or an abandoned head, not after a complete one.
    package mutating func reset() {
        progress = LineProgress()
        hasStatusLine = false
    }

    /// Reads as much of the head as there is. When more bytes are needed, call again with the same bytes and more of
    /// them, and with the same `head`.
    ///
    /// An interim response (``ResponseHead/isInterim``) is a head like any other: drop its bytes and parse on. How many
    /// of them are too many is the caller's to say.
    ///
    /// - Parameters:
    ///   - bytes: From the first byte of the response.
    ///   - method: That of the request this answers, since it decides whether there is a body.
    /// - Returns: Whether `head` is complete.
    package mutating func parse(
        _ bytes: UnsafeRawBufferPointer, answering method: Method, into head: inout ResponseHead
    ) throws(ResponseError) -> Bool {
        let input = unsafe Input(bytes)
        if !hasStatusLine {
            guard try readStatusLine(input, into: &head) else { return false }
        }
        guard progress.mayGoOn(input, limit: fieldLimit(from: progress.lineStart)) else { return false }
        while true {
            switch try readFields(input, into: &head) {
            case .incomplete: return false
            case .full: head.fields.grow(upTo: bounds.fieldCount + 1)
            case .done:
                try head.conclude(answering: method)
                reset()
                return true
            }
        }
    }

    /// The same over a span.
    package mutating func parse(
        _ bytes: Span<UInt8>, answering method: Method, into head: inout ResponseHead
    ) throws(ResponseError) -> Bool {
        try unsafe bytes.withUnsafeBytes { (raw) throws(ResponseError) in
            try unsafe parse(raw, answering: method, into: &head)
        }
    }

    @inline(__always)
    private func fieldLimit(from start: Int) -> Int { min(start &+ bounds.fieldLine, bounds.head) }

    private mutating func readStatusLine(_ input: Input, into head: inout ResponseHead) throws(ResponseError) -> Bool {
        let limit = min(bounds.startLine, bounds.head)
        guard progress.mayGoOn(input, limit: limit) else { return false }
        head.prepare()
        let end = min(input.count, limit)
        guard let next = try head.readStatusLine(input, to: end) else {
            guard end < limit else { throw .statusLineTooLong(limit: bounds.startLine) }
            progress.pause(lineStart: 0, at: end)
            return false
        }
        hasStatusLine = true
        progress.lineStart = next
        return true
    }

    /// Reads field lines until the empty one, the end of the input, or the end of the room for fields.
    private mutating func readFields(_ input: Input, into head: inout ResponseHead) throws(ResponseError) -> Pause {
        var start = progress.lineStart
        while head.fields.count < head.fields.entries.count {
            let limit = fieldLimit(from: start)
            let end = min(input.count, limit)
            switch try readLine(input, from: start, to: end, isFirst: head.fields.isEmpty) {
            case .field(let field, let next):
                guard head.fields.count < bounds.fieldCount else {
                    throw .syntax(.tooManyFields(limit: bounds.fieldCount))
                }
                head.fields.add(field)
                if field.id &- 1 < KnownName.lastSteering {
                    try head.note(field, input, names: scanner.names)
                }
                start = next
            case .end(let next):
                head.length = next
                return .done
            case .incomplete:
                guard end < limit else { throw .syntax(sizeFault(at: limit)) }
                progress.pause(lineStart: start, at: end)
                return .incomplete
            }
        }
        progress.lineStart = start
        return .full
    }

    @inline(__always)
    private func readLine(
        _ input: Input, from start: Int, to end: Int, isFirst: Bool
    ) throws(ResponseError) -> FieldScanner.Outcome {
        do throws(HeadSyntaxError) {
            return try scanner.line(input, from: start, to: end, isFirst: isFirst)
        } catch {
            throw .syntax(error)
        }
    }

    private func sizeFault(at limit: Int) -> HeadSyntaxError {
        limit == bounds.head ? .headTooLarge(limit: bounds.head) : .fieldLineTooLong(limit: bounds.fieldLine)
    }
}

extension ResponseHead {
    /// `HTTP-version SP 3DIGIT [ SP reason ] CRLF`; `nil` when the window ends first.
    mutating func readStatusLine(_ input: Input, to end: Int) throws(ResponseError) -> Int? {
        let version = Input("HTTP/1.1 ")
        for index in 0..<version.count {
            guard index < end else { return nil }
            switch index {
            case 5, 7: guard input[index] &- 0x30 < 10 else { throw .malformedVersion }
            default: guard input[index] == version[index] else { throw .malformedVersion }
            }
        }
        guard input[5] == 0x31, input[7] <= 0x31 else { throw .unsupportedVersion }
        minorVersion = input[7] & 1
        return try readStatus(input, from: version.count, to: end)
    }

    private mutating func readStatus(_ input: Input, from start: Int, to end: Int) throws(ResponseError) -> Int? {
        var code = 0
        for index in start..<start + 3 {
            guard index < end else { return nil }
            guard input[index] &- 0x30 < 10 else { throw .malformedStatus }
            code = code * 10 + Int(input[index] & 0x0F)
        }
        guard let status = Status(code: code) else { throw .malformedStatus }
        self.status = status
        var index = start + 3
        guard index < end else { return nil }
        if input[index] == Octet.space { index += 1 } else if input[index] &- 0x30 < 10 { throw .malformedStatus }
        return try readReason(input, from: index, hasSpace: index > start + 3, to: end)
    }

    private mutating func readReason(
        _ input: Input, from start: Int, hasSpace: Bool, to end: Int
    ) throws(ResponseError) -> Int? {
        let stop = hasSpace ? input.endOfValue(from: start, to: end) : start
        guard stop < end else { return nil }
        switch input[stop] {
        case Octet.carriageReturn: break
        case Octet.lineFeed: throw .syntax(.bareLineFeed)
        case let octet: throw hasSpace ? .invalidReason(octet) : .malformedStatus
        }
        guard stop + 1 < end else { return nil }
        guard input[stop + 1] == Octet.lineFeed else { throw .syntax(.bareCarriageReturn) }
        reasonRange = ByteRange(start, stop)
        return stop + 2
    }

    /// Takes in a field that steers.
    mutating func note(_ field: FieldRange, _ input: Input, names: NameIndex) throws(ResponseError) {
        do throws(FramingError) {
            try steering.read(KnownName(rawValue: field.id), input[field.value], names: names)
        } catch {
            throw .framing(error)
        }
    }

    /// Where the body ends (RFC 9112 §6.3), in the order of that section.
    mutating func conclude(answering method: Method) throws(ResponseError) {
        let isChunked: Bool
        do throws(FramingError) {
            isChunked = try steering.isChunked(minorVersion: minorVersion)
        } catch {
            throw .framing(error)
        }
        let announcesBody = isChunked || (steering.contentLength ?? 0) > 0
        keepAlive = steering.keepsAlive(minorVersion: minorVersion)
        declaredLength = steering.contentLength.map { UInt64($0) }

        if status.isInformational {
            guard !announcesBody else { throw .interimWithBody }
            framing = status == .switchingProtocols ? .tunnel : .none
        } else if method == .connect, status.isSuccess {
            framing = .tunnel
        } else if method == .head || status.forbidsBody {
            framing = .none
            // A 204 that announces a body may also send it; nothing after it can be trusted.
            if status == .noContent, announcesBody { keepAlive = false }
        } else if isChunked {
            framing = .chunked
        } else if let declaredLength {
            framing = .length(declaredLength)
        } else {
            framing = .untilClose
        }
        if framing == .untilClose || framing == .tunnel { keepAlive = false }
    }
}
