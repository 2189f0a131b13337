/// One `import` line, taken apart.
struct ImportLine: Equatable, Sendable {
    let module: String
    /// `public`, `package`, …; `nil` when the line says nothing, which means internal here.
    let access: String?
    let line: Int
}

extension ImportLine {
    /// The imports among the lines of a file.
    static func all(in code: [String]) -> [ImportLine] {
        let pattern =
            #/
            ^\s*
            (?: @\w+ (?: \( [^)]* \) )? \s+ )*                          # attributes
            (?: (public|package|internal|fileprivate|private) \s+ )?
            import \s+
            (?: (?: struct|class|enum|protocol|typealias|func|let|var ) \s+ )?
            (\w+)
            /#
        return code.enumerated().compactMap { index, text in
            // Most lines need no pattern to be found out.
            guard text.contains("import"), let match = text.firstMatch(of: pattern) else { return nil }
            return ImportLine(module: String(match.2), access: match.1.map(String.init), line: index + 1)
        }
    }
}

/// The rules on imports. Each looks at one file and says what is wrong in it.
enum ImportRules {
    static func pointsDown(_ file: SourceFile) -> [Finding] {
        guard let module = file.module else { return [] }
        guard let own = row(of: module) else {
            return [Finding(file, line: 1, "module \(module) stands in no row of the table")]
        }
        return file.imports.compactMap { line in
            guard let other = row(of: line.module), other >= own else { return nil }
            return Finding(file, line: line.line, "\(module) imports \(line.module), which is not below it")
        }
    }

    static func isKnown(_ file: SourceFile) -> [Finding] {
        file.imports.compactMap { line in
            guard row(of: line.module) == nil, importersOfToolchain[line.module] == nil else { return nil }
            return Finding(file, line: line.line, "\(line.module) is neither ours nor on the list of toolchain modules")
        }
    }

    static func keepsProtocolsPure(_ file: SourceFile) -> [Finding] {
        guard let module = file.module, protocols.contains(module) else { return [] }
        return file.imports.filter { $0.module == "GatewayRuntime" }.map {
            Finding(file, line: $0.line, "\(module) is bytes in, events out: no loops, sockets or timers")
        }
    }

    static func keepsPluginsApart(_ file: SourceFile) -> [Finding] {
        guard file.path.hasPrefix("Sources/Plugins/") || file.path.hasPrefix("Examples/") else { return [] }
        return file.imports.compactMap { line in
            guard row(of: line.module) != nil, line.module != "PluginKit", !drivers.contains(line.module),
                protocolsOfPlugins[file.module ?? ""] != line.module
            else { return nil }
            return Finding(file, line: line.line, "a plugin imports PluginKit and its own drivers, not \(line.module)")
        }
    }

    static func hidesC(_ file: SourceFile) -> [Finding] {
        guard let module = file.module else { return [] }
        return file.imports.flatMap { line -> [Finding] in
            guard let importers = importersOfC[line.module] else { return [] }
            var findings: [Finding] = []
            if !importers.contains(module) {
                let names = importers.sorted().joined(separator: " and ")
                findings.append(Finding(file, line: line.line, "only \(names) may import \(line.module)"))
            }
            if let access = line.access, access == "public" || access == "package" {
                findings.append(Finding(file, line: line.line, "\(access) import would let C types out"))
            }
            return findings
        }
    }

    static func limitsToolchain(_ file: SourceFile) -> [Finding] {
        guard let module = file.module else { return [] }
        return file.imports.compactMap { line in
            guard let allowed = importersOfToolchain[line.module] ?? nil, !allowed.contains(module) else { return nil }
            return Finding(file, line: line.line, "\(module) may not import \(line.module)")
        }
    }
}
