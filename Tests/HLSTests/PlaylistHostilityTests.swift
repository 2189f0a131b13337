import GatewayBytes
import GatewayHTTP
import Testing

@testable import HLSPlugin

@Suite("Playlists that are refused")
struct PlaylistHostilityTests {
    @Test(
        "what is not a playlist is refused at its first line",
        arguments: [
            "", "<html>", "\n#EXTM3U", " #EXTM3U", "#EXTM3", "#EXTM3UX\n", "#extm3u\n", "\u{FEFF}\u{FEFF}#EXTM3U",
        ])
    func missingHeader(_ text: String) {
        #expect(throws: PlaylistError.missingHeader) { try Sample.rewrite(text) }
    }

    @Test("the shortest playlist is one line", arguments: ["#EXTM3U", "#EXTM3U\n", "#EXTM3U\r\n", "#EXTM3U x=1"])
    func shortest(_ text: String) throws {
        #expect(try Sample.rewrite(text) == text)
    }

    @Test(
        "only http and https references are let through, and the answer names line and scheme",
        arguments: [
            ("data:text/plain,x", "data"), ("javascript:alert(1)", "javascript"), ("file:///etc/passwd", "file"),
            ("FTP://h/x", "ftp"), (" skd://k", "skd"), ("gopher://h:25/x", "gopher"), ("urn:x", "urn"),
            ("blob:https://h/x", "blob"), ("segment:1.ts", "segment"),
        ])
    func schemes(_ reference: String, _ scheme: String) throws {
        let error = PlaylistError.refusedScheme(line: 3, scheme: scheme)
        #expect(throws: error) { try Sample.rewrite("#EXTM3U\n#EXTINF:1,\n\(reference)\n") }
        for tag in ["MAP", "MEDIA", "PART", "SESSION-DATA", "PRELOAD-HINT", "RENDITION-REPORT", "I-FRAME-STREAM-INF"] {
            #expect(throws: error) { try Sample.rewrite("#EXTM3U\n\n#EXT-X-\(tag):URI=\"\(reference)\"\n") }
        }
        #expect("\(error)".contains(scheme))
    }

