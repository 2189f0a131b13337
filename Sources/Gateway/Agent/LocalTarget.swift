package import GatewayHTTP
import GatewayRuntime

/// The server that an agent speaks for: on this machine, and nowhere else.
package struct LocalTarget: Sendable {
    /// `http`, a loopback address or `localhost`, a port; no path.
    package let url: HTTPURL

    /// - Throws: Why an agent does not speak for it, in a sentence.
    package init(_ text: String) throws(UsageError) {
        let url: HTTPURL
        do throws(HTTPURLError) {
            url = try HTTPURL(text)
        } catch {
            throw UsageError("--local \(text) is not a URL; write http://127.0.0.1:11434")
        }
        guard url.scheme == .http, url.target.elementsEqual("/".utf8) else {
            throw UsageError(
                "--local takes http://ADDRESS:PORT, without a path: an agent speaks plain HTTP on this machine")
        }
        guard Self.isThisMachine(url) else {
            throw UsageError(
                "--local \(text) is not on this machine: an agent dials 127.0.0.0/8, ::1 and localhost, nothing else")
        }
        self.url = url
    }

    private static func isThisMachine(_ url: HTTPURL) -> Bool {
        guard let address = url.address else { return url.hostName == "localhost" }
        return SocketAddress(bytes: address.networkBytes, port: url.port)?.isLoopback == true
    }

    /// The addresses of `localhost`, whatever a resolver or a hosts file says.
    static func addresses(port: UInt16) -> [SocketAddress] {
        [.loopback(port: port)] + [SocketAddress(literal: "::1", port: port)].compactMap { $0 }
    }
}
