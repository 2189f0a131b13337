import GatewayLocks
import GatewayRuntime
import GatewayTestSupport
import Testing

@Suite("State of each loop")
struct PerLoopTests {
    /// Notes what it is told, and where.
    private final class Notebook {
        let index: Int
        var words: [String] = []
        init(index: Int) { self.index = index }
    }

    private static func threads(_ count: Int) throws -> [LoopThread] {
        try (0..<count).map { try LoopThread(index: $0) }
    }

    @Test("a word reaches every loop that has a value, on that loop, in order, before the caller goes on")
    func forEach() throws {
        let threads = try Self.threads(3)
        let notebooks = PerLoop(count: 3) { Notebook(index: $0.index) }
        for thread in threads.prefix(2) { _ = try thread.run { notebooks.value(on: $0).index } }
        let heard = Guarded<[Int]>([])
        try threads[0].run { loop in
            for word in ["one", "two", "three"] {
                await notebooks.forEach(from: loop) { notebook in
                    notebook.words.append(word)
                    #expect(EventLoop.current?.index == notebook.index)
                    heard.withLock { $0.append(notebook.index) }
                }
                #expect(loop.isCurrent)
                #expect(heard.withLock { $0.sorted() } == [0, 1])
                heard.withLock { $0 = [] }
            }
        }
        for thread in threads.prefix(2) {
            #expect(try thread.run { notebooks.value(on: $0).words } == ["one", "two", "three"])
        }
        #expect(try threads[2].run { notebooks.value(on: $0).words } == [])
        for thread in threads { try thread.stop() }
    }

    @Test("a caller that is cancelled goes on at once, and the word arrives all the same")
    func cancelled() throws {
        let threads = try Self.threads(2)
        let notebooks = PerLoop(count: 2) { Notebook(index: $0.index) }
        for thread in threads { _ = try thread.run { notebooks.value(on: $0).index } }
        let gate = Signal()
        // The other loop can run nothing until the caller has gone on.
        threads[1].loop.submit { gate.wait() }
        try threads[0].run { loop in
            let ended = LoopWait()
            let task = loop.launch {
                await notebooks.forEach(from: loop) { $0.words.append("late") }
                ended.wake()
            }
            task.cancel()
            _ = await ended.run(on: loop)
            gate.raise()
        }
        for thread in threads { #expect(try thread.run { notebooks.value(on: $0).words } == ["late"]) }
        for thread in threads { try thread.stop() }
    }
}
