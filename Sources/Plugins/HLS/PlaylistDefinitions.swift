import PluginKit

/// Reads the EXT-X-DEFINE tags of one playlist in order, and puts values in the place of `{$name}`.
struct PlaylistDefinitions {
    private(set) var variables = PlaylistVariables()
    /// Definitions read, with and without effect. Without any, `{$name}` is literal text, as it was before version 8.
    private var count = 0

    private let base: HTTPURL
    private let inherited: PlaylistVariables
    private let limits: PlaylistLimits

    /// - Parameter base: The playlist's own URL after redirects; QUERYPARAM looks there.
    /// - Parameter inherited: What the multivariant playlist defined; IMPORT looks there.
    init(base: HTTPURL, inherited: PlaylistVariables, limits: PlaylistLimits) {
        self.base = base
        self.inherited = inherited
        self.limits = limits
    }

    /// Takes one EXT-X-DEFINE line.
    ///
    /// An import or a query parameter that is not there defines nothing: the player will refuse the playlist if it
    /// must, and here it matters only when a reference needs the value.
    mutating func take(_ line: PlaylistLine, list: Range<Int>, of text: Span<UInt8>) throws(PlaylistError) {
        count += 1
        guard count <= limits.variables else { throw .tooManyVariables(line: line.number, limit: limits.variables) }
        var name: Range<Int>?
        var value: Range<Int>?
        var imported: Range<Int>?
        var parameter: Range<Int>?
        var attributes = PlaylistAttributes(in: list, line: line.number)
        while let attribute = try attributes.next(in: text) {
            func take(_ wanted: [UInt8], into place: inout Range<Int>?) throws(PlaylistError) {
                guard text.matches(attribute.name, wanted) else { return }
                // Of two, one player takes the first and another the last.
                guard place == nil else { throw .badDefinition(line: line.number) }
                place = attribute.value
            }
            try take(Self.name, into: &name)
            try take(Self.value, into: &value)
            try take(Self.imported, into: &imported)
            try take(Self.queryParameter, into: &parameter)
        }
        switch (name, value, imported, parameter) {
        case (let name?, let value?, nil, nil):
            let bytes = text.extracting(value)
            let full = try substitute(in: bytes, line: line.number) ?? Self.copy(bytes)
            // Links carry no others, and no URL holds them.
            guard full.allSatisfy(PlaylistVariables.isQuotable) else { throw .badDefinition(line: line.number) }
            try define(text, name, as: full, line: line.number)
        case (nil, nil, let name?, nil):
            let value = inherited[Self.copy(text.extracting(name))]
            try define(text, name, as: value, line: line.number)
        case (nil, nil, nil, let name?):
            let value = try queryValue(of: Self.copy(text.extracting(name)), line: line.number)
            try define(text, name, as: value, line: line.number)
        default:
            throw .badDefinition(line: line.number)
        }
    }

    private mutating func define(
        _ text: Span<UInt8>, _ place: Range<Int>, as value: [UInt8]?, line: Int
    ) throws(PlaylistError) {
        let name = Self.copy(text.extracting(place))
        guard PlaylistVariables.isName(name) else { throw .badDefinition(line: line) }
        guard let value else { return }
        guard value.count <= limits.variable.bytes else { throw .variableTooLong(line: line, limit: limits.variable) }
        guard variables.define(name, as: value) else {
            throw .duplicateVariable(line: line, name: Self.shown(name))
        }
    }

    /// The decoded value of the base URL's query parameter of that name, the first if there are several.
    private func queryValue(of name: [UInt8], line: Int) throws(PlaylistError) -> [UInt8]? {
        guard let slice = base.query else { return nil }
        let bytes = Array(slice)
        let query = bytes.span
        for parameter in QueryParameters.all(in: query) {
            guard let place = parameter.value, parameter.name(in: query) == name else { continue }
            guard let value = Percent.decoded(query.extracting(place)),
                value.allSatisfy(PlaylistVariables.isQuotable)
            else { throw .badDefinition(line: line) }
            return value
        }
        return nil
    }

    /// The text with every `{$name}` replaced, once and not again in what came in; `nil` when there is none.
    func substitute(in text: Span<UInt8>, line: Int) throws(PlaylistError) -> [UInt8]? {
        guard count > 0 else { return nil }
        let limit = max(limits.url.bytes, limits.variable.bytes)
        var result: [UInt8] = []
        var place = 0
        var isChanged = false
        while place < text.count {
            guard let end = Self.referenceEnd(in: text, at: place) else {
                result.append(text[place])
                place += 1
                continue
            }
            let name = Self.copy(text.extracting(place + 2..<end - 1))
            guard let value = variables[name] else {
                throw .undefinedVariable(line: line, name: Self.shown(name))
            }
            guard result.count + value.count <= limit else {
                throw .variableTooLong(line: line, limit: limits.variable)
            }
            result.append(contentsOf: value)
            place = end
            isChanged = true
        }
        return isChanged ? result : nil
    }

    /// Where the variable reference that starts at `place` ends, behind its brace.
    private static func referenceEnd(in text: Span<UInt8>, at place: Int) -> Int? {
        guard place + 3 < text.count, text[place] == UInt8(ascii: "{"), text[place + 1] == UInt8(ascii: "$") else {
            return nil
        }
        var end = place + 2
        while end < text.count, PlaylistVariables.isNameByte(text[end]) { end += 1 }
        guard end > place + 2, end < text.count, text[end] == UInt8(ascii: "}") else { return nil }
        return end + 1
    }

    private static func copy(_ text: Span<UInt8>) -> [UInt8] { text.indices.map { text[$0] } }

    /// For an error: names only hold visible ASCII.
    private static func shown(_ name: [UInt8]) -> String { String(decoding: name.prefix(64), as: UTF8.self) }

    private static let name = Array("NAME".utf8)
    private static let value = Array("VALUE".utf8)
    private static let imported = Array("IMPORT".utf8)
    static let queryParameter = Array("QUERYPARAM".utf8)
}
