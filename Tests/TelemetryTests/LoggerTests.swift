import Foundation
import GatewayBytes
import Testing

@testable import GatewayTelemetry

struct Refused: Error, CustomStringConvertible {
    let description: String
}

@Suite("Log lines")
struct LoggerTests {
    @Test("a JSON line has the promised names in their order, then the fields")
    func json() {
        let log = TestLog(.info, .json)
        log.system.logger("server").info(
            "listening", .string("address", "127.0.0.1"), .int("port", 3001), .bool("tls", false),
            .double("share", 0.25), .size("limit", .kibibytes(1)), .request(RequestID(high: 1, low: 0xABC)))
        #expect(
            log.text == """
                {"timestamp":"2026-01-02T03:04:05.678Z","level":"INFO","service":"gateway","component":"server",\
                "message":"listening","address":"127.0.0.1","port":3001,"tls":false,"share":0.25,"limit":1024,\
                "correlationId":"00000000000000010000000000000abc"}

                """)
    }

    @Test("a text line is aligned and quotes what is not one word")
    func text() {
        let log = TestLog(.info, .text)
        let logger = log.system.logger("server")
        logger.info("listening", .string("address", "127.0.0.1:3001"), .int("port", -1))
        logger.warn("refused", .error(Refused(description: "not today, \"friend\"")), .string("empty", ""))
        logger.error("failed", .string("query", "a=b"), .milliseconds("tookMs", .microseconds(1500)))
        #expect(
            log.text == """
                2026-01-02T03:04:05.678Z INFO  server     listening address=127.0.0.1:3001 port=-1
                2026-01-02T03:04:05.678Z WARN  server     refused error="not today, \\"friend\\"" empty=""
                2026-01-02T03:04:05.678Z ERROR server     failed query="a=b" tookMs=1.5

                """)
    }

    @Test("colour comes only on request and never in JSON")
    func colour() {
        let log = TestLog(.info, .text, coloured: true)
        log.system.logger("a").error("x")
        #expect(log.text == "2026-01-02T03:04:05.678Z \u{1B}[31mERROR\u{1B}[0m a          x\n")
        let json = TestLog(.info, .json, coloured: true)
        json.system.logger("a").error("x")
        #expect(!json.text.contains("\u{1B}"))
    }

    @Test("a value cannot end its line, close its quote or move a cursor", arguments: LogFormat.allCases)
    func injection(_ format: LogFormat) throws {
        let evil = "a\nERROR b\r\"}{\\ \u{1B}[2J\u{7F}\u{85}\u{9B}31m\u{202E}\u{2028}\u{2066}\u{FEFF}\0\t"
        let log = TestLog(.info, format)
        log.system.logger("http").info("seen", .string("path", evil), .utf8("raw", Array(evil.utf8)))
        let text = log.text
        #expect(text.count(where: { $0 == "\n" }) == 1)
        for scalar in text.unicodeScalars.dropLast() {
            #expect(scalar.value >= 0x20 && !(0x7F..<0xA0).contains(scalar.value) && scalar.isASCII)
        }
        if format == .json {
            let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            #expect(object["path"] as? String == evil)
            #expect(object["raw"] as? String == evil)
            #expect(object["level"] as? String == "INFO")
        } else {
            #expect(text.contains("path=\"a\\nERROR b\\r\\\"}{\\\\ \\u{1b}[2J\\u{7f}"))
        }
    }

    @Test("every place of a strange byte is found", arguments: 0..<17)
    func everyPlace(_ place: Int) throws {
        for strange in [0x00, 0x1F, 0x22, 0x5C, 0x7F, 0x80, 0xFF] as [UInt8] {
            var bytes = [UInt8](repeating: 0x61, count: 17)
            #expect(unsafe bytes.withUnsafeBytes { unsafe isPlain($0) })
            bytes[place] = strange
            #expect(unsafe !bytes.withUnsafeBytes { unsafe isPlain($0) })
        }
        for plain in [0x20, 0x21, 0x23, 0x5B, 0x5D, 0x7E] as [UInt8] {
            var bytes = [UInt8](repeating: 0x20, count: 17)
            bytes[place] = plain
            #expect(unsafe bytes.withUnsafeBytes { unsafe isPlain($0) })
        }
    }

    @Test("text stays text, and bytes that are not UTF-8 become the replacement character")
    func unicode() {
        let log = TestLog(.info, .json)
        log.system.logger("a").info("x", .string("name", "Zoë 漢字 🎬"), .utf8("raw", [0x61, 0xFF, 0xC3]))
        #expect(log.text.contains("\"name\":\"Zoë 漢字 🎬\",\"raw\":\"a\u{FFFD}\u{FFFD}\""))
    }

    @Test("numbers that JSON has no word for stand in quotes")
    func infinity() {
        let log = TestLog(.info, .json)
        log.system.logger("a").info("x", .double("a", .infinity), .double("b", .nan), .int("c", UInt64.max))
        #expect(log.text.hasSuffix("\"a\":\"inf\",\"b\":\"nan\",\"c\":18446744073709551615}\n"))
    }

    @Test("a secret field says that it is one", arguments: LogFormat.allCases)
    func secret(_ format: LogFormat) {
        let log = TestLog(.info, format)
        log.system.logger("auth").info("refused", .secret("token"), .string("also", "\(Secret("hunter2"))"))
        #expect(log.text.contains("<secret>"))
        #expect(!log.text.contains("hunter2"))
    }

    @Test("lines below the level are not written and their fields not evaluated", arguments: LogLevel.allCases)
    func levels(_ level: LogLevel) {
        let log = TestLog(level, .json)
        let logger = log.system.logger("a")
        var evaluated = 0
        func field() -> LogField {
            evaluated += 1
            return .int("n", evaluated)
        }
        logger.error("line", field())
        logger.warn("line", field())
        logger.info("line", field())
        logger.debug("line", field())
        logger.trace("line", field())
        let enabled = LogLevel.allCases.count { logger.isEnabled($0) }
        #expect(evaluated == enabled)
        #expect(enabled == Int(level.rank) + 1)
        #expect(log.text.split(separator: "\n").count == enabled)
    }

    @Test("the level can change while loggers exist")
    func changingLevel() {
        let log = TestLog(.error, .json)
        let logger = log.system.logger("a")
        logger.debug("hidden")
        log.system.level = .debug
        logger.debug("shown")
        logger.log(.info, "three", fields: (0..<9).map { .int("n", $0) })
        #expect(log.system.level == .debug)
        #expect(!log.text.contains("hidden"))
        #expect(log.text.contains("shown"))
        #expect(log.text.split(separator: "\n").last?.count(where: { $0 == "n" }) ?? 0 >= 9)
    }

    @Test("levels are read in any case", arguments: ["INFO", "info", "Info", "WARNING", "warn", "TRACE", "loud", ""])
    func levelNames(_ text: String) {
        let expected: [String: LogLevel] = ["info": .info, "warning": .warn, "warn": .warn, "trace": .trace]
        #expect(LogLevel(text: text) == expected[text.lowercased()])
    }

    @Test("the silent logger takes everything")
    func silent() {
        Logger.silent.error("nobody hears this")
        #expect(!Logger.silent.isEnabled(.warn))
    }
}

@Suite("Wall time")
struct WallTimeTests {
    @Test("dates agree with Foundation over four centuries and around 1970")
    func dates() {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        for step in 0..<4000 {
            let seconds = Int64(step) * 3_155_695 - 2_000_000_000
            let expected = formatter.string(from: Date(timeIntervalSince1970: Double(seconds)))
            #expect(String(decoding: WallTime(seconds: seconds).rfc3339, as: UTF8.self) == expected)
        }
    }

    @Test("the common log format has its own date")
    func commonLog() {
        #expect(String(decoding: noon.commonLog, as: UTF8.self) == "02/Jan/2026:03:04:05 +0000")
        #expect(String(decoding: noon.rfc3339, as: UTF8.self) == "2026-01-02T03:04:05.678Z")
    }

    @Test("the clock runs")
    func now() {
        #expect(WallTime.now() > WallTime(seconds: 1_700_000_000))
        #expect(WallTime(seconds: 1, nanoseconds: 1) < WallTime(seconds: 1, nanoseconds: 2))
    }
}
