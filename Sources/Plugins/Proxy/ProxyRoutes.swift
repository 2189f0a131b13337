import PluginKit

/// The value of PROXY_ROUTES.
struct ProxyRoutes: Sendable {
    private(set) var all: [ProxyRoute] = []

    /// Most routes one gateway forwards.
    static let limit = 256

    init() {}

    /// Reads `/api=http://127.0.0.1:3000,/files=https://files.internal/public`; spaces around a route and empty ones do
    /// not count.
    init(_ text: String) throws(SettingError) {
        let parts = text.split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
        guard !parts.isEmpty else { throw SettingError("without a route; write /api=http://127.0.0.1:3000") }
        guard parts.count <= Self.limit else { throw SettingError("more than \(Self.limit) routes") }
        for (index, part) in parts.enumerated() {
            do throws(SettingError) {
                let route = try ProxyRoute(part)
                guard !all.contains(where: { $0.prefix == route.prefix }) else {
                    throw SettingError("for a path that has an upstream already; name each path once")
                }
                all.append(route)
            } catch {
                throw SettingError("route \(index + 1) is \(error.message)")
            }
        }
    }
}

extension ProxyRoutes: CustomStringConvertible {
    var description: String { all.map(\.description).joined(separator: ",") }
}

extension ProxyRoute {
    /// Reads `/api=http://127.0.0.1:3000`.
    init(_ text: String) throws(SettingError) {
        guard let equals = text.firstIndex(of: "=") else {
            throw SettingError("not PATH=URL; write /api=http://127.0.0.1:3000")
        }
        prefix = try Self.prefix(String(text[..<equals]))
        let target = String(text[text.index(after: equals)...])
        do throws(HTTPURLError) {
            upstream = try HTTPURL(target)
        } catch {
            throw SettingError("not to an http or https URL (\(error)); write /api=http://127.0.0.1:3000")
        }
        guard upstream.query == nil, !target.contains("#") else {
            throw SettingError("to a URL with a query or a fragment; write it without")
        }
        let hasPath = target.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).count == 4
        replacement = hasPath ? Self.withoutSlash(Array(upstream.path)) : nil
    }

    private static func prefix(_ path: String) throws(SettingError) -> String {
        guard path != "/" else { return "" }
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        let isPlain = segments.allSatisfy { segment in
            !segment.isEmpty && !segment.hasPrefix(".") && segment.utf8.allSatisfy(isUnreserved)
        }
        guard path.hasPrefix("/"), isPlain else {
            throw SettingError(
                "not for a plain path; write / or /api or /api/v2: letters, digits, `-._~`, and no slash at the end")
        }
        return path
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: true
        default: false
        }
    }

    private static func withoutSlash(_ path: [UInt8]) -> [UInt8] {
        path.last == UInt8(ascii: "/") ? Array(path.dropLast()) : path
    }
}

extension ProxyRoute: CustomStringConvertible {
    var description: String {
        let path = replacement.map { $0.isEmpty ? "/" : String(decoding: $0, as: UTF8.self) } ?? ""
        return "\(prefix.isEmpty ? "/" : prefix)=\(upstream.origin)\(path)"
    }
}
