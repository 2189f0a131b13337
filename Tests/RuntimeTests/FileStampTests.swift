import Foundation
import Testing

@testable import GatewayRuntime

@Suite("What tells one state of a file from another")
struct FileStampTests {
    private let folder: String

    init() throws {
        let name = "gateway-stamp-\(UUID().uuidString)"
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    private func write(_ text: String, to name: String) throws {
        try SmallFile.replace("\(folder)/\(name)", with: Array(text.utf8))
    }

    @Test("an untouched file keeps its stamp, one that is not there has none")
    func same() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try write("a", to: "file")
        let stamp = FileStamp.of("\(folder)/file")
        #expect(stamp != nil)
        #expect(FileStamp.of("\(folder)/file") == stamp)
        #expect(FileStamp.of("\(folder)/other") == nil)
    }

    @Test("a replaced, a longer, a touched and a protected file have others")
    func changes() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/file"
        try write("a", to: "file")
        var seen: Set<FileStamp?> = [FileStamp.of(path)]
        try write("b", to: "file")
        seen.insert(FileStamp.of(path))
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("c".utf8))
        seen.insert(FileStamp.of(path))
        try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: path)
        seen.insert(FileStamp.of(path))
        #expect(seen.count == 4)
    }

    @Test("a link that is switched to another folder shows, as Kubernetes switches ..data")
    func links() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let files = FileManager.default
        for version in ["1", "2"] {
            try files.createDirectory(atPath: "\(folder)/\(version)", withIntermediateDirectories: true)
            try write("same", to: "\(version)/tls.crt")
        }
        try files.createSymbolicLink(atPath: "\(folder)/..data", withDestinationPath: "1")
        try files.createSymbolicLink(atPath: "\(folder)/tls.crt", withDestinationPath: "..data/tls.crt")
        let before = FileStamp.of("\(folder)/tls.crt")
        try files.removeItem(atPath: "\(folder)/..data")
        #expect(FileStamp.of("\(folder)/tls.crt") == nil)
        try files.createSymbolicLink(atPath: "\(folder)/..data", withDestinationPath: "2")
        let after = FileStamp.of("\(folder)/tls.crt")
        #expect(after != nil && after != before)
    }
}
