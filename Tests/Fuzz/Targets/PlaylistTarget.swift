import GatewayBytes
import GatewayHTTP
import HLSPlugin

/// A playlist from a stranger, under limits that short inputs reach.
enum PlaylistTarget {
    private static let limits: PlaylistLimits = {
        var limits = PlaylistLimits()
        limits.input = .kibibytes(16)
        limits.output = .kibibytes(8)
        limits.line = .kibibytes(2)
        limits.lines = 128
        limits.references = 32
        limits.url = .bytes(512)
        limits.variables = 8
        limits.variable = .bytes(128)
        limits.carried = .bytes(256)
        return limits
    }()

    private static let base = url("https://origin.test/live/main.m3u8?t=1&name=a%20b")
    /// Where the viewer got the playlist.
    private static let own = url("https://gateway.test/proxy/manifest/aHR0cHM6Ly9vcmlnaW4udGVzdC8=")

    private static let inherited: PlaylistVariables = {
        var variables = PlaylistVariables()
        require(variables.define(Array("given".utf8), as: Array("from above".utf8)), "a first variable is refused")
        return variables
    }()

    static func run(_ bytes: [UInt8]) {
        var references: [PlaylistReference] = []
        let write = ProxyLink.writer()
        let rewriter = PlaylistRewriter(base: base, inherited: inherited, limits: limits)
        let rewritten: RewrittenPlaylist
        do throws(PlaylistError) {
            rewritten = try rewriter.rewrite(bytes) { reference, output in
                references.append(reference)
                write(reference, &output)
            }
        } catch {
            require(!error.description.utf8.contains { $0 < 0x20 || $0 == 0x7F }, "a control byte in: \(error)")
            return
        }
        let count = rewritten.playlists + rewritten.media
        require(rewritten.bytes.count <= limits.output.bytes, "\(rewritten.bytes.count) bytes of output")
        require(count == references.count && count <= limits.references, "\(count) of \(references.count) references")
        for end: UInt8 in [0x0A, 0x0D] {
            require(
                rewritten.bytes.count { $0 == end } == bytes.count { $0 == end },
                "other lines: \(rewritten.bytes.shown)")
        }
        references.forEach(check)
        checkAgain(rewritten.bytes, references: count)
    }

    /// A link says all there is to know.
    private static func check(_ reference: PlaylistReference) {
        require((try? HTTPURL(reference.url.bytes.span, as: .strict)) == reference.url, "not canonical: \(reference)")
        var path: [UInt8] = []
        ProxyLink.writer()(reference, &path)
        let name = reference.kind == .playlist ? "/proxy/manifest/" : "/proxy/segment/"
        require(path.starts(with: name.utf8), "a link elsewhere: \(path.shown)")
        let encoded = Array(path.dropFirst(name.utf8.count))
        guard let link = try? ProxyLink(kind: reference.kind, encoded: encoded.span, limits: limits) else {
            fatalError("a link that cannot be read: \(path.shown)")
        }
        require(link.url == reference.url, "a link to \(link.url) for \(reference.url)")
        require(link.variables.fragment == reference.carried, "variables lost: \(reference.carried.shown)")
    }

    /// What was rewritten is a playlist with as many references.
    private static func checkAgain(_ bytes: [UInt8], references: Int) {
        var roomy = PlaylistLimits()
        roomy.variables = limits.variables
        let rewriter = PlaylistRewriter(base: own, inherited: inherited, limits: roomy)
        do throws(PlaylistError) {
            let again = try rewriter.rewrite(bytes, link: ProxyLink.writer())
            let count = again.playlists + again.media
            require(count == references, "\(references) references, then \(count): \(bytes.shown)")
        } catch {
            fatalError("rewritten and then refused: \(error): \(bytes.shown)")
        }
    }

    private static func url(_ text: String) -> HTTPURL {
        guard let url = try? HTTPURL(text) else { fatalError("no URL: \(text)") }
        return url
    }
}
