/// Takes a chunked body apart as it comes in (RFC 9112 §7.1).
///
/// Narrower than the RFC: no blanks anywhere in a size line, not even the "bad" ones of chunk extensions, and no line
/// ends but CR LF. Extensions are checked and dropped. Every byte that ``next(_:from:)`` passes is dealt with, so the
/// caller never has to keep a piece of the coding.
package struct ChunkedDecoder: Sendable {
    package enum Step: Equatable {
        /// All input is used up and the body goes on.
        case needMore
        /// These bytes of the input are body.
        case data(Range<Int>)
        /// The body and its trailer section are over; the offset is where the next message starts.
        case end
    }

    private enum State {
        case sizeStart, size, extensionName, extensionNameStart, extensionValueStart, extensionToken, extensionQuoted
        case extensionEscape, extensionEnd, sizeLineFeed, data, dataReturn, dataLineFeed, trailers, done
    }

    private let limits: ChunkLimits
    private var state = State.sizeStart
    private var digits = 0
    private var extensionBytes = 0
    private var remaining = 0
    private var trailerReader: TrailerReader

    package init(limits: ChunkLimits = ChunkLimits()) {
        self.limits = limits
        trailerReader = TrailerReader(limits: limits)
    }

    /// Ready for another body.
    package mutating func reset() { self = ChunkedDecoder(limits: limits) }

    /// The trailer fields that may be kept; complete at ``Step/end``. They are not fields of the head.
    package var trailers: HeaderFields { trailerReader.fields }

    /// Bytes of the current chunk that are still to come.
    package var remainingInChunk: Int { state == .data ? remaining : 0 }

    /// Accounts for body bytes that went another way than through ``next(_:from:)``, such as a splice.
    ///
    /// - Parameter count: At most ``remainingInChunk``.
    package mutating func skip(_ count: Int) {
        precondition(count >= 0 && count <= remainingInChunk, "skipped more than the chunk holds")
        remaining -= count
        if remaining == 0, state == .data { state = .dataReturn }
    }

    /// Takes the next step. Call until it answers ``Step/needMore`` or ``Step/end``.
    ///
    /// - Parameters:
    ///   - bytes: Input; a new buffer may be given at any time once the one before is used up.
    ///   - offset: Where to go on; moved past everything that was dealt with, data included.
    package mutating func next(
        _ bytes: UnsafeRawBufferPointer, from offset: inout Int
    ) throws(ChunkError) -> Step {
        let input = unsafe Input(bytes)
        while offset < input.count {
            switch state {
            case .data:
                let start = offset
                let count = min(remaining, input.count - offset)
                offset += count
                skip(count)
                return .data(start..<offset)
            case .trailers:
                guard try trailerReader.read(input, from: &offset) else { return .needMore }
                state = .done
                return .end
            case .done:
                return .end
            default:
                try advance(input[offset])
                offset += 1
            }
        }
        return state == .done ? .end : .needMore
    }

    /// The same over a span.
    package mutating func next(_ bytes: Span<UInt8>, from offset: inout Int) throws(ChunkError) -> Step {
        try unsafe bytes.withUnsafeBytes { (raw) throws(ChunkError) in try unsafe next(raw, from: &offset) }
    }

    /// One byte of the coding itself.
    private mutating func advance(_ octet: UInt8) throws(ChunkError) {
        switch state {
        case .sizeStart, .size: try readSize(octet)
        case .sizeLineFeed:
            guard octet == Octet.lineFeed else { throw .bareCarriageReturn }
            state = remaining == 0 ? .trailers : .data
        case .dataReturn:
            guard octet == Octet.carriageReturn else {
                throw octet == Octet.lineFeed ? .bareLineFeed : .missingDataEnd
            }
            state = .dataLineFeed
        case .dataLineFeed:
            guard octet == Octet.lineFeed else { throw .bareCarriageReturn }
            state = .sizeStart
            digits = 0
        default: try readExtension(octet)
        }
    }

    private mutating func readSize(_ octet: UInt8) throws(ChunkError) {
        guard Octet.isA(octet, Octet.hexadecimal) else {
            guard state == .size else { throw octet == Octet.lineFeed ? .bareLineFeed : .missingSize }
            return try endSize(octet)
        }
        digits += 1
        guard digits <= limits.sizeDigits, remaining <= Int.max >> 4 else { throw .sizeTooLarge }
        remaining = remaining << 4 | Int(Octet.hexValue(octet))
        state = .size
    }

    private mutating func endSize(_ octet: UInt8) throws(ChunkError) {
        switch octet {
        case Octet.carriageReturn: state = .sizeLineFeed
        case 0x3B: try startExtension()
        case Octet.lineFeed: throw .bareLineFeed
        default: throw .invalidSize(octet)
        }
    }

    private mutating func startExtension() throws(ChunkError) {
        try countExtension()
        state = .extensionNameStart
    }

    private mutating func countExtension() throws(ChunkError) {
        extensionBytes += 1
        guard extensionBytes <= limits.extensionBytes else {
            throw .extensionsTooLong(limit: limits.extensionBytes)
        }
    }

    /// `*( ";" token [ "=" ( token / quoted-string ) ] )`
    private mutating func readExtension(_ octet: UInt8) throws(ChunkError) {
        let isToken = Octet.isA(octet, Octet.token)
        switch state {
        case .extensionNameStart where isToken: state = .extensionName
        case .extensionName where isToken, .extensionToken where isToken: break
        case .extensionName where octet == 0x3D: state = .extensionValueStart
        case .extensionValueStart where isToken: state = .extensionToken
        case .extensionValueStart where octet == 0x22: state = .extensionQuoted
        case .extensionQuoted where octet == 0x22: state = .extensionEnd
        case .extensionQuoted where octet == 0x5C: state = .extensionEscape
        case .extensionQuoted where Octet.isA(octet, Octet.value): break
        case .extensionEscape where Octet.isA(octet, Octet.value): state = .extensionQuoted
        case .extensionName, .extensionToken, .extensionEnd: return try endExtension(octet)
        default: throw octet == Octet.lineFeed ? .bareLineFeed : .malformedExtension
        }
        try countExtension()
    }

    private mutating func endExtension(_ octet: UInt8) throws(ChunkError) {
        switch octet {
        case 0x3B: try startExtension()
        case Octet.carriageReturn: state = .sizeLineFeed
        case Octet.lineFeed: throw .bareLineFeed
        default: throw .malformedExtension
        }
    }
}

