/// Which certificates answer for which server name (SNI, RFC 6066 §3), decided once at start.
///
/// An exact name wins over a wildcard, and `*` stands for exactly one label. For one name at most one certificate of
/// each key type is used, the earliest in the list, so an RSA and an ECDSA certificate for the same name form a pair
/// and the client's signature algorithms choose between them. A name nobody has, or none, gets group 0: the first
/// certificate and its partner.
struct ServerNames {
    struct Candidate {
        /// Normalized names, wildcards included.
        let names: [String]
        let isRSA: Bool
    }

    /// Indexes of certificates that share one context; group 0 is the default.
    private(set) var groups: [[Int]] = []
    private var groupByName: [String: Int] = [:]

    init(_ candidates: [Candidate]) {
        guard let first = candidates.first else { return }
        let initial = first.names.first.map { Self.members(for: $0, among: candidates) } ?? [0]
        groups = [initial]
        var groupByMembers = [initial: 0]
        for name in candidates.flatMap(\.names) where groupByName[name] == nil {
            let members = Self.members(for: name, among: candidates)
            let group = groupByMembers[members] ?? groups.count
            if group == groups.count { groups.append(members) }
            groupByMembers[members] = group
            groupByName[name] = group
        }
    }

    /// - Parameter name: Normalized. Unknown names get the default, as a client that sends none does.
    func group(for name: String) -> Int {
        if let exact = groupByName[name] { return exact }
        guard let wildcard = Self.wildcard(covering: name) else { return 0 }
        return groupByName[wildcard] ?? 0
    }

    /// A DNS name as it is compared: lower case, without the root's dot. `nil` if it is empty, longer than 253 bytes
    /// or has a byte that no host name has; an embedded zero byte has fooled many (CVE-2009-2408).
    static func normalized(_ bytes: some Collection<UInt8>) -> String? {
        var name: [UInt8] = []
        name.reserveCapacity(min(bytes.count, 254))
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "*"):
                name.append(byte)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): name.append(byte | 0x20)
            default: return nil
            }
            if name.count > 254 { return nil }
        }
        if name.last == UInt8(ascii: ".") { name.removeLast() }
        return name.isEmpty || name.count > 253 ? nil : String(decoding: name, as: UTF8.self)
    }

    /// Exact holders of the name first, then wildcards that cover it; the first of each key type.
    private static func members(for name: String, among candidates: [Candidate]) -> [Int] {
        let exact = candidates.indices.filter { candidates[$0].names.contains(name) }
        let covering = wildcard(covering: name)
        let wide = candidates.indices.filter { index in
            covering.map { candidates[index].names.contains($0) } ?? false
        }
        let ordered = exact + wide
        let rsa = ordered.first { candidates[$0].isRSA }
        let ecdsa = ordered.first { !candidates[$0].isRSA }
        return [rsa, ecdsa].compactMap(\.self).sorted()
    }

    private static func wildcard(covering name: String) -> String? {
        guard let dot = name.utf8.firstIndex(of: UInt8(ascii: ".")), name.utf8.first != UInt8(ascii: "*") else {
            return nil
        }
        return "*" + name[dot...]
    }
}
