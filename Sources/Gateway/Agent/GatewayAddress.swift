package import GatewayHTTP

/// Where the gateway is, as `--url` says: `wss://host[:port][/prefix]`, or the same with ws, https or http.
package struct GatewayAddress: Sendable {
    private let base: HTTPURL

    /// - Throws: What is wrong with it, in a sentence.
    package init(_ text: String) throws(UsageError) {
        var given = text
        for (socket, plain) in [("wss://", "https://"), ("ws://", "http://")]
        where text.lowercased().hasPrefix(socket) {
            given = plain + text.dropFirst(socket.count)
        }
        do throws(HTTPURLError) {
            base = try HTTPURL(given)
        } catch {
            throw UsageError(
                "--url \(Self.shown(text)) is not the address of a gateway; write wss://host[:port][/prefix]")
        }
        guard base.query == nil else { throw UsageError("--url takes no query; a token has options of its own") }
    }

    /// Without what may be a credential.
    private static func shown(_ text: String) -> String {
        text.contains("@") || text.contains("?") ? "…" : text
    }

    package var isEncrypted: Bool { base.scheme == .https }

    /// Whether it is this machine, where nobody listens in on the way.
    package var isLoopback: Bool { base.hostName == "localhost" || base.address?.isLoopback == true }

    /// For people: scheme, host, port and prefix.
    package var description: String { base.description }

    /// A path of the gateway's, below the prefix.
    package func endpoint(_ path: String) -> HTTPURL {
        var prefix = Array(base.path)
        while prefix.last == UInt8(ascii: "/") { prefix.removeLast() }
        return base.with(path: prefix + Array(path.utf8), query: []) ?? base
    }
}
