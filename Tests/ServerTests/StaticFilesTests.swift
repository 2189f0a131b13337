import PluginKit
import Testing

@Suite("Static files")
struct StaticFilesTests {
    private func serve(
        _ site: Website, at prefix: String = "/site", over carriage: Carriage = .plain,
        _ change: @escaping @Sendable (inout StaticFileOptions) -> Void = { _ in }
    ) throws -> TestGateway {
        let root = site.root
        return try TestGateway(over: carriage) { gateway in
            var options = StaticFileOptions()
            // Whatever a test changes is seen at once.
            options.limits.trust = .zero
            change(&options)
            gateway.files(prefix, from: root, options: options)
        }
    }

    @Test("a file comes with its type, length, tag and date, over TCP and TLS", arguments: Carriage.allCases)
    func whole(_ carriage: Carriage) throws {
        let site = try Website()
        let gateway = try serve(site, over: carriage)
        let client = try gateway.connect()
        for _ in 0..<3 {
            try client.send(get("/site/digits.txt"))
            let answer = try client.answer()
            #expect(answer.status == 200 && answer.text == "0123456789")
            #expect(answer["content-type"] == "text/plain; charset=utf-8")
            #expect(answer["content-length"] == "10")
            #expect(answer["accept-ranges"] == "bytes")
            #expect(answer["cache-control"] == "no-cache")
            #expect(answer["etag"]?.hasPrefix("\"") == true)
            #expect(answer["last-modified"]?.hasSuffix("GMT") == true)
            #expect(answer["vary"] == nil && answer["content-encoding"] == nil)
        }
        try client.send(get("/site/large.bin"))
        let large = try client.answer()
        #expect(large.body == Website.large && large.isWhole)
        #expect(large["content-length"] == "700000")
        #expect(large["content-type"] == "application/octet-stream")
        try client.send(get("/site/nothing.txt"))
        #expect(try client.answer()["content-length"] == "0")
        try client.send(get("/site/a%20b+c.txt"))
        #expect(try client.answer().text == "with blank")
    }

