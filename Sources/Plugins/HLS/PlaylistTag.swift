/// How references of one place in a playlist are met.
struct PlaylistReferenceRule {
    /// Which variables the link takes along, for the child playlist to import.
    enum Carried {
        case none
        /// This playlist's own: it is the child's multivariant playlist.
        case own
        /// Those this playlist was given: the other playlist is a sibling, and must get the link its parent gives it.
        case inherited
    }

    /// `nil` leaves it to the path's suffix.
    let kind: LinkKind?
    let carried: Carried
    /// Schemes that name or hold something and make nobody connect; such values stay as they are.
    let inertSchemes: [String]

    static let line = PlaylistReferenceRule(kind: nil, carried: .none, inertSchemes: [])
    static let rendition = PlaylistReferenceRule(kind: .playlist, carried: .own, inertSchemes: [])
    static let sibling = PlaylistReferenceRule(kind: .playlist, carried: .inherited, inertSchemes: [])
    static let key = PlaylistReferenceRule(kind: nil, carried: .none, inertSchemes: ["data", "skd", "urn"])
    /// A steering manifest may be written into the playlist itself (RFC 8216bis §4.4.6.6).
    static let steering = PlaylistReferenceRule(kind: nil, carried: .none, inertSchemes: ["data"])
}

/// The tags that bear references or change how they are read. All others pass through.
enum PlaylistTag: String, CaseIterable {
    case streamInf = "#EXT-X-STREAM-INF"
    case define = "#EXT-X-DEFINE"
    case key = "#EXT-X-KEY"
    case map = "#EXT-X-MAP"
    case part = "#EXT-X-PART"
    case preloadHint = "#EXT-X-PRELOAD-HINT"
    case renditionReport = "#EXT-X-RENDITION-REPORT"
    case dateRange = "#EXT-X-DATERANGE"
    case media = "#EXT-X-MEDIA"
    case iFrameStreamInf = "#EXT-X-I-FRAME-STREAM-INF"
    case sessionData = "#EXT-X-SESSION-DATA"
    case sessionKey = "#EXT-X-SESSION-KEY"
    case contentSteering = "#EXT-X-CONTENT-STEERING"

    /// What stands at the start of a line, up to its colon; `nil` for every tag not listed here.
    init?(_ text: Span<UInt8>, _ line: Range<Int>) {
        guard line.count > Self.prefix.count, text[line.lowerBound + 5] == UInt8(ascii: "X") else { return nil }
        for (name, tag) in Self.names where Self.starts(text, line, with: name) {
            self = tag
            return
        }
        return nil
    }

    /// Where the attribute list of a line with this tag begins.
    func listStart(in line: Range<Int>) -> Int { line.lowerBound + rawValue.utf8.count + 1 }

    /// The attributes that hold references.
    var attributes: [[UInt8]] {
        switch self {
        case .streamInf, .define: []
        case .contentSteering: Self.serverURI
        case .dateRange: Self.assets
        case .key, .map, .part, .preloadHint, .renditionReport, .media, .iFrameStreamInf, .sessionData, .sessionKey:
            Self.uri
        }
    }

    var rule: PlaylistReferenceRule {
        switch self {
        case .key, .sessionKey: .key
        case .media, .iFrameStreamInf: .rendition
        case .renditionReport: .sibling
        case .contentSteering: .steering
        case .streamInf, .define, .map, .part, .preloadHint, .dateRange, .sessionData: .line
        }
    }

    private static let prefix = Array("#EXT-X-".utf8)
    private static let uri = [Array("URI".utf8)]
    private static let serverURI = [Array("SERVER-URI".utf8)]
    private static let assets = [Array("X-ASSET-URI".utf8), Array("X-ASSET-LIST".utf8)]
    private static let names = allCases.map { (Array("\($0.rawValue):".utf8), $0) }

    private static func starts(_ text: Span<UInt8>, _ line: Range<Int>, with name: [UInt8]) -> Bool {
        guard line.count >= name.count else { return false }
        // Backwards: all names begin alike.
        for place in name.indices.reversed() where text[line.lowerBound + place] != name[place] { return false }
        return true
    }
}

extension Span<UInt8> {
    /// Whether the bytes at `range` are `name`.
    func matches(_ range: Range<Int>, _ name: [UInt8]) -> Bool {
        guard range.count == name.count else { return false }
        for place in name.indices where self[range.lowerBound + place] != name[place] { return false }
        return true
    }
}
