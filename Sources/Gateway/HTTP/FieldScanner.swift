/// Reads the lines of a head or of a trailer section one at a time (RFC 9112 §5).
///
/// What a line is found to be depends only on the bytes up to where that is decided, never on how they arrived. So a
/// head that comes in pieces and one that comes whole are refused for the same reason.
struct FieldScanner: Sendable {
    enum Outcome {
        case field(FieldRange, next: Int)
        /// The empty line.
        case end(next: Int)
        /// The line runs up to the end of the window.
        case incomplete
    }

    /// Which names may not be spelt with underscores: `X_Forwarded_For` for `X-Forwarded-For`.
    enum Lookalikes: Sendable {
        /// Those that carry framing, routing, identity or credentials: the far end may take one for the real field.
        case ofRequests
        /// Those that frame the message. Servers do send `X_Request_Id` and the like, and no client trusts them.
        case ofResponses

        func include(_ name: KnownName) -> Bool {
            switch self {
            case .ofRequests: name.mustNotHaveLookalike
            case .ofResponses: name.mustNotHaveLookalikeInResponse
            }
        }
    }

    let names: NameIndex
    let lookalikes: Lookalikes

    /// - Parameters:
    ///   - start: The first byte of the line.
    ///   - end: Where to stop: the end of the input or a limit, whichever comes first.
    @inline(__always)
    func line(_ input: Input, from start: Int, to end: Int, isFirst: Bool) throws(HeadSyntaxError) -> Outcome {
        var index = start
        while index < end, Octet.isA(input[index], Octet.fieldName) { index &+= 1 }
        guard index < end else { return .incomplete }
        guard input[index] == 0x3A, index > start else {
            return try unusualLine(input, from: start, to: end, isFirst: isFirst)
        }
        let id = names.find(input[start..<index])
        return try value(input, of: start..<index, id: id, to: end)
    }

    /// From the colon, at the end of `name`, to the line end.
    @inline(__always)
    private func value(
        _ input: Input, of name: Range<Int>, id: UInt8, to end: Int
    ) throws(HeadSyntaxError) -> Outcome {
        var start = name.upperBound &+ 1
        while start < end, Input.isBlank(input[start]) { start &+= 1 }
        let stop = input.endOfValue(from: start, to: end)
        guard let next = try lineEnd(input, at: stop, to: end) else { return .incomplete }
        var last = stop
        while last > start, Input.isBlank(input[last &- 1]) { last &-= 1 }
        return .field(FieldRange(id: id, name: name, value: start..<last), next: next)
    }

    /// Where the next line starts; `nil` when `index` is too near the end of the window to tell.
    @inline(__always)
    private func lineEnd(_ input: Input, at index: Int, to end: Int) throws(HeadSyntaxError) -> Int? {
        guard index < end else { return nil }
        guard input[index] == Octet.carriageReturn else {
            throw input[index] == Octet.lineFeed ? .bareLineFeed : .invalidFieldValue(input[index])
        }
        guard index &+ 1 < end else { return nil }
        guard input[index &+ 1] == Octet.lineFeed else { throw .bareCarriageReturn }
        return index &+ 2
    }

    /// The empty line, a name with an underscore, or something to refuse.
    private func unusualLine(
        _ input: Input, from start: Int, to end: Int, isFirst: Bool
    ) throws(HeadSyntaxError) -> Outcome {
        if input[start] == Octet.carriageReturn {
            guard let next = try lineEnd(input, at: start, to: end) else { return .incomplete }
            return .end(next: next)
        }
        var index = start
        while index < end, Octet.isA(input[index], Octet.token) { index += 1 }
        guard index < end else { return .incomplete }
        guard input[index] == 0x3A, index > start else {
            throw fault(of: input[index], atStart: index == start, isFirst: isFirst)
        }
        let name = start..<index
        if isLookalike(input[name]) { throw .lookalikeFieldName }
        return try value(input, of: name, id: 0, to: end)
    }

    private func fault(of octet: UInt8, atStart: Bool, isFirst: Bool) -> HeadSyntaxError {
        switch octet {
        case 0x3A: .emptyFieldName
        case Octet.lineFeed: .bareLineFeed
        case Octet.carriageReturn: .missingColon
        case Octet.space, Octet.tab:
            if atStart { isFirst ? .leadingWhitespace : .foldedLine } else { .whitespaceBeforeColon }
        default: .invalidFieldName(octet)
        }
    }

    /// Whether `name` is a protected name with underscores in place of dashes. The name is short or it is not one.
    private func isLookalike(_ name: Input) -> Bool {
        guard name.count <= KnownName.longest else { return false }
        return unsafe withUnsafeTemporaryAllocation(byteCount: KnownName.longest, alignment: 8) { copy in
            for index in 0..<name.count { unsafe copy[index] = name[index] == 0x5F ? 0x2D : name[index] }
            let dashed = unsafe Input(UnsafeRawBufferPointer(rebasing: copy[..<name.count]))
            guard let known = KnownName(rawValue: names.find(dashed)) else { return false }
            return lookalikes.include(known)
        }
    }
}

/// How far a head that arrives in pieces has been read, so that no byte of it is looked at more than twice.
///
/// A line that came in part is read again only when a control character has come: a line end, or something to refuse.
/// So a line that is wrong in another way may be refused later than if it had come whole, but for the same reason.
struct LineProgress: Sendable {
    /// The first byte of the line that is being read.
    var lineStart = 0
    /// Up to here that line has been searched.
    private var searched = 0

    /// Whether there is reason to read on since ``pause(lineStart:at:)``.
    @inline(__always)
    mutating func mayGoOn(_ input: Input, limit: Int) -> Bool {
        searched <= lineStart || hasNews(input, limit: limit)
    }

    private mutating func hasNews(_ input: Input, limit: Int) -> Bool {
        let end = min(input.count, limit)
        guard end < limit, searched <= end else { return true }
        // Why one byte back: a carriage return there was waiting for its line feed.
        if input.endOfValue(from: searched - 1, to: end) < end { return true }
        searched = end
        return false
    }

    /// The line starting at `start` does not end within the first `count` bytes.
    @inline(__always)
    mutating func pause(lineStart start: Int, at count: Int) {
        lineStart = start
        searched = count
    }
}
