/// The rules on what may stand in a file. Each looks at one file and says what is wrong in it.
enum HouseRules {
    /// Bad input is an error and a broken invariant a worded `precondition`; nothing else may end the process.
    static func neverTraps(_ file: SourceFile) -> [Finding] {
        file.findings(where: /\btry!/, "try! turns an error into a crash")
            + file.findings(where: /\bas!/, "as! turns a mismatch into a crash")
            + file.findings(where: /\bfatalError\s*\(/, "fatalError: throw, or word a precondition")
            + file.findings(where: /\bpreconditionFailure\s*\(/, "preconditionFailure: throw, or word a precondition")
    }

    static func startsNoThreads(_ file: SourceFile) -> [Finding] {
        guard let module = file.module, !ownersOfThreads.contains(module) else { return [] }
        let message = "\(module) starts a thread; only \(ownersOfThreads.sorted().joined(separator: " and ")) may"
        return file.findings(where: /\bpthread_create\b|\bThread\s*[({]|\bThread\.detach|\bDispatchQueue\b/, message)
            + file.findings(where: /\bTask\.detached\b/, "a detached task runs on the global pool, off the loops")
    }

    static func locksVisibly(_ file: SourceFile) -> [Finding] {
        file.findings(where: /\bMutex\b/, "the thread sanitizer sees no Mutex; say Guarded (docs/decisions/0024)")
    }

    /// The comment may stand on the line itself, in the comments and attributes directly above, or first in the body.
    static func justifiesUnchecked(_ file: SourceFile) -> [Finding] {
        let unchecked = /@unchecked\s+Sendable|nonisolated\(unsafe\)/
        return file.findings(where: unchecked, "not checked by the compiler, and no `// Safe:` that says why")
            .filter { !file.isJustified(line: $0.line) }
    }

    static func isShort(_ file: SourceFile) -> [Finding] {
        let count = file.lines.last == "" ? file.lines.count - 1 : file.lines.count
        guard count > longestFile else { return [] }
        return [Finding(file, line: longestFile + 1, "\(count) lines; split a file before \(longestFile)")]
    }

    static func isFinished(_ file: SourceFile) -> [Finding] {
        // Spelled apart, or this file would break its own rule.
        let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X:"]
        return file.lines.enumerated().flatMap { index, line in
            marks.filter(line.contains).map { Finding(file, line: index + 1, "\($0) left behind") }
        }
    }

    static func isPackagePrivate(_ file: SourceFile) -> [Finding] {
        guard let module = file.module, module != publicModule, !publicFiles.contains(file.path) else { return [] }
        let declaration =
            #/
            ^\s*
            (?: @\w+ (?: \( [^)]* \) )? \s+ )*                          # attributes
            (?: public|open ) (?: \( set \) )? \s+ [a-z]                 # not `open = …`, nor `public:`
            /#
        return file.findings(where: declaration, "only PluginKit is public; say package")
    }

    static func keepsIsolation(_ file: SourceFile) -> [Finding] {
        file.findings(
            where: /launch\s*\{\s*\[/,
            "this compiler takes isolation from closures with a capture list (docs/decisions/0004)")
    }
}

extension SourceFile {
    fileprivate func isJustified(line number: Int) -> Bool {
        var index = number - 1
        if lines[index...].prefix(2).contains(where: { $0.contains("// Safe:") }) { return true }
        while index > 0 {
            index -= 1
            let text = lines[index].trimmingPrefix(while: \.isWhitespace)
            guard text.hasPrefix("//") || text.hasPrefix("@") else { return false }
            if text.contains("Safe:") { return true }
        }
        return false
    }
}
