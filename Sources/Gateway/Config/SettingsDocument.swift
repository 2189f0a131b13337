/// Writes what a reader collected for people: `docs/CONFIGURATION.md`, and the answer of `gateway config`.
package enum SettingsDocument {
    /// The reference of every setting, section by section, as Markdown. The same settings give the same bytes.
    ///
    /// - Parameter introduction: Stands under the title; may be Markdown.
    package static func markdown(
        _ sections: [SettingSection], title: String = "Configuration", introduction: String = ""
    ) -> String {
        var lines = ["# \(title)", ""]
        if !introduction.isEmpty { lines += [introduction, ""] }
        for section in sections where !section.settings.isEmpty {
            lines += ["## \(section.title)", ""]
            if !section.documentation.isEmpty { lines += [section.documentation, ""] }
            lines += ["| Name | Value | Default | Meaning |", "|---|---|---|---|"]
            lines += section.settings.map(row)
            lines.append("")
        }
        return lines.dropLast().joined(separator: "\n") + "\n"
    }

    private static func row(_ setting: SettingDescription) -> String {
        let cells = ["`\(setting.name)`", value(setting), fallback(setting), meaning(setting)]
        return "| " + cells.map(cell).joined(separator: " | ") + " |"
    }

    private static func value(_ setting: SettingDescription) -> String {
        var text = setting.type
        if let range = setting.range { text += ", \(range)" }
        if let unit = setting.bareUnit { text += "; a bare number is \(unit)" }
        return text
    }

    private static func fallback(_ setting: SettingDescription) -> String {
        if setting.isRequired { return "**required**" }
        if let phrase = setting.defaultPhrase { return phrase }
        guard let text = setting.defaultValue else { return "unset" }
        return text.isEmpty ? "empty" : "`\(text)`"
    }

    private static func meaning(_ setting: SettingDescription) -> String {
        var text = setting.documentation
        if let example = setting.example { text += " Example: `\(example)`." }
        if setting.isSecret { text += " Secret; `\(setting.name)_FILE` may name a file that holds it." }
        return text
    }

    /// Text that neither ends a table cell nor a row.
    private static func cell(_ text: String) -> String {
        text.map { $0 == "|" ? "\\|" : $0.isNewline ? " " : String($0) }.joined()
    }

    /// Effective values as `NAME=value  # source`, one per line, a comment line before each section.
    package static func listing(_ values: [SettingReport]) -> String {
        var text = ""
        var section: String?
        for report in values {
            if report.section != section {
                text += section == nil ? "# \(report.section)\n" : "\n# \(report.section)\n"
                section = report.section
            }
            let assignment =
                report.text.map { "\(report.name)=\(printable($0, limit: .max))" } ?? "# \(report.name) is not set"
            text += report.text == nil ? "\(assignment)\n" : "\(assignment)  # \(report.source)\n"
        }
        return text
    }
}
