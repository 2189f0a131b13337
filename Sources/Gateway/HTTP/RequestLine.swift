/// `method SP request-target SP HTTP-version CRLF` (RFC 9112 §3), read in one pass.
///
/// Each function takes where to start and where to stop, and returns where it ended; `nil` means that the window ended
/// first. Nothing is kept of an incomplete line: it is read again from its start.
extension RequestHead {
    private static let longestMethod = 32

    @inline(__always)
    mutating func readRequestLine(_ input: Input, from start: Int, to end: Int) throws(RequestError) -> Int? {
        guard let space = try readMethod(input, from: start, to: end) else { return nil }
        guard let stop = try readTarget(input, from: space &+ 1, to: end) else { return nil }
        guard stop < end else { return nil }
        guard input[stop] == Octet.space else { throw Self.targetFault(input[stop]) }
        targetRange = ByteRange(space &+ 1, stop)
        guard let next = try readVersion(input, from: stop &+ 1, to: end) else { return nil }
        // Not before the version is known: the preface of HTTP/2 is `PRI * HTTP/2.0`, and that is about the version.
        guard form != .asterisk || method == .options else { throw .asteriskWithoutOptions }
        return next
    }

    @inline(__always)
    private mutating func readMethod(_ input: Input, from start: Int, to end: Int) throws(RequestError) -> Int? {
        var packed: UInt64 = 0
        var index = start
        let stop = min(end, start &+ Self.longestMethod)
        while index < stop, Octet.isA(input[index], Octet.method) {
            packed = packed << 8 | UInt64(input[index])
            index &+= 1
        }
        guard index < end else { return nil }
        guard input[index] == Octet.space, index > start else { throw Self.methodFault(input[index]) }
        method = Method(packed: packed)
        methodRange = ByteRange(start, index)
        return index
    }

    private static func methodFault(_ octet: UInt8) -> RequestError {
        switch octet {
        case Octet.space, Octet.carriageReturn: .malformedRequestLine
        case Octet.lineFeed: .syntax(.bareLineFeed)
        case _ where Octet.isA(octet, Octet.token): .unsupportedMethod
        default: .invalidMethod(octet)
        }
    }

    private static func targetFault(_ octet: UInt8) -> RequestError {
        switch octet {
        case Octet.carriageReturn, Octet.lineFeed: .missingVersion
        case 0x23: .fragmentInTarget
        case Octet.space: .malformedRequestLine
        default: .invalidTarget(octet)
        }
    }

    @inline(__always)
    private mutating func readTarget(_ input: Input, from start: Int, to end: Int) throws(RequestError) -> Int? {
        guard start < end else { return nil }
        guard input[start] == 0x2F, method != .connect else {
            return try readUnusualTarget(input, from: start, to: end)
        }
        form = .origin
        return try readPath(input, from: start, to: end)
    }

    /// Path and query. The path loop stops at each slash and percent sign: that is where a path stops being plain.
    @inline(__always)
    private mutating func readPath(_ input: Input, from start: Int, to end: Int) throws(RequestError) -> Int? {
        var index = start
        while true {
            while index < end, Octet.isA(input[index], Octet.path) { index &+= 1 }
            guard index < end else { return nil }
            if input[index] == 0x2F {
                index &+= 1
                guard index < end else { return nil }
                if input[index] == 0x2F || input[index] == 0x2E { pathIsPlain = false }
            } else if input[index] == 0x25 {
                guard let next = try readPercent(input, from: index, to: end) else { return nil }
                index = next
            } else {
                break
            }
        }
        pathRange = ByteRange(start, index)
        guard input[index] == 0x3F else { return index }
        let queryStart = index &+ 1
        index = queryStart
        while index < end, Octet.isA(input[index], Octet.query) { index &+= 1 }
        queryOrEmpty = ByteRange(queryStart, index)
        hasQuery = true
        return index
    }

    private mutating func readPercent(_ input: Input, from start: Int, to end: Int) throws(RequestError) -> Int? {
        pathIsPlain = false
        for index in start + 1...start + 2 {
            guard index < end else { return nil }
            guard Octet.isA(input[index], Octet.hexadecimal) else { throw .invalidPercentEncoding }
        }
        guard input[start + 1] != 0x30 || input[start + 2] != 0x30 else { throw .encodedNUL }
        return start + 3
    }

