import Testing

/// What a rule finds wrong in `text`, as line numbers, if the file stood at `path`.
private func lines(_ rule: (SourceFile) -> [Finding], in path: String, _ text: String) -> [Int] {
    rule(SourceFile(path: path, text: text)).map(\.line)
}

@Suite("A broken rule is found")
struct RuleTests {
    static let http = "Sources/Gateway/HTTP/Sample.swift"
    static let echo = "Sources/Plugins/Echo/Sample.swift"

    @Test(
        "an import is read whatever stands before the word",
        arguments: [
            ("import GatewayBytes", "GatewayBytes", nil),
            ("package import GatewayBytes", "GatewayBytes", "package"),
            ("@preconcurrency internal import CZlib", "CZlib", "internal"),
            ("@_spi(Testing) @testable import PluginKit", "PluginKit", nil),
            ("import func Glibc.memchr", "Glibc", nil),
        ])
    func imports(_ text: String, _ module: String, _ access: String?) {
        let file = SourceFile(path: Self.http, text: "\n" + text)
        #expect(file.imports == [ImportLine(module: module, access: access, line: 2)])
    }

    @Test(
        "an import in a comment or a string is prose",
        arguments: [
            "// import Foundation", "/* import Foundation */", "let page = \"\"\"\n    import Foundation\n    \"\"\"",
        ])
    func prose(_ text: String) {
        #expect(SourceFile(path: Self.http, text: text).imports.isEmpty)
    }

    @Test("an arrow that points up or sideways", arguments: ["GatewayServer", "GatewayTLS", "PluginKit", "gateway"])
    func upwards(_ module: String) {
        #expect(lines(ImportRules.pointsDown, in: Self.http, "import GatewayBytes\nimport \(module)") == [2])
    }

    @Test("a folder without a row")
    func unknownFolder() {
        #expect(lines(ImportRules.pointsDown, in: "Sources/Gateway/Misc/Sample.swift", "import GatewayBytes") == [1])
    }

