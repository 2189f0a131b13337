import Foundation

/// A file of the tree as the rules see it: its lines, and the same lines with comments and string literals blanked.
struct SourceFile: Sendable {
    /// From the root of the package: `Sources/Gateway/HTTP/Head.swift`.
    let path: String
    let lines: [String]
    let code: [String]
    let imports: [ImportLine]

    init(path: String, text: String) {
        self.path = path
        lines = text.components(separatedBy: "\n")
        code = path.hasSuffix(".swift") ? blanked(text).components(separatedBy: "\n") : lines
        imports = ImportLine.all(in: code)
    }

    var module: String? { ArchitectureTests.module(ofPath: path) }
}

/// Where a rule is broken, in the form an editor can jump to.
struct Finding: CustomStringConvertible, Equatable {
    let path: String
    let line: Int
    let message: String

    init(_ file: SourceFile, line: Int, _ message: String) {
        path = file.path
        self.line = line
        self.message = message
    }

    var description: String { "\(path):\(line): \(message)" }
}

extension SourceFile {
    /// One finding for every line of code that `pattern` matches.
    func findings(where pattern: Regex<Substring>, _ message: String) -> [Finding] {
        // Unicode's own word boundaries see none around the dot of `Task.detached`.
        let pattern = pattern.wordBoundaryKind(.simple)
        return code.enumerated().compactMap { index, line in
            line.contains(pattern) ? Finding(self, line: index + 1, message) : nil
        }
    }
}

/// The package this test stands in.
enum Tree {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static let sources = swiftFiles(under: "Sources")
    static let examples = swiftFiles(under: "Examples")
    static let everything = sources + swiftFiles(under: "Tests")

    private static func swiftFiles(under folder: String) -> [SourceFile] {
        let base = root.appending(path: folder)
        let names = FileManager.default.enumerator(atPath: base.path)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix(".swift") }.sorted().compactMap { name in
            let text = try? String(contentsOf: base.appending(path: name), encoding: .utf8)
            return text.map { SourceFile(path: "\(folder)/\(name)", text: $0) }
        }
    }
}
