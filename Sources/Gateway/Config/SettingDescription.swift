/// What there is to know about a setting without reading it.
package struct SettingDescription: Hashable, Sendable {
    /// The whole name of the environment variable.
    package let name: String
    /// Title of the section that reads it first.
    package let section: String
    /// A noun, or the choices.
    package let type: String
    package var range: String?
    /// What a number without a unit counts.
    package var bareUnit: String?
    package var isRequired = false
    package var isSecret = false
    /// The default as an operator would write it; `nil` when there is none.
    package var defaultValue: String?
    /// Words for a default that depends on the machine or on another setting.
    package var defaultPhrase: String?
    package var example: String?
    package let documentation: String

    init(
        name: String, section: String, type: String, range: String? = nil, bareUnit: String? = nil,
        isRequired: Bool = false, isSecret: Bool = false, defaultValue: String? = nil, defaultPhrase: String? = nil,
        example: String? = nil, documentation: String
    ) {
        self.name = name
        self.section = section
        self.type = type
        self.range = range
        self.bareUnit = bareUnit
        self.isRequired = isRequired
        self.isSecret = isSecret
        self.defaultValue = defaultValue
        self.defaultPhrase = defaultPhrase
        self.example = example
        self.documentation = documentation
    }
}

/// Settings that belong together in the documentation.
package struct SettingSection: Hashable, Sendable {
    package let title: String
    package let documentation: String
    package internal(set) var settings: [SettingDescription] = []
}

/// The effective value of a setting and where it came from.
package struct SettingReport: Hashable, Sendable {
    package enum Source: Hashable, Sendable, CustomStringConvertible {
        case byDefault
        case environment
        /// The file that `NAME_FILE` names.
        case file(String)
        /// Neither set nor with a default.
        case unset

        package var description: String {
            switch self {
            case .byDefault: "default"
            case .environment: "environment"
            case .file(let path): "file \(printable(path))"
            case .unset: "unset"
            }
        }
    }

    package let name: String
    package let section: String
    /// `nil` when unset, `<secret>` for a secret; passwords in URLs are left out.
    package let text: String?
    package let source: Source
}

/// At most `limit` characters of `text`, with everything that could move a cursor or start a line written as an escape.
func printable(_ text: String, limit: Int = 80) -> String {
    var shown = ""
    for (index, scalar) in text.unicodeScalars.enumerated() {
        guard index < limit else { return shown + "…" }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate:
            shown += "\\u{\(String(scalar.value, radix: 16))}"
        default: shown.unicodeScalars.append(scalar)
        }
    }
    return shown
}

/// `text` with the `user:password@` of every URL in it replaced, whatever the password holds but commas and blanks.
///
/// Part of a path with an `@` may go with it: better than to show a password with a slash.
func withoutCredentials(_ text: String) -> String {
    var shown: [UInt8] = []
    // By bytes: Swift takes an `@` with a combining mark behind it for another character.
    var rest = Array(text.utf8)[...]
    while let colon = rest.indices.first(where: { rest[$0...].starts(with: "://".utf8) }) {
        let start = colon + 3
        shown += rest[..<start]
        rest = rest[start...]
        guard let end = endOfCredentials(rest) else { continue }
        shown += Array("<secret>".utf8)
        rest = rest[end...]
    }
    shown += rest
    return String(decoding: shown, as: UTF8.self)
}

/// The `@` behind the credentials of a URL, given from behind its `://` on.
private func endOfCredentials(_ text: ArraySlice<UInt8>) -> Int? {
    let url = text.prefix { $0 != UInt8(ascii: ",") && !isWhiteSpace($0) }
    guard let end = url.lastIndex(of: UInt8(ascii: "@")) else { return nil }
    let before = url[..<end]
    let authority = url.prefix { !"/?#".utf8.contains($0) }
    // A colon begins a password, unless it is that of another URL's `://`.
    let hasPassword = before.indices.contains { place in
        before[place] == UInt8(ascii: ":") && !before[(place + 1)...].starts(with: "//".utf8)
    }
    return hasPassword || authority.contains(UInt8(ascii: "@")) ? end : nil
}
