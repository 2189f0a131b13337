import Foundation
import GatewayBytes
import GatewayTestSupport
import Testing

@testable import GatewayTelemetry

@Suite("Access log")
struct AccessLogTests {
    private func record(
        _ format: LogFormat, path: [UInt8] = Array("/echo".utf8), query: String = "a=1&token=<redacted>",
        id: String = "req-1", remote: String = "192.0.2.1", route: String = "echo", trace: String = "",
        at times: [WallTime] = [noon]
    ) -> String {
        let memory = MemoryLog()
        let sink = LogSink(limit: .mebibytes(1)) { memory.write($0) }
        let log = AccessLogBuffer(format: format, sink: sink)
        for time in times {
            log.record(
                AccessRecord(status: 200, received: 0, sent: 1234, microseconds: 1532), method: Array("GET".utf8).span,
                path: path.span, query: Array(query.utf8).span, requestID: Array(id.utf8).span,
                remote: Array(remote.utf8).span, route: Array(route.utf8).span, trace: Array(trace.utf8).span, at: time)
        }
        log.flush()
        sink.flush(atMost: .seconds(5))
        return memory.text
    }

    @Test("a JSON line has the names of every log line, then the request's")
    func json() {
        #expect(
            record(.json) == """
                {"timestamp":"2026-01-02T03:04:05.678Z","level":"INFO","service":"gateway","component":"access",\
                "message":"request","correlationId":"req-1","remote":"192.0.2.1","method":"GET","path":"/echo",\
                "query":"a=1&token=<redacted>","route":"echo","status":200,"bytesReceived":0,"bytesSent":1234,\
                "durationUs":1532}

                """)
    }

    @Test("a text line begins as the common log format does")
    func text() {
        #expect(
            record(.text) == """
                192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] "GET /echo?a=1&token=<redacted> HTTP/1.1" 200 1234 1532us \
                echo req-1

                """)
    }

    @Test("what is missing is left out, or a dash")
    func missing() {
        #expect(
            record(.text, query: "", id: "", remote: "", route: "")
                == "- - - [02/Jan/2026:03:04:05 +0000] \"GET /echo HTTP/1.1\" 200 1234 1532us - -\n")
        #expect(!record(.json, query: "").contains("query"))
    }

    @Test("a trace stands in JSON lines")
    func trace() {
        #expect(record(.json, trace: "4bf9").contains("\"correlationId\":\"req-1\",\"traceId\":\"4bf9\",\"remote\""))
        #expect(!record(.json).contains("traceId"))
        #expect(record(.text, trace: "4bf9") == record(.text))
    }

    @Test("milliseconds and seconds follow the clock")
    func clock() {
        let times = [
            WallTime(seconds: 0), WallTime(seconds: 0, nanoseconds: 7_000_000),
            WallTime(seconds: 59, nanoseconds: 999_999_999), WallTime(seconds: 86_400),
        ]
        let stamps = record(.json, at: times).split(separator: "\n").map { $0.dropFirst(14).prefix(24) }
        #expect(
            stamps == [
                "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.007Z", "1970-01-01T00:00:59.999Z",
                "1970-01-02T00:00:00.000Z",
            ])
    }

    @Test("no byte of a request can break the line", arguments: LogFormat.allCases)
    func injection(_ format: LogFormat) throws {
        for byte in UInt8.min...UInt8.max {
            let text = record(format, path: [0x2F, byte, 0x2F], query: "")
            #expect(text.count(where: { $0 == "\n" }) == 1)
            #expect(text.utf8.dropLast().allSatisfy { $0 >= 0x20 && $0 < 0x7F })
            guard format == .json else { continue }
            let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
            #expect(object?["path"] as? String == "/\(Character(Unicode.Scalar(byte)))/")
        }
    }

    @Test("a line that is all escapes has room", arguments: LogFormat.allCases)
    func worstCase(_ format: LogFormat) {
        let text = record(format, path: [UInt8](repeating: 0x01, count: 100_000))
        #expect(text.utf8.count > 600_000)
    }

    @Test("lines gather until the threshold, then go together")
    func threshold() {
        let memory = MemoryLog()
        let sink = LogSink(limit: .mebibytes(1)) { memory.write($0) }
        let log = AccessLogBuffer(format: .text, sink: sink, threshold: .bytes(300))
        func write() {
            let nothing: [UInt8] = []
            log.record(
                AccessRecord(status: 204, received: 1, sent: 0, microseconds: 1, minorVersion: 0),
                method: Array("PUT".utf8).span, path: Array("/".utf8).span, query: nothing.span,
                requestID: nothing.span,
                remote: nothing.span, route: nothing.span, at: noon)
        }
        var lines = 0
        while memory.text.isEmpty, lines < 100 {
            write()
            lines += 1
            sink.flush(atMost: .seconds(5))
        }
        #expect(lines > 1)
        #expect(memory.lines.count == lines)
        #expect(memory.text.utf8.count >= 300)
        log.flush()
        sink.flush(atMost: .seconds(5))
        #expect(memory.lines.count == lines)
    }
}

@Suite("Request ids")
struct RequestIDTests {
    @Test("an id is 32 hexadecimal digits, however it is written")
    func written() {
        let id = RequestID(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210)
        #expect(id.description == "0123456789abcdeffedcba9876543210")
        var buffer = OutputBuffer()
        id.append(to: &buffer)
        #expect(buffer.text == id.description)
    }

    @Test("ids follow the published generator and do not repeat")
    func generator() {
        // First outputs of the reference xoshiro256++ for the state 1, 2, 3, 4.
        var generator = RequestIDGenerator(seed: (1, 2, 3, 4))
        #expect(generator.next() == RequestID(high: 41_943_041, low: 58_720_359))
        #expect(generator.next() == RequestID(high: 3_588_806_011_781_223, low: 3_591_011_842_654_386))
        var system = RequestIDGenerator()
        #expect(Set((0..<1000).map { _ in system.next() }).count == 1000)
    }

    private func isAcceptable(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return RequestID(foreign: bytes.span) != nil
    }

    @Test(
        "an id from outside is written as it came",
        arguments: [
            "a", "peers-1.a_b", "0123456789abcdeffedcba9876543210", "0123456789ABCDEFfedcba9876543210",
            "0123456789abcdeffedcba987654321g", "3f6c0a52-8f5e-4d61-9d1c-2f3b6f0f8a11",
            String(repeating: "x", count: 128),
        ])
    func foreign(_ text: String) throws {
        let bytes = Array(text.utf8)
        let taken = RequestID(foreign: bytes.span)
        let id = try #require(taken)
        #expect(id.description == text)
        var buffer = OutputBuffer()
        id.append(to: &buffer)
        #expect(buffer.text == text)
    }

    @Test("an id of the gateway's own form is the same id, whoever wrote it")
    func ownForm() {
        let bytes = Array("0123456789abcdeffedcba9876543210".utf8)
        let id = RequestID(foreign: bytes.span)
        #expect(id == RequestID(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210))
        let others = Array("another".utf8)
        let other = RequestID(foreign: others.span)
        #expect(other != RequestID(high: 0, low: 0))
    }

    @Test("an id from outside has 1 to 128 plain characters")
    func acceptable() {
        for text in ["a", "A-z_0.9", String(repeating: "x", count: 128)] {
            #expect(isAcceptable(text))
        }
        for text in [
            "", "a b", "a\n", "ä", "a/b", "a\"", "a:b", "a@", "[", "`", "{", String(repeating: "x", count: 129),
        ] {
            #expect(!isAcceptable(text))
        }
    }
}
