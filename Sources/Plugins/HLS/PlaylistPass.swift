import PluginKit

/// One walk over a playlist that copies it and exchanges references for links.
struct PlaylistPass {
    private let base: HTTPURL
    private let definitions: PlaylistDefinitions
    private let limits: PlaylistLimits
    private let own: [UInt8]
    private let inherited: [UInt8]

    private var result = RewrittenPlaylist(bytes: [])
    /// Input before this place is in the result already.
    private var copied: Int
    private var expectsVariant = false
    /// Bytes that substitution has made, also in values that then stay as they are.
    private var substituted = 0
    private var lastLine = 0

    init(
        base: HTTPURL, definitions: PlaylistDefinitions, inherited: PlaylistVariables, limits: PlaylistLimits,
        from start: Int, of text: Span<UInt8>
    ) {
        self.base = base
        self.definitions = definitions
        self.limits = limits
        self.inherited = inherited.fragment
        let own = definitions.variables.fragment
        self.own = own.count <= limits.carried.bytes ? own : []
        copied = start
        result.bytes.reserveCapacity(min(text.count * 2, limits.output.bytes))
    }

    mutating func take(
        _ line: PlaylistLine, of text: Span<UInt8>, link: PlaylistLinkWriter
    ) throws(PlaylistError) {
        lastLine = line.number
        let content = line.content
        guard let first = content.first(where: { !Self.isBlank(text[$0]) }) else { return }
        guard text[first] == UInt8(ascii: "#") else {
            let rule = expectsVariant ? PlaylistReferenceRule.rendition : .line
            expectsVariant = false
            return try exchange(content, of: text, line: line.number, by: rule, link: link)
        }
        guard let tag = PlaylistTag(text, content) else { return }
        let list = tag.listStart(in: content)..<line.end
        switch tag {
        case .streamInf: expectsVariant = true
        case .define: try spellOut(list, of: text, line: line.number)
        default: try takeAttributes(of: tag, in: list, of: text, line: line.number, link: link)
        }
    }

    /// What is left behind the last reference.
    consuming func finish(_ text: Span<UInt8>) throws(PlaylistError) -> RewrittenPlaylist {
        copy(text, upTo: text.count)
        try checkOutput(line: lastLine)
        return result
    }

    private mutating func takeAttributes(
        of tag: PlaylistTag, in list: Range<Int>, of text: Span<UInt8>, line: Int, link: PlaylistLinkWriter
    ) throws(PlaylistError) {
        let rule = tag.rule
        var attributes = PlaylistAttributes(in: list, line: line)
        while let attribute = try attributes.next(in: text) {
            guard !attribute.value.isEmpty, tag.attributes.contains(where: { text.matches(attribute.name, $0) }) else {
                continue
            }
            try exchange(attribute.value, of: text, line: line, by: rule, link: link)
        }
    }

    private mutating func exchange(
        _ place: Range<Int>, of text: Span<UInt8>, line: Int, by rule: PlaylistReferenceRule, link: PlaylistLinkWriter
    ) throws(PlaylistError) {
        let url: HTTPURL?
        if let reference = try definitions.substitute(in: text.extracting(place), line: line) {
            substituted += reference.count
            try checkOutput(line: line)
            url = try resolve(reference.span, line: line, by: rule)
        } else {
            url = try resolve(text.extracting(place), line: line, by: rule)
        }
        guard let url else { return }
        guard result.playlists + result.media < limits.references else {
            throw .tooManyReferences(line: line, limit: limits.references)
        }

        let kind = rule.kind ?? (PlaylistSignature.hasSuffix(url.path) ? .playlist : .media)
        if kind == .playlist { result.playlists += 1 } else { result.media += 1 }
        copy(text, upTo: place.lowerBound)
        link(PlaylistReference(url: url, kind: kind, carried: carried(by: rule)), &result.bytes)
        copied = place.upperBound
        try checkOutput(line: line)
    }

    private func carried(by rule: PlaylistReferenceRule) -> [UInt8] {
        switch rule.carried {
        case .none: []
        case .own: own
        case .inherited: inherited
        }
    }

    /// - Returns: `nil` for a value that stays as it is.
    private func resolve(
        _ reference: Span<UInt8>, line: Int, by rule: PlaylistReferenceRule
    ) throws(PlaylistError) -> HTTPURL? {
        // Asked first: inert values may be longer than any URL.
        if !rule.inertSchemes.isEmpty, let scheme = URIReference(reference).scheme,
            rule.inertSchemes.contains(where: { Self.equals(reference.extracting(scheme), $0) })
        {
            return nil
        }
        do throws(HTTPURLError) {
            return try base.resolve(reference, as: .lenient, limit: limits.url.bytes)
        } catch .unsupportedScheme(let scheme) {
            throw .refusedScheme(line: line, scheme: scheme)
        } catch {
            throw .badReference(line: line, error)
        }
    }

    /// Replaces `QUERYPARAM="name"` by the name and the value it stands for.
    private mutating func spellOut(_ list: Range<Int>, of text: Span<UInt8>, line: Int) throws(PlaylistError) {
        var attributes = PlaylistAttributes(in: list, line: line)
        while let attribute = try attributes.next(in: text) {
            guard text.matches(attribute.name, PlaylistDefinitions.queryParameter) else { continue }
            let name = attribute.value.map { text[$0] }
            guard let value = definitions.variables[name] else { continue }
            copy(text, upTo: attribute.name.lowerBound)
            result.bytes.append(contentsOf: "NAME=\"".utf8)
            result.bytes.append(contentsOf: name)
            result.bytes.append(contentsOf: "\",VALUE=\"".utf8)
            result.bytes.append(contentsOf: value)
            result.bytes.append(UInt8(ascii: "\""))
            copied = attribute.value.upperBound + (attribute.isQuoted ? 1 : 0)
            try checkOutput(line: line)
        }
    }

    private mutating func copy(_ text: Span<UInt8>, upTo end: Int) {
        guard end > copied else { return }
        unsafe text.extracting(copied..<end).withUnsafeBytes { unsafe result.bytes.append(contentsOf: $0) }
        copied = end
    }

    private func checkOutput(line: Int) throws(PlaylistError) {
        guard max(result.bytes.count, substituted) <= limits.output.bytes else {
            throw .outputTooLarge(line: line, limit: limits.output)
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    /// Whether a scheme is `name`, in either case.
    private static func equals(_ scheme: Span<UInt8>, _ name: String) -> Bool {
        guard scheme.count == name.utf8.count else { return false }
        var place = 0
        for byte in name.utf8 {
            guard scheme[place] | 0x20 == byte else { return false }
            place += 1
        }
        return true
    }
}
