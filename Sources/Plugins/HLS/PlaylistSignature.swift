/// How a playlist is told from other bodies.
package enum PlaylistSignature {
    /// Whether a response is an HLS playlist: its media type says so, or its path ends in `.m3u8` or `.m3u`, or its
    /// first bytes are `#EXTM3U`.
    ///
    /// - Parameter contentType: The value of the Content-Type field; empty when there is none.
    /// - Parameter firstBytes: The body from its beginning, as much as is there; ten bytes are enough.
    /// - Parameter path: The final URL's path.
    package static func isPlaylist(
        contentType: some Collection<UInt8>, firstBytes: Span<UInt8>, path: ArraySlice<UInt8>
    ) -> Bool {
        hasSuffix(path) || saysPlaylist(contentType) || start(in: firstBytes) != nil
    }

    /// Where `#EXTM3U` begins, behind a byte order mark; `nil` when the text starts with anything else.
    static func start(in text: Span<UInt8>) -> Int? {
        let start = text.count >= 3 && text[0] == 0xEF && text[1] == 0xBB && text[2] == 0xBF ? 3 : 0
        let end = start + header.count
        guard text.count >= end, text.matches(start..<end, header) else { return nil }
        guard end < text.count else { return start }
        // Some write attributes of their own behind the tag.
        return [0x0A, 0x0D, 0x20, 0x09].contains(text[end]) ? start : nil
    }

    /// Whether a path ends as playlists do, in either case.
    package static func hasSuffix(_ path: ArraySlice<UInt8>) -> Bool {
        ends(path, with: ".m3u8") || ends(path, with: ".m3u")
    }

    private static func ends(_ path: ArraySlice<UInt8>, with suffix: String) -> Bool {
        guard path.count >= suffix.utf8.count else { return false }
        return zip(path.suffix(suffix.utf8.count), suffix.utf8).allSatisfy { lowerCased($0) == $1 }
    }

    /// `application/vnd.apple.mpegurl`, `application/x-mpegURL`, `audio/mpegurl` and their kin.
    private static func saysPlaylist(_ contentType: some Collection<UInt8>) -> Bool {
        var matched = 0
        for byte in contentType.prefix(256) {
            let byte = lowerCased(byte)
            // The word's first letter occurs in it once, so a mismatch can only begin it anew.
            matched = byte == word[matched] ? matched + 1 : byte == word[0] ? 1 : 0
            if matched == word.count { return true }
        }
        return false
    }

    private static func lowerCased(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }

    private static let header = Array("#EXTM3U".utf8)
    private static let word = Array("mpegurl".utf8)
}
