package import GatewayBytes

/// A bounded queue of finished log lines and the one thread that writes them, so that a slow terminal or pipe never
/// slows a loop.
///
/// Lines that find the queue full are dropped whole and counted; before the next lines that get through stands a notice
/// of how many were lost. Until ``start()`` and after ``stop(atMost:)`` nothing is written but by ``flush(atMost:)``.
package final class LogSink: Sendable {
    /// Writes bytes somewhere and says whether that worked. Called from one thread at a time.
    package typealias Writing = @Sendable (Span<UInt8>) -> Bool

    private enum Phase {
        case idle
        case running(WriterThread)
        case stopping
    }

    private struct State {
        var phase = Phase.idle
        var queue: [UInt8] = []
        var queuedLines = 0
        /// The last batch's storage, to be filled again.
        var spare: [UInt8] = []
        /// Bytes ever queued, and how many of them are through.
        var submitted = 0
        var finished = 0
        var lost = 0
        var lostAltogether = 0
        var isWriting = false
        var notice: (@Sendable (Int) -> [UInt8])?
    }

    private let monitor = Monitor(State())
    private let limit: Int
    private let writing: Writing

    /// - Parameter limit: Bytes that may wait to be written, besides as many that are being written.
    package init(limit: ByteCount, _ writing: @escaping Writing) {
        self.limit = limit.bytes
        self.writing = writing
    }

    /// Writes to a descriptor, usually 1 or 2, with blocking `write(2)`.
    package convenience init(descriptor: Int32, limit: ByteCount = .mebibytes(4)) {
        self.init(limit: limit) { bytes in writeFully(bytes, to: descriptor) }
    }

    /// Lines dropped since the start.
    package var lostLines: Int {
        monitor.withLock { $0.lostAltogether }
    }

    /// Queues whole lines, each ended by a newline, in the caller's order. Never waits for the writer.
    package func submit(_ buffer: borrowing OutputBuffer, lines: Int) {
        unsafe buffer.withUnsafeBytes { bytes in unsafe enqueue(bytes, lines: lines) }
    }

    private func enqueue(_ bytes: UnsafeRawBufferPointer, lines: Int) {
        monitor.change { state in
            guard state.queue.count + bytes.count <= limit else {
                state.lost += lines
                state.lostAltogether += lines
                return false
            }
            let wasEmpty = state.queue.isEmpty
            Self.noticeLoss(&state)
            unsafe state.queue.append(contentsOf: bytes)
            state.submitted += bytes.count
            state.queuedLines += lines
            return wasEmpty
        }
    }

    /// Starts the writer thread. Without one (no thread left, or called twice) lines wait for ``flush(atMost:)``.
    package func start() {
        monitor.withLock { state in
            guard case .idle = state.phase, let thread = WriterThread.start({ [self] in write() }) else { return }
            state.phase = .running(thread)
        }
    }

    /// Waits until everything submitted so far is written.
    ///
    /// - Returns: False if `patience` ran out first.
    @discardableResult
    package func flush(atMost patience: Duration) -> Bool {
        if takeRole() { return true }
        var target: Int?
        let isThrough: Bool? = monitor.wait(atMost: patience) { state in
            let goal = target ?? state.submitted
            target = goal
            return state.finished >= goal ? true : nil
        }
        return isThrough ?? false
    }

    /// Writes what is queued and ends the writer thread. The sink may be started again.
    ///
    /// - Returns: False if `patience` ran out first; the thread then ends once its descriptor lets it.
    @discardableResult
    package func stop(atMost patience: Duration) -> Bool {
        var thread: WriterThread?
        monitor.change { state in
            guard case .running(let running) = state.phase else { return false }
            thread = running
            state.phase = .stopping
            return true
        }
        guard let thread else { return flush(atMost: patience) }
        let ended: Bool? = monitor.wait(atMost: patience) { state in
            if case .idle = state.phase { return true }
            return nil
        }
        guard ended == true else { return false }
        thread.join()
        return true
    }

    /// How a loss is told; set once by the log system, which knows the format.
    func describeLoss(_ notice: @escaping @Sendable (Int) -> [UInt8]) {
        monitor.withLock { $0.notice = notice }
    }

    // MARK: Writing

    private struct Batch {
        var bytes: [UInt8]
        let lines: Int
    }

    private enum Step {
        case write(Batch)
        case end
    }

    /// What the thread does.
    private func write() {
        while case .write(let batch) = nextStep() { finish(batch) }
        monitor.change { state in
            state.phase = .idle
            return true
        }
    }

    /// Waits for lines; ends when the sink stops and nothing is left.
    private func nextStep() -> Step {
        let step: Step? = monitor.wait { state in
            if let batch = Self.take(&state) { return .write(batch) }
            if case .stopping = state.phase { return .end }
            return nil
        }
        return step ?? .end
    }

    private static func take(_ state: inout State) -> Batch? {
        if state.queue.isEmpty { noticeLoss(&state) }
        guard !state.queue.isEmpty else { return nil }
        let batch = Batch(bytes: state.queue, lines: state.queuedLines)
        (state.queue, state.spare) = (state.spare, [])
        (state.queuedLines, state.isWriting) = (0, true)
        return batch
    }

    /// Queues the notice of what was lost since the last one. It may exceed the limit, by itself only.
    private static func noticeLoss(_ state: inout State) {
        guard state.lost > 0, let notice = state.notice else { return }
        let line = notice(state.lost)
        state.queue += line
        state.submitted += line.count
        state.lost = 0
    }

    private func finish(_ batch: consuming Batch) {
        let succeeded = writing(batch.bytes.span)
        let (size, lines) = (batch.bytes.count, batch.lines)
        batch.bytes.removeAll(keepingCapacity: batch.bytes.count <= Self.keptCapacity)
        let spare = batch.bytes
        monitor.change { state in
            // A broken descriptor is not told: the notice would go the same way.
            if !succeeded { state.lostAltogether += lines }
            state.finished += size
            state.spare = spare
            state.isWriting = false
            return true
        }
    }

    /// A burst's memory is given back; an ordinary batch's is used again.
    private static let keptCapacity = 128 << 10

    /// Without a thread the caller writes, alone. False if there is a thread, or another caller is at it.
    private func takeRole() -> Bool {
        while true {
            var batch: Batch?
            var isOurs = false
            monitor.change { state in
                guard case .idle = state.phase, !state.isWriting else { return false }
                isOurs = true
                batch = Self.take(&state)
                return false
            }
            guard isOurs else { return false }
            guard let batch else { return true }
            finish(batch)
        }
    }
}
