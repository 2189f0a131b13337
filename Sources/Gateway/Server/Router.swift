import GatewayHTTP
import GatewayRuntime
import PluginKit

/// Everything a route needs at run time, built once.
final class ResolvedRoute: Sendable {
    let plugin: PluginName
    /// The plugin's name, as the access log writes it.
    let name: [UInt8]
    let pattern: RoutePattern
    let isWebSocket: Bool
    let chain: Chain
    let metrics: RouteMetrics
    /// The same for the same route of every generation: entry point, method and shape of the path.
    let key: String
    let entryPoint: EntryPoint
    /// Who declared it; `nil` for the core.
    let owner: PluginInstance?
    /// Others whose middleware its requests pass.
    let gate: [PluginInstance]

    init(
        plugin: PluginName, pattern: RoutePattern, isWebSocket: Bool, chain: Chain, metrics: RouteMetrics,
        key: String = "", entryPoint: EntryPoint = .main, owner: PluginInstance? = nil, gate: [PluginInstance] = []
    ) {
        self.plugin = plugin
        self.key = key
        self.entryPoint = entryPoint
        self.owner = owner
        self.gate = gate
        name = Array(plugin.text.utf8)
        self.pattern = pattern
        self.isWebSocket = isWebSocket
        self.chain = chain
        self.metrics = metrics
    }
}

/// The routes of one entry point, by path and method. Immutable; shared by all loops.
///
/// Plain paths are one hash look-up over the bytes of the request; patterns with captures are tried longest first.
final class Router: Sendable {
    /// The routes that share a path.
    struct Node: Sendable {
        var byMethod: [(method: Method, route: ResolvedRoute)] = []
        var anyMethod: ResolvedRoute?
        var webSocket: ResolvedRoute?

        func route(for request: Request) -> ResolvedRoute? {
            if request.head.upgradesToWebSocket, let webSocket { return webSocket }
            return route(for: request.method)
        }

        private func route(for method: Method) -> ResolvedRoute? {
            for entry in byMethod where entry.method == method { return entry.route }
            if method == .head, let get = byMethod.first(where: { $0.method == .get }) { return get.route }
            return anyMethod
        }

        var allowed: Set<String> {
            var names = Set(byMethod.map(\.method.wireName.description))
            if names.contains("GET") { names.insert("HEAD") }
            if webSocket != nil { names.insert("GET") }
            return names
        }
    }

    private struct Exact: Sendable {
        let hash: UInt64
        let path: [UInt8]
        let node: Int
    }

    let entry: EntryPoint
    let routes: [ResolvedRoute]
    private let nodes: [Node]
    private let table: [Exact?]
    private let patterns: [(pattern: RoutePattern, node: Int)]
    /// Answers what no route takes.
    let fallback: ResolvedRoute

    init(
        entry: EntryPoint = .main, routes: [(route: Route, resolved: ResolvedRoute)], fallback: ResolvedRoute
    ) {
        self.entry = entry
        self.routes = routes.map(\.resolved)
        self.fallback = fallback
        var nodes: [Node] = []
        var byShape: [String: Int] = [:]
        var exact: [(path: String, node: Int)] = []
        var patterns: [(pattern: RoutePattern, node: Int)] = []
        for (route, resolved) in routes {
            let node: Int
            if let known = byShape[route.pattern.shape] {
                node = known
            } else {
                node = nodes.count
                nodes.append(Node())
                byShape[route.pattern.shape] = node
                if route.pattern.isExact {
                    exact.append((route.pattern.description, node))
                } else {
                    patterns.append((route.pattern, node))
                }
            }
            if route.isWebSocket {
                nodes[node].webSocket = resolved
            } else if let method = route.method {
                nodes[node].byMethod.append((method, resolved))
            } else {
                nodes[node].anyMethod = resolved
            }
        }
        self.nodes = nodes
        self.patterns = patterns.sorted { Self.rank($0.pattern) > Self.rank($1.pattern) }
        table = Self.hashTable(exact)
    }

    /// Literal segments before captures before rests, longer before shorter.
    private static func rank(_ pattern: RoutePattern) -> Int {
        pattern.segments.reduce(0) { sum, segment in
            switch segment {
            case .literal: sum + 100
            case .capture: sum + 10
            case .rest: sum + 1
            }
        }
    }

