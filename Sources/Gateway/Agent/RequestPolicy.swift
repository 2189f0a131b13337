package import GatewayHTTP

/// What an agent may be asked to do to the models themselves, besides reading and chatting: `--allow`.
package enum ModelOperation: String, CaseIterable, Sendable {
    case pull, push, delete, create
}

/// Which requests an agent passes on, whatever the gateway asks for.
///
/// Paths are compared whole, after a normalisation of the agent's own. What two programs could read differently is not
/// passed on at all.
package struct RequestPolicy: Sendable {
    package enum Decision: Equatable, Sendable {
        /// Ask exactly this.
        case pass(Method, path: [UInt8], query: [UInt8])
        /// With a sentence for the consumer.
        case refuse(String)
    }

    private let operations: Set<ModelOperation>

    package init(allowing operations: Set<ModelOperation> = []) { self.operations = operations }

    /// - Parameter target: Path and query, as they are to stand in the request line.
    package func decide(_ method: String, _ target: String) -> Decision {
        let parts = target.utf8.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        let query = parts.count > 1 ? Array(parts[1]) : []
        guard let path = Self.normalised(Array(parts[0])), !query.contains(where: Self.isForbidden) else {
            return .refuse("the agent does not pass on a path that could be read in more than one way")
        }
        let text = String(decoding: path, as: UTF8.self)
        let allowed = methods(of: text)
        guard !allowed.isEmpty else {
            if let operation = Self.operation(of: text) {
                return .refuse("the agent does not offer \(text); it is run without --allow \(operation.rawValue)")
            }
            return .refuse("the agent does not offer this path")
        }
        guard let method = allowed.first(where: { "\($0.wireName)" == method }) else {
            return .refuse("the agent does not offer this method for \(text)")
        }
        return .pass(method, path: path, query: query)
    }

    private static let reading: [Method] = [.get, .head]

    private func methods(of path: String) -> [Method] {
        switch path {
        case "/", "/api/tags", "/api/version", "/api/ps": return Self.reading
        case "/api/show", "/api/generate", "/api/chat", "/api/embed", "/api/embeddings": return [.post]
        case _ where path.hasPrefix("/v1/"): return Self.reading + [.post]
        default: break
        }
        guard let operation = Self.operation(of: path), operations.contains(operation) else { return [] }
        switch path {
        case "/api/delete": return [.delete]
        case _ where Self.isBlob(path): return [.head, .post]
        default: return [.post]
        }
    }

    /// What a path does to the models.
    private static func operation(of path: String) -> ModelOperation? {
        switch path {
        case "/api/pull": .pull
        case "/api/push": .push
        case "/api/delete": .delete
        case "/api/create", "/api/copy": .create
        case _ where isBlob(path): .create
        default: nil
        }
    }

    /// `/api/blobs/sha256:…`: a part of a model that is about to be created.
    private static func isBlob(_ path: String) -> Bool {
        for prefix in ["/api/blobs/sha256:", "/api/blobs/sha256%3A", "/api/blobs/sha256-"] where path.hasPrefix(prefix)
        {
            let digest = path.utf8.dropFirst(prefix.utf8.count)
            return digest.count == 64
                && digest.allSatisfy {
                    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                        || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
                }
        }
        return false
    }

    // MARK: Normalisation

    /// The one spelling of a path; `nil` for dot segments, empty segments, parameters, backslashes, and for encoded
    /// slashes, backslashes, percent signs and bytes that are no ASCII.
    private static func normalised(_ path: [UInt8]) -> [UInt8]? {
        guard path.first == UInt8(ascii: "/"), !path.contains(where: isForbidden), !path.contains(UInt8(ascii: ";")),
            let normal = unsafe path.withUnsafeBytes({ unsafe try? PathNormaliser.normalise($0) })
        else { return nil }
        var previous: UInt8 = 0
        for (place, byte) in normal.enumerated() {
            if byte == UInt8(ascii: "/"), previous == byte { return nil }
            if byte == UInt8(ascii: "%"), isAmbiguous(normal[(place + 1)...]) { return nil }
            previous = byte
        }
        return normal
    }

    /// Whether what is encoded would mean something else where it is decoded once more: `%2F`, `%5C`, `%25`, `%3B`, `%3F`,
    /// `%23`, and from `%80` on, where spellings multiply.
    private static func isAmbiguous(_ triplet: ArraySlice<UInt8>) -> Bool {
        let digits = String(decoding: triplet.prefix(2), as: UTF8.self)
        guard let value = UInt8(digits, radix: 16), value < 0x80 else { return true }
        return "/\\%;?#".utf8.contains(value)
    }

    /// What stands in no URL, or ends one early.
    private static func isForbidden(_ byte: UInt8) -> Bool {
        byte <= 0x20 || byte >= 0x7F || byte == UInt8(ascii: "#") || byte == UInt8(ascii: "\\")
    }
}
