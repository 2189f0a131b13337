import GatewayBytes
import Testing

@testable import GatewayConfig

struct StreamSettings: Settings {
    let origin: String
    let headTimeout: Duration
    let cache: ByteCount
    let token: Secret?
    let pingInterval: Duration
    let note: String?

    init(from env: inout SettingsReader) {
        origin = env.required(
            "ORIGIN", type: "URL", placeholder: "", example: "https://origin.internal", "Where streams come from."
        ) { text throws(SettingError) in
            guard text.hasPrefix("https://") else { throw SettingError("not a URL; write https://…") }
            return text
        }
        headTimeout = env.optional(
            "HEAD_TIMEOUT", default: .seconds(5), in: .milliseconds(100) ... .seconds(60), "How long a head may take.")
        cache = env.optional("CACHE", default: .mebibytes(64), in: .zero ... .gibibytes(4), "Memory for segments.")
        token = env.optional("TOKEN", in: 8 ... .max, "Sent to the origin.")
        pingInterval = env.optional(
            exactly: "PING_INTERVAL", default: .seconds(30), bare: .milliseconds, "Silence before a ping.")
        note = env.optional("NOTE", "Shown | nowhere.")
    }
}

struct CoreSettings: Settings {
    let port: Switchable<Port>
    let loops: Int
    let soft: ByteCount
    let hard: ByteCount

    init(from env: inout SettingsReader) {
        env.section("WebSocket", "How sockets are kept.")
        port = env.optional("WEBSOCKET_PORT", default: .on(3001), "The main entry point.")
        env.section("Limits")
        loops = env.optional("LOOPS", default: 2, in: 1...512, defaultPhrase: "the CPU limit", "Event loops.")
        soft = env.optional("FRAME_WARN_THRESHOLD", default: .kibibytes(512), bare: .bytes, "Warns.")
        hard = env.optional("MAX_FRAME_SIZE", default: .mebibytes(1), bare: .bytes, "Refuses.")
        env.require(soft <= hard, "FRAME_WARN_THRESHOLD", "must not exceed MAX_FRAME_SIZE")
    }
}

/// A reader over `environment` and over files that hold what `files` says.
func reader(_ environment: [String: String], files: [String: [UInt8]] = [:]) -> SettingsReader {
    SettingsReader(environment: environment, fileLimit: 64) { (path, _) throws(SettingError) in
        guard let bytes = files[path] else { throw SettingError("cannot be read (no such file)") }
        return bytes
    }
}

func readStream(_ environment: [String: String], files: [String: [UInt8]] = [:]) -> (
    reading: SettingsReading<StreamSettings>, env: SettingsReader
) {
    var env = reader(environment, files: files)
    let reading: SettingsReading<StreamSettings> = env.read(prefix: "HLS", section: "Plugin hls", "Streams.")
    return (reading, env)
}

