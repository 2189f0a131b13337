/// Reads settings from an environment, and remembers everything about each: problems, documentation, value, source.
///
/// Every read returns a value: the setting's own, its default, or a placeholder after a problem was recorded. So one
/// run finds all problems; look at ``problems`` before using any value.
///
/// A setting named `"ORIGIN"` under the prefix `HLS` is the variable `HLS_ORIGIN`; `exactly:` names are spelled whole.
/// A variable that is empty counts as unset. A secret `NAME` may come from the file that `NAME_FILE` names.
package struct SettingsReader {
    /// Reads a file that a setting names; fails if it is larger than the limit.
    package typealias FileReading = (_ path: String, _ limit: Int) throws(SettingError) -> [UInt8]

    /// - Parameter environment: The process's environment, or a test's.
    /// - Parameter fileLimit: Largest file, in bytes, that a secret may be read from.
    package init(
        environment: [String: String], fileLimit: Int = 64 << 10,
        readFile: @escaping FileReading = { (_, _) throws(SettingError) in throw SettingError("cannot be read here") }
    ) {
        self.environment = environment
        self.fileLimit = fileLimit
        self.readFile = readFile
        isDescribing = false
    }

    private init() {
        environment = [:]
        fileLimit = 0
        readFile = { (_, _) throws(SettingError) in throw SettingError("cannot be read here") }
        isDescribing = true
    }

    /// A reader that only collects descriptions: every setting is unset and none is a problem.
    package static func describing() -> SettingsReader { SettingsReader() }

    let environment: [String: String]
    private let fileLimit: Int
    private let readFile: FileReading
    private let isDescribing: Bool
    private var prefix = ""
    private var currentSection = 0
    private var problemsOfPart: [SettingProblem] = []
    private var namesOfPart: [String] = []
    private(set) var prefixes: Set<String> = []
    private(set) var knownNames: Set<String> = []

    /// Everything wrong, in reading order, once each.
    package private(set) var problems: [SettingProblem] = []
    /// Everything that can be set, by section, in reading order.
    package private(set) var sections: [SettingSection] = [SettingSection(title: "General", documentation: "")]
    /// The effective value of everything that was read, in reading order.
    package private(set) var values: [SettingReport] = []
    /// What stands for the value of each setting that has one, to compare with another reading in this process.
    package private(set) var digests: [String: SettingDigest] = [:]

    /// Everything that can be set, once each, section by section.
    package var described: [SettingDescription] { sections.flatMap(\.settings) }

    /// Starts a section of the documentation, or continues the one of that title.
    package mutating func section(_ title: String, _ documentation: String = "") {
        if let known = sections.firstIndex(where: { $0.title == title }) {
            currentSection = known
            return
        }
        sections.append(SettingSection(title: title, documentation: documentation))
        currentSection = sections.count - 1
    }

    /// Reads the settings of one part, under its own prefix and section, and tells its problems from the others'.
    ///
    /// - Parameter prefix: `HLS` for names like `HLS_ORIGIN`; empty for names without a prefix. Unread names that
    ///   start with it are reported by ``warnings``.
    package mutating func read<Value: Settings>(
        _ type: Value.Type = Value.self, prefix: String = "", section title: String, _ documentation: String = ""
    ) -> SettingsReading<Value> {
        let (outerPrefix, outerSection) = (self.prefix, currentSection)
        let (outerProblems, outerNames) = (problemsOfPart, namesOfPart)
        defer { (self.prefix, currentSection) = (outerPrefix, outerSection) }
        (self.prefix, problemsOfPart, namesOfPart) = (prefix, [], [])
        if !prefix.isEmpty { prefixes.insert(prefix) }
        section(title, documentation)
        let settings = Value(from: &self)
        let reading = SettingsReading(settings: settings, problems: problemsOfPart, names: namesOfPart)
        problemsOfPart = outerProblems + problemsOfPart
        namesOfPart = outerNames + namesOfPart
        return reading
    }

    /// Records a contradiction between settings: `env.require(soft <= hard, "SOFT", "must not exceed HARD")`.
    ///
    /// - Parameter name: As in the read of that setting; the prefix is added unless the whole name was read.
    package mutating func require(_ condition: Bool, _ name: String, _ message: String) {
        guard !condition, !isDescribing else { return }
        let name = knownNames.contains(fullName(name)) ? fullName(name) : name
        record(.contradiction, name, "\(name) \(message)")
    }

    func fullName(_ name: String) -> String { prefix.isEmpty ? name : "\(prefix)_\(name)" }

    // MARK: One setting

    enum Outcome<Value> {
        case unset
        case value(Value)
        case refused
    }

    /// Describes a setting, looks it up, parses and checks it, and records what came of it.
    ///
    /// - Parameter identify: What a value, or the text it was read from, is told apart by. A secret's text always is.
    mutating func resolve<Value>(
        _ setting: SettingDescription, parse: (String) throws(SettingError) -> Value,
        check: (Value) -> Bool, show: (Value) -> String, identify: (Value, String) -> String
    ) -> Outcome<Value> {
        describe(setting)
        let text: String
        let source: SettingReport.Source
        switch lookUp(setting) {
        case .value(let found): (text, source) = found
        case .unset: return .unset
        case .refused: return .refused
        }
        do throws(SettingError) {
            let value = try parse(text)
            guard check(value) else {
                complain(.outOfRange, setting, text, source, "out of range; allowed is \(setting.range ?? "less")")
                return .refused
            }
            let shown = show(value)
            report(
                setting, setting.isSecret ? "<secret>" : withoutCredentials(shown), source,
                identity: setting.isSecret ? text : identify(value, text))
            return .value(value)
        } catch {
            complain(.invalid, setting, text, source, error.message)
            return .refused
        }
    }

    /// - Parameter identity: What the value is told apart by, where `text` is not all of it.
    mutating func report(
        _ setting: SettingDescription, _ text: String?, _ source: SettingReport.Source, identity: String? = nil
    ) {
        if let identity = identity ?? text { digests[setting.name] = SettingDigest(of: identity) }
        guard !values.contains(where: { $0.name == setting.name }) else { return }
        values.append(SettingReport(name: setting.name, section: setting.section, text: text, source: source))
    }

    mutating func reportMissing(_ setting: SettingDescription) {
        guard !isDescribing else { return }
        let example = setting.example.map { " (for example \($0))" } ?? ""
        let message = "\(setting.name) is required\(example): \(setting.documentation)"
        record(.missingRequired(setting.name), setting.name, message)
    }

    var sectionTitle: String { sections[currentSection].title }

    private mutating func describe(_ setting: SettingDescription) {
        knownNames.insert(setting.name)
        namesOfPart.append(setting.name)
        if setting.isSecret { knownNames.insert("\(setting.name)_FILE") }
        guard !sections.contains(where: { $0.settings.contains { $0.name == setting.name } }) else { return }
        sections[currentSection].settings.append(setting)
    }

    /// The text of a setting and where it stands; refused when a problem with its file was recorded.
    private mutating func lookUp(_ setting: SettingDescription) -> Outcome<(String, SettingReport.Source)> {
        let written = environment[setting.name] ?? ""
        let text = setting.isSecret ? written : trimmed(written)  // a secret's spaces may be part of it
        guard setting.isSecret, let path = environment["\(setting.name)_FILE"], !path.isEmpty else {
            return trimmed(text).isEmpty ? .unset : .value((text, .environment))
        }
        guard trimmed(text).isEmpty else {
            record(.setTwice, setting.name, "\(setting.name) and \(setting.name)_FILE are both set; keep one")
            return .refused
        }
        do throws(SettingError) {
            return .value((try secret(at: path), .file(path)))
        } catch {
            record(.unreadableFile, setting.name, "\(setting.name)_FILE=\(printable(path)): \(error.message)")
            return .refused
        }
    }

    private func secret(at path: String) throws(SettingError) -> String {
        let bytes = try readFile(path, fileLimit)
        guard bytes.count <= fileLimit else { throw SettingError("larger than \(fileLimit) bytes") }
        guard var text = String(validating: bytes, as: UTF8.self) else { throw SettingError("not UTF-8 text") }
        // Editors and `echo` end a file with a newline that is not part of the secret.
        if let last = text.last, last == "\n" || last == "\r\n" { text.removeLast() }
        guard !text.isEmpty else { throw SettingError("the file is empty") }
        return text
    }

    private mutating func complain(
        _ kind: SettingProblem.Kind, _ setting: SettingDescription, _ text: String, _ source: SettingReport.Source,
        _ message: String
    ) {
        let shown = setting.isSecret ? "<secret>" : printable(withoutCredentials(text))
        report(setting, shown, source)
        record(kind, setting.name, "\(setting.name)=\(shown): \(message)")
    }

    private mutating func record(_ kind: SettingProblem.Kind, _ name: String, _ description: String) {
        let problem = SettingProblem(name: name, section: sectionTitle, kind: kind, description: description)
        problemsOfPart.append(problem)
        guard !problems.contains(where: { $0.name == name && $0.kind == kind }) else { return }
        problems.append(problem)
    }
}