    private static func hashTable(_ exact: [(path: String, node: Int)]) -> [Exact?] {
        var size = 8
        while size < exact.count * 4 { size *= 2 }
        var table = [Exact?](repeating: nil, count: size)
        for (path, node) in exact {
            let bytes = Array(path.utf8)
            let hash = unsafe bytes.withUnsafeBytes { unsafe Self.hash($0) }
            var place = Int(truncatingIfNeeded: hash) & (size - 1)
            while table[place] != nil { place = (place + 1) & (size - 1) }
            table[place] = Exact(hash: hash, path: bytes, node: node)
        }
        return table
    }

    /// FNV-1a: paths are short.
    @inline(__always)
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in 0..<bytes.count {
            hash = unsafe (hash ^ UInt64(bytes[index])) &* 0x100_0000_01b3
        }
        return hash
    }

    enum Match {
        case route(ResolvedRoute)
        /// The path is served, but not by this method.
        case methodNotAllowed(allowed: String)
        /// Only a WebSocket is served here.
        case upgradeRequired
        case nothing
    }

    /// Finds the route of a request and records what its pattern captured.
    ///
    /// The most exact pattern that takes the method wins: one that takes others only does not hide a wider one that takes
    /// this.
    ///
    /// - Parameter path: Normalised, without the query.
    func match(_ request: Request, path: UnsafeRawBufferPointer) -> Match {
        var others: [Int] = []
        if let node = unsafe exactNode(path) {
            if let route = nodes[node].route(for: request) { return .route(route) }
            others.append(node)
        }
        for candidate in patterns {
            guard let captures = unsafe Self.captures(candidate.pattern, path) else { continue }
            guard let route = nodes[candidate.node].route(for: request) else {
                others.append(candidate.node)
                continue
            }
            request.captures = captures
            return .route(route)
        }
        return refusal(of: others.map { nodes[$0] }, for: request)
    }

    private func refusal(of nodes: [Node], for request: Request) -> Match {
        guard !nodes.isEmpty else { return .nothing }
        let isRead = request.method == .get || request.method == .head
        if isRead, nodes.contains(where: { $0.webSocket != nil }) { return .upgradeRequired }
        let allowed = nodes.reduce(into: Set<String>()) { $0.formUnion($1.allowed) }
        return .methodNotAllowed(allowed: allowed.sorted().joined(separator: ", "))
    }

    private func exactNode(_ path: UnsafeRawBufferPointer) -> Int? {
        let hash = unsafe Self.hash(path)
        var place = Int(truncatingIfNeeded: hash) & (table.count - 1)
        while let entry = table[place] {
            if entry.hash == hash, entry.path.count == path.count, unsafe path.elementsEqual(entry.path) {
                return entry.node
            }
            place = (place + 1) & (table.count - 1)
        }
        return nil
    }

    private static func captures(_ pattern: RoutePattern, _ path: UnsafeRawBufferPointer) -> [RouteCapture]? {
        var captures: [RouteCapture] = []
        var position = 0
        for segment in pattern.segments {
            guard position < path.count, unsafe path[position] == UInt8(ascii: "/") else { return nil }
            position += 1
            var end = position
            while end < path.count, unsafe path[end] != UInt8(ascii: "/") { end += 1 }
            let part = unsafe UnsafeRawBufferPointer(rebasing: path[position..<end])
            switch segment {
            case .literal(let text):
                guard text.utf8.count == part.count, unsafe part.elementsEqual(text.utf8) else { return nil }
            case .capture(let name):
                guard unsafe !part.isEmpty else { return nil }
                captures.append(RouteCapture(name: name, value: unsafe String(decoding: part, as: UTF8.self)))
            case .rest(let name):
                guard position < path.count else { return nil }
                let rest = unsafe UnsafeRawBufferPointer(rebasing: path[position...])
                captures.append(RouteCapture(name: name, value: unsafe String(decoding: rest, as: UTF8.self)))
                return captures
            }
            position = end
        }
        return position == path.count ? captures : nil
    }
}
