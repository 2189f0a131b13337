import PluginKit

/// What a share allows: requests of these methods to these paths of the agent's server, and nothing else.
struct ShareRule: Equatable, Sendable {
    /// In capitals.
    let methods: [String]
    /// Exact, or everything below: `/v1/*`.
    let paths: [String]

    /// Bounds of one rule, as it is sent.
    private static let pathLimit = 32
    private static let pathLength = 200
    private static let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

    init(methods: [String], paths: [String]) {
        self.methods = methods
        self.paths = paths
    }

    /// Of what somebody sent.
    ///
    /// - Throws: 400 with what is wrong.
    init(checking methods: [String], _ paths: [String]) throws(GatewayFault) {
        guard !methods.isEmpty, methods.count <= Self.known.count, methods.allSatisfy(Self.known.contains) else {
            throw .badBody("\"methods\" must name at least one of \(Self.known.joined(separator: ", ")).")
        }
        guard !paths.isEmpty, paths.count <= Self.pathLimit, paths.allSatisfy(Self.isPath) else {
            throw .badBody(
                "\"paths\" must hold 1 to \(Self.pathLimit) plain paths such as /api/chat, or /v1/* for all below.")
        }
        self.init(methods: methods, paths: paths)
    }

    private static func isPath(_ pattern: String) -> Bool {
        let path = pattern.hasSuffix("/*") ? pattern.dropLast(1) : pattern[...]
        guard path.hasPrefix("/"), pattern.utf8.count <= pathLength,
            path.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !"?#%\\;*\"<>^`{|}".utf8.contains($0) })
        else { return false }
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        return segments.dropLast().allSatisfy { !$0.isEmpty } && !segments.contains(".") && !segments.contains("..")
    }

    /// - Parameter target: As the agent will get it: normalised, perhaps with a query.
    func allows(_ method: String, _ target: String) -> Bool {
        let path = Array(target.utf8.prefix { $0 != UInt8(ascii: "?") })
        guard methods.contains(where: { $0.isExactly(method) }), Self.isNormal(path) else { return false }
        return paths.contains { pattern in
            guard pattern.hasSuffix("/*") else { return pattern.utf8.elementsEqual(path) }
            let prefix = pattern.utf8.dropLast(1)
            return path.count > prefix.count && path.starts(with: prefix)
        }
    }

    /// Whoever forwards has normalised it; a path that still says two things is not compared at all.
    private static func isNormal(_ path: [UInt8]) -> Bool {
        guard TunnelPath.isForwardable(path) else { return false }
        let normal = unsafe path.withUnsafeBytes { unsafe try? PathNormaliser.normalise($0) }
        return normal == path
    }
}
