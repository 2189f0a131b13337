import Foundation
import GatewayBytes
import GatewayTestSupport
import Testing

@testable import GatewayTelemetry

/// Holds a writer until it is opened.
final class Gate: Sendable {
    private let entered = DispatchSemaphore(value: 0)
    private let opened = DispatchSemaphore(value: 0)

    func pass() {
        entered.signal()
        opened.wait()
        opened.signal()
    }

    func waitUntilSomebodyIsInside() { entered.wait() }
    func open() { opened.signal() }
}

@Suite("The log's queue and its thread")
struct LogSinkTests {
    private func line(_ text: String) -> OutputBuffer {
        var buffer = OutputBuffer(capacity: 64)
        buffer.append(text: text + "\n")
        return buffer
    }

    @Test("nothing is written before the thread starts, and everything afterwards, in order")
    func order() {
        let memory = MemoryLog()
        let sink = LogSink(limit: .kibibytes(64)) { memory.write($0) }
        sink.submit(line("0"), lines: 1)
        #expect(memory.text.isEmpty)
        sink.start()
        for number in 1..<500 { sink.submit(line("\(number)"), lines: 1) }
        #expect(sink.stop(atMost: .seconds(20)))
        #expect(memory.lines == (0..<500).map { Substring("\($0)") })
        #expect(sink.lostLines == 0)
    }

    @Test("flush without a thread writes on the caller's own, and a stopped sink can start again")
    func flushWithoutThread() {
        let memory = MemoryLog()
        let sink = LogSink(limit: .kibibytes(1)) { memory.write($0) }
        sink.submit(line("a"), lines: 1)
        #expect(sink.flush(atMost: .seconds(5)))
        #expect(memory.text == "a\n")
        sink.start()
        sink.start()
        sink.submit(line("b"), lines: 1)
        #expect(sink.flush(atMost: .seconds(20)))
        #expect(memory.text == "a\nb\n")
        #expect(sink.stop(atMost: .seconds(20)))
        sink.submit(line("c"), lines: 1)
        #expect(sink.stop(atMost: .seconds(5)))
        sink.start()
        sink.submit(line("d"), lines: 1)
        #expect(sink.stop(atMost: .seconds(20)))
        #expect(memory.text == "a\nb\nc\nd\n")
    }

    @Test(
        "what finds the queue full is dropped whole and counted, and a notice says how much",
        arguments: LogFormat.allCases)
    func overflow(_ format: LogFormat) {
        let log = TestLog(.info, format, limit: .bytes(10))
        log.sink.submit(line("1234567"), lines: 1)
        log.sink.submit(line("lost"), lines: 1)
        log.sink.submit(line("lost"), lines: 2)
        log.sink.submit(line("x"), lines: 1)
        #expect(log.sink.lostLines == 3)
        let expected: [LogFormat: String] = [
            .text: """
            1234567
            2026-01-02T03:04:05.678Z WARN  log        log lines lost lines=3
            x

            """,
            .json: """
            1234567
            {"timestamp":"2026-01-02T03:04:05.678Z","level":"WARN","service":"gateway","component":"log",\
            "message":"log lines lost","lines":3}
            x

            """,
        ]
        #expect(log.text == expected[format])
    }

    @Test("a loss is told even if nothing follows")
    func lossAtTheEnd() {
        let log = TestLog(.info, .text, limit: .bytes(4))
        log.sink.submit(line("abc"), lines: 1)
        log.sink.submit(line("lost"), lines: 1)
        #expect(log.text.hasPrefix("abc\n"))
        #expect(log.text.hasSuffix("lines=1\n"))
    }

    @Test("submitting never waits for a writer that is stuck, and waiting for one has an end")
    func stuckWriter() {
        let gate = Gate()
        let memory = MemoryLog()
        let sink = LogSink(limit: .bytes(8)) { bytes in
            gate.pass()
            return memory.write(bytes)
        }
        sink.start()
        sink.submit(line("first"), lines: 1)
        gate.waitUntilSomebodyIsInside()
        sink.submit(line("second"), lines: 1)
        sink.submit(line("third"), lines: 1)
        #expect(sink.lostLines == 1)
        #expect(!sink.flush(atMost: .milliseconds(1)))
        gate.open()
        #expect(sink.stop(atMost: .seconds(20)))
        #expect(memory.text == "first\nsecond\n")
    }

    @Test("lines of a broken descriptor are lost, and the rest goes on")
    func brokenDescriptor() {
        let sink = LogSink(limit: .kibibytes(1)) { _ in false }
        sink.submit(line("a"), lines: 3)
        #expect(sink.flush(atMost: .seconds(5)))
        #expect(sink.lostLines == 3)
        let bytes: [UInt8] = [0x61]
        let succeeded = writeFully(bytes.span, to: -1)
        #expect(!succeeded)
    }

    @Test("a descriptor gets every byte, also through a pipe that is full and does not block")
    func descriptor() throws {
        let pipe = Pipe()
        let descriptor = pipe.fileHandleForWriting.fileDescriptor
        #expect(fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0)
        let sink = LogSink(descriptor: descriptor, limit: .mebibytes(1))
        sink.start()
        let text = String(repeating: "0123456789abcdef", count: 4096 * 4)
        sink.submit(line(text), lines: 1)
        var received = Data()
        while received.count < text.utf8.count + 1 { received += pipe.fileHandleForReading.availableData }
        #expect(received == Data((text + "\n").utf8))
        #expect(sink.stop(atMost: .seconds(20)))
    }

    @Test("lines of many threads stay whole")
    func manyThreads() async {
        let memory = MemoryLog()
        let sink = LogSink(limit: .mebibytes(4)) { memory.write($0) }
        let system = LogSystem(level: .info, format: .json, sink: sink)
        sink.start()
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask { @concurrent in
                    for number in 0..<200 { system.logger("t").info("line", .int("writer", writer), .int("n", number)) }
                }
            }
        }
        #expect(sink.stop(atMost: .seconds(20)))
        #expect(memory.lines.count == 1600)
        #expect(memory.lines.allSatisfy { $0.hasPrefix("{\"timestamp\":\"") && $0.hasSuffix("}") })
    }
}
