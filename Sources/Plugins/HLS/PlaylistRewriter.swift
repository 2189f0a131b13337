package import PluginKit

/// What stands behind a reference: another playlist, to be rewritten in turn, or bytes to relay.
package enum LinkKind: Hashable, Sendable {
    case playlist
    case media
}

/// One reference of a playlist, resolved.
package struct PlaylistReference: Hashable, Sendable {
    package let url: HTTPURL
    package let kind: LinkKind
    /// ``PlaylistVariables/fragment`` of what the child may import; empty for most.
    package let carried: [UInt8]

    package init(url: HTTPURL, kind: LinkKind, carried: [UInt8] = []) {
        self.url = url
        self.kind = kind
        self.carried = carried
    }
}

/// Appends the link that stands for a reference. It must hold no quote, comma, blank or control character.
package typealias PlaylistLinkWriter = (PlaylistReference, inout [UInt8]) -> Void

/// A playlist whose references lead through the gateway.
package struct RewrittenPlaylist: Equatable, Sendable {
    package var bytes: [UInt8]
    /// How many references became links, by kind.
    package var playlists = 0
    package var media = 0
}

/// Makes every reference of an HLS playlist (RFC 8216, RFC 8216bis) a link through the gateway and leaves every other
/// byte as it is, line ends included; only a byte order mark is dropped.
///
/// Rewritten are the lines that are URIs and the URI attributes of MAP, MEDIA, KEY, SESSION-KEY, I-FRAME-STREAM-INF,
/// SESSION-DATA, PART, PRELOAD-HINT, RENDITION-REPORT, CONTENT-STEERING and DATERANGE. Variables are put in before a
/// reference is resolved. A QUERYPARAM definition becomes a NAME and VALUE definition of the same variable: the player
/// sees another URL than the origin's and would not find the parameter in it.
///
/// Pure and linear in input plus output. Neither headers nor query of the viewer's request come in, so no credential
/// of theirs can go out.
package struct PlaylistRewriter: Sendable {
    private let base: HTTPURL
    private let inherited: PlaylistVariables
    private let limits: PlaylistLimits

    /// - Parameter base: Where the playlist came from, after redirects.
    /// - Parameter inherited: The variables its link carried.
    package init(base: HTTPURL, inherited: PlaylistVariables = .init(), limits: PlaylistLimits = .init()) {
        self.base = base
        self.inherited = inherited
        self.limits = limits
    }

    package func rewrite(
        _ playlist: [UInt8], link: PlaylistLinkWriter
    ) throws(PlaylistError) -> RewrittenPlaylist {
        try rewrite(playlist.span, link: link)
    }

    package func rewrite(
        _ playlist: Span<UInt8>, link: PlaylistLinkWriter
    ) throws(PlaylistError) -> RewrittenPlaylist {
        guard playlist.count <= limits.input.bytes else { throw .tooLarge(limit: limits.input) }
        guard let start = PlaylistSignature.start(in: playlist) else { throw .missingHeader }
        let definitions = try definitions(in: playlist, from: start)
        var pass = PlaylistPass(
            base: base, definitions: definitions, inherited: inherited, limits: limits, from: start, of: playlist)
        var lines = PlaylistLines(from: start, limits: limits)
        while let line = try lines.next(in: playlist) { try pass.take(line, of: playlist, link: link) }
        return try pass.finish(playlist)
    }

    /// A walk of its own, so that links carry every variable of a multivariant playlist wherever it is defined.
    private func definitions(in text: Span<UInt8>, from start: Int) throws(PlaylistError) -> PlaylistDefinitions {
        var definitions = PlaylistDefinitions(base: base, inherited: inherited, limits: limits)
        var lines = PlaylistLines(from: start, limits: limits)
        while let line = try lines.next(in: text) {
            guard let tag = PlaylistTag(text, line.content), tag == .define else { continue }
            try definitions.take(line, list: tag.listStart(in: line.content)..<line.end, of: text)
        }
        return definitions
    }
}
