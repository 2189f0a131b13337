/// What files are called and what they are.
package enum MediaTypes {
    /// The media type of a file name's extension, in any case; `application/octet-stream` when it is not known.
    package static func type(ofExtension suffix: String) -> StaticString {
        byExtension[suffix.lowercased()] ?? "application/octet-stream"
    }

    /// Whether bytes of this type usually shrink when they are compressed. Event streams do too, but are not named: a
    /// compressor would hold back what they exist to deliver at once.
    ///
    /// - Parameter value: A `Content-Type` field's, parameters included.
    package static func isCompressible(_ value: UnsafeRawBufferPointer) -> Bool {
        let value = unsafe Input(value)
        var end = 0
        while end < value.count, value[end] != 0x3B { end += 1 }
        let type = value[0..<end].trimmed()
        if type.count > 5, type[0..<5].equalsIgnoringCase("text/") {
            return !type.equalsIgnoringCase("text/event-stream")
        }
        if type.count > 5, type[type.count - 5..<type.count].equalsIgnoringCase("+json") { return true }
        if type.count > 4, type[type.count - 4..<type.count].equalsIgnoringCase("+xml") { return true }
        return compressible.contains { type.equalsIgnoringCase($0) }
    }

    private static let compressible: [StaticString] = [
        "application/json", "application/javascript", "application/xml", "application/vnd.apple.mpegurl",
        "application/x-mpegurl", "audio/mpegurl", "application/wasm", "application/x-ndjson", "application/yaml",
        "application/graphql", "application/sql", "application/rtf", "font/ttf", "font/otf", "image/bmp",
        "image/vnd.microsoft.icon", "image/x-icon",
    ]

    private static let byExtension: [String: StaticString] = [
        // Text
        "html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8", "mjs": "text/javascript; charset=utf-8",
        "txt": "text/plain; charset=utf-8", "log": "text/plain; charset=utf-8", "md": "text/markdown; charset=utf-8",
        "csv": "text/csv; charset=utf-8", "vtt": "text/vtt; charset=utf-8", "ics": "text/calendar; charset=utf-8",
        // Data
        "json": "application/json", "map": "application/json", "webmanifest": "application/manifest+json",
        "jsonld": "application/ld+json", "geojson": "application/geo+json", "xml": "application/xml",
        "rss": "application/rss+xml", "atom": "application/atom+xml", "xhtml": "application/xhtml+xml",
        "yaml": "application/yaml", "yml": "application/yaml", "wasm": "application/wasm", "pdf": "application/pdf",
        "zip": "application/zip", "gz": "application/gzip", "tar": "application/x-tar", "zst": "application/zstd",
        // Pictures
        "svg": "image/svg+xml", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif",
        "webp": "image/webp", "avif": "image/avif", "ico": "image/vnd.microsoft.icon", "bmp": "image/bmp",
        // Sound and film; `ts` is a transport stream here, as an edge meets those and not source code
        "m3u8": "application/vnd.apple.mpegurl", "ts": "video/mp2t", "m4s": "video/mp4", "mp4": "video/mp4",
        "m4v": "video/mp4", "cmfv": "video/mp4", "cmfa": "audio/mp4", "m4a": "audio/mp4", "aac": "audio/aac",
        "mp3": "audio/mpeg", "ogg": "audio/ogg", "opus": "audio/ogg", "wav": "audio/wav", "flac": "audio/flac",
        "webm": "video/webm", "mov": "video/quicktime", "mpd": "application/dash+xml",
        // Fonts
        "woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "otf": "font/otf",
    ]
}
