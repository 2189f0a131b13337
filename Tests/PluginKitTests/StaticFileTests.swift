import GatewayBytes
import GatewayHTTP
import GatewayRuntime
import Testing

@testable import PluginKit

@Suite("Paths of static files")
struct StaticFilePathTests {
    private func read(_ encoded: String, showsHidden: Bool = false) -> StaticFilePath? {
        StaticFilePath(encoded: encoded.utf8, showsHidden: showsHidden)
    }

    @Test(
        "a path is decoded once, into names below the root",
        arguments: [
            ("a.txt", "a.txt", false), ("a/b/c", "a/b/c", false), ("a%20b", "a b", false), ("%41", "A", false),
            ("%C3%a9", "é", false), ("a%252e", "a%2e", false), ("a/", "a", true), ("", "", true),
            ("a..b", "a..b", false),
            ("a/b./c", "a/b./c", false), (".well-known/x", ".well-known/x", false), ("a%3Fb%23c", "a?b#c", false),
            (".well-known/", ".well-known", true),
        ])
    func decoded(_ encoded: String, _ expected: String, _ isFolder: Bool) throws {
        let path = try #require(read(encoded))
        #expect(path.bytes == Array(expected.utf8))
        #expect(path.isFolder == isFolder)
    }

    @Test(
        "what could lead elsewhere is refused, whatever is shown",
        arguments: [
            "..", ".", "../a", "a/..", "a/../b", "a/./b", "%2e%2e", "%2E%2e/a", ".%2e/a", "a/%2e%2e/b", "/", "/a", "//",
            "a//b", "a//", "a%2fb", "a%2Fb", "%2f", "..%2fa", "a\\b", "a%5cb", "..%5c", "%00", "a%00.txt", "a%0a",
            "a%0d%0ab", "a%7f", "a%1f", "%", "a%", "a%2", "%zz", "%2g", "%%41", "a\u{0}", "a\nb", "./", "../", "%2e/",
        ])
    func refused(_ encoded: String) {
        #expect(read(encoded) == nil)
        #expect(read(encoded, showsHidden: true) == nil)
    }

    @Test(
        "hidden names are refused unless shown",
        arguments: [".env", "a/.git/x", "...", ".a/", "a/.well-known/x", "%2eenv"])
    func hidden(_ encoded: String) {
        #expect(read(encoded) == nil)
        #expect(read(encoded, showsHidden: true) != nil)
    }
}

@Suite("Small files in memory")
struct StaticFileCacheTests {
    private func entry(_ size: Int) -> StaticFileCache.Entry {
        let file = StaticFile(
            content: .memory([UInt8](repeating: 0, count: size)), size: UInt64(size), validators: Validators(),
            type: "",
            fields: HeaderFields(), notModifiedFields: HeaderFields(), isCompressed: false, facts: nil)
        return StaticFileCache.Entry(file, checkAgainAt: .distantFuture)
    }

    private func key(_ number: Int) -> [UInt8] { Array("\(number)".utf8) }

    @Test("it never holds more than its limit, and keeps what is used")
    func bounded() {
        let cache = StaticFileCache(limit: .kibibytes(64))
        cache.insert(entry(1000), for: key(0))
        for number in 1...500 {
            cache.insert(entry(1000), for: key(number))
            #expect(cache.entry(for: key(0)) != nil)
            #expect(cache.count * 2000 <= 64 << 10)
        }
        #expect(cache.entry(for: key(1)) == nil)
        #expect(cache.entry(for: key(500)) != nil)
    }

    @Test("an entry that is replaced or removed gives its room back")
    func replaced() {
        let cache = StaticFileCache(limit: .kibibytes(64))
        for _ in 0..<500 { cache.insert(entry(20_000), for: key(1)) }
        cache.insert(entry(1000), for: key(2))
        #expect(cache.count == 2)
        cache.remove(key(1))
        cache.remove(key(1))
        #expect(cache.entry(for: key(1)) == nil && cache.count == 1)
    }

    @Test("what is larger than half of it is not kept, nor anything by a cache of nothing")
    func tooLarge() {
        let cache = StaticFileCache(limit: .kibibytes(64))
        cache.insert(entry(32 << 10), for: key(1))
        #expect(cache.count == 0)
        let nothing = StaticFileCache(limit: .zero)
        nothing.insert(entry(0), for: key(1))
        #expect(nothing.count == 0)
    }
}
