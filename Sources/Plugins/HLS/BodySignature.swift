import PluginKit

/// Tells a playlist from media by as little as possible: a body whose first bytes must be seen cannot be handed from
/// socket to socket inside the kernel.
enum BodySignature: Equatable {
    case playlist
    case media
    /// Neither media type nor path tells; the first bytes will.
    case unknown

    /// Enough for a byte order mark, `#EXTM3U` and what may follow it.
    static let length = 11

    init(contentType: String, path: ArraySlice<UInt8>) {
        let unread: [UInt8] = []
        if PlaylistSignature.isPlaylist(contentType: contentType.utf8, firstBytes: unread.span, path: path) {
            self = .playlist
        } else if Self.saysNothing(contentType), PathExtension.of(path) == nil {
            self = .unknown
        } else {
            self = .media
        }
    }

    /// The types that servers give to what they do not know.
    private static func saysNothing(_ contentType: String) -> Bool {
        let type = contentType.prefix { $0 != ";" && $0 != " " }.lowercased()
        return type.isEmpty || ["application/octet-stream", "binary/octet-stream", "text/plain"].contains(type)
    }
}

/// What stands behind the last dot of a path's last segment, when it looks like the name of a format. Players go by
/// it: ffmpeg refuses segments whose URL has none it knows.
enum PathExtension {
    private static let longest = 5

    static func of(_ path: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let dot = path.suffix(longest + 1).lastIndex(of: UInt8(ascii: ".")) else { return nil }
        let text = path[(dot + 1)...]
        guard !text.isEmpty, text.allSatisfy(isAlphanumeric) else { return nil }
        return text
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: false
        }
    }
}
