import PluginKit

/// The value of PROXY_ROUTES.
///
/// ```
/// routes   = route *( "," route )
/// route    = [ host ] path "=" upstream *( "|" upstream )
/// host     = name or address, without a port
/// path     = "/" or a path without a slash at its end
/// upstream = http or https URL without query and fragment
/// ```
struct ProxyRoutes: Sendable {
    private(set) var all: [ProxyRoute] = []

    /// Most routes one gateway forwards.
    static let limit = 256
    /// Most upstreams of one route.
    static let upstreamLimit = 32

    init() {}

    /// Reads `/api=http://10.0.0.1:3000|http://10.0.0.2:3000,api.example.com/v2=https://backend`; empty routes do not
    /// count, nor does white space around `,`, `=` and `|`.
    init(_ text: String) throws(SettingError) {
        let parts = settingElements(of: text)
        guard !parts.isEmpty else { throw SettingError("without a route; write \(Self.example)") }
        guard parts.count <= Self.limit else { throw SettingError("more than \(Self.limit) routes") }
        for (index, part) in parts.enumerated() {
            do throws(SettingError) {
                let route = try ProxyRoute(part)
                if let place = all.firstIndex(where: { $0.name == route.name }) {
                    throw SettingError(
                        "for \(route.name), as route \(place + 1) is; name it once, with `|` between upstreams")
                }
                all.append(route)
            } catch {
                throw SettingError("route \(index + 1) is \(error.message)")
            }
        }
    }

    fileprivate static let example = "/api=http://127.0.0.1:3000"
}

extension ProxyRoutes: CustomStringConvertible {
    var description: String { all.map(\.description).joined(separator: ",") }
}

extension ProxyRoute {
    /// Reads `/api=http://127.0.0.1:3000`, with a host in front or several URLs behind.
    init(_ text: String) throws(SettingError) {
        guard let equals = text.firstIndex(of: "=") else {
            throw SettingError("not PATH=URL; write \(ProxyRoutes.example)")
        }
        let place = trimmed(text[..<equals])
        guard let slash = place.firstIndex(of: "/") else {
            throw SettingError(
                "not for a plain path; a host is followed by one: api.example.com/=http://127.0.0.1:3000")
        }
        host = slash == place.startIndex ? nil : try Self.host(String(place[..<slash]))
        prefix = try Self.prefix(String(place[slash...]))
        targets = try Self.targets(text[text.index(after: equals)...])
    }

    private static func host(_ text: String) throws(SettingError) -> String {
        guard let url = try? HTTPURL("http://\(text)/"), url.host.count == text.utf8.count else {
            throw SettingError("not for a plain host; write api.example.com/v2, without scheme, port or wildcard")
        }
        return String(decoding: url.host, as: UTF8.self)
    }

    private static func prefix(_ path: String) throws(SettingError) -> String {
        guard path != "/" else { return "" }
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        let isPlain = segments.allSatisfy { segment in
            !segment.isEmpty && !segment.hasPrefix(".") && segment.utf8.allSatisfy(isUnreserved)
        }
        guard isPlain else {
            throw SettingError(
                "not for a plain path; write / or /api or /api/v2: letters, digits, `-._~`, and no slash at the end")
        }
        return path
    }

    private static func targets(_ text: Substring) throws(SettingError) -> [ProxyTarget] {
        let parts = text.split(separator: "|", omittingEmptySubsequences: false)
        guard parts.count <= ProxyRoutes.upstreamLimit else {
            throw SettingError("to more than \(ProxyRoutes.upstreamLimit) upstreams")
        }
        var targets: [ProxyTarget] = []
        for part in parts {
            let target = try ProxyTarget(trimmed(part))
            guard !targets.contains(target) else { throw SettingError("to \(target) twice; name each upstream once") }
            targets.append(target)
        }
        return targets
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: true
        default: false
        }
    }
}

extension ProxyTarget {
    init(_ text: String) throws(SettingError) {
        do throws(HTTPURLError) {
            base = try HTTPURL(text)
        } catch {
            throw SettingError("not to an http or https URL (\(error)); write \(ProxyRoutes.example)")
        }
        guard base.query == nil, !text.contains("#") else {
            throw SettingError("to a URL with a query or a fragment; write it without")
        }
        let hasPath = text.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).count == 4
        replacement = hasPath ? Self.withoutSlash(Array(base.path)) : nil
    }

    private static func withoutSlash(_ path: [UInt8]) -> [UInt8] {
        path.last == UInt8(ascii: "/") ? Array(path.dropLast()) : path
    }
}

extension ProxyRoute: CustomStringConvertible {
    var description: String { "\(name)=\(targets.map(\.description).joined(separator: "|"))" }
}

extension ProxyTarget: CustomStringConvertible {
    var description: String {
        base.origin + (replacement.map { $0.isEmpty ? "/" : String(decoding: $0, as: UTF8.self) } ?? "")
    }
}