@Suite("Reading settings")
struct SettingsReaderTests {
    @Test("names get the prefix unless they are spelled whole")
    func names() {
        let (reading, env) = readStream([
            "HLS_ORIGIN": "https://a", "HLS_HEAD_TIMEOUT": "2s", "PING_INTERVAL": "15000", "HEAD_TIMEOUT": "9s",
        ])
        #expect(reading.isUsable)
        #expect(reading.settings.origin == "https://a")
        #expect(reading.settings.headTimeout == .seconds(2))
        #expect(reading.settings.pingInterval == .seconds(15))
        #expect(reading.settings.cache == .mebibytes(64))
        #expect(reading.settings.token == nil)
        #expect(
            env.described.map(\.name) == [
                "HLS_ORIGIN", "HLS_HEAD_TIMEOUT", "HLS_CACHE", "HLS_TOKEN", "PING_INTERVAL", "HLS_NOTE",
            ])
    }

    @Test("every problem is found in one run")
    func allProblems() {
        let (reading, env) = readStream(["HLS_ORIGIN": "ftp://a", "HLS_HEAD_TIMEOUT": "1h", "PING_INTERVAL": "abc"])
        #expect(
            env.problems.map(\.description) == [
                "HLS_ORIGIN=ftp://a: not a URL; write https://…",
                "HLS_HEAD_TIMEOUT=1h: out of range; allowed is 100ms to 1m",
                "PING_INTERVAL=abc: not a duration; write 30s or milliseconds like 30000",
            ])
        #expect(env.problems.map(\.kind) == [.invalid, .outOfRange, .invalid])
        #expect(env.problems.allSatisfy { $0.section == "Plugin hls" })
        #expect(!reading.isUnconfigured)
        #expect(reading.settings.headTimeout == .seconds(5))
    }

    @Test("a missing required setting is not configured rather than wrong", arguments: [nil, "", "  "] as [String?])
    func missing(_ text: String?) {
        let (reading, env) = readStream(["HLS_CACHE": "1MiB"].merging(text.map { ["HLS_ORIGIN": $0] } ?? [:]) { $1 })
        #expect(reading.isUnconfigured)
        #expect(reading.missing == ["HLS_ORIGIN"])
        #expect(env.problems.map(\.kind) == [.missingRequired("HLS_ORIGIN")])
        #expect(
            env.problems.first?.description
                == "HLS_ORIGIN is required (for example https://origin.internal): Where streams come from.")
    }

    @Test("missing and wrong together is wrong")
    func missingAndWrong() {
        let (reading, _) = readStream(["HLS_CACHE": "lots"])
        #expect(!reading.isUnconfigured)
        #expect(!reading.isUsable)
        #expect(reading.missing == ["HLS_ORIGIN"])
    }

    @Test("each part hears only of its own problems")
    func parts() {
        var env = reader(["LOOPS": "0"])
        let core: SettingsReading<CoreSettings> = env.read(section: "Core")
        let stream: SettingsReading<StreamSettings> = env.read(prefix: "HLS", section: "Plugin hls")
        #expect(core.problems.map(\.name) == ["LOOPS"])
        #expect(core.problems.map(\.section) == ["Limits"])
        #expect(stream.problems.map(\.name) == ["HLS_ORIGIN"])
        #expect(env.problems.count == 2)
    }

    @Test("settings that contradict each other are a problem of the one named")
    func contradiction() {
        var env = reader(["FRAME_WARN_THRESHOLD": "2MiB"])
        let core: SettingsReading<CoreSettings> = env.read(section: "Core")
        #expect(core.problems.map(\.kind) == [.contradiction])
        #expect(core.problems.map(\.description) == ["FRAME_WARN_THRESHOLD must not exceed MAX_FRAME_SIZE"])
    }

    @Test("a secret comes from its value, or from the file that _FILE names, without the last newline")
    func secrets() throws {
        let inline = readStream(["HLS_ORIGIN": "https://a", "HLS_TOKEN": " 12345678 "]).reading.settings.token
        #expect(try unsafe #require(inline).withBytes { unsafe Array($0) } == Array(" 12345678 ".utf8))
        let (reading, env) = readStream(
            ["HLS_ORIGIN": "https://a", "HLS_TOKEN_FILE": "/run/token"],
            files: ["/run/token": Array("12345678\r\n".utf8)])
        #expect(try unsafe #require(reading.settings.token).withBytes { unsafe Array($0) } == Array("12345678".utf8))
        let report = try #require(env.values.first { $0.name == "HLS_TOKEN" })
        #expect(report.text == "<secret>")
        #expect(report.source == .file("/run/token"))
    }

    @Test(
        "a secret's file that cannot be used is a problem that names it",
        arguments: [
            Sample("/none", "cannot be read (no such file)"), Sample("/empty", "the file is empty"),
            Sample("/newline", "the file is empty"), Sample("/large", "larger than 64 bytes"),
            Sample("/binary", "not UTF-8 text"),
        ])
    func unusableFile(_ sample: Sample<String>) {
        let files: [String: [UInt8]] = [
            "/empty": [], "/newline": [0x0A], "/large": Array(repeating: 0x61, count: 65), "/binary": [0xFF, 0xFE],
        ]
        let env = readStream(["HLS_ORIGIN": "https://a", "HLS_TOKEN_FILE": sample.text], files: files).env
        #expect(env.problems.map(\.description) == ["HLS_TOKEN_FILE=\(sample.text): \(sample.value)"])
        #expect(env.problems.map(\.kind) == [.unreadableFile])
    }

    @Test("a secret given twice is a problem")
    func secretTwice() {
        let env = readStream(["HLS_ORIGIN": "https://a", "HLS_TOKEN": "12345678", "HLS_TOKEN_FILE": "/x"]).env
        #expect(env.problems.map(\.description) == ["HLS_TOKEN and HLS_TOKEN_FILE are both set; keep one"])
        #expect(env.problems.map(\.kind) == [.setTwice])
    }

    @Test("a secret never shows in a problem, a value or a description")
    func secretsStayHidden() {
        let env = readStream(["HLS_ORIGIN": "ftp://user:hunter2@a/?x=1", "HLS_TOKEN": "hunter2"]).env
        let everything = "\(env.problems) \(env.values) \(env.described)" + SettingsDocument.listing(env.values)
        #expect(!everything.contains("hunter2"))
        #expect(
            env.problems.map(\.description) == [
                "HLS_ORIGIN=ftp://<secret>@a/?x=1: not a URL; write https://…",
                "HLS_TOKEN=<secret>: out of range; allowed is at least 8 bytes",
            ])
    }

    @Test("a password with a slash does not show in a problem")
    func passwordWithSlash() {
        let env = readStream(["HLS_ORIGIN": "http://u:hunter/2@h"]).env
        #expect(env.problems.map(\.description) == ["HLS_ORIGIN=http://<secret>@h: not a URL; write https://…"])
    }

    @Test("a problem cannot forge lines or grow without bound")
    func printableProblems() {
        let env = readStream(["HLS_ORIGIN": "a\nERROR forged\u{1B}[2J\u{202E}" + String(repeating: "x", count: 500)])
            .env
        let text = env.problems.first?.description ?? ""
        #expect(text.hasPrefix("HLS_ORIGIN=a\\u{a}ERROR forged\\u{1b}[2J\\u{202e}xxx"))
        #expect(text.count < 200)
    }

    @Test(
        "credentials in a URL are hidden",
        arguments: [
            Sample("redis://u:p@h:1/0", "redis://<secret>@h:1/0"), Sample("https://h/p@th", "https://h/p@th"),
            Sample("a://x@y,b://z", "a://<secret>@y,b://z"), Sample("a://p@ss@y", "a://<secret>@y"),
            Sample("://", "://"),
            Sample("a://h?x=://u@v", "a://h?x=://<secret>@v"),
            Sample("/=http://u:p/w@h", "/=http://<secret>@h"), Sample("a://u:p?w#x@h/y?z", "a://<secret>@h/y?z"),
            Sample("a://u/v:p@h", "a://<secret>@h"), Sample("a://u:p@s/w@h", "a://<secret>@h"),
            Sample("a://u:p://w@h", "a://<secret>@h"), Sample("a://h:80/p@th", "a://<secret>@th"),
            Sample("a://u:p@h, b://h/p@th", "a://<secret>@h, b://h/p@th"), Sample("a://h:1 x@y", "a://h:1 x@y"),
            Sample("a://u:p@\u{301}h", "a://<secret>@\u{301}h"),
        ])
    func credentials(_ sample: Sample<String>) {
        #expect(withoutCredentials(sample.text) == sample.value)
    }

    @Test("a setting read by two parts is documented once and its problem reported once")
    func readTwice() {
        var env = reader(["PING_INTERVAL": "abc", "HLS_ORIGIN": "https://a", "P_ORIGIN": "https://b"])
        let first: SettingsReading<StreamSettings> = env.read(prefix: "HLS", section: "A")
        let second: SettingsReading<StreamSettings> = env.read(prefix: "P", section: "B")
        #expect(env.described.filter { $0.name == "PING_INTERVAL" }.map(\.section) == ["A"])
        #expect(env.problems.count == 1)
        #expect(!first.isUsable)
        #expect(!second.isUsable)
    }
}

