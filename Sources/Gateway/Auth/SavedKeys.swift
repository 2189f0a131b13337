import GatewayBytes

/// The last good keys on disk, so that a restart while the issuer is down does not lock everybody out.
///
/// Public keys only, but whoever writes the file chooses who gets in: it belongs in a directory only the gateway writes.
struct SavedKeys: Sendable {
    let body: [UInt8]
    let source: KeySource
    /// Seconds since 1970.
    let fetchedAt: Double

    func encode(for candidates: [KeySource]) -> [UInt8] {
        var json = JSONWriter()
        json.object {
            $0.member("version", 1)
            $0.member("candidates", .array(candidates.map { .string($0.mark) }))
            $0.member("source", source.mark)
            $0.member("fetchedAt", fetchedAt)
            $0.member("jwks", Base64URL.encode(body))
        }
        return json.bytes
    }

    /// - Returns: `nil` when the file is damaged or was written under other settings, whose keys must not count now.
    static func decode(_ bytes: [UInt8], for candidates: [KeySource]) -> SavedKeys? {
        let limit = ByteCount.bytes(JWKSet.sizeLimit.bytes * 2)
        guard let json = try? JSON.parse(bytes, limits: JSONLimits(size: limit, depth: 4, values: 64)) else {
            return nil
        }
        guard json["version"]?.number?.int == 1, json["candidates"] == .array(candidates.map { .string($0.mark) })
        else { return nil }
        guard
            let body = json["jwks"]?.string.flatMap({ Base64URL.decode($0) }),
            let fetchedAt = json["fetchedAt"]?.number?.double,
            let source = candidates.first(where: { json["source"] == .string($0.mark) })
        else { return nil }
        return SavedKeys(body: body, source: source, fetchedAt: fetchedAt)
    }
}

extension KeySource {
    fileprivate var mark: String {
        switch self {
        case .keySet(let url): "jwks \(url.text)"
        case .discovery(let url): "discovery \(url.text)"
        }
    }
}
