/// Whoever writes a plugin reads the kit: each declaration of it that other modules see has a doc comment.
///
/// Looks at lines that say `package`, and at the cases and requirements of enums and protocols that do. A `package init()`
/// without parameters needs none, nor does what restates a requirement of a protocol that is documented where it stands.
enum DocumentationRule {
    /// Requirements that conforming types repeat.
    private static let witnesses = [
        "func handle(_ request: Request, next: Next)", "func opened(_ socket:", "func drained(_ socket:",
        "func closed(_ socket:", "var description: String {", "static func == (", "func hash(into",
    ]

    static func check(_ file: SourceFile) -> [Finding] {
        let member = /^(?:case|var|func|init|static|associatedtype|mutating)\b/.wordBoundaryKind(.simple)
        let opener = /^package (?:indirect )?(?:enum|protocol)\b/.wordBoundaryKind(.simple)
        var findings: [Finding] = []
        // For each open brace, whether what stands in it is seen by others without saying `package`.
        var blocks: [Bool] = []
        for (index, line) in file.code.enumerated() {
            let text = withoutAttributes(line)
            let isSeen = text.hasPrefix("package ") && !text.hasPrefix("package import ")
            let isMember = blocks.last == true && text.firstMatch(of: member) != nil
            if isSeen || isMember, !isExempt(text, isSeen: isSeen), !file.isDocumented(line: index) {
                findings.append(Finding(file, line: index + 1, "nothing says what this is: \(text)"))
            }
            for character in line {
                if character == "{" { blocks.append(text.firstMatch(of: opener) != nil) }
                if character == "}" { blocks.removeLast() }
            }
        }
        return findings
    }

    private static func isExempt(_ text: String, isSeen: Bool) -> Bool {
        text == "package init() {}" || (isSeen && witnesses.contains(where: text.contains))
    }

    private static func withoutAttributes(_ line: String) -> String {
        String(line.trimmingPrefix(/\s*(?:@\w+(?:\([^)]*\))?\s+)*/))
    }
}

extension SourceFile {
    /// Whether a doc comment ends above the line, or above the attributes above it.
    fileprivate func isDocumented(line index: Int) -> Bool {
        var above = index - 1
        while above >= 0, lines[above].trimmingPrefix(while: \.isWhitespace).hasPrefix("@") { above -= 1 }
        return above >= 0 && lines[above].trimmingPrefix(while: \.isWhitespace).hasPrefix("///")
    }
}
