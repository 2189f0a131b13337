/// Where below a root a request's path leads: decoded, and unable to lead anywhere else.
struct StaticFilePath: Equatable, Sendable {
    /// Names joined by slashes, none at either end; empty for the root.
    let bytes: [UInt8]
    /// Whether the path ended with a slash, so that only a folder is meant.
    let isFolder: Bool

    /// - Parameters:
    ///   - encoded: What follows the prefix, percent-encoded, without a slash in front.
    ///   - showsHidden: Whether names that start with a dot are served. `.well-known` (RFC 8615) always is.
    /// - Returns: `nil` for what must not be looked for: dot segments, empty ones, hidden names, broken escapes, and
    ///   encoded separators or control characters.
    init?(encoded: some Sequence<UInt8>, showsHidden: Bool) {
        guard let decoded = Self.decode(encoded) else { return nil }
        var names = decoded.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        isFolder = names.last?.isEmpty ?? true
        if isFolder { names.removeLast() }
        for (place, name) in names.enumerated() {
            guard !name.isEmpty else { return nil }
            guard name.first == UInt8(ascii: ".") else { continue }
            guard !name.elementsEqual(".".utf8), !name.elementsEqual("..".utf8) else { return nil }
            guard showsHidden || (place == 0 && name.elementsEqual(".well-known".utf8)) else { return nil }
        }
        bytes = isFolder ? Array(decoded.dropLast()) : decoded
    }

    private static func decode(_ encoded: some Sequence<UInt8>) -> [UInt8]? {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(encoded.underestimatedCount)
        var rest = encoded.makeIterator()
        while var byte = rest.next() {
            if byte == UInt8(ascii: "%") {
                guard let high = rest.next().flatMap(nibble), let low = rest.next().flatMap(nibble) else { return nil }
                byte = high << 4 | low
                // A separator that came encoded is part of a name, and no name holds one.
                guard byte != UInt8(ascii: "/") else { return nil }
            }
            guard byte >= 0x20, byte != 0x7F, byte != UInt8(ascii: "\\") else { return nil }
            decoded.append(byte)
        }
        return decoded
    }

    private static func nibble(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
