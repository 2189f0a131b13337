import Foundation
import GatewayHTTP
import Testing

@testable import HLSPlugin

/// A golden file: a playlist, a rule of dashes, what becomes of it. In both, `<BOM>` and `<CR>` stand for what an
/// editor would hide, and `<NO-EOL>` at the end for a last line without its end.
struct GoldenPlaylist: CustomTestStringConvertible, Sendable {
    let name: String
    let input: [UInt8]
    let expected: String

    var testDescription: String { name }

    static let all: [GoldenPlaylist] = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().filter { $0.hasSuffix(".m3u8.txt") }.compactMap { name in
            guard let text = try? String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8) else {
                return nil
            }
            let rule = "\n" + String(repeating: "-", count: 40) + "\n"
            let parts = text.components(separatedBy: rule)
            guard parts.count == 2 else { return nil }
            return GoldenPlaylist(
                name: String(name.dropLast(9)), input: Array(plain(parts[0] + "\n").utf8), expected: plain(parts[1]))
        }
    }()

    private static func plain(_ text: String) -> String {
        text.replacingOccurrences(of: "<BOM>", with: "\u{FEFF}").replacingOccurrences(of: "<CR>", with: "\r")
            .replacingOccurrences(of: "<NO-EOL>\n", with: "")
    }
}

/// What every sample is rewritten with, unless it is about something else.
enum Sample {
    static let base = "https://cdn.example/live/main/index.m3u8?token=t1&part=a%20b"

    static func rewriter(
        base: String = Self.base, limits: PlaylistLimits = .init()
    ) throws -> PlaylistRewriter {
        var inherited = PlaylistVariables()
        _ = inherited.define(Array("host".utf8), as: Array("edge-7.example".utf8))
        _ = inherited.define(Array("path".utf8), as: Array("a/b c".utf8))
        return PlaylistRewriter(base: try HTTPURL(base), inherited: inherited, limits: limits)
    }

    /// Links that a reader of a golden file can check by eye.
    static func readable(_ reference: PlaylistReference, _ output: inout [UInt8]) {
        output += Array((reference.kind == .playlist ? "playlist(" : "media(").utf8)
        output += reference.url.bytes
        if !reference.carried.isEmpty { output += [UInt8(ascii: "#")] + reference.carried }
        output += Array(")".utf8)
    }

    static func rewrite(_ text: String, limits: PlaylistLimits = .init()) throws -> String {
        let rewritten = try rewriter(limits: limits).rewrite(Array(text.utf8), link: readable)
        return String(decoding: rewritten.bytes, as: UTF8.self)
    }
}

@Suite("Playlists rewritten, by example")
struct PlaylistGoldenTests {
    @Test("the golden files are found")
    func found() {
        #expect(GoldenPlaylist.all.count == 14)
    }

    @Test("a playlist becomes what its golden file says, byte for byte", arguments: GoldenPlaylist.all)
    func golden(_ sample: GoldenPlaylist) throws {
        let rewritten = try Sample.rewriter().rewrite(sample.input, link: Sample.readable)
        #expect(String(decoding: rewritten.bytes, as: UTF8.self) == sample.expected)
        #expect(rewritten.playlists == sample.expected.components(separatedBy: "playlist(").count - 1)
        #expect(rewritten.media == sample.expected.components(separatedBy: "media(").count - 1)
    }

    @Test(
        "a rewritten playlist has as many references as before, and no other line changes",
        arguments: GoldenPlaylist.all)
    func twice(_ sample: GoldenPlaylist) throws {
        let once = try Sample.rewriter().rewrite(sample.input, link: ProxyLink.writer())
        let gateway = try Sample.rewriter(base: "http://gateway.example/proxy/manifest/QQ==?part=x")
        let twice = try gateway.rewrite(once.bytes, link: ProxyLink.writer())
        #expect(twice.playlists + twice.media == once.playlists + once.media)
        #expect(lineCount(twice.bytes) == lineCount(sample.input))
        #expect(once.bytes.count >= sample.input.count - 3)
    }

    @Test(
        "every prefix of a playlist is rewritten or refused, and what is before the cut stays",
        arguments: GoldenPlaylist.all)
    func split(_ sample: GoldenPlaylist) throws {
        let rewriter = try Sample.rewriter()
        for end in stride(from: 0, to: sample.input.count, by: 1) {
            do throws(PlaylistError) {
                _ = try rewriter.rewrite(sample.input.span.extracting(0..<end), link: Sample.readable)
            } catch .missingHeader {
                #expect(end < 10)
            } catch .unterminatedQuote, .badDefinition, .undefinedVariable, .badReference, .refusedScheme {
                continue
            }
        }
    }

    @Test("a playlist with bytes changed at random is rewritten or refused, never worse", arguments: GoldenPlaylist.all)
    func mutated(_ sample: GoldenPlaylist) throws {
        let rewriter = try Sample.rewriter()
        let telling = Array("\"\n\r,=:/?#{}$@[]%\\\0 AZaz09\u{FF}".utf8)
        var seed: UInt64 = 0x9E37_79B9_7F4A_7C15
        func random(_ bound: Int) -> Int {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(seed >> 33) % bound
        }
        for _ in 0..<300 {
            var bytes = sample.input
            for _ in 0...random(4) { bytes[random(bytes.count)] = telling[random(telling.count)] }
            guard let rewritten = try? rewriter.rewrite(bytes, link: Sample.readable) else { continue }
            #expect(rewritten.bytes.count < bytes.count * 10)
        }
    }

    private func lineCount(_ bytes: [UInt8]) -> Int { bytes.count { $0 == UInt8(ascii: "\n") } }
}
