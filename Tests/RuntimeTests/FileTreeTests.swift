import Foundation
import Glibc
import Testing

@testable import GatewayRuntime

/// A folder with a file, a folder below it, and links in and out; removed with the value.
private final class Folder {
    let path: String
    let root: String

    init() throws {
        let name = "gateway-files-\(UInt64.random(in: .min ... .max))"
        path = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        root = "\(path)/root"
        try FileManager.default.createDirectory(atPath: "\(root)/below/deep", withIntermediateDirectories: true)
        try write("top", to: "root/top.txt")
        try write("deep", to: "root/below/deep/file.txt")
        try write("secret", to: "secret.txt")
        try write("sibling", to: "root-sibling.txt")
        try link("root/inside.txt", to: "top.txt")
        try link("root/below/up.txt", to: "../top.txt")
        try link("root/absolute.txt", to: "\(path)/secret.txt")
        try link("root/out.txt", to: "../secret.txt")
        try link("root/below/far.txt", to: "../../secret.txt")
        try link("root/outside", to: "..")
        try link("root/loop.txt", to: "loop.txt")
        try link("root/nowhere.txt", to: "no-such-file")
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    }

    func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: "\(path)/\(name)", withDestinationPath: target)
    }

    var tree: FileTree { FileTree(root: root) }

    /// By the way for kernels that cannot confine a path themselves.
    func openChecked(_ name: String) throws -> OpenFile {
        let folder = unsafe open(root, O_RDONLY | O_DIRECTORY)
        defer { _ = close(folder) }
        return try OpenFile(owning: tree.checked(folder, Array(name.utf8CString)))
    }
}

@Suite("Files below one folder")
struct FileTreeTests {
    @Test(
        "a path leads to a file, through links that stay inside too",
        arguments: [
            ("top.txt", "top"), ("below/deep/file.txt", "deep"), ("inside.txt", "top"), ("below/up.txt", "top"),
            ("below/../top.txt", "top"), ("./top.txt", "top"),
        ])
    func found(_ name: String, _ text: String) throws {
        let folder = try Folder()
        for file in [try folder.tree.open(Array(name.utf8)), try folder.openChecked(name)] {
            #expect(file.facts.kind == .regular)
            #expect(file.facts.size == UInt64(text.utf8.count))
            #expect(try file.read(at: 0, count: 100) == Array(text.utf8))
            #expect(try file.read(at: 1, count: 2) == Array(text.utf8.dropFirst().prefix(2)))
            #expect(try file.read(at: 100, count: 2) == [])
        }
    }

    @Test(
        "nothing leads out of the folder, nor to what is not there",
        arguments: [
            "../secret.txt", "below/../../secret.txt", "out.txt", "below/far.txt", "absolute.txt", "outside/secret.txt",
            "../root-sibling.txt", "loop.txt", "nowhere.txt", "missing.txt", "top.txt/x", "below/deep/file.txt/", "..",
            "outside", String(repeating: "a", count: 300), String(repeating: "a/", count: 3000),
        ])
    func refused(_ name: String) throws {
        let folder = try Folder()
        let confined = #expect(throws: SystemError.self) { try folder.tree.open(Array(name.utf8)) }
        #expect(confined?.isAbsence == true, "\(String(describing: confined))")
        let checked = #expect(throws: SystemError.self) { try folder.openChecked(name) }
        #expect(checked?.isAbsence == true, "\(String(describing: checked))")
    }

    @Test("an absolute path and one with a NUL name nothing")
    func strange() throws {
        let folder = try Folder()
        for name in ["/etc/passwd", "top.txt\0", "\0", "\(folder.path)/secret.txt"] {
            let error = #expect(throws: SystemError.self) { try folder.tree.open(Array(name.utf8)) }
            #expect(error?.isAbsence == true)
        }
        #expect(throws: SystemError.self) { try folder.openChecked("/etc/passwd") }
    }

    @Test("the root itself is a folder, and one that is not there is an absence")
    func root() throws {
        let folder = try Folder()
        #expect(try folder.tree.open([]).facts.kind == .folder)
        #expect(try folder.openChecked(".").facts.kind == .folder)
        #expect(try folder.tree.open(Array("below".utf8)).facts.kind == .folder)
        let error = #expect(throws: SystemError.self) { try FileTree(root: "/no/such/folder").open([]) }
        #expect(error?.isAbsence == true)
    }

    @Test("a pipe does not block whoever opens it, and is no file")
    func pipe() throws {
        let folder = try Folder()
        #expect(unsafe mkfifo("\(folder.root)/pipe", 0o600) == 0)
        #expect(try folder.tree.open(Array("pipe".utf8)).facts.kind == .other)
    }

    @Test("a root that is a link is followed anew each time")
    func switched() throws {
        let folder = try Folder()
        try FileManager.default.createDirectory(atPath: "\(folder.path)/next", withIntermediateDirectories: true)
        try folder.write("new", to: "next/top.txt")
        try folder.link("current", to: "root")
        let tree = FileTree(root: "\(folder.path)/current")
        #expect(try tree.open(Array("top.txt".utf8)).read(at: 0, count: 9) == Array("top".utf8))
        try FileManager.default.removeItem(atPath: "\(folder.path)/current")
        try folder.link("current", to: "next")
        #expect(try tree.open(Array("top.txt".utf8)).read(at: 0, count: 9) == Array("new".utf8))
    }

    @Test("facts tell one state of a file from another, and a new one is not settled")
    func facts() throws {
        let folder = try Folder()
        let name = Array("top.txt".utf8)
        let before = try folder.tree.open(name)
        #expect(try folder.tree.open(name).facts == before.facts)
        #expect(try before.currentFacts() == before.facts)
        #expect(!before.facts.isSettled(now: before.facts.modified.seconds + 1))
        #expect(before.facts.isSettled(now: before.facts.modified.seconds + 3))
        try folder.write("pot", to: "root/top.txt")
        #expect(try folder.tree.open(name).facts != before.facts)
        try folder.write("a longer text", to: "root/top.txt")
        #expect(try folder.tree.open(name).facts.size == 13)
    }

    @Test("reading from memory gives what a blocking read gives, or nothing")
    func fromMemory() throws {
        let folder = try Folder()
        let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 >> 3) }
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder.root)/large"))
        let file = try folder.tree.open(Array("large".utf8))
        #expect(try file.read(at: 0, count: bytes.count) == bytes)
        var place = 0
        while place < bytes.count {
            let chunk =
                try file.readFromMemory(at: UInt64(place), count: 70_000) ?? file.read(at: UInt64(place), count: 70_000)
            try #require(!chunk.isEmpty)
            #expect(chunk[...] == bytes[place..<place + chunk.count])
            place += chunk.count
        }
        #expect(file.readFromMemory(at: UInt64(bytes.count), count: 10) ?? [] == [])
    }
}
