import GatewayBytes
import GatewayTestSupport
import Glibc
import Testing

@testable import GatewayRuntime
@testable import GatewayTransport

@Suite("Splice relay", .serialized)
struct SpliceRelayTests {
    /// A source and a sink stream, and the bare sockets behind them.
    private struct Line {
        let source: End
        let sink: End
        let feeder: CInt
        let drain: CInt

        init(on loop: EventLoop, buffer: CInt? = nil) throws {
            (source, feeder) = try Net.streamAndSocket(on: loop, buffer: buffer)
            (sink, drain) = try Net.streamAndSocket(on: loop, buffer: buffer)
            source.reads = false
            sink.reads = false
        }

        func run(
            _ count: Int, sourceTime: Duration = .seconds(50), sinkTime: Duration = .seconds(50)
        ) async -> RelayError? {
            do throws(RelayError) {
                let patience = SpliceRelay.Patience(source: sourceTime, sink: sinkTime)
                try await SpliceRelay(from: source.stream, to: sink.stream, patience: patience).run(UInt64(count))
                return nil
            } catch {
                return error
            }
        }

        func close() {
            source.stream.close()
            sink.stream.close()
            Glibc.close(feeder)
            Glibc.close(drain)
        }
    }

    /// Sends `count` bytes of a repeating block from a thread.
    private static func feed(_ socket: CInt, _ count: Int, thenClose: Bool = false) -> Outcome<UInt64> {
        let outcome = Outcome<UInt64>()
        Threads.start("feeder") {
            let block = Net.pattern(65_521)
            var (sent, sum) = (0, UInt64(0))
            while sent < count {
                let part = min(block.count, count - sent)
                let done = unsafe send(socket, block, part, Int32(MSG_NOSIGNAL))
                guard done > 0 else { break }
                for place in 0..<done { sum = sum &* 31 &+ UInt64(block[place]) }
                // A short send would shift the pattern: the sum follows what was really sent.
                sent += done
            }
            if thenClose { close(socket) }
            outcome.set(.success(sum))
        }
        return outcome
    }

    private static func sum(_ socket: CInt, _ count: Int) -> Outcome<UInt64> {
        let outcome = Outcome<UInt64>()
        Threads.start("drain") {
            var chunk = [UInt8](repeating: 0, count: 65_536)
            var (got, sum) = (0, UInt64(0))
            while got < count {
                let part = unsafe recv(socket, &chunk, min(chunk.count, count - got), 0)
                guard part > 0 else { break }
                for place in 0..<part { sum = sum &* 31 &+ UInt64(chunk[place]) }
                got += part
            }
            outcome.set(.success(got == count ? sum : 0))
        }
        return outcome
    }

    @Test("64 MiB arrive whole and in order")
    func large() throws {
        let count = 64 << 20
        let (error, sent, got, counted) = try LoopThread.with { loop in
            let line = try Line(on: loop)
            let feeding = Self.feed(line.feeder, count)
            let summing = Self.sum(line.drain, count)
            let error = await line.run(count)
            let sums = try await loop.offload("test") { (try feeding.value(), try summing.value()) }
            let counted = (line.source.stream.received, line.sink.stream.sent)
            line.close()
            return (error, sums.0, sums.1, counted)
        }
        #expect(error == nil)
        #expect(sent == got)
        #expect(counted.0 == UInt64(count))
        #expect(counted.1 == UInt64(count))
    }

    @Test(
        "exactly the count is moved; what follows stays in the source, which can be used on",
        arguments: [1, 1_000, 300_000])
    func exact(_ count: Int) throws {
        let outcome = try LoopThread.with { loop in
            let line = try Line(on: loop)
            let feeding = Self.feed(line.feeder, count + 500)
            let summing = Self.sum(line.drain, count)
            let error = await line.run(count)
            _ = try await loop.offload("test") { (try feeding.value(), try summing.value()) }
            line.source.reads = true
            line.source.stream.resumeInput()
            try await line.source.until { line.source.received.count >= 500 }
            let rest = line.source.received.count
            // Both streams are told of events again.
            line.sink.reads = true
            line.sink.stream.resumeInput()
            _ = unsafe send(line.drain, [1, 2, 3], 3, 0)
            try await line.sink.until { line.sink.received.count == 3 }
            line.sink.stream.write { $0.append([9]) }
            line.sink.stream.flush()
            var byte: UInt8 = 0
            let got = unsafe recv(line.drain, &byte, 1, 0)
            line.close()
            return (error, rest, got, byte)
        }
        #expect(outcome.0 == nil)
        #expect(outcome.1 == 500)
        #expect(outcome.2 == 1)
        #expect(outcome.3 == 9)
    }

    @Test("nothing to move is nothing to wait for")
    func nothing() throws {
        let error = try LoopThread.with { loop in
            let line = try Line(on: loop)
            let error = await line.run(0)
            line.close()
            return error
        }
        #expect(error == nil)
    }

    @Test("a source that ends midway is an error, however it ends", arguments: [false, true])
    func sourceDies(_ resets: Bool) throws {
        let outcome = try LoopThread.with { loop in
            let line = try Line(on: loop)
            if resets { Socket.resetOnClose(line.feeder) }
            let feeding = Self.feed(line.feeder, 3 << 20, thenClose: true)
            let reading = Net.readAll(line.drain)
            let error = await line.run(10 << 20)
            _ = try await loop.offload("test") { try feeding.value() }
            line.sink.stream.abort()
            let got = try await loop.offload("test") { try reading.value() }
            line.source.stream.close()
            close(line.drain)
            return (error, got)
        }
        #expect(outcome.0 == .sourceEnded)
        #expect(outcome.1 == nil)
    }

