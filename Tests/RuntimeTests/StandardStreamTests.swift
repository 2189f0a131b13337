import CLinux
import GatewayTestSupport
import Glibc
import SwiftOverlayShims
import Testing

@testable import GatewayRuntime

@Suite("Standard input and output on a loop")
struct StandardStreamTests {
    /// Gathers what is read and what becomes of what is written.
    private final class Ends: StandardInputHandler, StandardOutputHandler {
        var input: StandardInput?
        var output: StandardOutput?
        var bytes: [UInt8] = []
        var hasEnded = false
        var drained = 0
        var broken = 0
        let loop: EventLoop
        private var waiting: LoopWait?

        init(_ loop: EventLoop) { self.loop = loop }

        func inputReadable() {
            defer { waiting?.wake() }
            switch input?.read() {
            case .bytes(let count)?: unsafe bytes.append(contentsOf: loop.receiveBuffer[..<count])
            case .end?, .failed?:
                hasEnded = true
                input?.pause()
            default: break
            }
        }

        func outputDrained() {
            drained += 1
            waiting?.wake()
        }

        func outputBroke() {
            broken += 1
            waiting?.wake()
        }

        struct NothingHappened: Error {}

        /// Waits until what was told makes `condition` true.
        func until(_ condition: () -> Bool) async throws {
            let deadline = MonotonicTime.read() + .seconds(20)
            while !condition() {
                let wait = LoopWait()
                waiting = wait
                guard await wait.run(on: loop, until: deadline) == .woken else { throw NothingHappened() }
            }
        }
    }

    private static func pair(_ isSocket: Bool) -> (reading: CInt, writing: CInt) {
        var ends: [CInt] = [-1, -1]
        if isSocket {
            _ = unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends)
        } else {
            _ = unsafe pipe(&ends)
        }
        return (ends[0], ends[1])
    }

    private static func isBlocking(_ descriptor: CInt) -> Bool { fcntl(descriptor, F_GETFL, 0) & O_NONBLOCK == 0 }

    @Test("bytes are read as they come, up to the end, and not while it rests", arguments: [false, true])
    func input(isSocket: Bool) throws {
        let outcome = try LoopThread.with { loop in
            let (reading, writing) = Self.pair(isSocket)
            let ends = Ends(loop)
            ends.input = try StandardInput(ends, descriptor: reading, on: loop)
            _ = unsafe write(writing, "abc", 3)
            for _ in 0..<5 { await loop.nextTurn() }
            let early = ends.bytes
            ends.input?.resume()
            try await ends.until { ends.bytes.count == 3 }
            ends.input?.pause()
            _ = unsafe write(writing, "def", 3)
            close(writing)
            for _ in 0..<5 { await loop.nextTurn() }
            let resting = (ends.bytes.count, ends.hasEnded)
            ends.input?.resume()
            try await ends.until { ends.hasEnded }
            ends.input?.letGo()
            let isBlocking = Self.isBlocking(reading)
            close(reading)
            return (early.count, resting.0, resting.1, String(decoding: ends.bytes, as: UTF8.self), isBlocking)
        }
        #expect(outcome.0 == 0 && outcome.1 == 3 && outcome.2 == false)
        #expect(outcome.3 == "abcdef")
        #expect(outcome.4, "it is given back as it was")
    }

    @Test("a writer that has gone costs a loop nothing while nobody reads")
    func restingEnd() throws {
        let events = try LoopThread.with { loop in
            let (reading, writing) = Self.pair(false)
            let ends = Ends(loop)
            ends.input = try StandardInput(ends, descriptor: reading, on: loop)
            close(writing)
            // It may be told once that the writer has gone.
            for _ in 0..<5 { await loop.nextTurn() }
            var events = 0
            for _ in 0..<5 {
                await loop.nextTurn()
                // What would wake the loop now, if nothing else did: a turn's own events have been delivered.
                events += loop.poller.wait(timeout: 0)
            }
            ends.input?.letGo()
            close(reading)
            return events
        }
        #expect(events == 0)
    }

    @Test("a file can be read and written although the kernel watches none")
    func files() throws {
        let path = "/tmp/gateway-standard-\(UInt64.random(in: 0 ... .max))"
        let text = try LoopThread.with { loop in
            let file = unsafe open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
            let ends = Ends(loop)
            ends.output = try StandardOutput(ends, descriptor: file, on: loop)
            unsafe Array("written".utf8).withUnsafeBytes { unsafe ends.output?.write($0) }
            lseek(file, 0, SEEK_SET)
            ends.input = try StandardInput(ends, descriptor: file, on: loop)
            ends.input?.resume()
            try await ends.until { ends.hasEnded }
            ends.input?.letGo()
            ends.output?.letGo()
            close(file)
            return String(decoding: ends.bytes, as: UTF8.self)
        }
        unsafe unlink(path)
        #expect(text == "written")
    }

    @Test("what a slow reader has not taken waits, leaves in order, and then the reader finds the end")
    func output() throws {
        let size = 1 << 20
        let outcome = try LoopThread.with { loop in
            let (reading, writing) = Self.pair(false)
            let ends = Ends(loop)
            ends.output = try StandardOutput(ends, descriptor: writing, on: loop)
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            unsafe bytes.withUnsafeBytes { unsafe ends.output?.write($0) }
            let piledUp = ends.output?.unsent ?? 0
            ends.output?.finish()
            let got = try await loop.offload("reader") {
                var got: [UInt8] = []
                var chunk = [UInt8](repeating: 0, count: 65_536)
                while true {
                    let count = unsafe read(reading, &chunk, chunk.count)
                    guard count > 0 else { return got }
                    got += chunk[..<count]
                }
            }
            try await ends.until { ends.drained == 1 }
            close(reading)
            close(writing)
            return (piledUp, got == bytes)
        }
        #expect(outcome.0 > size / 2)
        #expect(outcome.1)
    }

    @Test("a reader that has gone is told once, whether there was something to write or not", arguments: [false, true])
    func brokenOutput(isWriting: Bool) throws {
        Resources.ignoreBrokenPipes()
        let outcome = try LoopThread.with { loop in
            let (reading, writing) = Self.pair(false)
            let ends = Ends(loop)
            ends.output = try StandardOutput(ends, descriptor: writing, on: loop)
            close(reading)
            if isWriting { unsafe [1, 2, 3].withUnsafeBytes { unsafe ends.output?.write($0) } }
            try await ends.until { ends.broken > 0 }
            for _ in 0..<5 { await loop.nextTurn() }
            close(writing)
            return (ends.broken, ends.output?.unsent)
        }
        #expect(outcome.0 == 1 && outcome.1 == 0)
    }
}
