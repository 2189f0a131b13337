/// Reads request heads (RFC 9112 §2 to §6), refusing everything that two readers could understand in two ways.
///
/// Stricter than the RFC demands, on purpose. Also refused are: methods in lower case (501); versions other than 1.1 and
/// 1.0 (505); a Content-Length that is repeated or has leading zeros, even when harmless; an empty Host, and hosts with
/// percent-encoding, sub-delimiters or an empty port; an absolute-form target that spells the authority of Host with
/// another port or dot; options of Connection that name an end-to-end field; names that spell a protected field with
/// underscores; `%00` and bad percent-encoding in the path. Taken beyond RFC 3986: `[ ] | ^` in the path and
/// `` ` { } \ `` in the query, which browsers send.
///
/// Allocates nothing but what a ``RequestHead`` needs to grow once.
package struct RequestParser: Sendable {
    private enum Pause { case done, incomplete, full }

    private let bounds: HeadBounds
    private let scanner = FieldScanner(names: NameIndex.shared, lookalikes: .ofRequests)
    private var progress = LineProgress()
    private var hasRequestLine = false

    package init(limits: HeadLimits = HeadLimits()) { bounds = HeadBounds(limits) }

    /// Forgets a head that was read in part. Needed after an error or an abandoned head, not after a complete one.
    package mutating func reset() {
        progress = LineProgress()
        hasRequestLine = false
    }

    /// Reads as much of the head as there is.
    ///
    /// When more bytes are needed, call again with the same bytes and more of them, and with the same `head`; lines
    /// that were complete are not read again. One empty line before the request line is skipped.
    ///
    /// - Parameter bytes: From the first byte of the request. What follows the head is not looked at.
    /// - Returns: Whether `head` is complete; its ``RequestHead/length`` says where the body starts, and the parser is
    ///   ready for the next request.
    /// - Throws: ``RequestError``. Neither the parser nor the connection can be used further; see ``reset()``. The
    ///   method is in `head` if that much could be read, as no response to HEAD may have content.
    package mutating func parse(
        _ bytes: UnsafeRawBufferPointer, into head: inout RequestHead
    ) throws(RequestError) -> Bool {
        let input = unsafe Input(bytes)
        if !hasRequestLine {
            // A refusal must not be framed for the method of the request before.
            head.method = .other
            guard try readRequestLine(input, into: &head) else { return false }
        }
        guard progress.mayGoOn(input, limit: fieldLimit(from: progress.lineStart)) else { return false }
        while true {
            switch try readFields(input, into: &head) {
            case .incomplete: return false
            case .full: head.fields.grow(upTo: bounds.fieldCount + 1)
            case .done:
                try head.conclude(input)
                reset()
                return true
            }
        }
    }

    /// The same over a span.
    package mutating func parse(_ bytes: Span<UInt8>, into head: inout RequestHead) throws(RequestError) -> Bool {
        try unsafe bytes.withUnsafeBytes { (raw) throws(RequestError) in try unsafe parse(raw, into: &head) }
    }

    @inline(__always)
    private func fieldLimit(from start: Int) -> Int { min(start &+ bounds.fieldLine, bounds.head) }

    @inline(__always)
    private mutating func readRequestLine(_ input: Input, into head: inout RequestHead) throws(RequestError) -> Bool {
        guard let start = try startOfRequest(input) else { return false }
        let limit = min(start &+ bounds.startLine, bounds.head)
        guard progress.mayGoOn(input, limit: limit) else { return false }
        head.prepare()
        let end = min(input.count, limit)
        guard let next = try head.readRequestLine(input, from: start, to: end) else {
            guard end < limit else { throw .requestLineTooLong(limit: bounds.startLine) }
            progress.pause(lineStart: start, at: end)
            return false
        }
        hasRequestLine = true
        progress.lineStart = next
        return true
    }

    /// Skips one empty line (RFC 9112 §2.2) and looks at the first byte.
    @inline(__always)
    private func startOfRequest(_ input: Input) throws(RequestError) -> Int? {
        guard input.count > 0 else { return nil }
        return input[0] > Octet.space ? 0 : try startAfterEmptyLine(input)
    }

    private func startAfterEmptyLine(_ input: Input) throws(RequestError) -> Int? {
        switch input[0] {
        case 0x16: throw .tlsHandshake
        case Octet.lineFeed: throw .syntax(.bareLineFeed)
        case Octet.carriageReturn: break
        default: return 0
        }
        guard input.count > 1 else { return nil }
        guard input[1] == Octet.lineFeed else { throw .syntax(.bareCarriageReturn) }
        guard input.count > 2 else { return nil }
        guard input[2] != Octet.carriageReturn, input[2] != Octet.lineFeed else { throw .emptyLinesBeforeRequest }
        return 2
    }

    /// Reads field lines until the empty one, the end of the input, or the end of the room for fields.
    @inline(__always)
    private mutating func readFields(_ input: Input, into head: inout RequestHead) throws(RequestError) -> Pause {
        var start = progress.lineStart
        var count = head.fields.count
        var seenLow: UInt64 = 0
        var seenHigh: UInt64 = 0
        var pause = Pause.full
        let minorVersion = head.minorVersion
        // Why copies: nothing else of the head may be touched while `entries` borrows it.
        var notes = head.notes
        var length = head.length
        var entries = head.fields.entries.mutableSpan
        let room = entries.count
        lines: while count < room {
            let limit = fieldLimit(from: start)
            let end = min(input.count, limit)
            switch try readLine(input, from: start, to: end, isFirst: count == 0) {
            case .field(let field, let next):
                guard count < bounds.fieldCount else { throw .syntax(.tooManyFields(limit: bounds.fieldCount)) }
                // Safe: `count < room`.
                unsafe entries[unchecked: count] = field
                count &+= 1
                if field.id < 64 { seenLow |= 1 << UInt64(field.id) } else { seenHigh |= 1 << UInt64(field.id & 63) }
                if field.id &- 1 < KnownName.lastSteering {
                    try notes.take(field, input, minorVersion: minorVersion, names: scanner.names)
                }
                start = next
            case .end(let next):
                length = next
                pause = .done
                break lines
            case .incomplete:
                guard end < limit else { throw .syntax(sizeFault(at: limit)) }
                progress.pause(lineStart: start, at: end)
                pause = .incomplete
                break lines
            }
        }
        if pause == .full { progress.lineStart = start }
        head.fields.count = count
        head.notes = notes
        head.length = length
        head.fields.markSeen(low: seenLow, high: seenHigh)
        return pause
    }

    @inline(__always)
    private func readLine(
        _ input: Input, from start: Int, to end: Int, isFirst: Bool
    ) throws(RequestError) -> FieldScanner.Outcome {
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

extension RequestHead {
    /// Draws the conclusions that need all fields.
    @inline(__always)
    mutating func conclude(_ input: Input) throws(RequestError) {
        try concludeHost(input)
        do throws(FramingError) {
            if try notes.steering.isChunked(minorVersion: minorVersion) {
                framing = .chunked
            } else if let length = notes.steering.contentLength {
                framing = .length(UInt64(length))
            } else {
                framing = .none
            }
        } catch {
            throw .framing(error)
        }
        keepAlive = notes.steering.keepsAlive(minorVersion: minorVersion)
        expectsContinue = notes.expectsContinue && framing.hasBody
        upgradesToWebSocket =
            notes.steering.offersWebSocket && notes.steering.connection.contains(.upgrade) && method == .get
            && minorVersion == 1
    }

    /// Exactly one Host, and no other authority than it (RFC 9112 §3.2.2).
    @inline(__always)
    private mutating func concludeHost(_ input: Input) throws(RequestError) {
        guard let host = notes.host else {
            guard minorVersion == 0 else { throw .missingHost }
            return
        }
        if form == .absolute || form == .authority {
            guard input[authorityRange].equalsIgnoringCase(input[host]) else { throw .hostMismatch }
        } else {
            authorityRange = host
        }
    }
}