    @Test("a sink that leaves is an error at once, whether bytes wait for it or not", arguments: [true, false])
    func sinkDies(_ bytesWait: Bool) throws {
        let error = try LoopThread.with { loop in
            let line = try Line(on: loop, buffer: 16384)
            var feeding: Outcome<UInt64>?
            if bytesWait { feeding = Self.feed(line.feeder, 64 << 20) }
            let closer = loop.launch {
                while line.sink.stream.relay == nil { await loop.nextTurn() }
                Socket.resetOnClose(line.drain)
                close(line.drain)
            }
            let error = await line.run(64 << 20)
            await closer.value
            line.source.stream.close()
            line.sink.stream.close()
            if let feeding { _ = try await loop.offload("test") { try feeding.value() } }
            close(line.feeder)
            return error
        }
        #expect(error == .sinkClosed)
    }

    @Test("a sink that takes nothing and a source that gives nothing have a time each", arguments: [true, false])
    func stalled(_ sourceGives: Bool) throws {
        let outcome = try LoopThread.with { loop in
            let line = try Line(on: loop, buffer: 16384)
            var feeding: Outcome<UInt64>?
            if sourceGives { feeding = Self.feed(line.feeder, 16 << 20) }
            // The other side would have time enough.
            let short = Duration.milliseconds(20)
            let error =
                sourceGives
                ? await line.run(16 << 20, sinkTime: short) : await line.run(16 << 20, sourceTime: short)
            let timers = loop.timerCount
            line.source.stream.close()
            line.sink.stream.close()
            if let feeding { _ = try await loop.offload("test") { try feeding.value() } }
            close(line.feeder)
            close(line.drain)
            return (error, timers)
        }
        #expect(outcome.0 == (sourceGives ? .sinkStalled : .sourceStalled))
        #expect(outcome.1 == 0)
    }

    @Test("a slow sink is no stall as long as it goes on taking")
    func slowSink() throws {
        let error = try LoopThread.with { loop in
            let line = try Line(on: loop, buffer: 16384)
            let feeding = Self.feed(line.feeder, 2 << 20)
            let draining = Outcome<Int>()
            let drain = line.drain
            Threads.start("slow drain") {
                var chunk = [UInt8](repeating: 0, count: 32_768)
                var got = 0
                while got < 2 << 20 {
                    let part = unsafe recv(drain, &chunk, chunk.count, 0)
                    guard part > 0 else { break }
                    got += part
                    Threads.sleep(.milliseconds(1))  // a slow sink is the subject
                }
                draining.set(.success(got))
            }
            let error = await line.run(2 << 20, sinkTime: .seconds(5))
            _ = try await loop.offload("test") { (try feeding.value(), try draining.value()) }
            line.close()
            return error
        }
        #expect(error == nil)
    }

    @Test("cancelling the task ends the relay, from the loop and from elsewhere", arguments: [true, false])
    func cancelled(_ fromElsewhere: Bool) throws {
        let error = try LoopThread.with { loop in
            let line = try Line(on: loop)
            var error: RelayError?
            let done = LoopWait()
            let task = loop.launch {
                error = await line.run(1 << 20)
                done.wake()
            }
            while loop.timerCount == 0 { await loop.nextTurn() }
            if fromElsewhere { Threads.start("canceller") { task.cancel() } } else { task.cancel() }
            _ = await done.run(on: loop)
            line.close()
            return error
        }
        #expect(error == .cancelled)
    }

    @Test("closing either stream ends the relay", arguments: [true, false])
    func closedHere(_ closesSource: Bool) throws {
        let error = try LoopThread.with { loop in
            let line = try Line(on: loop)
            loop.launch {
                await loop.nextTurn()
                if closesSource { line.source.stream.close() } else { line.sink.stream.close() }
            }
            let error = await line.run(1 << 20)
            line.close()
            return error
        }
        #expect(error == (closesSource ? .sourceEnded : .sinkClosed))
    }

    @Test("one relay after another uses the same pipe; one that broke off with bytes inside leaves none")
    func pipes() throws {
        let counts = try LoopThread.with { loop in
            var counts: [Int] = []
            for _ in 0..<3 {
                let line = try Line(on: loop)
                let feeding = Self.feed(line.feeder, 100_000)
                let summing = Self.sum(line.drain, 100_000)
                _ = await line.run(100_000)
                counts.append(loop.pipes.count)
                _ = try await loop.offload("test") { (try feeding.value(), try summing.value()) }
                line.close()
            }
            // Nobody reads: the sink's socket fills up, and then the pipe.
            let line = try Line(on: loop)
            let feeding = Self.feed(line.feeder, 64 << 20, thenClose: true)
            _ = await line.run(64 << 20, sinkTime: .milliseconds(50))
            counts.append(loop.pipes.count)
            line.close()
            _ = try await loop.offload("test") { try feeding.value() }
            return counts
        }
        #expect(counts == [1, 1, 1, 0])
    }

    @Test("a relay that never has to wait leaves other connections their turn")
    func fairness() throws {
        let turns = try LoopThread.with { loop in
            let line = try Line(on: loop)
            let count = 128 << 20
            let feeding = Self.feed(line.feeder, count)
            let summing = Self.sum(line.drain, count)
            var (turns, isOver) = (0, false)
            loop.launch {
                while !isOver {
                    await loop.nextTurn()
                    turns += 1
                }
            }
            let error = await line.run(count)
            isOver = true
            _ = try await loop.offload("test") { (try feeding.value(), try summing.value()) }
            line.close()
            return error == nil ? turns : 0
        }
        #expect(turns >= 64)
    }
}