    @Test("HEAD has the fields of GET and no body", arguments: ["/site/digits.txt", "/site/large.bin", "/site/"])
    func head(_ path: String) throws {
        let site = try Website()
        let gateway = try serve(site)
        try site.date("root/large.bin", secondsAgo: 100)
        let client = try gateway.connect()
        try client.send("HEAD \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
        let head = try client.answer(toHEAD: true)
        try client.send(get(path))
        let whole = try client.answer()
        for name in ["content-length", "content-type", "last-modified", "accept-ranges"] {
            #expect(head[name] == whole[name] && head[name] != nil)
        }
    }

    @Test("a folder is its index, with a slash at the end")
    func folders() throws {
        let site = try Website()
        let gateway = try serve(site)
        #expect(try gateway.ask(get("/site/")).text == Website.page)
        #expect(try gateway.ask(get("/site/docs/")).text == "docs")
        for (path, target) in [("/site", "/site/"), ("/site/docs?a=1", "/site/docs/?a=1"), ("/site?x", "/site/?x")] {
            let answer = try gateway.ask(get(path))
            #expect(answer.status == 301 && answer["location"] == target)
        }
        #expect(try gateway.ask(get("/site/empty/")).status == 404)
        #expect(try gateway.ask(get("/site/empty")).status == 404)
        #expect(try gateway.ask(get("/site/digits.txt/")).status == 404)
        let atRoot = try serve(site, at: "/")
        #expect(try atRoot.ask(get("/")).text == Website.page)
        #expect(try atRoot.ask(get("/docs"))["location"] == "/docs/")
        #expect(try atRoot.ask(get("//docs")).status == 404)
        #expect(try atRoot.ask(get("//example.com")).status == 404)
        let plain = try serve(site) { $0.index = nil }
        #expect(try plain.ask(get("/site/docs/")).status == 404)
        #expect(try plain.ask(get("/site/docs")).status == 404)
        #expect(try plain.ask(get("/site")).status == 404)
        #expect(try plain.ask(get("/site/docs/index.html")).text == "docs")
    }

    @Test(
        "no path leads out of the folder, or to what is hidden",
        arguments: [
            "../secret.txt", "..%2fsecret.txt", "..%2Fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt",
            ".%2e/secret.txt", "docs/../../secret.txt", "docs/..%2f..%2fsecret.txt", "docs/%2e%2e/%2e%2e/secret.txt",
            "..%5csecret.txt", "..%5Csecret.txt", "%2e%2e%5csecret.txt", "..%252fsecret.txt", "%252e%252e/secret.txt",
            "..;/secret.txt", "..%3b/secret.txt", "./digits.txt", "%2e/digits.txt", "docs/./index.html",
            "up/secret.txt",
            "up/root/digits.txt", "out.txt", "passwd", "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd",
            "%2Fetc/passwd", "docs//index.html", "docs%2findex.html", "digits.txt%00", "digits.txt%00.html",
            "%00", "digits.txt%0a", "digits.txt%", "digits.txt%2", "%zz", ".env", "%2eenv", ".git/config", ".git/",
            "docs/.well-known/x", "digits.txt/", "digits.txt/.", "digits.txt/..", "...", ".", "..",
            "%c0%ae%c0%ae/secret.txt",
            "%uff0e%uff0e/secret.txt", "....//secret.txt", "docs/...//secret.txt", "\u{FF0E}\u{FF0E}/secret.txt",
        ])
    func traversal(_ path: String) throws {
        let site = try Website()
        let gateway = try serve(site)
        let answer = try gateway.ask(get("/site/\(path)"))
        #expect(answer.status == 404 || answer.status == 400, "\(answer.head)")
        #expect(!answer.text.contains("secret\n") && !answer.text.contains("root:") && answer.text != "secret")
        #expect(answer.text != "hidden" && answer.text != "0123456789" && answer.text != "docs")
    }

    @Test("what is hidden can be shown, and the well-known always is")
    func hidden() throws {
        let site = try Website()
        #expect(try serve(site).ask(get("/site/.well-known/security.txt")).text == "contact")
        let open = try serve(site) { $0.showsHidden = true }
        #expect(try open.ask(get("/site/.env")).text == "hidden")
        #expect(try open.ask(get("/site/..%2fsecret.txt")).status == 400)
        #expect(try open.ask(get("/site/out.txt")).status == 404)
    }

    @Test("methods that would change something are refused")
    func methods() throws {
        let gateway = try serve(Website())
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let answer = try gateway.ask("\(method) /site/digits.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            #expect(answer.status == 405 && answer["allow"] == "GET, HEAD")
        }
    }

    @Test("a copy that is good is not sent again", arguments: ["/site/digits.txt", "/site/large.bin"])
    func conditions(_ path: String) throws {
        let site = try Website()
        try site.date("root/large.bin", secondsAgo: 100)
        let gateway = try serve(site)
        let first = try gateway.ask(get(path))
        let (tag, date) = (try #require(first["etag"]), try #require(first["last-modified"]))
        let same = try gateway.ask(get(path, "If-None-Match: \(tag)"))
        #expect(same.status == 304 && same["etag"] == tag && same["cache-control"] == "no-cache")
        #expect(same["content-type"] == nil && same["content-length"] == nil)
        #expect(try gateway.ask(get(path, "If-None-Match: W/\(tag)")).status == 304 || tag.hasPrefix("W/"))
        #expect(try gateway.ask(get(path, "If-Modified-Since: \(date)")).status == 304)
        #expect(try gateway.ask(get(path, "If-None-Match: \"other\"", "If-Modified-Since: \(date)")).status == 200)
        let failed = try gateway.ask(get(path, "If-Match: \"other\""))
        #expect(failed.status == 412 && failed.code == "precondition_failed")
        #expect(
            try gateway.ask(get(path, "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT")).status == 412)
    }

    @Test("a range is one part, of files in memory and of others")
    func ranges() throws {
        let site = try Website()
        let gateway = try serve(site)
        for (name, content) in [("digits.txt", Array("0123456789".utf8)), ("large.bin", Website.large)] {
            let size = content.count
            for (range, part) in [
                ("0-0", 0..<1), ("2-5", 2..<6), ("5-", 5..<size), ("-3", size - 3..<size), ("0-", 0..<size),
                ("3-9999999", 3..<size), ("-9999999", 0..<size),
            ] {
                let answer = try gateway.ask(get("/site/\(name)", "Range: bytes=\(range)"))
                #expect(answer.status == 206)
                #expect(answer.body[...] == content[part])
                #expect(answer["content-range"] == "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(size)")
                #expect(answer["content-length"] == "\(part.count)")
            }
            let beyond = try gateway.ask(get("/site/\(name)", "Range: bytes=\(size)-"))
            #expect(beyond.status == 416 && beyond["content-range"] == "bytes */\(size)")
            #expect(beyond.code == "range_not_satisfiable")
            #expect(try gateway.ask(get("/site/\(name)", "Range: bytes=9-0")).status == 200)
            #expect(try gateway.ask(get("/site/\(name)", "Range: lines=1-2")).status == 200)
        }
        #expect(try gateway.ask(get("/site/nothing.txt", "Range: bytes=0-")).status == 200)
    }

    @Test("several ranges are parts of one body", arguments: ["digits.txt", "large.bin"])
    func severalRanges(_ name: String) throws {
        let site = try Website()
        let gateway = try serve(site) { $0.limits.ranges = 3 }
        let content = name == "digits.txt" ? Array("0123456789".utf8) : Website.large
        let answer = try gateway.ask(get("/site/\(name)", "Range: bytes=7-8,0-1"))
        #expect(answer.status == 206 && answer.isWhole)
        let type = try #require(answer["content-type"])
        let boundary = try #require(type.split(separator: "boundary=").last)
        var expected: [UInt8] = []
        for (start, end) in [(7, 8), (0, 1)] {
            let before = expected.isEmpty ? "" : "\r\n"
            let partType = name == "digits.txt" ? "text/plain; charset=utf-8" : "application/octet-stream"
            expected += Array(
                "\(before)--\(boundary)\r\nContent-Type: \(partType)\r\nContent-Range: bytes \(start)-\(end)/\(content.count)\r\n\r\n"
                    .utf8)
            expected += content[start...end]
        }
        expected += Array("\r\n--\(boundary)--\r\n".utf8)
        #expect(answer.body == expected)
        #expect(try gateway.ask(get("/site/\(name)", "Range: bytes=0-1,3-4,6-7,9-9")).status == 200)
        #expect(try gateway.ask(get("/site/\(name)", "Range: bytes=0-3,2-5")).body[...] == content[0..<6])
    }

    @Test("If-Range lets a part be fetched only of the same state")
    func ifRange() throws {
        let site = try Website()
        let gateway = try serve(site)
        let tag = try #require(try gateway.ask(get("/site/digits.txt"))["etag"])
        #expect(try gateway.ask(get("/site/digits.txt", "Range: bytes=0-1", "If-Range: \(tag)")).status == 206)
        #expect(try gateway.ask(get("/site/digits.txt", "Range: bytes=0-1", "If-Range: \"x\"")).status == 200)
        try site.write("9876543210", to: "root/digits.txt")
        let changed = try gateway.ask(get("/site/digits.txt", "Range: bytes=0-1", "If-Range: \(tag)"))
        #expect(changed.status == 200 && changed.text == "9876543210")
    }

    @Test("a changed file is seen, whether it was written over, replaced or removed")
    func changes() throws {
        let site = try Website()
        let gateway = try serve(site)
        for text in ["one", "two", "three", "four"] {
            try site.write(text, to: "root/digits.txt")
            try site.date("root/digits.txt", secondsAgo: 500)
            #expect(try gateway.ask(get("/site/digits.txt")).text == text)
        }
        try site.remove("root/digits.txt")
        #expect(try gateway.ask(get("/site/digits.txt")).status == 404)
    }

    @Test("within the time of trust a file is answered from memory alone")
    func trust() throws {
        let site = try Website()
        let gateway = try serve(site) { $0.limits.trust = .seconds(3600) }
        #expect(try gateway.ask(get("/site/digits.txt")).text == "0123456789")
        try site.remove("root/digits.txt")
        #expect(try gateway.ask(get("/site/digits.txt")).text == "0123456789")
        let uncached = try serve(site) {
            $0.limits.trust = .seconds(3600)
            $0.limits.cache = .zero
        }
        #expect(try uncached.ask(get("/site/docs/")).text == "docs")
        try site.remove("root/docs/index.html")
        #expect(try uncached.ask(get("/site/docs/")).status == 404)
    }

    @Test("a compressed sibling is sent to those who accept it, unless it is older")
    func precompressed() throws {
        let site = try Website()
        try site.write("not really gzip", to: "root/index.html.gz")
        try site.date("root/index.html", secondsAgo: 500)
        try site.date("root/index.html.gz", secondsAgo: 400)
        let gateway = try serve(site)
        let plain = try gateway.ask(get("/site/index.html"))
        #expect(plain.text == Website.page && plain["vary"] == "Accept-Encoding" && plain["content-encoding"] == nil)
        let gzip = try gateway.ask(get("/site/index.html", "Accept-Encoding: br, gzip"))
        #expect(
            gzip.text == "not really gzip" && gzip["content-encoding"] == "gzip" && gzip["vary"] == "Accept-Encoding")
        #expect(gzip["content-type"] == "text/html; charset=utf-8")
        #expect(gzip["etag"] != plain["etag"])
        let part = try gateway.ask(get("/site/", "Accept-Encoding: gzip", "Range: bytes=0-2"))
        #expect(part.status == 206 && part.text == "not" && part["content-encoding"] == "gzip")
        #expect(try gateway.ask(get("/site/", "Accept-Encoding: gzip", "Range: bytes=0-2,5-6")).status == 200)
        let tag = try #require(gzip["etag"])
        let same = try gateway.ask(get("/site/", "Accept-Encoding: gzip", "If-None-Match: \(tag)"))
        #expect(same.status == 304 && same["vary"] == "Accept-Encoding")
        #expect(try gateway.ask(get("/site/", "Accept-Encoding: gzip;q=0")).text == Website.page)
        #expect(try gateway.ask(get("/site/index.html.gz"))["content-type"] == "application/gzip")
        try site.date("root/index.html.gz", secondsAgo: 600)
        #expect(try gateway.ask(get("/site/", "Accept-Encoding: gzip")).text == Website.page)
        let without = try serve(site) { $0.servesPrecompressed = false }
        #expect(try without.ask(get("/site/", "Accept-Encoding: gzip"))["vary"] == nil)
    }