    @Test("a key may be named or held by three inert schemes and no other")
    func keySchemes() throws {
        for uri in ["data:;base64,AAAA", "SKD://x", "urn:uuid:1", "data:" + String(repeating: "A", count: 30_000)] {
            for tag in ["KEY", "SESSION-KEY"] {
                let text = "#EXTM3U\n#EXT-X-\(tag):METHOD=SAMPLE-AES,URI=\"\(uri)\"\n"
                #expect(try Sample.rewrite(text) == text)
            }
        }
        #expect(throws: PlaylistError.refusedScheme(line: 2, scheme: "javascript")) {
            try Sample.rewrite("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"javascript:1\"")
        }
    }

    @Test(
        "a reference that is no usable URL is refused with its line",
        arguments: [
            ("http://u:p@h/x", .userinfo), ("//u@h/x", .userinfo), ("http://127.1/x", .ambiguousIPv4),
            ("http://0x7f000001/", .ambiguousIPv4), ("http:///x", .missingHost), ("http:x", .missingHost),
            ("http://h:0/", .invalidPort), ("http://ü.example/", .invalidHost), ("a\\b", .forbiddenByte(0x5C)),
            ("a\u{0}b", .forbiddenByte(0)), ("a\tb", .forbiddenByte(9)),
            ("http://[::1", .invalidIPv6), (String(repeating: "a", count: 8193), .tooLong(limit: 8192)),
        ] as [(String, HTTPURLError)])
    func badReference(_ reference: String, _ error: HTTPURLError) {
        #expect(throws: PlaylistError.badReference(line: 2, error)) { try Sample.rewrite("#EXTM3U\n\(reference)") }
        #expect(throws: PlaylistError.badReference(line: 2, error)) {
            try Sample.rewrite("#EXTM3U\n#EXT-X-MAP:URI=\"\(reference)\"")
        }
    }

    @Test(
        "a quote that does not end is refused where it is read",
        arguments: ["MAP:URI=\"x", "KEY:METHOD=AES-128,IV=\"", "MEDIA:NAME=\"a,URI=b", "DEFINE:NAME=\"a\",VALUE=\"b"])
    func unterminatedQuote(_ tag: String) {
        #expect(throws: PlaylistError.unterminatedQuote(line: 2)) { try Sample.rewrite("#EXTM3U\n#EXT-X-\(tag)\na.ts") }
    }

    @Test(
        "a definition without a usable name and value is refused",
        arguments: [
            "", "NAME=\"a\"", "VALUE=\"b\"", "NAME=\"\",VALUE=\"b\"", "NAME=\"a b\",VALUE=\"c\"",
            "NAME=\"é\",VALUE=\"c\"",
            "NAME=\"a\",VALUE=\"b\",IMPORT=\"c\"", "IMPORT=\"a\",QUERYPARAM=\"b\"", "IMPORT=\"a b\"", "QUERYPARAM=\"\"",
            "NAME=\"a\",NAME=\"b\",VALUE=\"c\"", "QUERYPARAM=\"a\",QUERYPARAM=\"b\"", "NAME=\"a\",VALUE=\"b\u{1}\"",
            "NAME=\"a\",VALUE=b\"c",
        ])
    func badDefinition(_ attributes: String) {
        #expect(throws: PlaylistError.badDefinition(line: 2)) {
            try Sample.rewrite("#EXTM3U\n#EXT-X-DEFINE:\(attributes)\n")
        }
    }

    @Test(
        "a query parameter that cannot stand between quotes defines nothing",
        arguments: ["%22", "%0A", "%0D", "%zz", "%"])
    func badParameter(_ value: String) throws {
        // The strict reading refuses a stray percent sign, the lenient one has encoded it.
        let rewriter = PlaylistRewriter(base: try HTTPURL(lenient: "http://h/?q=\(value)"))
        let playlist = Array("#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"q\"\n".utf8)
        if value.hasPrefix("%z") || value == "%" {
            #expect(throws: Never.self) { try rewriter.rewrite(playlist, link: Sample.readable) }
        } else {
            #expect(throws: PlaylistError.badDefinition(line: 2)) {
                try rewriter.rewrite(playlist, link: Sample.readable)
            }
        }
    }

    @Test("variables cannot refer to themselves, to each other in a ring, or to nothing")
    func rings() {
        let define = "#EXTM3U\n#EXT-X-DEFINE:NAME="
        #expect(throws: PlaylistError.undefinedVariable(line: 2, name: "a")) {
            try Sample.rewrite("\(define)\"a\",VALUE=\"{$a}\"\n")
        }
        #expect(throws: PlaylistError.undefinedVariable(line: 2, name: "b")) {
            try Sample.rewrite("\(define)\"a\",VALUE=\"{$b}\"\n#EXT-X-DEFINE:NAME=\"b\",VALUE=\"{$a}\"\n")
        }
        #expect(throws: PlaylistError.undefinedVariable(line: 3, name: "b")) {
            try Sample.rewrite("\(define)\"a\",VALUE=\"\"\n{$b}.ts")
        }
        #expect(throws: PlaylistError.undefinedVariable(line: 3, name: "host")) {
            try Sample.rewrite("\(define)\"a\",VALUE=\"\"\n{$host}.ts")
        }
        #expect(throws: PlaylistError.duplicateVariable(line: 3, name: "a")) {
            try Sample.rewrite("\(define)\"a\",VALUE=\"\"\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"\"\n")
        }
    }

    @Test("a value is put in once: what looks like a variable inside it stays text")
    func onceOnly() throws {
        let base = try HTTPURL("http://h/?q=%7B$a%7D")
        let playlist = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"1\"\n#EXT-X-DEFINE:QUERYPARAM=\"q\"\n{$q}{$a}.ts\n"
        let rewritten = try PlaylistRewriter(base: base).rewrite(Array(playlist.utf8), link: Sample.readable)
        #expect(String(decoding: rewritten.bytes, as: UTF8.self).hasSuffix("media(http://h/%7B$a%7D1.ts)\n"))
    }

    @Test("a variable may lead to a scheme or host, which is judged after it is put in")
    func variableSchemes() {
        let start = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"s\",VALUE=\"javascript\"\n"
        #expect(throws: PlaylistError.refusedScheme(line: 3, scheme: "javascript")) {
            try Sample.rewrite(start + "{$s}:x")
        }
        #expect(throws: PlaylistError.badReference(line: 3, .userinfo)) { try Sample.rewrite(start + "http://{$s}@h/") }
    }

    @Test("definitions that double each other end at the limit of a value")
    func doubling() {
        var playlist = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"v0\",VALUE=\"0123456789abcdef\"\n"
        for index in 1..<100 {
            playlist += "#EXT-X-DEFINE:NAME=\"v\(index)\",VALUE=\"{$v\(index - 1)}{$v\(index - 1)}\"\n"
        }
        #expect(throws: PlaylistError.variableTooLong(line: 11, limit: .kibibytes(4))) { try Sample.rewrite(playlist) }
        let reference =
            "#EXTM3U\n#EXT-X-DEFINE:NAME=\"v\",VALUE=\"\(String(repeating: "x", count: 4096))\"\n{$v}{$v}{$v}.ts"
        #expect(throws: PlaylistError.variableTooLong(line: 3, limit: .kibibytes(4))) { try Sample.rewrite(reference) }
    }

    @Test("more variables than allowed are refused; more than a link holds are not carried")
    func manyVariables() throws {
        var playlist = "#EXTM3U\n"
        for index in 0..<128 { playlist += "#EXT-X-DEFINE:NAME=\"name-\(index)\",VALUE=\"a-value-of-some-length\"\n" }
        let variant = "#EXT-X-STREAM-INF:BANDWIDTH=1\nv\n"
        #expect(try Sample.rewrite(playlist + variant).hasSuffix("playlist(https://cdn.example/live/main/v)\n"))
        playlist += "#EXT-X-DEFINE:NAME=\"one-more\",VALUE=\"\"\n"
        #expect(throws: PlaylistError.tooManyVariables(line: 130, limit: 128)) { try Sample.rewrite(playlist) }
    }
}