@Suite("Settings shared by parts")
struct SharedSettingTests {
    struct Needy: Settings {
        let origin: Int
        init(from env: inout SettingsReader) { origin = env.required(exactly: "SHARED", "Needed twice.") }
    }

    @Test("a missing setting that two parts require is missing for both")
    func missingTwice() {
        var env = reader([:])
        let first: SettingsReading<Needy> = env.read(section: "A")
        let second: SettingsReading<Needy> = env.read(section: "B")
        #expect(first.isUnconfigured)
        #expect(second.isUnconfigured)
        #expect(env.problems.map(\.description) == ["SHARED is required: Needed twice."])
    }
}

@Suite("Names that nothing reads")
struct UnknownNameTests {
    @Test(
        "a name that looks like a mistake is reported with the nearest setting",
        arguments: [
            Sample("HLS_ORIGN", "HLS_ORIGN is not a setting and changes nothing; did you mean HLS_ORIGIN?"),
            Sample("PNIG_INTERVAL", "PNIG_INTERVAL is not a setting and changes nothing; did you mean PING_INTERVAL?"),
            Sample("HLS_COLOUR", "HLS_COLOUR is not a setting and changes nothing"),
            Sample("HLS_TOKEN_FIL", "HLS_TOKEN_FIL is not a setting and changes nothing; did you mean HLS_TOKEN_FILE?"),
        ])
    func mistakes(_ sample: Sample<String>) {
        let env = readStream([sample.text: "x", "HLS_ORIGIN": "https://a"]).env
        #expect(env.warnings.map(\.description) == [sample.value])
    }

    @Test(
        "names of others are left alone",
        arguments: [
            "PATH", "HOME", "HLSX", "PING", "HLS_SERVICE_HOST", "HLS_SERVICE_PORT_HTTP", "HLS_PORT_80_TCP_ADDR",
            "MY_PING_INTERVAL_SECONDS",
        ])
    func others(_ name: String) {
        #expect(readStream([name: "x", "HLS_ORIGIN": "https://a"]).env.warnings.isEmpty)
    }

    @Test("a Kubernetes link is known by its value")
    func links() {
        #expect(readStream(["HLS_PORT": "tcp://10.0.0.1:80", "HLS_ORIGIN": "https://a"]).env.warnings.isEmpty)
    }

    @Test(
        "edits are insertions, deletions, replacements and swaps",
        arguments: [
            Sample("abcdef", 0), Sample("abdef", 1), Sample("abxdef", 1), Sample("abccdef", 1), Sample("abdcef", 1),
            Sample("badcef", 2), Sample("xxcdef", 2), Sample("fedcba", nil), Sample("abcdefghi", nil), Sample("", nil),
        ] as [Sample<Int?>])
    func edits(_ sample: Sample<Int?>) {
        #expect(editDistance(Array(sample.text.utf8), Array("abcdef".utf8), limit: 2) == sample.value)
    }
}
