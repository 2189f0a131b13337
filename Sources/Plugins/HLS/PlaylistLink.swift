package import PluginKit

/// Why a path is not a link of ours.
package enum ProxyLinkError: Error, Hashable, Sendable {
    /// Longer than a URL and its variables can be.
    case tooLong
    /// Not URL-safe base64.
    case encoding
    /// What is encoded is no URL the gateway would ask for.
    case url(HTTPURLError)
}

/// A reference in the gateway's own terms: `/proxy/manifest/{b64url}` for a playlist, `/proxy/segment/{b64url}` for
/// anything else, where `b64url` is the URL-safe base64 of the absolute upstream URL.
///
/// Variables for a child playlist to import stand in that URL's fragment, which is never sent upstream; so the link
/// says all there is to know, and any replica can serve it.
///
/// Behind the base64 stands the extension of the upstream path, if it has one: players judge segments by it. A dot is no
/// digit of base64, so it is plain where the extension begins, and reading a link ignores it.
package struct ProxyLink: Hashable, Sendable {
    package let kind: LinkKind
    package let url: HTTPURL
    package let variables: PlaylistVariables

    package init(kind: LinkKind, url: HTTPURL, variables: PlaylistVariables = .init()) {
        self.kind = kind
        self.url = url
        self.variables = variables
    }

    /// Reads the last segment of a link's path.
    ///
    /// - Parameter encoded: With or without padding, which may be percent-encoded, as some clients do; with or without
    ///   an extension.
    package init(
        kind: LinkKind, encoded: Span<UInt8>, limits: PlaylistLimits = .init()
    ) throws(ProxyLinkError) {
        let encoded = encoded.extracting(0..<Self.encodedLength(encoded))
        let limit = limits.url.bytes + limits.carried.bytes + 1
        guard encoded.count <= (limit + 2) / 3 * 4 + 4 else { throw .tooLong }
        guard let bytes = Base64URL.decode(Self.withPlainPadding(encoded), padding: .optional) else {
            throw .encoding
        }
        let text = bytes.span
        let fragment = bytes.firstIndex(of: UInt8(ascii: "#")) ?? bytes.count
        do throws(HTTPURLError) {
            url = try HTTPURL(text.extracting(0..<fragment), as: .lenient, limit: limits.url.bytes)
        } catch {
            throw .url(error)
        }
        let variables = text.extracting(min(fragment + 1, bytes.count)..<bytes.count)
        self.variables = PlaylistVariables(fragment: variables, limits: limits)
        self.kind = kind
    }

    /// What is left without an extension.
    private static func encodedLength(_ text: Span<UInt8>) -> Int {
        let tail = (max(0, text.count - 6)..<text.count).map { text[$0] }
        guard let found = PathExtension.of(tail[...]) else { return text.count }
        return text.count - found.count - 1
    }

    private static func withPlainPadding(_ encoded: Span<UInt8>) -> [UInt8] {
        var text = encoded.indices.map { encoded[$0] }
        var padding = 0
        while padding < 2, text.count >= 3,
            text.suffix(3).elementsEqual("%3D".utf8) || text.suffix(3).elementsEqual("%3d".utf8)
        {
            text.removeLast(3)
            padding += 1
        }
        text.append(contentsOf: repeatElement(UInt8(ascii: "="), count: padding))
        return text
    }

    /// The path, with padding, as other programs of this family write it, and the extension.
    ///
    /// - Parameter root: What the routes stand under, without a slash at its end.
    package func path(under root: String = Self.root) -> [UInt8] {
        var path: [UInt8] = []
        Self.append(PlaylistReference(url: url, kind: kind, carried: variables.fragment), under: root, to: &path)
        return path
    }

    /// A writer for ``PlaylistRewriter``.
    package static func writer(under root: String = Self.root) -> PlaylistLinkWriter {
        { reference, output in append(reference, under: root, to: &output) }
    }

    private static func append(_ reference: PlaylistReference, under root: String, to output: inout [UInt8]) {
        output.append(contentsOf: root.utf8)
        output.append(contentsOf: (reference.kind == .playlist ? "/manifest/" : "/segment/").utf8)
        var text = reference.url.bytes
        if !reference.carried.isEmpty {
            text.append(UInt8(ascii: "#"))
            text.append(contentsOf: reference.carried)
        }
        output.append(contentsOf: Base64URL.encode(text, padding: true).utf8)
        if let name = PathExtension.of(reference.url.path) {
            output.append(UInt8(ascii: "."))
            output.append(contentsOf: name)
        }
    }

    package static let root = "/proxy"
}
