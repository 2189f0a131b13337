import PluginKit

/// Everything that may answer a path, once the router has found the longest prefix of it that any route names.
struct HostChoice<Value: Sendable>: Sendable {
    /// What the router is given.
    let patterns: [String]
    /// The routes of named hosts first, and then the longer prefixes.
    private let candidates: [(route: ProxyRoute, value: Value)]

    /// One choice for each prefix.
    static func all(_ values: [Value], route: (Value) -> ProxyRoute) -> [HostChoice] {
        var seen: Set<String> = []
        let routed = values.map { (route: route($0), value: $0) }
        return routed.compactMap { entry in
            guard seen.insert(entry.route.prefix).inserted else { return nil }
            let covering = routed.filter { $0.route.covers(entry.route) }
            return HostChoice(
                patterns: entry.route.patterns,
                candidates: covering.sorted { rank($0.route) > rank($1.route) })
        }
    }

    private static func rank(_ route: ProxyRoute) -> (Int, Int) { (route.host == nil ? 0 : 1, route.prefix.utf8.count) }

    /// What answers `request`; `nil` when the path is only another host's.
    func of(_ request: Request) -> Value? { unsafe value(for: request.head.authorityRange.of(request.headBytes)) }

    func value(for authority: UnsafeRawBufferPointer) -> Value? {
        candidates.first { unsafe $0.route.takes(authority) }?.value
    }
}