@Suite("Playlists at their limits")
struct PlaylistLimitTests {
    @Test("8 MiB are taken and one byte more is refused")
    func size() throws {
        let head = Array("#EXTM3U\n".utf8)
        let line = [UInt8](repeating: UInt8(ascii: "#"), count: 1023) + [UInt8(ascii: "\n")]
        var playlist = head
        playlist.reserveCapacity(8 << 20 + 1)
        for _ in 0..<(8 << 10) - 1 { playlist += line }
        playlist += [UInt8](repeating: UInt8(ascii: "#"), count: (8 << 20) - playlist.count)
        let rewritten = try Sample.rewriter().rewrite(playlist, link: Sample.readable)
        #expect(rewritten.bytes == playlist)
        playlist.append(UInt8(ascii: "#"))
        #expect(throws: PlaylistError.tooLarge(limit: .mebibytes(8))) {
            try Sample.rewriter().rewrite(playlist, link: Sample.readable)
        }
    }

    @Test("a million tiny lines end at the limit of lines or of references", arguments: ["\n", "a\n", "#\n"])
    func tinyLines(_ line: String) {
        var playlist = Array("#EXTM3U\n".utf8)
        for _ in 0..<1_000_000 { playlist += Array(line.utf8) }
        #expect(throws: PlaylistError.tooManyLines(limit: 500_000)) {
            try Sample.rewriter().rewrite(playlist, link: Sample.readable)
        }
    }

    @Test("references, lines, output and URLs each have their limit")
    func limits() {
        var limits = PlaylistLimits()
        limits.references = 2
        limits.lines = 4
        limits.line = .bytes(20)
        limits.output = .bytes(120)
        limits.url = .bytes(40)
        func rewrite(_ text: String) throws { _ = try Sample.rewrite(text, limits: limits) }

        #expect(throws: Never.self) { try rewrite("#EXTM3U\na.ts\nb.ts\n#") }
        #expect(throws: PlaylistError.tooManyReferences(line: 4, limit: 2)) { try rewrite("#EXTM3U\na\nb\nc\n") }
        #expect(throws: PlaylistError.tooManyLines(limit: 4)) { try rewrite("#EXTM3U\n\n\n\n\n") }
        #expect(throws: Never.self) { try rewrite("#EXTM3U\n\n\n\n") }
        #expect(throws: PlaylistError.lineTooLong(line: 2, limit: .bytes(20))) {
            try rewrite("#EXTM3U\n#" + String(repeating: "x", count: 20))
        }
        #expect(throws: PlaylistError.badReference(line: 2, .tooLong(limit: 40))) {
            try rewrite("#EXTM3U\n" + String(repeating: "x", count: 20))
        }
        limits.output = .bytes(60)
        #expect(throws: PlaylistError.outputTooLarge(line: 3, limit: .bytes(60))) {
            try rewrite("#EXTM3U\na.ts\nb.ts\n#")
        }
    }

    @Test("a long base does not multiply into unbounded output")
    func growth() throws {
        let base = "http://h/" + String(repeating: "d", count: 8000) + "/"
        var playlist = Array("#EXTM3U\n".utf8)
        for _ in 0..<100_000 { playlist += Array("a\n".utf8) }
        let rewriter = PlaylistRewriter(base: try HTTPURL(base))
        do throws(PlaylistError) {
            _ = try rewriter.rewrite(playlist, link: Sample.readable)
            Issue.record("not refused")
        } catch {
            guard case .outputTooLarge(let line, let limit) = error else {
                Issue.record("refused for another reason: \(error)")
                return
            }
            #expect(line < 5000 && limit == .mebibytes(32))
        }
    }

    @Test("attribute lists as long as a line are read in one pass")
    func hugeAttributeLists() throws {
        let rewriter = try Sample.rewriter()
        for unit in [",", "A=", "A=\"\",", "URI=\"\",", "=", "\"", "A,", " "] {
            let list = String(repeating: unit, count: 60_000 / unit.utf8.count)
            let text = "#EXTM3U\n#EXT-X-MAP:\(list)\n"
            do throws(PlaylistError) {
                let rewritten = try rewriter.rewrite(Array(text.utf8), link: Sample.readable)
                #expect(String(decoding: rewritten.bytes, as: UTF8.self) == text)
            } catch {
                #expect(error == .unterminatedQuote(line: 2))
            }
        }
        let many = "#EXTM3U\n#EXT-X-MAP:" + String(repeating: "URI=\"a\",", count: 8000)
        let rewritten = try rewriter.rewrite(Array(many.utf8), link: Sample.readable)
        #expect(rewritten.media == 8000)
    }

    @Test("half-open variable references are read in one pass")
    func hugeReferences() throws {
        let start = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"\"\n#EXT-X-MAP:URI=\""
        for unit in ["{$", "{$a", "{", "{$}"] {
            let text = start + String(repeating: unit, count: 60_000 / unit.utf8.count) + "\""
            #expect(throws: PlaylistError.badReference(line: 3, .tooLong(limit: 8192))) { try Sample.rewrite(text) }
        }
        let empty = start + String(repeating: "{$a}", count: 15_000) + "\""
        #expect(throws: Never.self) { try Sample.rewrite(empty) }
    }

    @Test("definitions without effect and values left alone count too")
    func idleWork() {
        let misses = String(repeating: "#EXT-X-DEFINE:QUERYPARAM=\"absent\"\n", count: 129)
        #expect(throws: PlaylistError.tooManyVariables(line: 130, limit: 128)) {
            try Sample.rewrite("#EXTM3U\n" + misses)
        }
        var limits = PlaylistLimits()
        limits.output = .kibibytes(64)
        let value = String(repeating: "x", count: 4096)
        let keys = "#EXT-X-KEY:" + String(repeating: "URI=\"skd:{$v}\",", count: 17)
        #expect(throws: PlaylistError.outputTooLarge(line: 3, limit: .kibibytes(64))) {
            try Sample.rewrite("#EXTM3U\n#EXT-X-DEFINE:NAME=\"v\",VALUE=\"\(value)\"\n" + keys, limits: limits)
        }
    }

    @Test("every error says its line in words a log can hold")
    func descriptions() {
        let errors: [PlaylistError] = [
            .tooLarge(limit: .mebibytes(8)), .missingHeader, .lineTooLong(line: 7, limit: .kibibytes(1)),
            .tooManyLines(limit: 7), .tooManyReferences(line: 7, limit: 1), .outputTooLarge(line: 7, limit: .zero),
            .unterminatedQuote(line: 7), .refusedScheme(line: 7, scheme: "x"), .badReference(line: 7, .userinfo),
            .undefinedVariable(line: 7, name: "x"), .duplicateVariable(line: 7, name: "x"), .badDefinition(line: 7),
            .tooManyVariables(line: 7, limit: 1), .variableTooLong(line: 7, limit: .zero),
        ]
        for error in errors {
            #expect("\(error)".allSatisfy { $0.isASCII && !$0.isNewline })
            #expect("\(error)".contains("7") || error == .missingHeader || error == .tooLarge(limit: .mebibytes(8)))
        }
    }
}
