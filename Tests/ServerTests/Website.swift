import Foundation
import GatewayBytes
import GatewayCompression
import PluginKit

/// A folder of files to be served, removed with the value.
final class Website: Sendable {
    let path: String
    var root: String { "\(path)/root" }

    static let page = "<!doctype html><title>hello</title>" + String(repeating: "<p>text that repeats</p>", count: 100)
    static let large = (0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 4) }

    init() throws {
        let name = "gateway-website-\(UInt64.random(in: .min ... .max))"
        path = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        try FileManager.default.createDirectory(atPath: "\(root)/docs", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: "\(root)/empty", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: "\(root)/.well-known", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: "\(root)/.git", withIntermediateDirectories: true)
        try write(Self.page, to: "root/index.html")
        try write("docs", to: "root/docs/index.html")
        try write("0123456789", to: "root/digits.txt")
        try write("", to: "root/nothing.txt")
        try write("with blank", to: "root/a b+c.txt")
        try write("contact", to: "root/.well-known/security.txt")
        try write("hidden", to: "root/.env")
        try write("hidden", to: "root/.git/config")
        try write("secret", to: "secret.txt")
        try write(Self.large, to: "root/large.bin")
        try FileManager.default.createSymbolicLink(atPath: "\(root)/out.txt", withDestinationPath: "../secret.txt")
        try FileManager.default.createSymbolicLink(atPath: "\(root)/up", withDestinationPath: "..")
        try FileManager.default.createSymbolicLink(atPath: "\(root)/passwd", withDestinationPath: "/etc/passwd")
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ text: String, to name: String) throws { try write(Array(text.utf8), to: name) }

    func write(_ bytes: [UInt8], to name: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    }

    /// Makes a file look as if it had been written then.
    func date(_ name: String, secondsAgo: Double) throws {
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -secondsAgo)], ofItemAtPath: "\(path)/\(name)")
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: "\(path)/\(name)") }
}

struct NotGzip: Error {}

/// What one gzip member holds, and nothing behind it.
func gunzip(_ bytes: [UInt8]) throws -> [UInt8] {
    var inflater = try Inflater.make(format: .gzip)
    var output = OutputBuffer()
    var isWhole = false
    try unsafe bytes.withUnsafeBytes { raw in
        var rest = unsafe raw
        isWhole = try unsafe inflater.inflate(&rest, into: &output, limit: 1 << 26) == .ended && rest.isEmpty
    }
    guard isWhole else { throw NotGzip() }
    return unsafe output.withUnsafeBytes { unsafe Array($0) }
}

func truncateFile(_ path: String, to size: Int) -> Bool { unsafe truncate(path, off_t(size)) == 0 }
