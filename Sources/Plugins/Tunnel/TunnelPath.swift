/// Which paths may go to an agent. The agent decides again.
enum TunnelPath {
    /// - Parameter path: Normalised: dot segments are refused before.
    static func isForwardable(_ path: [UInt8]) -> Bool {
        guard path.first == UInt8(ascii: "/") else { return false }
        let text = String(decoding: path, as: UTF8.self)
        return !text.contains("//") && !text.contains("\\") && !text.lowercasedHasAny(of: ["%2f", "%5c", "%00"])
            && path.allSatisfy { (0x21...0x7E).contains($0) }
    }
}

extension String {
    fileprivate func lowercasedHasAny(of parts: [String]) -> Bool {
        let lower = lowercased()
        return parts.contains { lower.contains($0) }
    }
}
