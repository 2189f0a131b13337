package import GatewayBytes

/// The `token` parameter of a query: reading it, leaving it out, hiding it.
///
/// The guides put tokens into URLs, and URLs are written to every log on the way. What leaves us has none.
package enum QueryToken {
    /// The query without its token parameters, for an upstream. Everything else stays byte for byte.
    ///
    /// - Returns: Empty when nothing remains; then the `?` goes too.
    package static func strip(_ query: Span<UInt8>) -> [UInt8] {
        var rest: [UInt8] = []
        var isFirst = true
        forEachPiece(of: query, separatedBy: UInt8(ascii: "&")) { piece in
            guard !isToken(piece.extracting(0..<nameLength(of: piece))) else { return }
            if !isFirst { rest.append(UInt8(ascii: "&")) }
            isFirst = false
            piece.withEach { rest.append($0) }
        }
        return rest
    }

    /// Whether ``strip(_:)`` would change anything.
    package static func isPresent(in query: Span<UInt8>) -> Bool {
        var present = false
        forEachParameter(of: query) { name, _ in if isToken(name) { present = true } }
        return present
    }

    /// Appends the query with the value of every parameter that may hold a credential replaced by `<redacted>`.
    ///
    /// Generous where reading is strict: any case, escaped names, also behind `;`, and names other systems use.
    package static func redact(_ query: Span<UInt8>, into output: inout OutputBuffer) {
        var isFirst = true
        forEachPiece(of: query, separatedBy: UInt8(ascii: "&")) { piece in
            if !isFirst { output.append(UInt8(ascii: "&")) }
            isFirst = false
            guard let value = secretStart(in: piece) else { return output.append(piece) }
            output.append(piece.extracting(0..<value))
            output.append("<redacted>" as StaticString)
        }
    }

    /// Where the first secret value in a piece begins; it is taken to reach to the piece's end.
    private static func secretStart(in piece: Span<UInt8>) -> Int? {
        var start = 0
        while start <= piece.count {
            var end = start
            while end < piece.count, piece[end] != UInt8(ascii: ";") { end += 1 }
            let parameter = piece.extracting(start..<end)
            let length = nameLength(of: parameter)
            if length < parameter.count, isSecret(parameter.extracting(0..<length)) { return start + length + 1 }
            start = end + 1
        }
        return nil
    }

    private static let secretNames = ["token", "access_token", "id_token", "refresh_token", "apikey", "jwt"]
        .map { Array($0.utf8) }

    private static func isSecret(_ name: Span<UInt8>) -> Bool {
        guard let name = percentDecoded(name) else { return false }
        let lower = name.map { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 ? $0 | 0x20 : $0 }
        return secretNames.contains(lower)
    }

    // MARK: Parameters

    static func forEachParameter(of query: Span<UInt8>, _ body: (Span<UInt8>, Span<UInt8>) -> Void) {
        forEachPiece(of: query, separatedBy: UInt8(ascii: "&")) { piece in
            let length = nameLength(of: piece)
            let value = min(length + 1, piece.count)
            body(piece.extracting(0..<length), piece.extracting(value..<piece.count))
        }
    }

    /// Whether a name is `token`, also when letters of it are escaped: an upstream would read it the same.
    static func isToken(_ name: Span<UInt8>) -> Bool {
        let word: StaticString = "token"
        guard name.count >= word.utf8CodeUnitCount else { return false }
        if name.count > word.utf8CodeUnitCount {
            guard let decoded = percentDecoded(name), decoded.count == word.utf8CodeUnitCount else { return false }
            return decoded == Array("token".utf8)
        }
        for place in name.indices where unsafe name[place] != word.utf8Start[place] { return false }
        return true
    }

    /// - Returns: `nil` when a `%` is not followed by two hexadecimal digits.
    package static func percentDecoded(_ text: Span<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var place = 0
        while place < text.count {
            if text[place] == UInt8(ascii: "%") {
                guard place + 2 < text.count, let high = digit(text[place + 1]), let low = digit(text[place + 2])
                else { return nil }
                bytes.append(high << 4 | low)
                place += 3
            } else {
                bytes.append(text[place])
                place += 1
            }
        }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func nameLength(of parameter: Span<UInt8>) -> Int {
        var end = 0
        while end < parameter.count, parameter[end] != UInt8(ascii: "=") { end += 1 }
        return end
    }

    private static func forEachPiece(
        of query: Span<UInt8>, separatedBy separator: UInt8, _ body: (Span<UInt8>) -> Void
    ) {
        var start = 0
        // Up to the count itself: behind a separator at the end stands one more piece, an empty one.
        while start <= query.count {
            var end = start
            while end < query.count, query[end] != separator { end += 1 }
            body(query.extracting(start..<end))
            start = end + 1
        }
    }
}

extension Span<UInt8> {
    fileprivate func withEach(_ body: (UInt8) -> Void) {
        for place in indices { body(self[place]) }
    }
}
