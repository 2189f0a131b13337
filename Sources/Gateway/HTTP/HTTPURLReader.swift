/// What is known of a URL once its authority has been read.
struct HTTPURLAuthority {
    let scheme: HTTPURL.Scheme
    var port: UInt16
    var address: IPAddress?
    /// Where the host ends in the canonical bytes.
    var hostEnd: Int
}

/// Turns text into a canonical ``HTTPURL``: one array for the result, every input byte looked at a fixed number of
/// times.
enum HTTPURLReader {
    /// - Parameter base: What a relative reference is resolved against; `nil` refuses one.
    static func read(
        _ given: Span<UInt8>, relativeTo base: HTTPURL?, as spelling: HTTPURL.Spelling, limit: Int
    ) throws(HTTPURLError) -> HTTPURL {
        guard given.count <= limit else { throw .tooLong(limit: limit) }
        let text = given.extracting(spelling == .lenient ? withoutBlanks(given) : 0..<given.count)
        let parts = URIReference(text)
        let scheme = try scheme(of: text, parts, relativeTo: base)

        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count + (base?.pathEnd ?? 0) + 8)
        let authority: HTTPURLAuthority
        let inherited: HTTPURL?
        if let place = parts.authority {
            bytes.append(contentsOf: scheme == .http ? "http://".utf8 : "https://".utf8)
            authority = try readAuthority(text.extracting(place), scheme: scheme, into: &bytes)
            inherited = nil
        } else {
            guard let base, parts.scheme == nil else { throw .missingHost }
            bytes.append(contentsOf: base.originBytes)
            authority = HTTPURLAuthority(scheme: scheme, port: base.port, address: base.address, hostEnd: base.hostEnd)
            inherited = base
        }

        let pathStart = bytes.count
        let pathEnd = try appendPath(of: text, parts, inheriting: inherited, to: &bytes, as: spelling)
        if let query = parts.query {
            bytes.append(UInt8(ascii: "?"))
            try append(text.extracting(query), to: &bytes, inQuery: true, as: spelling)
        } else if parts.path.isEmpty, let query = inherited?.query {
            bytes.append(UInt8(ascii: "?"))
            bytes.append(contentsOf: query)
        }
        guard bytes.count <= limit else { throw .tooLong(limit: limit) }
        return HTTPURL(bytes: bytes, authority: authority, pathStart: pathStart, pathEnd: pathEnd)
    }

    private static func withoutBlanks(_ text: Span<UInt8>) -> Range<Int> {
        func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        var start = 0
        var end = text.count
        while start < end, isBlank(text[start]) { start += 1 }
        while start < end, isBlank(text[end - 1]) { end -= 1 }
        return start..<end
    }

    private static func scheme(
        of text: Span<UInt8>, _ parts: URIReference, relativeTo base: HTTPURL?
    ) throws(HTTPURLError) -> HTTPURL.Scheme {
        guard let place = parts.scheme else {
            guard let base else { throw .missingScheme }
            return base.scheme
        }
        var name: [UInt8] = []
        // Letters in either case, digits, `+`, `-` and `.` all survive the bit that lower-cases a letter.
        for place in place.prefix(32) { name.append(text[place] | 0x20) }
        if name.elementsEqual("https".utf8) { return .https }
        if name.elementsEqual("http".utf8) { return .http }
        throw .unsupportedScheme(String(decoding: name, as: UTF8.self))
    }

    /// Appends the merged path (RFC 3986 §5.2.2 and §5.2.3) and returns where it ends.
    private static func appendPath(
        of text: Span<UInt8>, _ parts: URIReference, inheriting base: HTTPURL?, to bytes: inout [UInt8],
        as spelling: HTTPURL.Spelling
    ) throws(HTTPURLError) -> Int {
        let start = bytes.count
        let isRooted = !parts.path.isEmpty && text[parts.path.lowerBound] == UInt8(ascii: "/")
        if parts.path.isEmpty {
            bytes.append(contentsOf: base?.path ?? [UInt8(ascii: "/")])
            return bytes.count
        }
        if let base, !isRooted {
            bytes.append(contentsOf: base.path)
            while let last = bytes.last, last != UInt8(ascii: "/") { bytes.removeLast() }
        }
        try append(text.extracting(parts.path), to: &bytes, inQuery: false, as: spelling)
        URIReference.removeDotSegments(&bytes, from: start)
        return bytes.count
    }

    /// Appends bytes of a path or a query, refusing or encoding those that may not stand there.
    static func append(
        _ text: Span<UInt8>, to bytes: inout [UInt8], inQuery isQuery: Bool, as spelling: HTTPURL.Spelling
    ) throws(HTTPURLError) {
        for place in text.indices {
            let byte = text[place]
            switch byte {
            case UInt8(ascii: "%"):
                let isEncoding =
                    place + 2 < text.count && URIReference.hexadecimalDigit(text[place + 1]) != nil
                    && URIReference.hexadecimalDigit(text[place + 2]) != nil
                if isEncoding {
                    bytes.append(byte)
                } else if spelling == .lenient {
                    appendEncoded(byte, to: &bytes)
                } else {
                    throw .invalidPercentEncoding
                }
            case UInt8(ascii: " "), UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "^"),
                UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "}"), 0x80...0xFF:
                guard spelling == .lenient else { throw .forbiddenByte(byte) }
                appendEncoded(byte, to: &bytes)
            case UInt8(ascii: "\\") where isQuery && spelling == .lenient:
                // In a path some read it as a slash; in a query it separates nothing.
                appendEncoded(byte, to: &bytes)
            case 0...0x1F, 0x7F, UInt8(ascii: "\\"), UInt8(ascii: "#"):
                throw .forbiddenByte(byte)
            default:
                // `|`, `[` and `]` among them: not in RFC 3986's query, but every browser sends them as they are and
                // signed URLs count on it.
                bytes.append(byte)
            }
        }
    }

    private static func appendEncoded(_ byte: UInt8, to bytes: inout [UInt8]) {
        func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }
        bytes.append(UInt8(ascii: "%"))
        bytes.append(digit(byte >> 4))
        bytes.append(digit(byte & 0xF))
    }
}