/// Reads the trailer section line by line, keeping only a line that came in part.
private struct TrailerReader: Sendable {
    private let limits: ChunkLimits
    // Why those of requests: nobody sends such trailers, and one decoder serves both ways.
    private let scanner = FieldScanner(names: NameIndex.shared, lookalikes: .ofRequests)
    private var line: [UInt8] = []
    private var bytesRead = 0
    private var fieldsRead = 0
    private(set) var fields = HeaderFields()

    init(limits: ChunkLimits) { self.limits = limits }

    /// - Returns: Whether the section is over; otherwise all input is used up.
    mutating func read(_ input: Input, from offset: inout Int) throws(ChunkError) -> Bool {
        while offset < input.count {
            let lineFeed = input.firstLineFeed(in: offset..<input.count)
            let piece = input[offset..<(lineFeed.map { $0 + 1 } ?? input.count)]
            bytesRead += piece.count
            guard bytesRead <= limits.trailerBytes else { throw .trailersTooLarge(limit: limits.trailerBytes) }
            offset += piece.count
            if lineFeed == nil || !line.isEmpty { unsafe line.append(contentsOf: piece.bytes) }
            guard lineFeed != nil else { return false }
            let isOver = line.isEmpty ? try readLine(piece) : try readKeptLine()
            if isOver { return true }
        }
        return false
    }

    private mutating func readKeptLine() throws(ChunkError) -> Bool {
        let kept = line
        line.removeAll(keepingCapacity: true)
        return try unsafe kept.span.withUnsafeBytes { (raw) throws(ChunkError) in try readLine(unsafe Input(raw)) }
    }

    /// - Returns: Whether this was the empty line.
    private mutating func readLine(_ input: Input) throws(ChunkError) -> Bool {
        let outcome: FieldScanner.Outcome
        do throws(HeadSyntaxError) {
            outcome = try scanner.line(input, from: 0, to: input.count, isFirst: fieldsRead == 0)
        } catch {
            throw .trailer(error)
        }
        switch outcome {
        case .end: return true
        case .incomplete: throw .trailer(.bareLineFeed)
        case .field(let field, _):
            fieldsRead += 1
            guard fieldsRead <= limits.trailerFields else {
                throw .trailer(.tooManyFields(limit: limits.trailerFields))
            }
            try keep(field, input)
            return false
        }
    }

    private mutating func keep(_ field: FieldRange, _ input: Input) throws(ChunkError) {
        switch KnownName(rawValue: field.id)?.asTrailer ?? unknownRule(input[field.name]) {
        case .refuse: throw .forbiddenTrailer
        case .drop: break
        case .keep: unsafe fields.append(field, from: input.bytes)
        }
    }

    /// Whatever else begins with `Content-` describes the body and comes too late.
    private func unknownRule(_ name: Input) -> KnownName.TrailerRule {
        let prefix = Input("content-")
        guard name.count >= prefix.count, name[0..<prefix.count].equalsIgnoringCase(prefix) else { return .keep }
        return .drop
    }
}