    @Test("a module from elsewhere")
    func unknownModule() { #expect(lines(ImportRules.isKnown, in: Self.http, "import NIOCore") == [1]) }

    @Test("a protocol that reaches for the runtime")
    func protocolWithRuntime() {
        #expect(lines(ImportRules.keepsProtocolsPure, in: Self.http, "import GatewayRuntime") == [1])
    }

    @Test("a plugin that reaches past PluginKit", arguments: ["HLSPlugin", "GatewayServer", "GatewayHTTP", "COpenSSL"])
    func plugin(_ module: String) {
        #expect(lines(ImportRules.keepsPluginsApart, in: Self.echo, "import PluginKit\nimport \(module)") == [2])
    }

    @Test("a plugin may use a driver")
    func driver() {
        let text = "import PluginKit\nimport GatewaySQLite"
        #expect(lines(ImportRules.keepsPluginsApart, in: Self.echo, text).isEmpty)
        #expect(lines(ImportRules.pointsDown, in: Self.echo, text).isEmpty)
    }

    @Test("a C library outside its wrapper, or let out of it")
    func cLibrary() {
        #expect(lines(ImportRules.hidesC, in: Self.http, "internal import CZlib") == [1])
        let wrapper = "Sources/Gateway/Compression/Sample.swift"
        #expect(lines(ImportRules.hidesC, in: wrapper, "package import CZlib") == [1])
        #expect(lines(ImportRules.hidesC, in: wrapper, "import CZlib").isEmpty)
    }

    @Test("Foundation in what ships", arguments: ["Foundation", "FoundationEssentials"])
    func foundation(_ module: String) {
        #expect(lines(ImportRules.limitsToolchain, in: Self.http, "import \(module)") == [1])
        #expect(lines(ImportRules.limitsToolchain, in: "Sources/Gateway/App/main.swift", "import \(module)") == [1])
    }

    @Test("a trap", arguments: ["try! f()", "x as! Int", "fatalError(\"no\")", "preconditionFailure (\"no\")"])
    func trap(_ text: String) {
        #expect(lines(HouseRules.neverTraps, in: Self.http, "let a = 1\n\(text)") == [2])
        #expect(lines(HouseRules.neverTraps, in: Self.http, "// \(text)").isEmpty)
        #expect(lines(HouseRules.neverTraps, in: Self.http, "let a = \"\\(b) try! \"").isEmpty)
        #expect(lines(HouseRules.neverTraps, in: Self.http, "let a = \"\\(f(\"(\") + \"\") \"; \(text)") == [1])
    }

    @Test("a thread", arguments: ["pthread_create(", "Thread {", "DispatchQueue.main", "Task.detached {"])
    func thread(_ text: String) {
        #expect(lines(HouseRules.startsNoThreads, in: Self.http, text) == [1])
        #expect(lines(HouseRules.startsNoThreads, in: "Sources/Gateway/Runtime/Sample.swift", text).isEmpty)
    }

    @Test("a lock that the thread sanitizer does not see")
    func lock() {
        #expect(lines(HouseRules.locksVisibly, in: Self.http, "// Why not Mutex\nlet a = Mutex(1)") == [2])
        #expect(lines(HouseRules.locksVisibly, in: Self.http, "let a: Mutex<Int>") == [1])
        #expect(lines(HouseRules.locksVisibly, in: Self.http, "let a = Guarded(1)").isEmpty)
    }

    @Test("an unchecked conformance nobody answers for")
    func unchecked() {
        let type = "final class Box: @unchecked Sendable {}"
        #expect(lines(HouseRules.justifiesUnchecked, in: Self.http, "let a = 1\n\(type)") == [2])
        #expect(lines(HouseRules.justifiesUnchecked, in: Self.http, "\(type)  // Safe: immutable.").isEmpty)
        #expect(lines(HouseRules.justifiesUnchecked, in: Self.http, "// Safe: immutable.\n@safe\n\(type)").isEmpty)
        let property = "    nonisolated(unsafe) let box: Box"
        #expect(lines(HouseRules.justifiesUnchecked, in: Self.http, property) == [1])
        #expect(lines(HouseRules.justifiesUnchecked, in: Self.http, "    // Safe: constant.\n\(property)").isEmpty)
        let body = "final class Box: @unchecked Sendable {\n    // Safe: immutable.\n}"
        #expect(lines(HouseRules.justifiesUnchecked, in: Self.http, body).isEmpty)
        #expect(lines(HouseRules.justifiesUnchecked, in: Self.http, "// Safe: one.\nlet a = 1\n\(type)") == [3])
    }

    @Test("a public declaration outside PluginKit")
    func publicDeclaration() {
        #expect(lines(HouseRules.isPackagePrivate, in: Self.http, "@inlinable public func f() {}") == [1])
        #expect(lines(HouseRules.isPackagePrivate, in: Self.http, "open = 1\npublic(set) var a = 1") == [2])
        let kit = "Sources/Gateway/PluginKit/Sample.swift"
        #expect(lines(HouseRules.isPackagePrivate, in: kit, "public func f() {}").isEmpty)
    }

    @Test("a capture list on a task's closure")
    func captureList() {
        #expect(lines(HouseRules.keepsIsolation, in: Self.http, "loop.launch { [self] in await run() }") == [1])
        #expect(lines(HouseRules.keepsIsolation, in: Self.http, "loop.launch { await self.run() }").isEmpty)
    }

    @Test(
        "a declaration of the kit without a doc comment",
        arguments: [
            ("package struct A {\n    let hidden = 1\n}", [1]),
            ("/// A.\npackage struct A {\n    package let shown = 1\n}", [3]),
            ("/// A.\n@safe\npackage enum A {\n    case a\n    /// B.\n    case b\n}", [4]),
            ("/// A.\npackage protocol A {\n    func f()\n}\nstruct B {\n    func f() {}\n}", [3]),
            ("// No doc comment.\n@inlinable package func f() {}", [2]),
            ("package import PluginKit\n/// A.\npackage struct A {\n    package init() {}\n}", []),
            ("package func hash(into hasher: inout Hasher) {}", []),
        ])
    func undocumented(_ text: String, _ expected: [Int]) {
        let kit = "Sources/Gateway/PluginKit/Sample.swift"
        #expect(lines(DocumentationRule.check, in: kit, text) == expected)
    }

    @Test("an example that reaches past PluginKit")
    func example() {
        let path = "Examples/Sample/Sample.swift"
        #expect(lines(ImportRules.keepsPluginsApart, in: path, "import PluginKit\nimport GatewayServer") == [2])
    }

    @Test("a file one line too long")
    func long() {
        let longest = String(repeating: "\n", count: longestFile)
        #expect(lines(HouseRules.isShort, in: Self.http, longest).isEmpty)
        #expect(lines(HouseRules.isShort, in: Self.http, longest + "\n") == [longestFile + 1])
    }

    @Test("a note to oneself")
    func unfinished() {
        #expect(lines(HouseRules.isFinished, in: Self.http, "let a = 1  // TO" + "DO: more") == [1])
    }
}
