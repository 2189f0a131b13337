/// The settings of one part of the gateway, read from the environment in one `init` without branches.
///
/// The same `init` runs with a describing reader to write the documentation, so everything it asks the reader for must
/// be asked for always, whatever the values are.
package protocol Settings: Sendable {
    init(from env: inout SettingsReader)
}

/// Why the text of a setting was refused, in words for the person who wrote it.
///
/// Say what it is not and what to write instead: `not a duration; write 30s`. Never repeat the text itself: the reader
/// does, unless it is secret.
package struct SettingError: Error, Hashable, Sendable, CustomStringConvertible {
    package let message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }
}

/// Something wrong with the settings that stops the start, or lets a plugin sleep.
package struct SettingProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        /// A required setting is not set: "not configured" rather than "wrong".
        case missingRequired(String)
        /// The text is not a value of the setting's type.
        case invalid
        /// The value lies outside the setting's range.
        case outOfRange
        /// The value contradicts another setting.
        case contradiction
        /// The file that `NAME_FILE` names could not be used.
        case unreadableFile
        /// `NAME` and `NAME_FILE` are both set.
        case setTwice
    }

    /// The environment variable to correct.
    package let name: String
    /// Title of the section that read it.
    package let section: String
    package let kind: Kind
    /// One line; never contains a secret or a control character.
    package let description: String

    package var isMissing: Bool {
        if case .missingRequired = kind { return true }
        return false
    }
}

/// A name in the environment that nothing reads and that looks like a mistake.
package struct SettingWarning: Hashable, Sendable, CustomStringConvertible {
    package let name: String
    /// The nearest name that something does read.
    package let suggestion: String?

    package var description: String {
        let fact = "\(printable(name)) is not a setting and changes nothing"
        return suggestion.map { "\(fact); did you mean \($0)?" } ?? fact
    }
}

/// What came of reading the settings of one part.
package struct SettingsReading<Value: Settings>: Sendable {
    /// Usable only if ``problems`` is empty: a refused setting left its default or a placeholder here.
    package let settings: Value
    package let problems: [SettingProblem]
    /// The whole names of all settings that were read, whether set or not.
    package let names: [String]

    package var isUsable: Bool { problems.isEmpty }

    /// True if something required is missing and nothing is wrong: a part that was not named may sleep.
    package var isUnconfigured: Bool { !problems.isEmpty && problems.allSatisfy(\.isMissing) }

    /// The required settings that are not set, in the order in which they were read.
    package var missing: [String] { problems.filter(\.isMissing).map(\.name) }
}