    private mutating func readUnusualTarget(_ input: Input, from start: Int, to end: Int) throws(RequestError) -> Int? {
        if method == .connect { return try readAuthorityForm(input, from: start, to: end) }
        if input[start] == 0x2A {
            form = .asterisk
            return start + 1
        }
        return try readAbsoluteForm(input, from: start, to: end)
    }

    private mutating func readAuthorityForm(_ input: Input, from start: Int, to end: Int) throws(RequestError) -> Int? {
        guard let stop = endOfAuthority(input, from: start, to: end) else { return nil }
        guard stop > start else {
            throw input[start] == 0x2F ? .connectWithoutPort : Self.targetFault(input[start])
        }
        try checkTargetAuthority(input, start..<stop)
        guard Authority.hasPort(input[start..<stop]) else { throw .connectWithoutPort }
        form = .authority
        return stop
    }

    private mutating func readAbsoluteForm(_ input: Input, from start: Int, to end: Int) throws(RequestError) -> Int? {
        var index = start
        while index < end, Octet.isA(input[index], Octet.unreserved) { index += 1 }
        guard index < end else { return nil }
        guard index > start, input[index] == 0x3A else {
            throw index == start ? Self.targetFault(input[index]) : .unsupportedTargetForm
        }
        let scheme = input[start..<index]
        guard scheme.equalsIgnoringCase("http") || scheme.equalsIgnoringCase("https") else { throw .unsupportedScheme }
        for _ in 0..<2 {
            index += 1
            guard index < end else { return nil }
            guard input[index] == 0x2F else { throw .unsupportedTargetForm }
        }
        let authority = index + 1
        guard let stop = endOfAuthority(input, from: authority, to: end) else { return nil }
        try checkTargetAuthority(input, authority..<stop)
        form = .absolute
        return try readPath(input, from: stop, to: end)
    }

    /// Where a byte stands that ends an authority: of the path, of the query, of the target, or one that is wrong.
    private func endOfAuthority(_ input: Input, from start: Int, to end: Int) -> Int? {
        var index = start
        while index < end {
            let octet = input[index]
            guard Octet.isA(octet, Octet.query), octet != 0x2F, octet != 0x3F else { return index }
            index += 1
        }
        return nil
    }

    private mutating func checkTargetAuthority(_ input: Input, _ range: Range<Int>) throws(RequestError) {
        do throws(AuthorityError) {
            try Authority.check(input[range])
        } catch {
            throw .invalidTargetAuthority(error)
        }
        authorityRange = ByteRange(range.lowerBound, range.upperBound)
    }

    @inline(__always)
    private mutating func readVersion(_ input: Input, from start: Int, to end: Int) throws(RequestError) -> Int? {
        let http11: UInt64 = 0x312E_312F_5054_5448
        guard start &+ 10 <= end, input.word(at: start) == http11, input[start &+ 8] == Octet.carriageReturn,
            input[start &+ 9] == Octet.lineFeed
        else { return try readUnusualVersion(input, from: start, to: end) }
        minorVersion = 1
        return start &+ 10
    }

    private mutating func readUnusualVersion(
        _ input: Input, from start: Int, to end: Int
    ) throws(RequestError) -> Int? {
        let prefix = Input("HTTP/")
        for offset in 0..<prefix.count {
            guard start + offset < end else { return nil }
            guard input[start + offset] == prefix[offset] else {
                throw input[start + offset] == Octet.space ? .malformedRequestLine : .malformedVersion
            }
        }
        let major = start + prefix.count
        for offset in 0..<3 {
            guard major + offset < end else { return nil }
            let octet = input[major + offset]
            guard offset == 1 ? octet == 0x2E : octet &- 0x30 < 10 else { throw .malformedVersion }
        }
        guard let next = try readLineEnd(input, from: major + 3, to: end) else { return nil }
        guard input[major] == 0x31, input[major + 2] <= 0x31 else { throw .unsupportedVersion }
        minorVersion = input[major + 2] & 1
        return next
    }

    private func readLineEnd(_ input: Input, from start: Int, to end: Int) throws(RequestError) -> Int? {
        guard start < end else { return nil }
        guard input[start] == Octet.carriageReturn else {
            throw input[start] == Octet.lineFeed ? .syntax(.bareLineFeed) : .malformedVersion
        }
        guard start + 1 < end else { return nil }
        guard input[start + 1] == Octet.lineFeed else { throw .syntax(.bareCarriageReturn) }
        return start + 2
    }
}