    @Test("types, caching and access are the caller's to say")
    func options() throws {
        let site = try Website()
        let gateway = try serve(site) {
            $0.types = ["txt": "text/x-own"]
            $0.cacheControl = "public, max-age=60"
        }
        let answer = try gateway.ask(get("/site/digits.txt"))
        #expect(answer["content-type"] == "text/x-own" && answer["cache-control"] == "public, max-age=60")
        #expect(try serve(site) { $0.cacheControl = nil }.ask(get("/site/digits.txt"))["cache-control"] == nil)
        let root = site.root
        let guarded = try TestGateway { $0.files("/site", from: root, access: .signedIn) }
        #expect(try guarded.ask(get("/site/digits.txt")).status == 401)
        let token = try TestGateway.token()
        #expect(try guarded.ask(get("/site/digits.txt", "Authorization: Bearer \(token)")).text == "0123456789")
    }

    @Test("a file that loses bytes while it is sent breaks the framing")
    func shortened() throws {
        let site = try Website()
        try site.write([UInt8](repeating: 7, count: 30_000_000), to: "root/huge.bin")
        let gateway = try serve(site)
        let client = try Client(port: try gateway.port(of: .main), receiveBuffer: 4096)
        try client.send(get("/site/huge.bin"))
        let head = String(decoding: try client.read(through: "\r\n\r\n"), as: UTF8.self)
        #expect(head.contains("Content-Length: 30000000"))
        // Cut in place: a new file of the same name would not touch the one that is open.
        #expect(truncateFile("\(site.root)/huge.bin", to: 1000))
        let count = (try? client.readToEnd().count) ?? 0
        #expect(count < 30_000_000)
        #expect(gateway.log.contains("cut while it was being sent"))
    }

    @Test("a root that does not exist has no files")
    func noRoot() throws {
        let gateway = try TestGateway { $0.files("/site", from: "/no/such/folder") }
        #expect(try gateway.ask(get("/site/x")).status == 404)
        #expect(try gateway.ask(get("/site/")).status == 404)
    }
}
