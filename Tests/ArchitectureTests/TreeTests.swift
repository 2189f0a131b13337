import Testing

/// Reports each finding as an issue of its own, so that one run shows them all.
private func expectNone(_ files: [SourceFile], _ rule: (SourceFile) -> [Finding]) {
    for finding in files.flatMap(rule) { Issue.record("\(finding)") }
}

@Suite("Imports")
struct ImportTests {
    @Test("the tree is found, and every folder of it stands in the table")
    func everyModuleIsKnown() {
        #expect(!Tree.sources.isEmpty)
        for file in Tree.sources where !file.path.hasPrefix("Sources/CLibraries/") {
            #expect(file.module.flatMap(row) != nil, "\(file.path):1: a folder that the table does not know")
        }
    }

    @Test("point down")
    func pointDown() { expectNone(Tree.sources, ImportRules.pointsDown) }

    @Test("name our modules or listed ones of the toolchain")
    func areKnown() { expectNone(Tree.sources, ImportRules.isKnown) }

    @Test("keep protocols away from sockets and timers")
    func keepProtocolsPure() { expectNone(Tree.sources, ImportRules.keepsProtocolsPure) }

    @Test("keep plugins apart from the server and from each other")
    func keepPluginsApart() { expectNone(Tree.sources, ImportRules.keepsPluginsApart) }

    @Test("of a C library stand in its one wrapper and let nothing out")
    func hideC() { expectNone(Tree.sources, ImportRules.hidesC) }

    @Test("of Foundation and Glibc stand only where they are allowed")
    func limitToolchain() { expectNone(Tree.sources, ImportRules.limitsToolchain) }
}

@Suite("Every source file")
struct HouseTests {
    @Test("reports errors and never traps on them")
    func neverTraps() { expectNone(Tree.sources, HouseRules.neverTraps) }

    @Test("leaves threads to the runtime")
    func startsNoThreads() { expectNone(Tree.sources, HouseRules.startsNoThreads) }

    @Test("locks where the thread sanitizer sees it")
    func locksVisibly() { expectNone(Tree.everything, HouseRules.locksVisibly) }

    @Test("says who guarantees what it does not let the compiler check")
    func justifiesUnchecked() { expectNone(Tree.everything, HouseRules.justifiesUnchecked) }

    @Test("is public only in PluginKit")
    func isPackagePrivate() { expectNone(Tree.sources, HouseRules.isPackagePrivate) }

    @Test("keeps tasks on their loops")
    func keepsIsolation() { expectNone(Tree.sources, HouseRules.keepsIsolation) }

    @Test("of the plugin kit says what a caller must know of each declaration")
    func isDocumented() {
        let kit = Tree.sources.filter { $0.module == "PluginKit" }
        #expect(kit.count > 10)
        expectNone(kit, DocumentationRule.check)
    }

    @Test("of the examples keeps the rules of a plugin")
    func examples() {
        #expect(Tree.examples.count > 3)
        expectNone(Tree.examples, ImportRules.keepsPluginsApart)
        for rule in [
            HouseRules.neverTraps, HouseRules.startsNoThreads, HouseRules.justifiesUnchecked,
            HouseRules.isPackagePrivate, HouseRules.keepsIsolation, HouseRules.isShort, HouseRules.isFinished,
            HouseRules.locksVisibly,
        ] { expectNone(Tree.examples, rule) }
    }

    @Test("is short enough to read")
    func isShort() { expectNone(Tree.everything, HouseRules.isShort) }

    @Test("is finished")
    func isFinished() { expectNone(Tree.everything, HouseRules.isFinished) }
}
